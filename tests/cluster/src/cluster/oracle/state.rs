//! What is known at one moment: of sources, of targets, of tasks.

use super::{Counts, Number, refused};
use longshore_sdk::{TopicOffsets, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(in crate::cluster) struct State {
    pub(super) sources: BTreeMap<String, Source>,
    /// What can be read of a topic: by partition, offset and value.
    pub(super) topics: BTreeMap<String, BTreeMap<i32, Vec<(i64, Number)>>>,
    pub(super) targets: BTreeMap<String, Target>,
    pub(super) tasks: BTreeMap<(String, u32), Task>,
    pub(super) letters: BTreeMap<String, BTreeSet<Number>>,
    pub(super) group_offsets: BTreeMap<String, TopicOffsets>,
    pub(in crate::cluster) seen: Counts,
    pub(super) leader: Option<String>,
    /// Tasks run in spawned tasks, where a panic would be caught: a breach is kept here, and the seed fails at its end.
    pub(super) breaches: Vec<String>,
}

#[derive(Default)]
pub(super) struct Source {
    pub(super) delivered: BTreeMap<u64, BTreeSet<u64>>,
    pub(super) stored: BTreeMap<u64, u64>,
    pub(super) most_stored: BTreeMap<u64, u64>,
}

#[derive(Default)]
pub(super) struct Target {
    pub(super) rows: BTreeSet<Number>,
    /// Where they came from.
    pub(super) places: BTreeSet<(TopicPartition, i64)>,
    /// By partition: next offset, epoch.
    pub(super) ledger: BTreeMap<TopicPartition, (i64, u64)>,
}

#[derive(Default)]
pub(super) struct Task {
    /// Link number and worker of each instance that is open.
    pub(super) open: Vec<(u64, String)>,
    pub(super) opens: u64,
    /// How often nobody had it open any more.
    pub(super) gaps: u64,
    pub(super) home: Option<String>,
}

impl State {
    pub(super) fn breach(&mut self, what: String) {
        // The first tell the story.
        if self.breaches.len() < 4 {
            self.breaches.push(what);
        }
    }
    pub(super) fn is_done(&self, connector: &str, number: Number) -> bool {
        if refused(number) {
            return self
                .letters
                .get(connector)
                .is_some_and(|letters| letters.contains(&number));
        }
        let target = self.targets.get(connector);
        target.is_some_and(|target| target.rows.contains(&number))
    }
    pub(super) fn missing(
        &self,
        connector: &str,
        at: &TopicPartition,
        from: i64,
        upto: i64,
    ) -> Option<Number> {
        let values = self.topics.get(&*at.topic)?.get(&at.partition)?;
        let between = values
            .iter()
            .filter(|(offset, _)| (from..upto).contains(offset));
        let mut numbers = between.map(|(_, number)| *number);
        numbers.find(|number| !self.is_done(connector, *number))
    }
}
