//! What the source world knows, and what it holds the task to.

use super::{EACH, LANES, TOPIC, upstream::name};
use crate::{
    rules::{Fate, fate, parse},
    seeds::Tally,
};
use longshore_engine::task::OffsetStore;
use longshore_kit::{
    faults::{At, Faults},
    memory::MemoryBus,
};
use longshore_sdk::{Offsets, Result, erased::Boxed};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What survives a crash.
pub(super) struct World {
    bus: MemoryBus,
    faults: Arc<Faults>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By lane: the next record to read, as stored.
    stored: BTreeMap<u64, u64>,
    /// By lane: everything before it is forgotten by the upstream.
    forgotten: BTreeMap<u64, u64>,
    delivered: BTreeSet<(u64, u64)>,
    seen: Vec<usize>,
    last: BTreeMap<(u64, u64), u64>,
    writes: u64,
    checks: u64,
}

/// The task's offset store.
pub(super) struct Store(pub(super) Arc<World>, pub(super) Arc<Faults>);

impl OffsetStore for Store {
    fn put<'a>(&'a self, offsets: &'a Offsets) -> Boxed<'a, Result<()>> {
        Box::pin(async move {
            let after = self.1.before(At::Store, "store").await?;
            self.0.store(offsets);
            after.finish("store").await
        })
    }
}

fn entries(offsets: &Offsets) -> Vec<(u64, u64)> {
    let lanes = (0..LANES).filter_map(|lane| offsets.get(&name(lane)).map(|offset| (lane, offset)));
    let number = |offset: &longshore_sdk::Offset| {
        offset
            .parse::<BTreeMap<String, u64>>()
            .expect("an offset of ours")["at"]
    };
    lanes.map(|(lane, offset)| (lane, number(offset))).collect()
}

impl World {
    pub(super) fn new(bus: MemoryBus, faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self {
            bus,
            faults,
            state: Mutex::default(),
        })
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn resume(&self) -> Vec<u64> {
        let state = self.state();
        (0..LANES)
            .map(|lane| state.stored.get(&lane).copied().unwrap_or(0))
            .collect()
    }
    pub(super) fn check_not_forgotten(&self, lane: u64, next: u64) {
        let forgotten = self.state().forgotten.get(&lane).copied().unwrap_or(0);
        assert!(
            next >= forgotten,
            "I2: the upstream forgot {lane}:{next}..{forgotten}, and it is needed again"
        );
    }
    /// I2 at the source: only stored offsets come here.
    pub(super) fn forget(&self, offsets: &Offsets) {
        let mut state = self.state();
        for (lane, upto) in entries(offsets) {
            let stored = state.stored.get(&lane).copied().unwrap_or(0);
            assert!(
                upto <= stored,
                "I2: the source may forget lane {lane} up to {upto}, and only {stored} is stored"
            );
            state
                .forgotten
                .entry(lane)
                .and_modify(|at| *at = upto.max(*at))
                .or_insert(upto);
        }
    }
    /// I1 at the store: everything before an offset is there, or left out on purpose, at this instant.
    fn store(&self, offsets: &Offsets) {
        let mut state = self.state();
        self.look(&mut state);
        for (lane, upto) in entries(offsets) {
            for number in state.stored.get(&lane).copied().unwrap_or(0)..upto {
                let there =
                    fate(lane, number) != Fate::Good || state.delivered.contains(&(lane, number));
                assert!(
                    there,
                    "I1: lane {lane} is stored up to {upto}, and {lane}:{number} is not delivered"
                );
            }
            let before = state.stored.insert(lane, upto).unwrap_or(0);
            assert!(
                upto >= before,
                "lane {lane} went back from {before} to {upto}"
            );
            state.checks += 1;
        }
    }
    /// Reads what came into the topic since the last look; within a producer and a lane the order holds.
    fn look(&self, state: &mut State) {
        self.bus.look(TOPIC, |partitions| {
            state.seen.resize(partitions.len(), 0);
            for (at, log) in partitions.iter().enumerate() {
                for stored in &log[state.seen[at]..] {
                    let (lane, number) = parse(&stored.record.value);
                    let last = state.last.insert((stored.producer, lane), number);
                    assert!(
                        last.is_none_or(|last| last < number),
                        "order: {lane}:{number} came after {last:?}"
                    );
                    assert_eq!(
                        fate(lane, number),
                        Fate::Good,
                        "{lane}:{number} was to be left out"
                    );
                    state.delivered.insert((lane, number));
                    state.writes += 1;
                }
                state.seen[at] = log.len();
            }
        });
    }
    pub(super) fn all_stored(&self) -> bool {
        let state = self.state();
        (0..LANES).all(|lane| state.stored.get(&lane) == Some(&EACH))
    }
    pub(super) fn verify(&self, tally: &mut Tally) {
        let mut state = self.state();
        self.look(&mut state);
        for lane in 0..LANES {
            for number in (0..EACH).filter(|number| fate(lane, *number) == Fate::Good) {
                assert!(
                    state.delivered.contains(&(lane, number)),
                    "lost: {lane}:{number}"
                );
                tally.records += 1;
            }
        }
        tally.duplicates += state.writes - tally.records;
        tally.offsets += state.checks;
        assert!(self.faults.calls(At::Send) > 0);
    }
}
