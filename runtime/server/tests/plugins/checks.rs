//! What a transform of a plugin finds wrong with its config is told before the config is stored.

use super::guest;
use crate::support::{EMBEDDED, Worker};
use serde_json::{Value, json};

fn masked(deed: &str) -> Value {
    json!({
        "connector.class": "datagen", "topic": "t", "name": "masked",
        "transforms": "plain,odd", "transforms.plain.type": "probe-transform",
        "transforms.odd.type": "probe-transform", "transforms.odd.misbehave": deed,
    })
}

#[tokio::test]
async fn findings_of_transforms_stand_under_their_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = format!(
        "{EMBEDDED}  plugin.path: {}\n  longshore.wasm.call.timeout.ms: 2000\n",
        guest("probe-transform").display()
    );
    let worker = Worker::with(folder.path(), &path).await;
    for (deed, key, expected) in [
        (
            "check:forbidden",
            "transforms.odd.edit",
            "this edit is forbidden",
        ),
        (
            "check:at-large",
            "transforms.odd.type",
            "this edit is forbidden",
        ),
        ("check:panic", "transforms.odd.type", "check panicked"),
        (
            "check:loop",
            "transforms.odd.type",
            "did not return within 2000 ms",
        ),
    ] {
        let judged = worker
            .put("/connector-plugins/datagen/config/validate", masked(deed))
            .await
            .json();
        assert_eq!(judged["error_count"], 1, "{deed}: {judged}");
        let configs = judged["configs"].as_array().expect("a list");
        let mut wrong = configs
            .iter()
            .map(|config| &config["value"])
            .filter(|value| value["errors"] != json!([]));
        let value = wrong.next().expect("one is wrong");
        assert_eq!(value["name"], key, "{value}");
        let problem = value["errors"][0].as_str().expect("text");
        assert!(problem.contains(expected), "{problem}");
        assert!(wrong.next().is_none());
        let body = json!({ "name": "masked", "config": masked(deed) });
        let refused = worker.post("/connectors", body).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert!(refused.message().contains(expected), "{}", refused.text);
    }
    let judged = worker
        .put("/connector-plugins/datagen/config/validate", masked(""))
        .await
        .json();
    assert_eq!(judged["error_count"], 0, "{judged}");
}
