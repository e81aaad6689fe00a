//! A target that keeps what was flushed and loses the rest; it notices when it is given records in the wrong order, or some not at all.

use super::oracle::{Place, World};
use crate::rules::{Fate, fate};
use longshore_kit::faults::{After, At, Faults};
use longshore_sdk::{
    Error, Refused, Result, Sink, SinkRecord, TopicOffsets, TopicPartition, TopicStates,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub(super) struct Target {
    world: Arc<World>,
    faults: Arc<Faults>,
    rng: StdRng,
    buffer: Vec<Place>,
    /// Refused records that flush has not passed yet.
    refused: BTreeSet<Place>,
    /// By partition: the last offset that was answered for.
    told: BTreeMap<u64, u64>,
    /// By partition: how many records were taken since its beginning. It is the state that goes with the offset.
    counts: BTreeMap<u64, u64>,
    /// By partition: what was stated last.
    stated: BTreeMap<u64, u64>,
    /// Those that have changed since they were asked for.
    changed: TopicStates,
    /// By partition: the claim's epoch, where this target keeps the offsets.
    epochs: BTreeMap<u64, u64>,
    broken: bool,
}

fn place(record: &SinkRecord) -> Place {
    (
        u64::try_from(record.at.partition).expect("a partition"),
        u64::try_from(record.at.offset).expect("an offset"),
    )
}

fn numbers<'a>(at: impl IntoIterator<Item = &'a TopicPartition>) -> impl Iterator<Item = u64> {
    at.into_iter()
        .map(|at| u64::try_from(at.partition).expect("a partition"))
}

impl Target {
    pub(super) fn open(world: Arc<World>, faults: Arc<Faults>, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self {
            world,
            faults,
            rng,
            buffer: Vec::new(),
            refused: BTreeSet::new(),
            told: BTreeMap::new(),
            counts: BTreeMap::new(),
            stated: BTreeMap::new(),
            changed: TopicStates::new(),
            epochs: BTreeMap::new(),
            broken: false,
        }
    }
    /// What was answered for does not come again, and nothing is left out.
    fn check_order(&self, batch: &[SinkRecord]) {
        let mut last = self.told.clone();
        for (partition, offset) in batch.iter().map(place) {
            let Some(before) = last.insert(partition, offset) else {
                continue;
            };
            self.world.require(before < offset, || {
                format!("taken: {partition}:{offset} came again after {before}")
            });
            let mut between = before + 1..offset;
            let skipped = between
                .find(|number| matches!(fate(partition, *number), Fate::Good | Fate::Rejected));
            self.world.require(skipped.is_none(), || {
                format!("skipped: put went from {partition}:{before} to {offset}")
            });
        }
    }
    /// Takes records; answers the indices of those it refuses.
    fn take(&mut self, batch: &[SinkRecord]) -> Vec<Refused> {
        let mut refused = Vec::new();
        for (index, record) in batch.iter().enumerate() {
            let place = place(record);
            self.told.insert(place.0, place.1);
            match fate(place.0, place.1) {
                Fate::Good => {
                    self.buffer.push(place);
                    *self.counts.entry(place.0).or_default() += 1;
                }
                Fate::Rejected => {
                    self.refused.insert(place);
                    refused.push(Refused {
                        index,
                        error: Error::data("put", "the target does not want it"),
                    });
                }
                Fate::Dropped | Fate::Refused => self
                    .world
                    .breach(format!("{place:?} was to be left out before put")),
            }
        }
        refused
    }
    fn goods(batch: &[SinkRecord]) -> impl Iterator<Item = Place> {
        batch
            .iter()
            .map(place)
            .filter(|place| fate(place.0, place.1) == Fate::Good)
    }
    fn forget(&mut self, at: &[TopicPartition]) {
        for partition in numbers(at) {
            self.told.remove(&partition);
            self.counts.remove(&partition);
            self.stated.remove(&partition);
            self.epochs.remove(&partition);
            self.buffer.retain(|place| place.0 != partition);
            self.refused.retain(|place| place.0 != partition);
        }
    }
}

