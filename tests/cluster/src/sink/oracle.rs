//! What the sink world knows, and what it holds the tasks to.

use super::{EACH, GROUP, PARTITIONS, QUEUE, TOPIC};
use crate::{
    rules::{Fate, fate, parse, text},
    seeds::Tally,
};
use longshore_kit::memory::MemoryBus;
use longshore_sdk::{Datum, Error, Record, Result, TopicOffsets, TopicPartition};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// Partition and offset.
pub(super) type Place = (u64, u64);

/// What survives a crash.
pub(super) struct World {
    bus: MemoryBus,
    /// The target keeps the offsets.
    pub(super) keeps: bool,
    /// There is a dead letter queue.
    queue: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    durable: BTreeMap<Place, u64>,
    letters: BTreeSet<Place>,
    letters_seen: usize,
    committed: BTreeMap<u64, u64>,
    /// By partition: next offset and epoch.
    ledger: BTreeMap<u64, (u64, u64)>,
    checks: u64,
    opened: u64,
    /// Tasks run in spawned tasks, where a panic would be caught: a breach is kept here, and the seed fails at its end.
    breaches: Vec<String>,
}

fn entries(offsets: &TopicOffsets) -> impl Iterator<Item = Place> {
    offsets.iter().map(|(at, offset)| {
        (
            u64::try_from(at.partition).expect("a partition"),
            u64::try_from(*offset).expect("an offset"),
        )
    })
}

