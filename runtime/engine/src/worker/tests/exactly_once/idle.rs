//! Sources that have nothing to do for a while, with a paused clock.

use super::*;

/// Longer than a client is kept with nothing to do.
const QUIET: Duration = Duration::from_secs(90);

impl Bench {
    /// Until the sources' producers have given their clients up.
    async fn rests(&self) {
        tokio::time::sleep(QUIET).await;
        assert_eq!(self.bus.0.producers(), 0, "no client is open");
    }
    fn more(&self, records: u64) {
        self.probe.more.store(records, SeqCst);
    }
    /// Nothing more is written.
    async fn stays_at(&self, values: &[&str]) {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(self.values(), values);
    }
}

#[tokio::test(start_paused = true)]
async fn an_at_least_once_source_has_a_client_only_while_it_has_records() {
    let bench = Bench::new().await;
    let config = [
        ("connector.class", "FakeSource"),
        ("topic", "t"),
        ("count", "0"),
    ];
    bench.create("in", &config).await;
    bench.shows("in", "RUNNING [RUNNING]").await;
    tokio::time::sleep(QUIET).await;
    assert!(bench.bus.0.clients().is_empty(), "none was opened");
    bench.more(2);
    bench.has_values(&["in-0:1", "in-0:2"]).await;
    assert_eq!(bench.bus.0.producers(), 1);
    bench.rests().await;
    bench.more(3);
    bench.has_values(&["in-0:1", "in-0:2", "in-0:3"]).await;
    // Paused it polls nothing, and gives its client up all the same.
    bench
        .control
        .set_target("in", TargetState::Paused)
        .await
        .expect("paused");
    bench.rests().await;
    bench.shows("in", "PAUSED [PAUSED]").await;
    assert_eq!(bench.probe.opens("in-0"), 1);
    assert_eq!(bench.bus.0.clients().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_open_fails_its_task_which_comes_back() {
    let bench = Bench::new().await;
    let refused = Error::new(ErrorKind::Transient, "open", "no thread");
    *bench.bus.0.refuse_producers.lock().expect("no panic") = vec![refused];
    bench
        .create("in", &[("connector.class", "FakeSource"), ("topic", "t")])
        .await;
    bench.has_opened("in-0", 2).await;
    bench.has_values(&["in-0:1", "in-0:2", "in-0:3"]).await;
    let refused = Error::new(ErrorKind::Config, "open", "no such property: x");
    bench.rests().await;
    *bench.bus.0.refuse_producers.lock().expect("no panic") = vec![refused];
    bench.more(1);
    bench.shows("in", "RUNNING [FAILED]").await;
    let status = bench.control.status("in").expect("a status");
    let trace = status.tasks[0].trace.clone().expect("a trace");
    assert!(trace.contains("no such property: x"), "{trace}");
}

#[tokio::test(start_paused = true)]
async fn after_a_rest_it_goes_on_exactly_once() {
    let bench = bench(SourceSupport::Enabled).await;
    bench.create("in", &with(&[("tasks.max", "2")])).await;
    bench.shows("in", "RUNNING [RUNNING RUNNING]").await;
    bench.create("one", &SOURCE).await;
    bench
        .has_inits(&[("in-0", 1), ("in-1", 1), ("one-0", 1)])
        .await;
    for (records, inits) in [(1, 2), (2, 3), (3, 4)] {
        bench.rests().await;
        bench.more(records);
        let tasks = ["in-0", "in-1", "one-0"];
        bench.has_inits(&tasks.map(|task| (task, inits))).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut values = bench.values();
    values.sort();
    let all = ["in-0", "in-1", "one-0"].map(|task| (1..=6).map(move |n| format!("{task}:{n}")));
    assert_eq!(values, all.into_iter().flatten().collect::<Vec<_>>());
    for task in ["in-0", "in-1", "one-0"] {
        assert_eq!(bench.probe.opens(task), 1, "{task} lived on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_changed_during_the_rest_is_read_again() {
    for tasks in ["1", "2"] {
        let bench = bench(SourceSupport::Enabled).await;
        bench.create("in", &with(&[("tasks.max", tasks)])).await;
        eventually(
            "all is written",
            || bench.values().len() == 3 * tasks.parse::<usize>().expect("a number"),
            String::new,
        )
        .await;
        bench.rests().await;
        // Somebody else's doing, which this worker has not read when its source finds the next record.
        bench.offset.hold_reads(true);
        let stored = (
            Bytes::from_static(br#"["in",{"share":"0"}]"#),
            Some(Bytes::from_static(br#"{"n":5}"#)),
        );
        bench.offset.append(vec![stored]);
        bench.more(3);
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.offset.hold_reads(false);
        bench.has_opened("in-0", 2).await;
        let mine = || {
            let values = bench.values().into_iter();
            let mine = values.filter(|value| value.starts_with("in-0"));
            mine.collect::<Vec<_>>().join(" ")
        };
        let wanted = "in-0:1 in-0:2 in-0:3 in-0:6";
        eventually("it goes on from there", || mine() == wanted, mine).await;
        assert_eq!(bench.bus.0.transactional.after_death.load(SeqCst), 0, "I4");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_moved_during_the_rest_writes_nothing() {
    let bench = bench(SourceSupport::Enabled).await;
    bench.create("in", &SOURCE).await;
    let before = ["in-0:1", "in-0:2", "in-0:3"];
    bench.has_values(&before).await;
    bench.rests().await;
    // The placement is written, and this worker has not read it when its source finds the next record.
    bench.coordination.hold_reads(true);
    let elsewhere = Placement {
        worker_id: "w:2".to_owned(),
        incarnation: "1".to_owned(),
        generation: 99,
        former: None,
    };
    let record = assignment::record(&TaskId::new("in", 0), Some(&elsewhere));
    bench.coordination.append(vec![record]);
    bench.more(1);
    bench.has_inits(&[("in-0", 2)]).await;
    // I4: opened it may have fenced the owner, and all it may do is end.
    bench.stays_at(&before).await;
    assert_eq!(bench.probe.opens("in-0"), 1);
}
