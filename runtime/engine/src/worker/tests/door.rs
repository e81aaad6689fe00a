use super::*;
use crate::control::{
    ConnectorOffset, ConnectorOffsets, ConnectorType, ControlErrorKind, ControlResult,
    HealthStatus, PluginKind,
};
use crate::ports::Member;
use serde_json::{Value, json};

const SOURCE: [(&str, &str); 2] = [("connector.class", "FakeSource"), ("topic", "t")];

fn with(more: &[(&'static str, &'static str)]) -> Flat {
    flat(&[&SOURCE[..], more].concat())
}

/// The kind and the text of a refusal.
fn refusal<T: std::fmt::Debug>(result: ControlResult<T>) -> (ControlErrorKind, String) {
    let error = result.expect_err("refused");
    (error.kind, error.message)
}

const FOOT: &str = "\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`";

#[tokio::test]
async fn bad_configs_are_refused_in_the_words_of_the_reference() {
    let bench = Bench::new().await;
    let create = async |name: &str, config: Flat| {
        refusal(
            bench
                .control
                .create(name, config, TargetState::Started)
                .await,
        )
    };
    let framed = |errors: &[&str]| {
        let text = format!(
            "Connector configuration is invalid and contains the following {} error(s):\n{}{FOOT}",
            errors.len(),
            errors.join("\n")
        );
        (ControlErrorKind::Invalid, text)
    };
    let invalid = |text: &str| (ControlErrorKind::Invalid, text.to_owned());
    assert_eq!(
        create("x", flat(&[("topic", "t"), ("password", "p")])).await,
        invalid("Connector config {name=x, password=[hidden], topic=t} contains no connector type")
    );
    assert_eq!(
        create("a", with(&[("name", "b")])).await,
        invalid("Connector name configuration (b) doesn't match connector name in the URL (a)")
    );
    assert_eq!(
        create(" ", with(&[])).await,
        framed(&["Invalid value  for configuration name: String may not be empty"])
    );
    assert_eq!(
        create("x", with(&[("tasks.max", "0")])).await,
        framed(&["Invalid value 0 for configuration tasks.max: Value must be at least 1"])
    );
    let two = create(
        "x",
        flat(&[("connector.class", "fake-source"), ("tasks.max", "x")]),
    )
    .await;
    assert_eq!(
        two,
        framed(&[
            "Invalid value x for configuration tasks.max: Not a number of type INT",
            "Missing required configuration \"topic\" which has no default value."
        ])
    );
    // What the connector found when it looked.
    assert_eq!(
        create("x", with(&[("password", "wrong")])).await,
        framed(&["password: refused by the system"])
    );
    let (kind, text) = create("x", flat(&[("connector.class", "FakeSuorce")])).await;
    assert_eq!(kind, ControlErrorKind::Invalid);
    assert_eq!(
        text,
        "Failed to find any class that implements Connector and which name matches FakeSuorce, available connectors are: test.FakeSourceConnector (version 1.2.3), test.FakeSinkConnector (version 1.2.3)"
    );
    let error = bench
        .control
        .create(
            "x",
            flat(&[("connector.class", "FakeSuorce")]),
            TargetState::Started,
        )
        .await
        .expect_err("refused");
    assert_eq!(
        (error.path.as_deref(), error.suggestion.as_deref()),
        (Some("connector.class"), Some("did you mean FakeSource?"))
    );
    let large = "x".repeat(1_000_000);
    let mut config = with(&[]);
    config.insert("topic.creation.x".to_owned(), large);
    assert_eq!(create("x", config).await.0, ControlErrorKind::TooLarge);
    assert_eq!(
        bench.config.keys(),
        Vec::<String>::new(),
        "nothing was written"
    );
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn names_and_conflicts() {
    let bench = Bench::new().await;
    let info = bench
        .control
        .create(" spaced name ", with(&[]), TargetState::Started)
        .await
        .expect("created");
    assert_eq!(
        (info.name.as_str(), info.config["name"].as_str(), info.kind),
        ("spaced name", "spaced name", ConnectorType::Source)
    );
    assert_eq!(info.tasks, []);
    // The config is judged first; then the name is taken.
    let again = bench
        .control
        .create(
            "spaced name",
            with(&[("tasks.max", "0")]),
            TargetState::Started,
        )
        .await;
    assert_eq!(refusal(again).0, ControlErrorKind::Invalid);
    let again = bench
        .control
        .create("spaced name", with(&[]), TargetState::Started)
        .await;
    assert_eq!(
        refusal(again),
        (
            ControlErrorKind::Conflict,
            "Connector spaced name already exists".to_owned()
        )
    );
    // Of two at once one wins.
    let (one, other) = tokio::join!(
        bench
            .control
            .create("twice", with(&[]), TargetState::Started),
        bench
            .control
            .create("twice", with(&[]), TargetState::Started)
    );
    assert!(one.is_ok() != other.is_ok());
    let stored = bench
        .control
        .put_config("put", with(&[("name", "")]))
        .await
        .expect("stored");
    assert!(stored.created && stored.info.tasks.is_empty());
    // Somebody paused a connector that was just deleted: that is not this one's.
    bench.config.append(vec![(
        "target-state-put2".into(),
        Some(r#"{"state":"PAUSED","state.v2":"PAUSED"}"#.into()),
    )]);
    let stored = bench.control.put_config("put2", with(&[])).await;
    assert!(stored.expect("stored").created);
    bench.shows("put2", "RUNNING [RUNNING]").await;
    bench.control.delete("put2").await.expect("deleted");
    let patched = bench
        .control
        .patch_config(
            "put",
            [
                ("count".to_owned(), Some("9".to_owned())),
                ("gone".to_owned(), None),
            ]
            .into(),
        )
        .await
        .expect("patched");
    assert_eq!(patched.config["count"], "9");
    assert_eq!(bench.control.connectors(), ["put", "spaced name", "twice"]);
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn what_is_not_there_is_404_in_the_words_of_its_route() {
    let bench = Bench::new().await;
    let control = &bench.control;
    let lost = |text: &str| (ControlErrorKind::NotFound, text.to_owned());
    assert_eq!(refusal(control.info("x")), lost("Connector x not found"));
    assert_eq!(refusal(control.config("x")), lost("Connector x not found"));
    assert_eq!(refusal(control.tasks("x")), lost("Connector x not found"));
    assert_eq!(
        refusal(control.delete("x").await),
        lost("Connector x not found")
    );
    assert_eq!(
        refusal(control.patch_config("x", [].into()).await),
        lost("Connector x not found")
    );
    assert_eq!(
        refusal(control.offsets("x").await),
        lost("Connector x not found")
    );
    assert_eq!(
        refusal(control.status("x")),
        lost("No status found for connector x")
    );
    assert_eq!(
        refusal(control.task_status("x", -1)),
        lost("No status found for task x--1")
    );
    assert_eq!(
        refusal(control.set_target("x", TargetState::Paused).await),
        lost("Unknown connector x")
    );
    assert_eq!(
        refusal(control.restart("x", false, false).await),
        lost("Unknown connector: x")
    );
    assert_eq!(
        refusal(control.restart_task("x", 0).await),
        lost("Unknown connector: x")
    );
    assert_eq!(
        control.topics("x").expect("empty")["x"].topics,
        Vec::<String>::new()
    );
    control.topics_reset("x").await.expect("nothing to do");
    bench.create("c", &SOURCE).await;
    bench.shows("c", "RUNNING [RUNNING]").await;
    assert_eq!(
        refusal(control.restart_task("c", 9).await),
        lost("Unknown task: c-9")
    );
    assert_eq!(
        refusal(control.task_status("c", 9)),
        lost("No status found for task c-9")
    );
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn offsets_of_a_stopped_source_can_be_changed() {
    let bench = Bench::new().await;
    let control = &bench.control;
    bench.create("c", &SOURCE).await;
    bench.shows("c", "RUNNING [RUNNING]").await;
    eventually(
        "offsets are stored",
        || {
            bench
                .offset
                .texts()
                .last()
                .is_some_and(|(_, value)| value.as_deref() == Some("{\"n\":3}"))
        },
        || format!("{:?}", bench.offset.texts()),
    )
    .await;
    let entry = |partition: Value, offset: Value| ConnectorOffsets {
        offsets: vec![ConnectorOffset { partition, offset }],
    };
    let to_one = entry(json!({"share": "0"}), json!({"n": 1}));
    let (kind, text) = refusal(control.alter_offsets("c", to_one.clone()).await);
    assert_eq!(kind, ControlErrorKind::Invalid);
    assert!(
        text.starts_with(
            "Connectors must be in the STOPPED state before their offsets can be modified."
        ),
        "{text}"
    );
    control
        .set_target("c", TargetState::Stopped)
        .await
        .expect("stopped");
    assert_eq!(
        refusal(
            control
                .alter_offsets("c", ConnectorOffsets::default())
                .await
        )
        .1,
        "Partitions / offsets need to be provided for an alter offsets request"
    );
    // A task that is still on its way out could store its own: that is a conflict, for a moment.
    let mut answer = control.alter_offsets("c", to_one.clone()).await;
    while answer
        .as_ref()
        .is_err_and(|error| error.kind == ControlErrorKind::Conflict)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer = control.alter_offsets("c", to_one.clone()).await;
    }
    assert_eq!(
        answer.expect("altered"),
        "The offsets for this connector have been altered successfully"
    );
    let nested = entry(json!({"share": "0"}), json!({"n": {"x": 1}}));
    assert_eq!(
        refusal(control.alter_offsets("c", nested).await).1,
        "Offsets may only contain primitive types as values, but field n contains MAP"
    );
    control
        .set_target("c", TargetState::Started)
        .await
        .expect("resumed");
    eventually(
        "the records after the first came again",
        || bench.bus.0.records("t").len() == 5,
        || bench.bus.0.records("t").len().to_string(),
    )
    .await;
    control
        .set_target("c", TargetState::Stopped)
        .await
        .expect("stopped");
    let mut answer = control.reset_offsets("c").await;
    while answer
        .as_ref()
        .is_err_and(|error| error.kind == ControlErrorKind::Conflict)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer = control.reset_offsets("c").await;
    }
    assert_eq!(
        answer.expect("reset"),
        "The offsets for this connector have been reset successfully"
    );
    assert_eq!(control.offsets("c").await.expect("offsets").offsets, []);
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn plugins_and_validation() {
    let bench = Bench::new().await;
    let control = &bench.control;
    let listed: Vec<(String, PluginKind)> = control
        .plugins(true)
        .into_iter()
        .map(|plugin| (plugin.class, plugin.kind))
        .collect();
    assert_eq!(
        listed,
        [
            ("test.FakeSourceConnector".to_owned(), PluginKind::Source),
            ("test.FakeSinkConnector".to_owned(), PluginKind::Sink)
        ]
    );
    assert_eq!(control.plugins(false).len(), 4);
    let json = serde_json::to_string(&control.plugins(true)[0]).expect("JSON");
    assert_eq!(
        json,
        r#"{"class":"test.FakeSourceConnector","type":"source","version":"1.2.3","x":{"name":"fake-source","about":"A fake.","origin":"bundled"}}"#
    );
    let keys: Vec<String> = control
        .plugin_config("FakeSource", None)
        .expect("known")
        .into_iter()
        .map(|key| key.name)
        .collect();
    assert!(
        keys[0] == "name" && keys.contains(&"topic".to_owned()),
        "{keys:?}"
    );
    assert_eq!(
        refusal(control.plugin_config("Nope", None)),
        (
            ControlErrorKind::NotFound,
            "Unknown plugin Nope.".to_owned()
        )
    );
    for path in [
        "FakeSource",
        "FakeSourceConnector",
        "test.FakeSourceConnector",
        "fake-source",
    ] {
        let infos = control
            .validate(
                path,
                flat(&[
                    ("connector.class", "test.FakeSourceConnector"),
                    ("name", "v"),
                ]),
            )
            .await
            .expect("checked")
            .infos;
        assert_eq!(
            (infos.name.as_str(), infos.error_count),
            ("test.FakeSourceConnector", 1),
            "{path}"
        );
    }
    let mismatch = control.validate("FakeSink", with(&[])).await;
    assert_eq!(
        refusal(mismatch),
        (
            ControlErrorKind::Invalid,
            "Included connector type FakeSource does not match request type FakeSink".to_owned()
        )
    );
    assert_eq!(
        refusal(control.validate("FakeSource", Flat::new()).await).1,
        "Connector config {} contains no connector type"
    );
    assert_eq!(control.server_info().await.kafka_cluster_id, "memory");
    assert_eq!(control.health().status, HealthStatus::Healthy);
    bench.group.change(|view| view.members.clear());
    assert_eq!(control.health().status, HealthStatus::Unhealthy);
    bench
        .group
        .change(|view| view.members = vec![view.me.clone()]);
    bench.worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_keeps_a_worker_from_leading_is_its_trouble_only_as_long_as_it_is_to_lead() {
    let bench = Bench::new().await;
    let leads = |who: &str| {
        bench.group.change(|view| {
            let worker_id = who.to_owned();
            let me = view.me.clone();
            view.leader = Some(Member { worker_id, ..me });
            view.generation += 1;
        });
    };
    let health = || bench.control.health();
    let is_ill = || health().status == HealthStatus::Unhealthy;
    let said = || health().message;
    bench.leadership.bar();
    leads("w:2");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(health().status, HealthStatus::Healthy, "{}", said());
    leads("w:1");
    eventually("it is barred", is_ill, said).await;
    assert!(said().contains("not allowed here"), "{}", said());
    leads("w:2");
    assert_eq!(health().status, HealthStatus::Healthy, "{}", said());
    bench.worker.shutdown().await;
}

#[tokio::test]
async fn answers_have_the_shape_of_the_reference() {
    let bench = Bench::new().await;
    bench
        .create("f", &[SOURCE[0], SOURCE[1], ("fail.at", "open:config")])
        .await;
    bench.shows("f", "RUNNING [FAILED]").await;
    let mut status =
        serde_json::to_value(bench.control.status("f").expect("a status")).expect("JSON");
    // Ours stands under x alone.
    let ours = status["connector"]
        .as_object_mut()
        .and_then(|fields| fields.remove("x"));
    assert_eq!(
        ours.expect("x")["guarantee"]["level"],
        json!("at-least-once")
    );
    assert_eq!(
        status["connector"],
        json!({"state": "RUNNING", "worker_id": "w:1", "version": "1.2.3"})
    );
    let fields: Vec<&String> = status["tasks"][0]
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    assert_eq!(fields, ["id", "state", "worker_id", "version", "trace"]);
    assert_eq!(status["type"], "source");
    let info = serde_json::to_value(bench.control.info("f").expect("an info")).expect("JSON");
    assert_eq!(info["tasks"], json!([{"connector": "f", "task": 0}]));
    let tasks = serde_json::to_value(bench.control.tasks("f").expect("tasks")).expect("JSON");
    assert_eq!(tasks[0]["id"], json!({"connector": "f", "task": 0}));
    assert_eq!(tasks[0]["config"]["task.class"], "test.FakeSourceTask");
    bench.worker.shutdown().await;
}
