//! Sources that behave.

use crate::probes::{
    config, failure, file, json, load_files, numbers, open_source, settings, source,
};
use longshore_sdk::{
    Datum, ErrorKind, Level, Offset, Offsets, Partition, Share, SourceContext, SourceRecord,
    erased::DynSource,
};
use longshore_wasm::Registered;
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(100);

/// Everything until the end.
async fn drain(task: &mut dyn DynSource) -> Vec<SourceRecord> {
    let mut all = Vec::new();
    for _ in 0..1_000 {
        match task.poll(WAIT).await {
            Ok(records) => all.extend(records),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::End, "{error}");
                return all;
            }
        }
    }
    panic!("no end after {} records", all.len());
}

#[tokio::test]
async fn records_arrive_with_keys_headers_times_lanes_and_positions() {
    let mut task = open_source(&[("count", "25"), ("lanes", "2")], Offsets::new())
        .await
        .expect("it opens");
    let all = drain(&mut *task).await;
    assert_eq!(all.len(), 50);
    let SourceRecord {
        record,
        lane,
        offset,
    } = &all[3];
    assert_eq!(&*record.topic, "numbers");
    assert_eq!(record.key, Datum::Text("k1".into()));
    assert_eq!(record.value, json(r#"{"lane":1,"number":1}"#));
    assert_eq!(record.timestamp, Some(1_001));
    assert_eq!(record.partition, None);
    assert_eq!(record.headers.len(), 1);
    assert_eq!(&*record.headers[0].key, "number");
    assert_eq!(record.headers[0].value, Datum::Text("1".into()));
    assert_eq!(lane.json(), r#"{"lane":1}"#);
    assert_eq!(offset.json(), r#"{"next":2}"#);
    task.close().await.expect("it closes");
    task.close().await.expect("it closes again");
}

#[tokio::test]
async fn a_task_goes_on_behind_its_stored_positions() {
    let place = |text: &'static str| text.into();
    let offsets = Offsets::from([(
        Partition::from_json(place(r#"{"lane":0}"#)),
        Offset::from_json(place(r#"{"next":97}"#)),
    )]);
    let mut task = open_source(&[], offsets.clone()).await.expect("it opens");
    let all = drain(&mut *task).await;
    let values: Vec<Datum> = all.into_iter().map(|row| row.record.value).collect();
    let expected: Vec<Datum> = (97..100)
        .map(|number| json(&format!(r#"{{"lane":0,"number":{number}}}"#)))
        .collect();
    assert_eq!(values, expected);
    task.commit(&offsets)
        .await
        .expect("positions come back as they are");
}

fn stored(position: &'static str) -> Offsets {
    Offsets::from([(
        Partition::from_json(r#"{"lane":0}"#.into()),
        Offset::from_json(position.into()),
    )])
}

/// Bad input of issue 6: offsets written by another version. Keys and kinds of values are told, the values are not.
#[tokio::test]
async fn a_position_of_another_version_is_refused_with_its_shape() {
    let theirs = r#"{"cursor":{"page":4,"row":41},"token":"hunter22"}"#;
    let error = failure(open_source(&[], stored(theirs)).await);
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let message = error.message();
    for part in [
        "the plugin probe-source 1.0.0: the position has no \"next\"",
        r#"{"cursor": {"page": number, "row": number}, "token": text}"#,
        "connector.plugin.version",
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    assert!(
        !message.contains("hunter22") && !message.contains("41"),
        "{message}"
    );
    // One that panics over it says no less.
    let deed = [("misbehave", "start:panic")];
    let error = failure(open_source(&deed, stored(r#"{"next":"x"}"#)).await);
    assert_eq!(error.kind(), ErrorKind::Bug, "{error}");
    let message = error.message();
    assert!(message.contains("on purpose in start"), "{message}");
    assert!(
        message.contains(r#"of the shape {"next": text}"#),
        "{message}"
    );
}

#[tokio::test]
async fn a_guest_that_has_nothing_is_not_asked_until_its_time_is_over() {
    let mut task = open_source(&[("count", "5"), ("idle", "600000")], Offsets::new())
        .await
        .expect("it opens");
    assert_eq!(task.poll(WAIT).await.expect("records").len(), 5);
    assert_eq!(task.poll(WAIT).await.expect("idle").len(), 0);
}

#[tokio::test]
async fn a_transient_error_is_told_and_the_same_records_come_afterwards() {
    let mut task = open_source(&[("misbehave", "poll:transient")], Offsets::new())
        .await
        .expect("it opens");
    let error = failure(task.poll(WAIT).await);
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(error.message(), "once");
    assert_eq!(drain(&mut *task).await.len(), 100);
}

#[tokio::test]
async fn plans_promises_and_findings_are_the_guests() {
    let source = source();
    let config = numbers(&[]);
    let shares = source.plan(&config, 3).await.expect("a plan");
    assert_eq!(shares.len(), 1);
    assert_eq!(shares[0]["share"], "0");
    let promised = source.guarantee(&config).expect("a promise");
    assert_eq!(promised.level, Level::ExactlyOnce);
    assert_eq!(promised.method, "numbers stay the same");
    assert_eq!(source.check(&config).await, []);
    let found = source.check(&numbers(&[("topic", "forbidden")])).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "topic");
    assert_eq!(found[0].problem, "this topic is forbidden");
    assert_eq!(found[0].suggestion, "use another");
}

#[tokio::test]
async fn the_schema_is_checked_before_a_guest_is_asked() {
    let found = source().check(&config(&[("count", "many")])).await;
    let keys: Vec<&str> = found.iter().map(|finding| &*finding.key).collect();
    assert_eq!(keys, ["count", "topic"]);
    let config = config(&[("count", "many"), ("misbehave", "plan:panic")]);
    let cx = SourceContext::detached("counting", 0, Offsets::new());
    for error in [
        failure(source().plan(&config, 1).await),
        failure(source().open(&config, Share::new(), cx).await),
    ] {
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.message().contains("topic"), "{error}");
    }
}

/// I8
#[tokio::test]
async fn a_config_is_typed_json_without_secrets() {
    let config = numbers(&[
        ("topic", "show-config"),
        ("secret", "hunter22"),
        ("name", "counting"),
    ]);
    let found = source().check(&config).await;
    let shown: serde_json::Value = serde_json::from_str(&found[0].problem).expect("JSON");
    let expected = serde_json::json!({
        "topic": "show-config", "count": 100, "batch": 10, "lanes": 1, "idle": 0, "quiet": 0,
        "secret": { "secret": "secret" }, "misbehave": "", "positions": "", "promise": "", "url": "",
    });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_share_is_laid_over_the_config() {
    let open = |share: &[(&str, &str)]| {
        let cx = SourceContext::detached("counting", 0, Offsets::new());
        let share: Share = config(share);
        async move { source().open(&numbers(&[]), share, cx).await }
    };
    // One that the schema does not know, as text.
    let error = failure(open(&[("share", "7")]).await);
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.message(), "share 7");
    let mut task = open(&[("topic", "other")]).await.expect("it opens");
    let records = task.poll(WAIT).await.expect("records");
    assert_eq!(&*records[0].record.topic, "other");
}

#[test]
fn a_promise_needs_no_runtime() {
    let promised = source().guarantee(&numbers(&[("count", "1")]));
    assert!(promised.is_ok(), "{promised:?}");
}

#[tokio::test]
async fn a_network_that_is_asked_for_but_not_granted_is_found() {
    let config = numbers(&[("longshore.wasm.net", "api.example.com")]);
    let found = source().check(&config).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "longshore.wasm.net");
    assert!(found[0].problem.contains("not granted"), "{found:?}");
    let known = source().definition().knows("longshore.wasm.net");
    assert!(known, "it is no unknown key");
}

#[tokio::test]
async fn more_instances_than_the_worker_may_hold_wait() {
    let mut settings = settings();
    settings.limits.instances = 1;
    let (loaded, _) = load_files(&[file("probe-source")], &settings);
    let Registered::Source(source) = &loaded[0].plugin else {
        panic!("it is a source");
    };
    let config = numbers(&[]);
    let open = || {
        let cx = SourceContext::detached("counting", 0, Offsets::new());
        source.open(&config, Share::new(), cx)
    };
    let mut first = open().await.expect("there is room for one");
    let error = failure(open().await);
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    first.close().await.expect("it closes");
    open().await.expect("there is room again");
}
