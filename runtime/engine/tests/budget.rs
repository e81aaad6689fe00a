//! Many tasks, one budget: whoever waits for a slow broker or a slow target holds what the budget allows, and everybody gets on.

use bytes::Bytes;
use longshore_engine::{
    budget::{Budget, Credit, MemoryLimit},
    metrics::{Metrics, TaskMeters},
    ports::{Consumer, Lag, Polled, Producer, Receipt},
    task::{
        Chain, OffsetStore, Outcome, Pace, Progress, SinkTask, SourceTask, TaskId, TaskSettings,
        Unobserved,
    },
};
use longshore_sdk::{
    Datum, Direction, Offset, Offsets, Partition, Record, Refused, Result, SinkRecord,
    SourceRecord, TopicOffset, TopicOffsets, TopicPartition, TopicStates,
    converter::Codec,
    erased::{Boxed, DynConverter, DynSink, DynSource},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

const MIB: usize = 1 << 20;
const TASKS: u32 = 40;
const RECORD: usize = 16 << 10;

/// Bytes that are somewhere between poll and delivery, and the most there ever were.
#[derive(Clone, Default)]
struct Held(Arc<(AtomicUsize, AtomicUsize)>);

impl Held {
    fn take(&self, bytes: usize) {
        let now = self.0.0.fetch_add(bytes, SeqCst) + bytes;
        self.0.1.fetch_max(now, SeqCst);
    }
    fn give(&self, bytes: usize) {
        self.0.0.fetch_sub(bytes, SeqCst);
    }
    fn peak(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

struct Raw;

impl Codec for Raw {
    fn decode(&mut self, _: &str, bytes: Option<Bytes>) -> Result<Datum> {
        Ok(bytes.map_or(Datum::Null, Datum::Bytes))
    }
    fn encode(&mut self, _: &str, datum: Datum) -> Result<Option<Bytes>> {
        match datum {
            Datum::Bytes(bytes) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }
}

fn raw() -> Box<dyn DynConverter> {
    Box::new(Raw)
}

fn record() -> Record {
    let mut record = Record::new("t".into());
    record.value = Datum::Bytes(Bytes::from_static(&[b'x'; RECORD]));
    record
}

/// It always has the next batch.
struct Endless {
    held: Held,
    batch: usize,
    next: u64,
}

impl DynSource for Endless {
    fn poll(&mut self, _: Duration) -> Boxed<'_, Result<Vec<SourceRecord>>> {
        let batch: Vec<_> = (0..self.batch)
            .map(|_| {
                self.next += 1;
                SourceRecord {
                    record: record(),
                    lane: Partition::from_json("{}".to_owned().into()),
                    offset: Offset::counter("n", self.next),
                }
            })
            .collect();
        self.held.take(batch.len() * RECORD);
        Box::pin(std::future::ready(Ok(batch)))
    }
    fn commit<'a>(&'a mut self, _: &'a Offsets) -> Boxed<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn close(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// It answers late, or never.
struct Slow {
    held: Held,
    after: Option<Duration>,
    kept: Vec<Receipt>,
}

impl Producer for Slow {
    fn send(&mut self, batch: Vec<(Record, Receipt)>) -> Boxed<'_, Result<()>> {
        let receipts = batch.into_iter().map(|(_, receipt)| receipt);
        match self.after {
            None => self.kept.extend(receipts),
            Some(after) => {
                let (receipts, held) = (receipts.collect::<Vec<_>>(), self.held.clone());
                tokio::spawn(async move {
                    sleep(after).await;
                    held.give(receipts.len() * RECORD);
                    receipts.into_iter().for_each(|one| one.answer(Ok(())));
                });
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }
    fn flush(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn begin(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn commit(&mut self, _: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn abort(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Forgets;

impl OffsetStore for Forgets {
    fn put<'a>(&'a self, _: &'a Offsets) -> Boxed<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn budget(bytes: usize) -> Arc<Budget> {
    let limit = MemoryLimit {
        bytes: bytes as u64,
        chosen: true,
    };
    Budget::new(limit, Metrics::new())
}

fn settings() -> TaskSettings {
    TaskSettings {
        grace: Duration::from_millis(200),
        ..TaskSettings::default()
    }
}

/// One run of sources: what they held at the most, and how many records each moved.
async fn sources(
    credit: impl Fn() -> Credit,
    seconds: u64,
    broker: impl Fn(u32) -> Option<Duration>,
) -> (usize, Vec<Arc<Progress>>) {
    let (held, stop) = (Held::default(), CancellationToken::new());
    let (_run, pace) = watch::channel(Pace::Run);
    let (mut tasks, mut shown) = (JoinSet::new(), Vec::new());
    for number in 0..TASKS {
        let (id, progress) = (TaskId::new("s", number), Progress::new());
        shown.push(Arc::clone(&progress));
        let task = SourceTask {
            source: Box::new(Endless {
                held: held.clone(),
                // The first is greedy.
                batch: if number == 0 { 64 } else { 16 },
                next: 0,
            }),
            chain: Chain::source(raw(), raw(), raw(), Vec::new()),
            producer: Box::new(Slow {
                held: held.clone(),
                after: broker(number),
                kept: Vec::new(),
            }),
            offsets: Arc::new(Forgets),
            settings: settings(),
            meters: TaskMeters::detached(&id, Direction::Source),
            progress,
            topics: Arc::new(Unobserved),
            pace: pace.clone(),
            stop: stop.clone(),
            credit: credit(),
            seed: u64::from(number),
            id,
        };
        tasks.spawn(task.run());
    }
    sleep(Duration::from_secs(seconds)).await;
    if broker(1).is_some_and(|after| after.as_secs() > 9) {
        let waiting = shown
            .iter()
            .filter(|progress| progress.blocked_on(Duration::MAX).as_deref() == Some("memory"));
        assert!(waiting.count() > 20, "they say what they wait for");
    }
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.expect("no panic");
        assert!(matches!(ended, Outcome::Stopped), "{ended:?}");
    }
    (held.peak(), shown)
}

#[tokio::test(start_paused = true)]
async fn sources_before_a_slow_broker_stay_within_the_budget_and_share_it() {
    let slow = |_| Some(Duration::from_millis(50));
    let (peak, _) = sources(Credit::unlimited, 1, slow).await;
    assert!(peak > 100 * MIB, "without it there is much more: {peak}");
    let budget = budget(16 * MIB);
    let (peak, shown) = sources(|| budget.join(), 3, slow).await;
    assert!(peak <= 16 * MIB * 12 / 10, "{peak}");
    assert!(peak >= 8 * MIB, "it is used: {peak}");
    let least = shown.iter().map(|one| one.records()).min();
    // A batch of 16 each 50 ms for 3 s, had they the broker to themselves with one batch in flight.
    assert!(least >= Some(16 * 60 / 2), "{least:?}");
    assert_eq!(budget.used(), 0, "everything was given back");
}

#[tokio::test(start_paused = true)]
async fn tasks_whose_broker_is_dead_do_not_stop_the_others() {
    let some_dead = |number| (number % 2 == 1).then_some(Duration::from_millis(50));
    let budget = budget(16 * MIB);
    let (peak, shown) = sources(|| budget.join(), 3, some_dead).await;
    assert!(peak <= 16 * MIB * 12 / 10, "{peak}");
    for (number, progress) in shown.iter().enumerate() {
        let expected = if number % 2 == 1 { 16 * 60 / 2 } else { 0 };
        assert!(progress.records() >= expected, "{number} moved too little");
    }
    let (_, shown) = sources(|| budget.join(), 3, |_| Some(Duration::from_secs(10))).await;
    assert!(shown.iter().all(|one| one.records() == 0));
}

/// A member that is always behind.
struct Behind {
    held: Held,
    batch: usize,
    assigned: bool,
    next: i64,
}

impl Consumer for Behind {
    fn poll(&mut self, _: Duration) -> Boxed<'_, Result<Polled>> {
        if !std::mem::replace(&mut self.assigned, true) {
            let at = vec![TopicPartition::new("t", 0)];
            return Box::pin(std::future::ready(Ok(Polled::Assigned(at))));
        }
        let records: Vec<_> = (0..self.batch / RECORD)
            .map(|_| {
                self.next += 1;
                let at = TopicOffset {
                    topic: "t".into(),
                    partition: 0,
                    offset: self.next,
                };
                let record = record();
                SinkRecord { record, at }
            })
            .collect();
        self.held.take(records.len() * RECORD);
        Box::pin(std::future::ready(Ok(Polled::Batch(records))))
    }
    fn start(&mut self, _: &TopicOffsets) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn release(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn commit_with<'a>(
        &'a mut self,
        _: &'a TopicOffsets,
        _: &'a TopicStates,
    ) -> Boxed<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn metadata<'a>(&'a mut self, _: &'a [TopicPartition]) -> Boxed<'a, Result<TopicStates>> {
        Box::pin(std::future::ready(Ok(TopicStates::new())))
    }
    fn pause(&mut self) -> Result<()> {
        Ok(())
    }
    fn resume(&mut self) -> Result<()> {
        Ok(())
    }
    fn seek<'a>(&'a mut self, _: &'a TopicOffsets) -> Boxed<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn lag(&self) -> Vec<Lag> {
        Vec::new()
    }
    fn close(self: Box<Self>) -> Boxed<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

struct SlowSink(Held);

impl DynSink for SlowSink {
    fn assigned<'a>(
        &'a mut self,
        _: &'a [TopicPartition],
    ) -> Boxed<'a, Result<Option<TopicOffsets>>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    fn put<'a>(&'a mut self, batch: &'a [SinkRecord]) -> Boxed<'a, Result<Vec<Refused>>> {
        Box::pin(async move {
            sleep(Duration::from_millis(50)).await;
            self.0.give(batch.len() * RECORD);
            Ok(Vec::new())
        })
    }
    fn flush<'a>(&'a mut self, upto: &'a TopicOffsets) -> Boxed<'a, Result<TopicOffsets>> {
        Box::pin(std::future::ready(Ok(upto.clone())))
    }
    fn revoked<'a>(&'a mut self, _: &'a [TopicPartition]) -> Boxed<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn close(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test(start_paused = true)]
async fn sinks_before_a_slow_target_stay_within_the_budget() {
    let (held, stop) = (Held::default(), CancellationToken::new());
    let (_run, pace) = watch::channel(Pace::Run);
    let budget = budget(256 * MIB);
    let (mut tasks, mut ahead, mut shown) = (JoinSet::new(), 0, Vec::new());
    for number in 0..TASKS {
        let (id, progress) = (TaskId::new("s", number), Progress::new());
        shown.push(Arc::clone(&progress));
        let mut credit = budget.join();
        let buffers = credit.buffers().expect("room").expect("a limit");
        ahead += buffers;
        let task = SinkTask {
            class: "c".into(),
            consumer: Box::new(Behind {
                held: held.clone(),
                batch: buffers / 2,
                assigned: false,
                next: 0,
            }),
            chain: Chain::sink(raw(), raw(), raw(), Vec::new()),
            sink: Box::new(SlowSink(held.clone())),
            dead_letters: None,
            settings: settings(),
            meters: TaskMeters::detached(&id, Direction::Sink),
            progress,
            topics: Arc::new(Unobserved),
            pace: pace.clone(),
            stop: stop.clone(),
            credit,
            seed: u64::from(number),
            id,
        };
        tasks.spawn(task.run());
    }
    for _ in 0..100 {
        sleep(Duration::from_millis(13)).await;
        assert!(budget.used() <= 256 * MIB as u64, "{}", budget.used());
    }
    assert!(budget.used() > ahead as u64, "batches in hand count");
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.expect("no panic");
        assert!(matches!(ended, Outcome::Stopped), "{ended:?}");
    }
    let peak = held.peak() + ahead;
    assert!(peak <= 256 * MIB * 12 / 10, "{peak}");
    assert!(shown.iter().all(|one| one.records() > 0));
    assert_eq!(budget.used(), 0);
}
