//! The right of a task with transactions to go on after its client was closed for want of work.

use crate::{
    mutant::mutant,
    task::TaskId,
    views::offset::Known,
    worker::{context::Context, ownership::Ownership},
};
use bytes::Bytes;
use longshore_sdk::{Error, Result, config::Flat};
use std::sync::Arc;

/// A task that stored the offsets of more lanes than these keeps its client: to know them all would cost more memory than it does (I6).
const LANES_MAX: usize = 1_000;

/// By which right a task has its transactional id, and what stands in the offset topic as far as it knows. While it has no client somebody else may have
/// opened the id, written, and gone; so the four steps of opening a task are taken again, and what they find must be what it was.
pub(super) struct Reclaim {
    cx: Arc<Context>,
    id: TaskId,
    config: Arc<Flat>,
    owned: Ownership,
    /// The only task of its connector knows all the lanes; one among several knows those that it has written. `None`: too many.
    known: Option<Known>,
}

impl Reclaim {
    /// Of a task that was opened by this right. The offsets were read to their end.
    pub(super) fn new(
        cx: &Arc<Context>,
        id: &TaskId,
        config: &Arc<Flat>,
        owned: Ownership,
    ) -> Self {
        let mut known = Known::new();
        if owned.tasks == 1 {
            let read = cx
                .offsets
                .read(|now| now.again(&id.connector, LANES_MAX + 1));
            known.extend(read);
        }
        Self {
            cx: Arc::clone(cx),
            id: id.clone(),
            config: Arc::clone(config),
            owned,
            known: Some(known).filter(|known| known.len() <= LANES_MAX),
        }
    }
    /// Whether enough is known to close the client.
    pub(super) fn is_possible(&self) -> bool {
        self.known.is_some()
    }
    /// Entries to be committed, to be known once they are. Copied: slices may keep much more alive (I6).
    pub(super) fn copied(&self, entries: &[(Bytes, Option<Bytes>)]) -> Option<Known> {
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let copied = |(key, value): &(Bytes, Option<Bytes>)| (copy(key), value.as_ref().map(copy));
        let few = self.known.is_some() && entries.len() <= LANES_MAX;
        few.then(|| entries.iter().map(copied).collect())
    }
    /// They were committed.
    pub(super) fn stored(&mut self, entries: Option<Known>) {
        self.known = self.known.take().zip(entries).map(|(mut known, entries)| {
            known.extend(entries);
            known
        });
        self.known.take_if(|known| known.len() > LANES_MAX);
    }
    /// Before the id is opened: who is known to be its owner now must not be fenced.
    pub(super) fn placed(&self) -> Result<()> {
        let now = Ownership::now(&self.cx, &self.id, &self.config);
        if now == Some(self.owned) {
            return Ok(());
        }
        Err(moved())
    }
    /// After the id was opened, and before anything is written: is the task still ours, and are its lanes as it left them?
    pub(super) async fn confirm(&self) -> Result<()> {
        let (cx, name) = (&self.cx, &self.id.connector);
        // I4: the last init wins, whoever is placed later. So who comes late must see here that it came late.
        if !mutant!("reopened-without-check")
            && !self.owned.holds(cx, &self.id, &self.config).await?
        {
            return Err(moved());
        }
        if mutant!("reopened-without-lanes") {
            return Ok(());
        }
        cx.offsets.refresh().await?;
        let alone = self.owned.tasks == 1;
        let known = self.known.as_ref();
        if known.is_some_and(|known| cx.offsets.read(|now| now.stand(name, known, alone))) {
            return Ok(());
        }
        Err(Error::fenced(
            "open",
            "the source's offsets were changed while its producer was closed; the task goes on from them when it is opened anew",
        ))
    }
}

fn moved() -> Error {
    Error::fenced(
        "open",
        "the task was placed elsewhere, or its set has changed, while its producer was closed",
    )
}
