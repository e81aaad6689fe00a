//! Progress without records.

use super::*;
use std::sync::atomic::AtomicUsize;

/// Notes what it stores; the first so many calls fail.
#[derive(Default)]
struct Noted {
    stored: Mutex<Vec<Offsets>>,
    refuse: AtomicUsize,
}

impl OffsetStore for Noted {
    fn put<'a>(&'a self, offsets: &'a Offsets) -> Boxed<'a, Result<()>> {
        Box::pin(async move {
            let refuse = self
                .refuse
                .fetch_update(SeqCst, SeqCst, |count| count.checked_sub(1));
            if refuse.is_ok() {
                return Err(Error::transient("store", "planted"));
            }
            self.stored.lock().expect("no panic").push(offsets.clone());
            Ok(())
        })
    }
}

impl Noted {
    fn stored(&self) -> Vec<String> {
        let stored = self.stored.lock().expect("no panic");
        let all = stored.iter().flat_map(|offsets| offsets.values());
        all.map(|offset| format!("{offset:?}")).collect()
    }
}

/// The same task without transactions.
async fn plain(bench: &Bench, store: &Arc<Noted>) -> SourceTask {
    let mut task = bench.task().await;
    task.settings.transactions = None;
    let producer = bench.bus.producer(ProducerSpec::default()).await;
    task.producer = producer.expect("a producer");
    task.offsets = store.clone();
    task
}

/// Polls without a record.
const MOVES: [&[&str]; 4] = [&[">1"], &[">2"], &[">3"], &[">4"]];

