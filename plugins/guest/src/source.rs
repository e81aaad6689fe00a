//! Sources.

use crate::abi::longshore::connector::types;
use crate::{Batch, Guarantee, Info, Positions, Problem, Result, Share, state};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// One task of a source. Export it by [`crate::export_source!`].
pub trait Source: Sized + 'static {
    /// What a user can set: flat fields, dotted keys by `#[serde(rename = "batch.size")]`; their doc comments are the documentation.
    type Config: DeserializeOwned + JsonSchema;
    /// Where reading goes on after a record: a struct with named fields.
    type Position: Serialize + DeserializeOwned;
    /// Name, version, formats.
    const INFO: Info;

    /// Looks beyond the schema: reaches the system, tries the credentials. Changes nothing.
    fn check(config: &Self::Config) -> Result<Vec<Problem>> {
        let _ = config;
        Ok(Vec::new())
    }
    /// Splits the work into at most `tasks_max` shares; none = nothing to do now. One empty share is one task with the connector's config.
    fn plan(config: &Self::Config, tasks_max: u32) -> Result<Vec<Share>> {
        let _ = (config, tasks_max);
        Ok(vec![Share::new()])
    }
    /// What can be promised. Must not call the host.
    fn promise(config: &Self::Config) -> Guarantee {
        let _ = config;
        Guarantee::at_least_once("positions are stored after the records")
    }
    /// Begins after the stored positions, those of all the connector's lanes.
    fn start(config: Self::Config, stored: Positions<Self::Position>) -> Result<Self>;
    /// The next records, in order within each lane, until [`Batch::is_full`] or about `max_wait`. None is an answer, too; that reading goes on
    /// elsewhere all the same is said by [`Batch::advance`]. After an error of kind
    /// transient or rate-limited the next call must return the same records: change `self` only when nothing can fail any more.
    fn poll(&mut self, max_wait: Duration, batch: &mut Batch<Self::Position>) -> Result<Next>;
    /// Everything up to these positions is durable: what is read may forget it.
    fn committed(&mut self, positions: &Positions<Self::Position>) -> Result<()> {
        let _ = positions;
        Ok(())
    }
    /// Releases everything.
    fn close(&mut self) {}
}

/// When the host may ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once: there is more.
    More,
    /// After this time.
    After(Duration),
    /// Never: nothing more will come. The records of this batch still count.
    Finished,
}

/// A poll's answer as it crosses to the host.
pub struct Polled {
    /// The records.
    pub records: types::Batch,
    /// The lanes that rows name.
    pub lanes: Vec<String>,
    /// The lane of each row.
    pub lane: Vec<u32>,
    /// The position after each row.
    pub positions: types::Column,
    /// How long the host may wait.
    pub idle_ms: u32,
    /// Nothing more will come.
    pub finished: bool,
}

/// Calls a source's `poll`.
pub fn polled<S: Source>(source: &mut S, rows: u32, bytes: u32, wait_ms: u32) -> Result<Polled> {
    let mut batch = Batch::new(&S::INFO, rows as usize, bytes as usize);
    let next = source.poll(Duration::from_millis(wait_ms.into()), &mut batch)?;
    for (lane, position) in batch.advanced() {
        state::advance(lane, position)?;
    }
    let finished = batch.finish();
    Ok(Polled {
        records: finished.records,
        lanes: finished.lanes,
        lane: finished.lane,
        positions: finished.positions,
        idle_ms: match next {
            Next::After(time) => u32::try_from(time.as_millis()).unwrap_or(u32::MAX),
            Next::More | Next::Finished => 0,
        },
        finished: next == Next::Finished,
    })
}
