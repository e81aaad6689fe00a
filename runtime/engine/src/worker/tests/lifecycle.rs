use super::*;
use crate::control::ControlErrorKind;

const SOURCE: [(&str, &str); 3] = [
    ("connector.class", "FakeSource"),
    ("topic", "t"),
    ("tasks.max", "2"),
];

#[tokio::test]
async fn a_source_and_a_sink_move_data() {
    let bench = Bench::new().await;
    bench
        .create(
            "out",
            &[
                ("connector.class", "test.FakeSinkConnector"),
                ("topics", "t"),
            ],
        )
        .await;
    bench.create("in", &SOURCE).await;
    bench.shows("in", "RUNNING [RUNNING RUNNING]").await;
    bench.shows("out", "RUNNING [RUNNING]").await;
    eventually(
        "all records arrived",
        || bench.probe.taken().len() == 6,
        || format!("{:?}", bench.probe.taken()),
    )
    .await;
    eventually(
        "offsets are stored",
        || bench.offset.texts().len() >= 2,
        || format!("{:?}", bench.offset.texts()),
    )
    .await;
    let source = bench.control.offsets("in").await.expect("offsets");
    let first = serde_json::to_string(&source.offsets[0]).expect("JSON");
    assert_eq!(first, r#"{"partition":{"share":"0"},"offset":{"n":3}}"#);
    eventually(
        "the sink has committed",
        || bench.bus.0.committed_of("connect-out") == Some(6),
        || "not yet".to_owned(),
    )
    .await;
    let sink = bench.control.offsets("out").await.expect("offsets");
    let only = serde_json::to_string(&sink.offsets).expect("JSON");
    assert_eq!(
        only,
        r#"[{"partition":{"kafka_partition":0,"kafka_topic":"t"},"offset":{"kafka_offset":6}}]"#
    );
    let mut clients = bench.bus.0.clients();
    clients.sort();
    assert_eq!(
        clients,
        [
            "connector-consumer-out-0 in connect-out",
            "connector-producer-in-0",
            "connector-producer-in-1"
        ]
    );
    let topics = bench.control.topics("out").expect("topics");
    assert_eq!(topics["out"].topics, ["t"]);

    // Another start goes on where the first one ended.
    let bench = bench.restarted().await;
    bench.shows("in", "RUNNING [RUNNING RUNNING]").await;
    bench.has_opened("in-1", 2).await;
    bench.shows("out", "RUNNING [RUNNING]").await;
    assert_eq!(bench.probe.taken().len(), 6);
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn what_it_writes_is_what_the_reference_writes() {
    let bench = Bench::new().await;
    bench.create("in", &SOURCE).await;
    bench.shows("in", "RUNNING [RUNNING RUNNING]").await;
    bench
        .control
        .set_target("in", TargetState::Paused)
        .await
        .expect("paused");
    bench.shows("in", "PAUSED [PAUSED PAUSED]").await;
    bench
        .control
        .set_target("in", TargetState::Stopped)
        .await
        .expect("stopped");
    bench.shows("in", "STOPPED []").await;
    bench.control.delete("in").await.expect("deleted");
    let config = bench.config.texts();
    let properties = r#"{"properties":{"connector.class":"FakeSource","name":"in","tasks.max":"2","topic":"t"}}"#;
    let task = |n: u32| {
        format!(
            r#"{{"properties":{{"connector.class":"FakeSource","name":"in","share":"{n}","task.class":"test.FakeSourceTask","tasks.max":"2","topic":"t"}}}}"#
        )
    };
    let wanted = [
        ("connector-in", Some(properties.to_owned())),
        ("task-in-0", Some(task(0))),
        ("task-in-1", Some(task(1))),
        ("commit-in", Some(r#"{"tasks":2}"#.to_owned())),
        (
            "target-state-in",
            Some(r#"{"state":"PAUSED","state.v2":"PAUSED"}"#.to_owned()),
        ),
        ("commit-in", Some(r#"{"tasks":0}"#.to_owned())),
        (
            "target-state-in",
            Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#.to_owned()),
        ),
        ("connector-in", None),
        ("target-state-in", None),
    ];
    let wanted: Vec<(String, Option<String>)> = wanted
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    assert_eq!(config, wanted);
    // Every status of the connector ends as a tombstone, and the tasks are gone.
    let gone = || {
        let last: std::collections::BTreeMap<String, Option<String>> =
            bench.status.texts().into_iter().collect();
        last.len() >= 3 && last.values().all(Option::is_none)
    };
    eventually("all statuses are tombstones", gone, || {
        format!("{:?}", bench.status.texts())
    })
    .await;
    assert_eq!(bench.probe.open_now(), Vec::<String>::new());
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn an_unchanged_config_restarts_nothing_and_a_changed_one_only_its_own() {
    let bench = Bench::new().await;
    bench.create("a", &SOURCE).await;
    bench.create("b", &SOURCE).await;
    bench.shows("a", "RUNNING [RUNNING RUNNING]").await;
    bench.shows("b", "RUNNING [RUNNING RUNNING]").await;
    let records = bench.config.keys().len();
    let stored = bench
        .control
        .put_config("a", flat(&SOURCE))
        .await
        .expect("stored");
    assert!(!stored.created);
    assert_eq!(stored.info.tasks.len(), 2);
    assert_eq!(bench.config.keys().len(), records);
    // A config that another worker wrote again, byte for byte, restarts nothing either.
    let (key, value) = bench
        .config
        .texts()
        .into_iter()
        .find(|(key, _)| key == "connector-a")
        .expect("written");
    bench
        .config
        .append(vec![(key.into(), value.map(Into::into))]);
    let mut changed = flat(&SOURCE);
    changed.insert("count".to_owned(), "5".to_owned());
    bench
        .control
        .put_config("b", changed)
        .await
        .expect("stored");
    bench.has_opened("b-0", 2).await;
    bench.has_opened("b-1", 2).await;
    bench.shows("b", "RUNNING [RUNNING RUNNING]").await;
    assert_eq!((bench.probe.opens("a-0"), bench.probe.opens("a-1")), (1, 1));
    // A new task beside the old ones: the old ones' configs change (tasks.max is in them), the other connector's do not.
    bench
        .control
        .patch_config("b", [("tasks.max".to_owned(), Some("3".to_owned()))].into())
        .await
        .expect("patched");
    bench.shows("b", "RUNNING [RUNNING RUNNING RUNNING]").await;
    bench
        .control
        .patch_config("b", [("tasks.max".to_owned(), Some("1".to_owned()))].into())
        .await
        .expect("patched");
    bench.shows("b", "RUNNING [RUNNING]").await;
    eventually(
        "only wanted tasks are open",
        || bench.probe.open_now() == ["a-0", "a-1", "b-0"],
        || format!("{:?}", bench.probe.open_now()),
    )
    .await;
    assert_eq!((bench.probe.opens("a-0"), bench.probe.opens("a-1")), (1, 1));
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn target_states() {
    let bench = Bench::new().await;
    // Created PAUSED it has its tasks, closed.
    bench
        .control
        .create("p", flat(&SOURCE), TargetState::Paused)
        .await
        .expect("created");
    bench.shows("p", "PAUSED [PAUSED PAUSED]").await;
    assert_eq!(bench.config.keys()[..2], ["target-state-p", "connector-p"]);
    assert_eq!(bench.probe.opens("p-0"), 0);
    bench
        .control
        .set_target("p", TargetState::Started)
        .await
        .expect("resumed");
    bench.shows("p", "RUNNING [RUNNING RUNNING]").await;
    // Created STOPPED it has none.
    bench
        .control
        .create("s", flat(&SOURCE), TargetState::Stopped)
        .await
        .expect("created");
    bench.shows("s", "STOPPED []").await;
    assert_eq!(bench.control.tasks("s").expect("tasks"), []);
    bench
        .control
        .set_target("s", TargetState::Started)
        .await
        .expect("resumed");
    bench.shows("s", "RUNNING [RUNNING RUNNING]").await;
    // Stopped and resumed at once, before anybody looked: the tasks come back.
    bench
        .control
        .set_target("s", TargetState::Stopped)
        .await
        .expect("stopped");
    bench
        .control
        .set_target("s", TargetState::Started)
        .await
        .expect("resumed");
    bench.shows("s", "RUNNING [RUNNING RUNNING]").await;
    // Deleted and created at once.
    bench.control.delete("s").await.expect("deleted");
    bench.create("s", &SOURCE).await;
    bench.shows("s", "RUNNING [RUNNING RUNNING]").await;
    for (name, error) in [("nope", "Unknown connector nope")] {
        let refused = bench
            .control
            .set_target(name, TargetState::Paused)
            .await
            .expect_err("unknown");
        assert_eq!(
            (refused.kind, refused.message.as_str()),
            (ControlErrorKind::NotFound, error)
        );
    }
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_leaves_says_so() {
    let bench = Bench::new().await;
    bench.create("in", &SOURCE).await;
    bench
        .create(
            "bad",
            &[
                ("connector.class", "FakeSource"),
                ("topic", "t"),
                ("fail.at", "open:config"),
            ],
        )
        .await;
    bench.shows("in", "RUNNING [RUNNING RUNNING]").await;
    bench.shows("bad", "RUNNING [FAILED]").await;
    let Bench {
        worker,
        status,
        group,
        ..
    } = bench;
    worker.shutdown().await;
    let last: std::collections::BTreeMap<String, Option<String>> =
        status.texts().into_iter().collect();
    // A task's generation is that of its placement.
    for (key, generation) in [
        ("status-connector-in", 1),
        ("status-task-in-0", 1),
        ("status-task-in-1", 2),
        ("status-connector-bad", 1),
    ] {
        let unassigned = format!(
            r#"{{"state":"UNASSIGNED","trace":null,"worker_id":"w:1","generation":{generation},"version":null}}"#
        );
        assert_eq!(last[key].as_deref(), Some(&*unassigned), "{key}");
    }
    // A failure stays to be seen.
    assert!(
        last["status-task-bad-0"]
            .as_deref()
            .is_some_and(|value| value.starts_with(r#"{"state":"FAILED","trace":"config error"#))
    );
    assert!(
        crate::ports::Membership::view(&*group)
            .borrow()
            .members
            .is_empty()
    );
}

#[tokio::test]
async fn topics_that_were_reset_come_back_with_the_next_record() {
    let bench = Bench::new().await;
    bench
        .create("out", &[("connector.class", "FakeSink"), ("topics", "t,u")])
        .await;
    let send = |topic: &str| {
        bench.bus.0.send(longshore_sdk::Record {
            value: longshore_sdk::Datum::Bytes("x".into()),
            ..longshore_sdk::Record::new(topic.into())
        })
    };
    let topics = || {
        bench.control.topics("out").expect("topics")["out"]
            .topics
            .join(" ")
    };
    send("t");
    eventually("t is noted", || topics() == "t", topics).await;
    bench.control.topics_reset("out").await.expect("reset");
    assert_eq!(topics(), "");
    send("t");
    eventually("t is noted again", || topics() == "t", topics).await;
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn a_dead_letter_queue_has_its_topic_and_its_producer() {
    let bench = Bench::new().await;
    let config = [
        ("connector.class", "FakeSink"),
        ("topics", "t"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dlq"),
        ("consumer.override.group.id", "own"),
    ];
    bench.create("out", &config).await;
    bench.shows("out", "RUNNING [RUNNING]").await;
    // The queue's producer is opened by its first letter.
    assert_eq!(bench.bus.0.clients(), ["connector-consumer-out-0 in own"]);
    let (dlq, source) = (bench.bus.0.created("dlq"), bench.bus.0.created("t"));
    let dlq = dlq.expect("created");
    assert_eq!(
        (dlq.partitions, dlq.replication, source.is_none()),
        (Some(1), Some(3), true)
    );
    // A source's topics are created where the connector says how.
    let config = [
        ("connector.class", "FakeSource"),
        ("topic", "made"),
        ("topic.creation.default.partitions", "4"),
        ("topic.creation.default.replication.factor", "1"),
    ];
    bench.create("in", &config).await;
    eventually(
        "its records are there",
        || bench.bus.0.records("made").len() == 3,
        || "not yet".to_owned(),
    )
    .await;
    assert_eq!(
        bench
            .bus
            .0
            .created("made")
            .and_then(|topic| topic.partitions),
        Some(4)
    );
    bench.worker.shutdown().await;
}