#[tokio::test(start_paused = true)]
async fn progress_alone_is_one_transaction_per_commit_interval() {
    let bench = Bench::new(&MOVES).endless();
    let seen = bench.bus.clone();
    let stopped = bench
        .beside(async move {
            ms(4000).await;
            assert_eq!(seen.0.transactional.committed(), [], "I6: not per poll");
            ms(2000).await;
            let committed = seen.0.transactional.committed();
            assert_eq!(committed, [(vec![offset(4)], 0)]);
        })
        .await;
    assert!(matches!(stopped, Outcome::Stopped));
    // I2: told what is stored; and nothing was made after it.
    assert_eq!(bench.told(), ["{\"n\":4}"]);
    assert_eq!(bench.committed().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn progress_behind_records_stands_in_their_transaction() {
    let mut bench = Bench::new(&[&["a", "b", ">9"], &["c"]]);
    bench.transactions.boundary = Boundary::Poll;
    assert!(matches!(bench.run().await, Outcome::Finished));
    let (first, second) = ((vec![offset(9)], 2), (vec![offset(10)], 1));
    assert_eq!(bench.committed(), [first, second]);
}

#[tokio::test(start_paused = true)]
async fn progress_never_goes_with_records_that_were_not_delivered() {
    let bench = Bench::new(&[&["a", "b"], &[">9"]]);
    bench.bus.0.transactional.refuse_records.store(1, SeqCst);
    assert_eq!(bench.failed().await.op, "send");
    // I1: the records are to be read again, so the lane must not go on behind them.
    assert_eq!(bench.committed(), []);
    assert_eq!(bench.told(), [""; 0]);
    assert_eq!(bench.bus.0.transactional.aborted(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_of_progress_that_fails_is_left_to_another_life() {
    let bench = Bench::new(&[&[">5"]]).endless();
    bench.bus.0.transactional.lose_replies.store(1, SeqCst);
    let failure = bench.failed().await;
    // I4: the producer is not asked again; I2: the source was told nothing.
    assert_eq!(failure.op, transaction::OP);
    assert!(matches!(failure.reaction, Reaction::Reopen(_)));
    assert_eq!((bench.after_death(), bench.told().len()), (0, 0));

    let bench = Bench::new(&[&[">5"]]).endless();
    let bus = bench.bus.clone();
    let run = tokio::spawn(bench.task().await.run());
    ms(50).await;
    bus.0.transactional.fence(ID);
    let Outcome::Failed(failure) = run.await.expect("no panic") else {
        panic!("it did not fail");
    };
    assert_eq!(failure.error.kind(), ErrorKind::Fenced);
    assert_eq!((bench.committed(), bench.told().len()), (Vec::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_an_end_and_a_pause_store_progress() {
    let bench = Bench::new(&[&[">5"]]).endless();
    bench.beside(async { ms(300).await }).await;
    assert_eq!(bench.committed(), [(vec![offset(5)], 0)], "the stop");

    let bench = Bench::new(&[&["a"], &[">5"]]);
    assert!(matches!(bench.run().await, Outcome::Finished));
    assert_eq!(bench.committed(), [(vec![offset(5)], 1)], "the end");

    let bench = Bench::new(&[&[">5"]]).endless();
    let (seen, pace) = (bench.bus.clone(), bench.pace.clone());
    let paused = bench.beside(async move {
        ms(300).await;
        pace.send_replace(Pace::Pause);
        ms(6000).await;
        let committed = seen.0.transactional.committed();
        assert_eq!(committed, [(vec![offset(5)], 0)], "the pause");
    });
    paused.await;
}

#[tokio::test(start_paused = true)]
async fn without_transactions_it_waits_for_the_commit_interval_and_is_retried() {
    let bench = Bench::new(&MOVES).endless();
    let store = Arc::new(Noted::default());
    store.refuse.store(1, SeqCst);
    let run = tokio::spawn(plain(&bench, &store).await.run());
    ms(4900).await;
    assert_eq!(store.stored(), [""; 0], "I6: not per poll");
    ms(5000).await;
    assert_eq!(store.stored(), ["{\"n\":4}"]);
    assert_eq!(bench.told(), ["{\"n\":4}"], "I2: after the retry");
    bench.stop.cancel();
    assert!(matches!(run.await.expect("no panic"), Outcome::Stopped));
    assert_eq!(store.stored().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_failed_poll_is_stored() {
    let mut bench = Bench::new(&[&["a", ">7"]]);
    bench.end = Some(ErrorKind::Config);
    let store = Arc::new(Noted::default());
    let run = plain(&bench, &store).await.run();
    assert!(matches!(run.await, Outcome::Failed(_)));
    assert_eq!(store.stored(), ["{\"n\":7}"]);
}

/// In more and more lanes; three of them are too many.
const LANES: [&[&str]; 7] = [
    &["1>1"],
    &["1>2"],
    &["2>1"],
    &["3>1"],
    &["4>1"],
    &["5>1"],
    &["6>1"],
];
const THREE_LANES: usize = 3 * 256;

#[tokio::test(start_paused = true)]
async fn too_many_lanes_are_committed_ahead_of_time() {
    let bench = Bench::new(&LANES).endless();
    let store = Arc::new(Noted::default());
    let mut task = plain(&bench, &store).await;
    task.settings.offsets_bytes_max = THREE_LANES;
    let run = tokio::spawn(task.run());
    ms(1000).await;
    // I6: nobody waits for the commit interval; one lane that moves on and on is no reason.
    let lanes = || -> Vec<usize> {
        let stored = store.stored.lock().expect("no panic");
        stored.iter().map(Offsets::len).collect()
    };
    assert_eq!(lanes(), [3, 3]);
    bench.stop.cancel();
    assert!(matches!(run.await.expect("no panic"), Outcome::Stopped));
    assert_eq!((lanes(), bench.told().len()), (vec![3, 3], 6));
}

#[tokio::test(start_paused = true)]
async fn lanes_that_cannot_be_committed_hold_polling_back() {
    let bench = Bench::new(&LANES);
    let store = Arc::new(Noted::default());
    store.refuse.store(3, SeqCst);
    let mut task = plain(&bench, &store).await;
    task.settings.offsets_bytes_max = THREE_LANES;
    assert!(matches!(task.run().await, Outcome::Finished));
    let stored = store.stored.lock().expect("no panic");
    let lanes: Vec<_> = stored.iter().map(Offsets::len).collect();
    assert_eq!(lanes, [3, 3], "I6: nothing was polled between the attempts");
}

#[tokio::test(start_paused = true)]
async fn too_many_lanes_end_a_transaction() {
    let early: [(_, &[_]); 2] = [
        (Boundary::Poll, &[(3, 0), (1, 1), (3, 0)]),
        (Boundary::Interval, &[(3, 0), (3, 1)]),
    ];
    for (boundary, expected) in early {
        let mut batches = LANES.to_vec();
        batches.insert(3, &["a", "7>1"]);
        let mut bench = Bench::new(&batches).endless();
        bench.transactions.boundary = boundary;
        bench.transactions.interval = Duration::from_secs(60);
        let mut task = bench.task().await;
        task.settings.offsets_bytes_max = THREE_LANES;
        let run = tokio::spawn(task.run());
        ms(1000).await;
        let lanes = |(offsets, records): (Vec<_>, usize)| (offsets.len(), records);
        let committed: Vec<_> = bench.committed().into_iter().map(lanes).collect();
        // Lanes 1, 2 and 7 do not wait for the record; it stands with its own lane's offset (I1).
        assert_eq!(committed, expected, "{boundary:?}");
        bench.stop.cancel();
        assert!(matches!(run.await.expect("no panic"), Outcome::Stopped));
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_below_any_lane_commits_after_each_poll_and_goes_on() {
    let bench = Bench::new(&LANES);
    let store = Arc::new(Noted::default());
    let mut task = plain(&bench, &store).await;
    task.settings.offsets_bytes_max = 0;
    assert!(matches!(task.run().await, Outcome::Finished));
    assert_eq!(store.stored().len(), LANES.len());
}
