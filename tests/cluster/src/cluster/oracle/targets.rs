//! The targets of sinks, with a ledger and without.

use super::{Number, Row, World};
use longshore_sdk::{Error, Result, TopicOffsets, TopicPartition};
use std::collections::BTreeMap;

impl World {
    /// By task of a connector: how often nobody had it open any more.
    pub(in crate::cluster) fn gaps(&self, connector: &str) -> BTreeMap<u32, u64> {
        let state = self.state();
        let tasks = state.tasks.iter().filter(|((of, _), _)| of == connector);
        tasks.map(|((_, task), of)| (*task, of.gaps)).collect()
    }
    /// A claim makes every older one powerless.
    pub(in crate::cluster) fn claim(&self, connector: &str, at: &TopicPartition) -> (i64, u64) {
        let mut state = self.state();
        let target = state.targets.entry(connector.to_owned()).or_default();
        let entry = target.ledger.entry(at.clone()).or_default();
        entry.1 += 1;
        *entry
    }
    /// Rows and offsets in one transaction, if the claims still hold and the ledger stands where it is thought to stand.
    pub(in crate::cluster) fn compare_and_set(
        &self,
        connector: &str,
        claims: &BTreeMap<TopicPartition, (i64, u64)>,
        upto: &TopicOffsets,
        rows: &[Row],
    ) -> Result<()> {
        let mut state = self.state();
        let target = state.targets.entry(connector.to_owned()).or_default();
        for at in upto.keys() {
            if target.ledger.get(at) != claims.get(at) {
                return Err(Error::fenced(
                    "flush",
                    "another task has claimed the partition",
                ));
            }
        }
        for (at, offset) in upto {
            let entry = target.ledger.entry(at.clone()).or_default();
            let back = *offset < entry.0;
            entry.0 = *offset;
            if back {
                state.breach(format!("the ledger of {connector} went back at {at}"));
                return Ok(());
            }
        }
        for (at, offset, number) in rows {
            target.rows.insert(*number);
            if !target.places.insert((at.clone(), *offset)) {
                state.breach(format!(
                    "exactly once: {connector} has {number:?} of {at} at {offset} twice"
                ));
                return Ok(());
            }
        }
        Ok(())
    }
    /// Rows of a target that keeps no offsets.
    pub(in crate::cluster) fn rows(&self, connector: &str, rows: &[Row]) {
        let mut state = self.state();
        let target = state.targets.entry(connector.to_owned()).or_default();
        let mut again = 0;
        for (at, offset, number) in rows {
            target.rows.insert(*number);
            again += u64::from(!target.places.insert((at.clone(), *offset)));
        }
        state.seen.duplicates += again;
    }
    /// I1 at flush: what was refused and `upto` passes is in the queue by now.
    pub(in crate::cluster) fn check_letters(&self, connector: &str, letters: &[Number]) {
        let mut state = self.state();
        let known = state.letters.get(connector);
        let missing = letters
            .iter()
            .find(|number| !known.is_some_and(|known| known.contains(number)));
        if let Some(missing) = missing.copied() {
            state.breach(format!(
                "I1: {connector} flushes before the dead letter of {missing:?} is acknowledged"
            ));
        }
    }
}
