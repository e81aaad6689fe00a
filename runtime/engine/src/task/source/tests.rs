//! The loop over a memory producer with transactions.

mod progress;

use super::*;
use crate::{
    memory::{MemoryLog, SharedMemoryBus},
    ports::{Bus as _, ProducerSpec},
    task::{Boundary, ErrorPolicy, Reaction, TransactionSettings, Unobserved},
};
use bytes::Bytes;
use longshore_sdk::{
    Datum, Direction, ErrorKind, Offset, Partition, Record, Result,
    converter::Codec,
    erased::{Boxed, DynConverter, DynSource},
};
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{Mutex, atomic::Ordering::SeqCst},
};

const ID: &str = "g-c-0";

struct Raw;

impl Codec for Raw {
    fn decode(&mut self, _: &str, bytes: Option<Bytes>) -> Result<Datum> {
        Ok(bytes.map_or(Datum::Null, Datum::Bytes))
    }
    fn encode(&mut self, _: &str, datum: Datum) -> Result<Option<Bytes>> {
        match datum {
            Datum::Bytes(bytes) if bytes == "bad" => Err(Error::data("encode", "bad")),
            Datum::Bytes(bytes) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }
}

/// Gives its batches, then an error or nothing; notes which offsets it was told. A value such as `>7` is no record: the lane goes on at 7; so
/// does lane 2 with `2>7`.
struct Script {
    batches: VecDeque<Vec<&'static str>>,
    next: u64,
    advanced: Offsets,
    end: Option<ErrorKind>,
    told: Arc<Mutex<Vec<String>>>,
}

impl DynSource for Script {
    fn poll(&mut self, max_wait: Duration) -> Boxed<'_, Result<Vec<SourceRecord>>> {
        Box::pin(async move {
            let Some(batch) = self.batches.pop_front() else {
                if let Some(kind) = self.end {
                    return Err(Error::new(kind, "poll", "as told"));
                }
                tokio::time::sleep(max_wait).await;
                return Ok(Vec::new());
            };
            let lane = Partition::new(&json!({ "lane": 1 }))?;
            let record = |value: &str| {
                if let Some((lane, to)) = value.split_once('>').filter(|(lane, _)| !lane.is_empty())
                {
                    let lane: u64 = lane.parse().expect("a number");
                    let lane = Partition::new(&json!({ "lane": lane })).expect("an object");
                    let offset = Offset::counter("n", to.parse().expect("a number"));
                    self.advanced.insert(lane, offset);
                    return None;
                }
                if let Some(to) = value.strip_prefix('>') {
                    self.next = to.parse().expect("a number");
                    let offset = Offset::counter("n", self.next);
                    self.advanced.insert(lane.clone(), offset);
                    return None;
                }
                self.next += 1;
                let mut record = Record::new("t".into());
                record.value = Datum::Bytes(Bytes::copy_from_slice(value.as_bytes()));
                Some(SourceRecord {
                    record,
                    lane: lane.clone(),
                    offset: Offset::counter("n", self.next),
                })
            };
            Ok(batch.into_iter().filter_map(record).collect())
        })
    }
    fn advanced(&mut self) -> Offsets {
        std::mem::take(&mut self.advanced)
    }
    fn commit<'a>(&'a mut self, offsets: &'a Offsets) -> Boxed<'a, Result<()>> {
        let told = offsets
            .values()
            .map(|offset| String::from_utf8(offset.json().to_vec()).expect("JSON"));
        self.told.lock().expect("no panic").extend(told);
        Box::pin(std::future::ready(Ok(())))
    }
    fn close(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Nowhere;

impl OffsetStore for Nowhere {
    fn put<'a>(&'a self, _: &'a Offsets) -> Boxed<'a, Result<()>> {
        panic!("a transactional task stores no offsets beside its transactions");
    }
}

struct Bench {
    bus: SharedMemoryBus,
    told: Arc<Mutex<Vec<String>>>,
    pace: watch::Sender<Pace>,
    stop: CancellationToken,
    batches: Vec<Vec<&'static str>>,
    end: Option<ErrorKind>,
    transactions: TransactionSettings,
    tolerance_all: bool,
}

impl Bench {
    fn new(batches: &[&[&'static str]]) -> Self {
        Self {
            bus: SharedMemoryBus::default(),
            told: Arc::default(),
            pace: watch::Sender::new(Pace::Run),
            stop: CancellationToken::new(),
            batches: batches.iter().map(|batch| batch.to_vec()).collect(),
            end: Some(ErrorKind::End),
            transactions: TransactionSettings::default(),
            tolerance_all: false,
        }
    }
    fn endless(mut self) -> Self {
        self.end = None;
        self
    }
    async fn task(&self) -> SourceTask {
        let spec = ProducerSpec {
            transactional_id: Some(ID.to_owned()),
            ..ProducerSpec::default()
        };
        let raw = || Box::new(Raw) as Box<dyn DynConverter>;
        let id = TaskId::new("c", 0);
        SourceTask {
            source: Box::new(Script {
                batches: self.batches.iter().cloned().collect(),
                next: 0,
                advanced: Offsets::new(),
                end: self.end,
                told: Arc::clone(&self.told),
            }),
            chain: Chain::source(raw(), raw(), raw(), Vec::new()),
            producer: self.bus.producer(spec).await.expect("a producer"),
            offsets: Arc::new(Nowhere),
            settings: TaskSettings {
                transactions: Some(self.transactions.clone()),
                errors: ErrorPolicy {
                    tolerance_all: self.tolerance_all,
                    ..ErrorPolicy::default()
                },
                ..TaskSettings::default()
            },
            meters: TaskMeters::detached(&id, Direction::Source),
            progress: Progress::new(),
            topics: Arc::new(Unobserved),
            pace: self.pace.subscribe(),
            stop: self.stop.clone(),
            credit: crate::budget::Credit::unlimited(),
            seed: 1,
            id,
        }
    }
    async fn run(&self) -> Outcome {
        self.task().await.run().await
    }
    async fn failed(&self) -> Failure {
        match self.run().await {
            Outcome::Failed(failure) => failure,
            other => panic!("it did not fail: {other:?}"),
        }
    }
    /// Runs beside `meddle`, then stops it.
    async fn beside(&self, meddle: impl Future<Output = ()>) -> Outcome {
        let run = tokio::spawn(self.task().await.run());
        meddle.await;
        self.stop.cancel();
        run.await.expect("no panic")
    }
    /// Offsets and counts of the committed transactions.
    fn committed(&self) -> Vec<(Vec<String>, usize)> {
        self.bus.0.transactional.committed()
    }
    fn told(&self) -> Vec<String> {
        self.told.lock().expect("no panic").clone()
    }
    fn after_death(&self) -> usize {
        self.bus.0.transactional.after_death.load(SeqCst)
    }
}

fn offset(n: u64) -> String {
    format!("[\"c\",{{\"lane\":1}}]={{\"n\":{n}}}")
}

fn ms(ms: u64) -> tokio::time::Sleep {
    tokio::time::sleep(Duration::from_millis(ms))
}

#[tokio::test(start_paused = true)]
async fn records_and_their_offsets_stand_in_one_transaction() {
    let bench = Bench::new(&[&["a", "b"], &["c"]]);
    assert!(matches!(bench.run().await, Outcome::Finished));
    assert_eq!(bench.committed(), [(vec![offset(3)], 3)]);
    // I2: told after the commit, and only what stands in it.
    assert_eq!(bench.told(), ["{\"n\":3}"]);
}

#[tokio::test(start_paused = true)]
async fn each_poll_may_be_a_transaction() {
    let mut bench = Bench::new(&[&["a", "b"], &["c"]]);
    bench.transactions.boundary = Boundary::Poll;
    assert!(matches!(bench.run().await, Outcome::Finished));
    let (first, second) = ((vec![offset(2)], 2), (vec![offset(3)], 1));
    assert_eq!(bench.committed(), [first, second]);
}

#[tokio::test(start_paused = true)]
async fn size_and_time_end_a_transaction() {
    let mut bench = Bench::new(&[&["a", "b"], &["c"]]).endless();
    let mut one = Record::new("t".into());
    one.value = Datum::Bytes(Bytes::from_static(b"a"));
    bench.transactions.bytes_max = 2 * one.size();
    let seen = bench.bus.clone();
    let stopped = bench
        .beside(async move {
            ms(300).await;
            let by_size = seen.0.records("t").len();
            ms(400).await;
            let by_time = seen.0.records("t").len();
            assert_eq!((by_size, by_time), (2, 3));
        })
        .await;
    assert!(matches!(stopped, Outcome::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_pause_and_a_stop_commit_what_is_there() {
    let bench = Bench::new(&[&["a"]]).endless();
    let (seen, pace) = (bench.bus.clone(), bench.pace.clone());
    bench
        .beside(async move {
            ms(50).await;
            assert_eq!(seen.0.records("t").len(), 0);
            pace.send_replace(Pace::Pause);
            ms(150).await;
            assert_eq!(seen.0.records("t").len(), 1, "the pause");
        })
        .await;
    let bench = Bench::new(&[&["a"]]).endless();
    let stopped = bench.beside(async { ms(50).await }).await;
    assert!(matches!(stopped, Outcome::Stopped));
    assert_eq!(bench.committed(), [(vec![offset(1)], 1)]);
    assert_eq!(bench.told(), ["{\"n\":1}"]);
}

#[tokio::test(start_paused = true)]
async fn offsets_of_records_that_are_left_out_are_committed_alone() {
    let mut bench = Bench::new(&[&["bad"]]);
    bench.tolerance_all = true;
    assert!(matches!(bench.run().await, Outcome::Finished));
    assert_eq!(bench.committed(), [(vec![offset(1)], 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_source_begins_no_transaction() {
    let bench = Bench::new(&[]).endless();
    bench.beside(async { ms(3000).await }).await;
    assert_eq!(bench.committed(), []);
    assert_eq!(bench.bus.0.transactional.aborted(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_transaction_writes_the_stored_offsets_again() {
    let mut bench = Bench::new(&[&["a"], &["b"]]);
    bench.transactions.boundary = Boundary::Poll;
    let entry = (Bytes::from_static(b"k"), Some(Bytes::from_static(b"v")));
    bench.transactions.restated = vec![entry];
    bench.run().await;
    let first = (vec!["k=v".to_owned(), offset(1)], 1);
    assert_eq!(bench.committed(), [first, (vec![offset(2)], 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_not_delivered_aborts_whatever_is_tolerated() {
    for tolerance_all in [false, true] {
        let mut bench = Bench::new(&[&["a", "b"]]);
        bench.tolerance_all = tolerance_all;
        bench.bus.0.transactional.refuse_records.store(1, SeqCst);
        let failure = bench.failed().await;
        assert_eq!((failure.op, failure.reaction), ("send", Reaction::Fail));
        // I1: nothing of it is there, so nothing was stored.
        assert_eq!(bench.committed(), []);
        assert_eq!(bench.told(), [""; 0]);
        assert_eq!(bench.bus.0.transactional.aborted(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_polled_before_a_failed_poll_is_committed() {
    let mut bench = Bench::new(&[&["a"]]);
    bench.end = Some(ErrorKind::Config);
    assert_eq!(bench.failed().await.op, "poll");
    assert_eq!(bench.committed(), [(vec![offset(1)], 1)]);
}

#[tokio::test(start_paused = true)]
async fn after_an_unknown_outcome_the_producer_is_not_used_again() {
    let bench = Bench::new(&[&["a"]]);
    bench.bus.0.transactional.lose_replies.store(1, SeqCst);
    let failure = bench.failed().await;
    // I4: not even an abort; and the source was told nothing.
    assert_eq!(bench.after_death(), 0);
    assert_eq!(failure.op, transaction::OP);
    assert!(matches!(failure.reaction, Reaction::Reopen(_)));
    assert_eq!(bench.told(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_task_touches_nothing() {
    let bench = Bench::new(&[&["a"]]).endless();
    let bus = bench.bus.clone();
    let run = tokio::spawn(bench.task().await.run());
    ms(50).await;
    bus.0.transactional.fence(ID);
    let Outcome::Failed(failure) = run.await.expect("no panic") else {
        panic!("it did not fail");
    };
    assert_eq!(failure.error.kind(), ErrorKind::Fenced);
    assert!(matches!(failure.reaction, Reaction::Reopen(_)));
    assert_eq!(bench.committed(), []);
    assert_eq!(bench.after_death(), 0);
    assert_eq!(bench.bus.0.transactional.aborted(), 0);
    assert_eq!(bench.told(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_fails_the_task() {
    let bench = Bench::new(&[&["a"]]);
    let refused = Error::new(ErrorKind::Auth, "commit", "no right");
    *bench
        .bus
        .0
        .transactional
        .refuse_commit
        .lock()
        .expect("no panic") = vec![refused];
    let failure = bench.failed().await;
    assert_eq!(
        (failure.op, failure.reaction),
        (transaction::OP, Reaction::Fail)
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_life_goes_on_where_the_last_transaction_ended() {
    // The log that a reopened task would read has what the transactions wrote.
    let bench = Bench::new(&[&["a"], &["b"]]);
    let log = MemoryLog::new();
    bench
        .bus
        .0
        .transactional
        .offsets
        .set(log.clone())
        .ok()
        .expect("set once");
    bench.run().await;
    let written = log.texts();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].1.as_deref(), Some("{\"n\":2}"));
}
