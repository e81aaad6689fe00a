//! Whether a task that is being opened is still this worker's: asked again once whoever had it before is fenced.

use super::context::Context;
use crate::task::TaskId;
use longshore_sdk::{Result, config::Flat};

/// By which right a task is opened. The three generations are never mixed: a task set's, an assignment's, and (elsewhere) a ledger's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ownership {
    /// The assignment generation of its placement on this worker.
    placement: u64,
    /// The generation of the task set that its config stands in.
    set: u64,
    /// How many tasks that set has.
    pub(super) tasks: usize,
}

impl Ownership {
    /// As this worker's views have it; none if the task is not placed here, or its config is another.
    pub(super) fn now(cx: &Context, id: &TaskId, config: &Flat) -> Option<Self> {
        let me = cx.view().me;
        let placement = cx.assignments.read(|now| {
            let here = now.of(id).filter(|placement| placement.is_on(&me));
            here.map(|placement| placement.generation)
        })?;
        let connector = cx.config.read(|configs| configs.get(&id.connector))?;
        let same = connector.tasks.get(id.task as usize);
        same.filter(|same| ***same == *config)?;
        Some(Self {
            placement,
            set: connector.generation,
            tasks: connector.tasks.len(),
        })
    }
    /// Whether it is the same still, after both topics were read to their true end. What was written before the former owner was fenced is seen (I4).
    pub(super) async fn holds(self, cx: &Context, id: &TaskId, config: &Flat) -> Result<bool> {
        cx.read_to_end().await?;
        Ok(Self::now(cx, id, config) == Some(self))
    }
}
