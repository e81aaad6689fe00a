//! The state that a sink keeps with a partition's committed offset: it travels as the offset's metadata, so that the two never part.

use super::{Failure, Next, Place, Running};
use crate::mutant::mutant;
use longshore_sdk::{Error, Result, STATE_MAX, TopicOffsets, TopicPartition, TopicStates};

/// Metadata that a sink of ours wrote begins so: what other tools write there is none of its business.
const MARK: &str = "longshore:1 ";

/// The states of a sink that keeps any.
#[derive(Default)]
pub(super) struct States {
    /// By partition that is owned: what is true from the last flush on; empty = none.
    now: TopicStates,
    /// By partition whose offset is flushed and not committed: what is true at that offset, marked.
    flushed: TopicStates,
}

impl States {
    /// What the group has: the states of ours.
    fn restored(&mut self, metadata: TopicStates) -> TopicStates {
        let ours = metadata.into_iter().filter_map(|(at, text)| {
            let state = text.strip_prefix(MARK).filter(|state| !state.is_empty())?;
            Some((at, state.to_owned()))
        });
        let ours: TopicStates = ours.collect();
        self.now.extend(ours.clone());
        ours
    }
    /// Offsets are flushed: what is true now goes with them, also where it has not changed; a commit without it would take it away.
    fn flushed<'a>(
        &mut self,
        durable: impl Iterator<Item = &'a TopicPartition>,
        changes: TopicStates,
    ) -> Result<()> {
        for (at, state) in &changes {
            if state.len() > STATE_MAX {
                // I6: brokers refuse an offset with more, and with it the whole commit.
                let length = state.len();
                let problem = format!(
                    "the state of {at} has {length} bytes, {STATE_MAX} are allowed: keep what is larger in the target"
                );
                return Err(Error::bug("flush", problem));
            }
        }
        if mutant!("state-not-carried") {
            self.now.clear();
        }
        self.now.extend(changes);
        for at in durable {
            match self.now.get(at).filter(|state| !state.is_empty()) {
                Some(state) => drop(self.flushed.insert(at.clone(), format!("{MARK}{state}"))),
                None => drop(self.flushed.remove(at)),
            }
        }
        Ok(())
    }
    /// Partitions went away.
    pub(super) fn forget(&mut self, at: &[TopicPartition]) {
        self.now.retain(|partition, _| !at.contains(partition));
        self.flushed.retain(|partition, _| !at.contains(partition));
    }
    /// The metadata of what is flushed.
    pub(super) fn metadata(&self) -> &TopicStates {
        &self.flushed
    }
    /// It is committed.
    pub(super) fn committed(&mut self) {
        self.flushed.clear();
    }
}

impl Running {
    /// Partitions came: a sink that keeps states is told those of the last commit. Where the target keeps the offsets there are none.
    pub(super) async fn restore(&mut self, at: &[TopicPartition]) -> Result<(), Failure> {
        if self.keeps || !self.sink.keeps_states() {
            return Ok(());
        }
        let metadata = self.consumer.metadata(at).await;
        let metadata = metadata.map_err(|error| self.failure(Place::Rebalance, "states", error))?;
        let restored = self.states.restored(metadata);
        self.sink.restored(&restored);
        Ok(())
    }

    /// A flush succeeded: takes the states that go with its offsets.
    pub(super) fn take_states(&mut self, durable: &TopicOffsets) -> Result<(), Failure> {
        if self.keeps || !self.sink.keeps_states() {
            return Ok(());
        }
        let mut changes = self.sink.states();
        // I4: what is not owned right now is another task's.
        changes.retain(|at, _| self.owned.contains(at));
        let durable = durable.keys().filter(|at| self.taken.contains_key(at));
        let taken = self.states.flushed(durable, changes);
        taken.map_err(|error| Failure::new("flush", error, Next::Fail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }
    fn states(entries: &[(i32, &str)]) -> TopicStates {
        let entries = entries.iter();
        entries
            .map(|(p, text)| (at(*p), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn a_state_goes_with_every_offset_until_it_changes() {
        let mut all = States::default();
        let group = [
            (0, "longshore:1 a"),
            (1, "of another tool"),
            (2, "longshore:1 "),
        ];
        assert_eq!(all.restored(states(&group)), states(&[(0, "a")]));
        all.flushed([at(0), at(1)].iter(), TopicStates::new())
            .expect("small");
        assert_eq!(*all.metadata(), states(&[(0, "longshore:1 a")]));
        all.committed();
        assert!(all.metadata().is_empty());
        all.flushed([at(0)].iter(), states(&[(0, "b"), (1, "held back")]))
            .expect("small");
        assert_eq!(*all.metadata(), states(&[(0, "longshore:1 b")]));
        all.flushed([at(1)].iter(), states(&[(0, "")]))
            .expect("small");
        let both = [(0, "longshore:1 b"), (1, "longshore:1 held back")];
        assert_eq!(
            *all.metadata(),
            states(&both),
            "its offset was flushed before"
        );
        all.flushed([at(0)].iter(), TopicStates::new())
            .expect("small");
        assert_eq!(*all.metadata(), states(&both[1..]), "it was taken away");
        all.forget(&[at(1)]);
        assert!(all.metadata().is_empty(), "I4: it is another task's");
    }

    #[test]
    fn a_long_state_names_its_partition_and_the_limit() {
        let mut all = States::default();
        let long = "x".repeat(STATE_MAX);
        all.flushed([at(0)].iter(), states(&[(0, &long)]))
            .expect("as long as allowed");
        assert!(all.metadata()[&at(0)].len() < 4096);
        let longer = format!("{long}x");
        let error = all.flushed([at(0)].iter(), states(&[(0, &longer)]));
        let error = error.expect_err("too long").to_string();
        assert!(error.contains("t-0") && error.contains("3072"), "{error}");
    }
}
