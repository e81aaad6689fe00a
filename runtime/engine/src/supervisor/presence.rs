//! Whether this worker is in its group. One that is not, or cannot know, moves nothing: others may have taken over.

use super::Supervisor;
use crate::{
    mutant::mutant,
    ports::{Member, View},
    task::Pace,
    worker::Context,
};
use longshore_sdk::{Error, Result};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long reading what was missed may take before it is begun anew (I6).
const READ_MAX: Duration = Duration::from_secs(60);
/// How long after a failed reading it is begun anew.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Where this worker is between its group and nowhere.
#[derive(Default)]
pub(super) struct Presence {
    away: bool,
    reading: bool,
    /// It went away while it was reading.
    stale: bool,
    /// Not before this time.
    again: Option<Instant>,
}

/// Why a worker moves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    NotListed,
    /// Its internal topics are not those of its group.
    OtherTopics,
    /// It is listed again, and does not know yet what was decided without it.
    Returning,
}

/// What statuses say of it.
#[derive(Default)]
pub(crate) struct Whereabouts(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    out: Option<Out>,
    /// Who was in the group when this worker last was.
    company: Vec<Member>,
}

impl Whereabouts {
    /// Why this worker moves nothing, in words; `None` = it is in its group. `trouble` is what its membership knows of the cause.
    pub(crate) fn words(
        &self,
        worker_id: &str,
        trouble: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        Some(match self.seen().out? {
            Out::NotListed => {
                let unknown = || {
                    "no broker of bootstrap.servers answers, or its session has ended".to_owned()
                };
                let trouble = trouble().unwrap_or_else(unknown);
                format!(
                    "the worker {worker_id} is out of its group: {trouble}; what it runs stands still and goes on by itself"
                )
            }
            Out::OtherTopics => format!(
                "the worker {worker_id} runs nothing: its config.storage.topic, offset.storage.topic or status.storage.topic is not that of the other workers of its group"
            ),
            Out::Returning => format!(
                "the worker {worker_id} is in its group again and reads what it missed; what it runs stands still and goes on by itself"
            ),
        })
    }
    /// Everybody in the group; out of it, who was there last.
    pub(crate) fn company(&self, view: &View) -> Vec<Member> {
        match view.members.contains(&view.me) {
            true => view.members.clone(),
            false => self.seen().company.clone(),
        }
    }
    fn is(&self, out: Option<Out>, view: &View) {
        let mut seen = self.seen();
        seen.out = out;
        if view.members.contains(&view.me) {
            seen.company.clone_from(&view.members);
        }
    }
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supervisor {
    /// Some = this worker is out of its group, perhaps for a moment, or a topic that it cannot do without is gone: its tasks pause and nothing is closed before it is known. It is back once the
    /// group lists it again and it has read, to the end, what was decided without it. The time is when to look again.
    pub(super) fn absent(&mut self, view: &View, now: Instant) -> Option<Option<Instant>> {
        let agreed = self.agrees();
        let halted = self.cx.halted();
        let absent = self.is_absent(view, agreed, halted.as_ref(), now);
        let out = match (&absent, agreed) {
            // It stands still for another reason, which statuses show in its own words.
            (None, _) => None,
            (Some(_), _) if halted.is_some() => None,
            (Some(_), false) => Some(Out::OtherTopics),
            (Some(_), true) if view.members.contains(&view.me) => Some(Out::Returning),
            (Some(_), true) => Some(Out::NotListed),
        };
        self.cx.whereabouts.is(out, view);
        absent
    }
    fn is_absent(
        &mut self,
        view: &View,
        agreed: bool,
        halted: Option<&Arc<str>>,
        now: Instant,
    ) -> Option<Option<Instant>> {
        if !view.members.contains(&view.me) || !agreed || halted.is_some() {
            if !self.presence.away {
                match halted.cloned().or_else(|| self.cx.disagreement()) {
                    Some(trouble) => tracing::error!(trouble = %trouble, "tasks pause"),
                    None => tracing::warn!(
                        "out of the group: tasks pause until this worker is listed again"
                    ),
                }
            }
            self.presence.away = true;
            self.presence.stale = true;
            self.tasks
                .keys()
                .for_each(|id| self.crew.pace(id, Pace::Hold));
            return Some(None);
        }
        if !self.presence.away {
            return None;
        }
        if mutant!("resume-without-reread") {
            self.presence.away = false;
            return None;
        }
        if self.presence.reading {
            return Some(None);
        }
        if let Some(again) = self.presence.again.filter(|again| *again > now) {
            return Some(Some(again));
        }
        self.presence.reading = true;
        self.presence.stale = false;
        self.crew.read(read(Arc::clone(&self.cx)));
        Some(None)
    }

    /// Whether this worker's internal topics are those of its group, if that has any yet.
    pub(super) fn agrees(&self) -> bool {
        self.cx.disagreement().is_none()
    }

    /// What was missed has been read, or not.
    pub(super) fn returned(&mut self, read: Result<()>) {
        self.presence.reading = false;
        let first = self.presence.again.take().is_none();
        match read {
            Ok(()) if self.presence.stale => {}
            Ok(()) => {
                tracing::info!("back in the group");
                self.presence.away = false;
            }
            Err(error) => {
                if first {
                    tracing::warn!(%error, "what was missed could not be read");
                } else {
                    tracing::debug!(%error, "what was missed could not be read");
                }
                self.presence.again = Some(Instant::now() + READ_AGAIN);
            }
        }
    }
}

async fn read(cx: Arc<Context>) -> Result<()> {
    let late = |_| Error::transient("read", "the internal topics could not be read in time");
    let read = async {
        match cx.config.trouble() {
            None => cx.read_to_end().await,
            // Without a config topic nothing new is wanted by anybody, and nobody leads: what runs goes on by what was placed.
            Some(_) => cx.assignments.refresh().await,
        }
    };
    let read = tokio::time::timeout(READ_MAX, read).await;
    read.map_err(late)?
}
