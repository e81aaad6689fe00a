//! A batch on its way through the chain: what is left of it, and what became of the rest.

use super::{
    ErrorPolicy,
    reaction::{Next, Place, react},
};
use longshore_sdk::{Error, Record, Result};
use std::sync::Arc;

/// A batch in the chain. Ordinals are indices into the batch as it was at first; they stay true whatever is dropped.
#[derive(Default)]
pub(super) struct Flow {
    pub(super) records: Vec<Record>,
    /// The ordinal of each record.
    pub(super) ordinals: Vec<u32>,
    /// The stage that the records stand before.
    pub(super) stage: usize,
    /// Places whose record has to meet the present stage again.
    pub(super) again: Vec<usize>,
    /// Why.
    pub(super) trouble: Option<Error>,
    /// What the policy tolerates.
    pub(super) refused: Vec<Refusal>,
    /// How many records transforms left out on purpose.
    pub(super) drops: usize,
    /// How many errors records had, retried ones included.
    pub(super) errors: usize,
    /// How many records met a stage again.
    pub(super) retries: usize,
    /// The record that the task fails for.
    pub(super) culprit: Option<u32>,
    gone: Vec<usize>,
}

/// A record that left the chain with an error.
pub(super) struct Refusal {
    pub(super) ordinal: u32,
    /// Kafka Connect's name of the stage.
    pub(super) stage: &'static str,
    /// The plugin.
    pub(super) name: Arc<str>,
    pub(super) error: Error,
}

impl Flow {
    pub(super) fn new(records: Vec<Record>) -> Self {
        let ordinals = (0u32..).take(records.len()).collect();
        Self {
            records,
            ordinals,
            ..Self::default()
        }
    }
    /// The record at `place` was left out on purpose.
    pub(super) fn dropped(&mut self, place: usize) {
        self.drops += 1;
        self.gone.push(place);
    }
    /// Decides about a record that failed at a stage; `Err` = so does the task.
    pub(super) fn judge(
        &mut self,
        place: usize,
        error: Error,
        stage: &'static str,
        name: &Arc<str>,
        policy: &ErrorPolicy,
    ) -> Result<()> {
        self.errors += 1;
        match react(Place::Chain, error.kind(), policy) {
            Next::DeadLetter | Next::Skip => {
                let ordinal = self.ordinals[place];
                self.refused.push(Refusal {
                    ordinal,
                    stage,
                    name: name.clone(),
                    error,
                });
                self.gone.push(place);
                Ok(())
            }
            Next::Again | Next::Wait(_) => {
                self.again.push(place);
                self.culprit.get_or_insert(self.ordinals[place]);
                self.trouble.get_or_insert(error);
                Ok(())
            }
            Next::Finish | Next::Reopen(_) | Next::Fail => {
                self.culprit = Some(self.ordinals[place]);
                let error = error.with("stage", stage).with("plugin", name);
                Err(error)
            }
        }
    }
    /// Takes out what was dropped or refused. Places change, ordinals do not.
    pub(super) fn sweep(&mut self) {
        if self.gone.is_empty() {
            return;
        }
        let mut stays = vec![true; self.records.len()];
        self.gone.drain(..).for_each(|place| stays[place] = false);
        let mut at = stays.iter();
        self.records.retain(|_| at.next() == Some(&true));
        let mut at = stays.iter();
        self.ordinals.retain(|_| at.next() == Some(&true));
    }
}