impl Sink for Target {
    fn keeps_states(&self) -> bool {
        true
    }
    fn restored(&mut self, states: &TopicStates) {
        for (partition, state) in numbers(states.keys()).zip(states.values()) {
            let count = state.parse().expect("a state of ours");
            self.counts.insert(partition, count);
            self.stated.insert(partition, count);
        }
    }
    fn states(&mut self) -> TopicStates {
        std::mem::take(&mut self.changed)
    }
    async fn assigned(&mut self, at: &[TopicPartition]) -> Result<Option<TopicOffsets>> {
        let mut counts = std::mem::take(&mut self.counts);
        for partition in numbers(at) {
            let count = counts.get(&partition).copied();
            self.world.check_state(partition, count);
        }
        let after = self.faults.before(At::Assigned, "assigned").await?;
        self.forget(at);
        self.counts.append(&mut counts);
        let mut starts = TopicOffsets::new();
        for (at, partition) in at.iter().zip(numbers(at)) {
            let (next, epoch) = self.world.claim(partition);
            self.epochs.insert(partition, epoch);
            starts.insert(at.clone(), i64::try_from(next).expect("an offset"));
        }
        after.finish("assigned").await?;
        Ok(self.world.keeps.then_some(starts))
    }
    async fn put(&mut self, batch: &[SinkRecord]) -> Result<Vec<Refused>> {
        self.world
            .require(!batch.is_empty(), || "put was given nothing".to_owned());
        self.check_order(batch);
        tokio::time::sleep(Duration::from_micros(self.rng.random_range(100..3000))).await;
        let after = self.faults.before(At::Put, "put").await?;
        if !after.tells() {
            // The rows are there, and the caller will not know: unless they stand in a transaction that is rolled back.
            if !self.world.keeps {
                self.buffer.extend(Self::goods(batch));
            }
            after.finish("put").await?;
        }
        // What is refused cannot be told together with an error, so a partial put ends before it.
        let clean = batch
            .iter()
            .take_while(|record| fate(place(record).0, place(record).1) == Fate::Good)
            .count();
        if clean > 1 && self.rng.random_bool(0.1) {
            let taken = self.rng.random_range(1..clean);
            self.take(&batch[..taken]);
            return Err(Error::transient("put", "it took some").after(taken));
        }
        Ok(self.take(batch))
    }
    async fn flush(&mut self, upto: &TopicOffsets) -> Result<TopicOffsets> {
        self.world.require(!self.broken, || {
            "flush was called again after it had failed".to_owned()
        });
        self.world.check_letters(&self.refused, upto);
        let flushed = self.try_flush(upto).await;
        if flushed.is_err() {
            self.broken = true;
            self.buffer.clear();
        }
        flushed
    }
    async fn revoked(&mut self, at: &[TopicPartition]) -> Result<()> {
        self.forget(at);
        Ok(())
    }
}

impl Target {
    async fn try_flush(&mut self, upto: &TopicOffsets) -> Result<TopicOffsets> {
        let after: After = self.faults.before(At::Flush, "flush").await?;
        tokio::time::sleep(Duration::from_micros(self.rng.random_range(100..4000))).await;
        let mut durable = upto.clone();
        let mut held = Vec::new();
        if self.world.keeps {
            self.world.compare_and_set(upto, &self.epochs)?;
        } else if self.rng.random_bool(0.2) {
            // Some targets hold a partition back until its file is full.
            let partition = self.rng.random_range(0..super::PARTITIONS);
            held = self
                .buffer
                .extract_if(.., |place| place.0 == partition)
                .collect();
            durable.retain(|at, _| u64::try_from(at.partition) != Ok(partition));
        }
        self.world
            .make_durable(std::mem::replace(&mut self.buffer, held));
        after.finish("flush").await?;
        for (at, partition) in durable.keys().zip(numbers(durable.keys())) {
            let count = self.counts.entry(partition).or_default();
            // Only what has changed: the rest goes with its offset all the same.
            if self.stated.insert(partition, *count) != Some(*count) {
                self.changed.insert(at.clone(), count.to_string());
            }
            self.refused
                .retain(|place| Ok(place.0) != u64::try_from(at.partition));
        }
        Ok(durable)
    }
}