impl World {
    pub(super) fn new(bus: MemoryBus, keeps: bool, queue: bool) -> Arc<Self> {
        for partition in 0..PARTITIONS {
            for number in 0..EACH {
                let mut record = Record::new(TOPIC.into());
                record.value = Datum::Bytes(text(partition, number));
                bus.append(TOPIC, usize::try_from(partition).expect("few"), record);
            }
        }
        let world = Arc::new(Self {
            bus: bus.clone(),
            keeps,
            queue,
            state: Mutex::default(),
        });
        let weak: Weak<Self> = Arc::downgrade(&world);
        bus.watch_commits(move |_, offsets| {
            if let Some(world) = weak.upgrade() {
                world.committed(offsets);
            }
        });
        world
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn breach(&self, what: String) {
        let mut state = self.state();
        // The first tell the story.
        if state.breaches.len() < 3 {
            state.breaches.push(what);
        }
    }
    pub(super) fn require(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.breach(what());
        }
    }
    pub(super) fn count_opened(&self) {
        self.state().opened += 1;
    }
    pub(super) fn opened(&self) -> u64 {
        self.state().opened
    }
    /// I1 and I3 at the commit: everything before an offset is durable, in the queue, or left out on purpose, at this instant.
    fn committed(&self, offsets: &TopicOffsets) {
        self.read_letters();
        let mut found = Vec::new();
        {
            let mut state = self.state();
            for (partition, upto) in entries(offsets) {
                let before = state.committed.get(&partition).copied().unwrap_or(0);
                if upto < before {
                    found.push(format!(
                        "partition {partition} went back from {before} to {upto}"
                    ));
                }
                let missing =
                    (before..upto).find(|number| !self.settled(&state, (partition, *number)));
                if let Some(number) = missing {
                    found.push(format!("I1, I3: partition {partition} is committed up to {upto}, and {number} ({:?}) is not done", fate(partition, number)));
                }
                state.committed.insert(partition, upto.max(before));
                state.checks += 1;
            }
        }
        found.into_iter().for_each(|what| self.breach(what));
    }
    /// The state that comes with a partition is the one that was true at its committed offset.
    pub(super) fn check_state(&self, partition: u64, count: Option<u64>) {
        if self.keeps {
            return;
        }
        let upto = self.state().committed.get(&partition).copied();
        let good = |upto| {
            let good = (0..upto).filter(|number| fate(partition, *number) == Fate::Good);
            good.count() as u64
        };
        let wanted = upto.map(good);
        self.require(count == wanted, || {
            format!(
                "state: partition {partition} at {upto:?} comes with {count:?}, not with {wanted:?}"
            )
        });
    }
    fn settled(&self, state: &State, place: Place) -> bool {
        match fate(place.0, place.1) {
            Fate::Good => state.durable.contains_key(&place),
            Fate::Dropped => true,
            Fate::Refused | Fate::Rejected => !self.queue || state.letters.contains(&place),
        }
    }
    fn read_letters(&self) {
        let seen = self.state().letters_seen;
        let (letters, len) = self.bus.look(QUEUE, |partitions| {
            let log = partitions.first().map_or(&[][..], Vec::as_slice);
            let new: Vec<Place> = log[seen..]
                .iter()
                .map(|stored| parse(&stored.record.value))
                .collect();
            (new, log.len())
        });
        let mut state = self.state();
        state.letters.extend(letters);
        state.letters_seen = len;
    }
    /// I1 at flush: what put refused and `upto` passes is in the queue by now.
    pub(super) fn check_letters(&self, refused: &BTreeSet<Place>, upto: &TopicOffsets) {
        if !self.queue {
            return;
        }
        self.read_letters();
        for (partition, upto) in entries(upto) {
            let missing = refused
                .range((partition, 0)..(partition, upto))
                .find(|place| !self.state().letters.contains(place))
                .copied();
            self.require(missing.is_none(), || format!("I1: flush up to {partition}:{upto} before the dead letter of {missing:?} is acknowledged"));
        }
    }
    /// The target's ledger: a claim makes every older one powerless.
    pub(super) fn claim(&self, partition: u64) -> (u64, u64) {
        let mut state = self.state();
        let entry = state.ledger.entry(partition).or_default();
        entry.1 += 1;
        *entry
    }
    pub(super) fn compare_and_set(
        &self,
        upto: &TopicOffsets,
        epochs: &BTreeMap<u64, u64>,
    ) -> Result<()> {
        let mut state = self.state();
        let mine = |(partition, _): Place| {
            state.ledger.get(&partition).map(|entry| entry.1) == epochs.get(&partition).copied()
        };
        if !entries(upto).all(mine) {
            return Err(Error::fenced(
                "flush",
                "another task has claimed the partition",
            ));
        }
        for (partition, upto) in entries(upto) {
            let entry = state.ledger.entry(partition).or_default();
            entry.0 = upto;
        }
        Ok(())
    }
    pub(super) fn make_durable(&self, places: Vec<Place>) {
        let mut state = self.state();
        for place in places {
            *state.durable.entry(place).or_default() += 1;
        }
    }
    pub(super) fn all_committed(&self) -> bool {
        let state = self.state();
        let broken = !state.breaches.is_empty();
        broken || (0..PARTITIONS).all(|partition| state.committed.get(&partition) == Some(&EACH))
    }
    /// For the report of a failure.
    pub(super) fn describe(&self) -> String {
        let owners = (
            self.bus.owners(GROUP),
            self.bus.wanted(GROUP),
            self.bus.members(GROUP),
        );
        let state = self.state();
        format!(
            "keeps offsets: {}, committed {:?}, ledger {:?}, owners {owners:?}",
            self.keeps, state.committed, state.ledger
        )
    }
    pub(super) fn verify(&self, tally: &mut Tally) {
        self.read_letters();
        let state = self.state();
        assert!(state.breaches.is_empty(), "{}", state.breaches.join("\n"));
        for place in
            (0..PARTITIONS).flat_map(|partition| (0..EACH).map(move |number| (partition, number)))
        {
            let (fate, times, letter) = (
                fate(place.0, place.1),
                state.durable.get(&place).copied().unwrap_or(0),
                state.letters.contains(&place),
            );
            assert_eq!(
                times > 0,
                fate == Fate::Good,
                "{place:?} ({fate:?}) is {times} times in the target"
            );
            assert!(
                !self.keeps || times <= 1,
                "exactly once: {place:?} is {times} times in the target"
            );
            let bad = matches!(fate, Fate::Refused | Fate::Rejected);
            assert_eq!(
                letter,
                bad && self.queue,
                "{place:?} ({fate:?}) in the dead letter queue"
            );
            tally.records += 1;
            tally.duplicates += times.saturating_sub(1);
        }
        tally.offsets += state.checks;
        let committed = self.bus.topic(TOPIC).len();
        assert_eq!(committed, usize::try_from(PARTITIONS).expect("few"));
        for partition in 0..PARTITIONS {
            let at = TopicPartition::new(TOPIC, i32::try_from(partition).expect("few"));
            assert_eq!(
                state.committed.get(&partition),
                Some(&EACH),
                "{GROUP} has not read {at}"
            );
        }
    }
}
