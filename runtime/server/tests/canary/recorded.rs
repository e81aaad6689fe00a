//! The dialogue about config providers that was recorded of a Kafka Connect 4.1.0 worker, with the answers that differ on purpose.

use crate::support::{EMBEDDED, Worker, eventually};
use serde_json::{Value, json};
use std::{fs, path::Path};

struct Dialogue<'a> {
    worker: Worker,
    folder: &'a Path,
}

impl Dialogue<'_> {
    async fn create(&self, name: &str, changed: Value) -> (u16, Value) {
        let mut config = json!({
            "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "tasks.max": "1",
            "file": self.folder.join("lines.txt"),
            "topic": "golden-lines",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        });
        let changed = changed.as_object().expect("a map").clone();
        config.as_object_mut().expect("a map").extend(changed);
        let answer = self
            .worker
            .post("/connectors", json!({ "name": name, "config": config }))
            .await;
        (answer.status, answer.json())
    }
    async fn get(&self, path: &str) -> Value {
        self.worker.get(path).await.json()
    }
}

#[tokio::test]
async fn placeholders_are_answered_as_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("lines.txt"), "one\n").expect("written");
    fs::write(
        folder.join("secret.properties"),
        "topic=golden-from-file\nbad=abc\n",
    )
    .expect("written");
    let yaml = format!(
        "{EMBEDDED}  config.providers: file, env
  config.providers.file.class: org.apache.kafka.common.config.provider.FileConfigProvider
  config.providers.file.param.allowed.paths: {}
  config.providers.env.class: org.apache.kafka.common.config.provider.EnvVarConfigProvider
  config.providers.env.param.allowlist.pattern: GOLDEN_.*|NOT_SET_.*
",
        folder.display()
    );
    let worker = Worker::with(folder, &yaml).await;
    let dialogue = Dialogue { worker, folder };
    let secret = |key: &str| format!("${{file:{}/secret.properties:{key}}}", folder.display());

    let topic = secret("topic");
    let (status, created) = dialogue
        .create(
            "cp",
            json!({ "topic": topic, "extra": "${env:GOLDEN_ENV}" }),
        )
        .await;
    assert_eq!(
        (status, &created["config"]["topic"]),
        (201, &json!(topic)),
        "{created}"
    );
    eventually("the resolved topic", || async {
        let topics = dialogue.get("/connectors/cp/topics").await;
        (topics == json!({ "cp": { "topics": ["golden-from-file"] } })).then_some(())
    })
    .await;
    let config = dialogue.get("/connectors/cp/config").await;
    assert_eq!(
        (&config["topic"], &config["extra"]),
        (&json!(topic), &json!("${env:GOLDEN_ENV}"))
    );
    let tasks = dialogue.get("/connectors/cp/tasks").await;
    assert_eq!(tasks[0]["config"]["topic"], json!(topic), "{tasks}");

    // 500 there. The config is wrong, and the answer says where.
    let lost = format!("${{file:{}/none:topic}}", folder.display());
    let (status, refused) = dialogue.create("cp2", json!({ "topic": lost })).await;
    assert_eq!(status, 400, "{refused}");
    let message = refused["message"].as_str().expect("text");
    assert!(
        message.contains("topic: config provider file: the file ")
            && message.contains("/none does not exist"),
        "{message}"
    );

    // Neither the key nor the provider is there: the text stays.
    let missing = secret("nokey");
    for (name, topic) in [("cp3", missing.as_str()), ("cp4", "${vault:x:y}")] {
        let (status, created) = dialogue.create(name, json!({ "topic": topic })).await;
        assert_eq!(
            (status, &created["config"]["topic"]),
            (201, &json!(topic)),
            "{created}"
        );
        assert_eq!(created["x"]["warnings"][0]["key"], "topic", "{created}");
    }

    // There the message holds abc.
    let (status, refused) = dialogue
        .create("cp5", json!({ "tasks.max": secret("bad") }))
        .await;
    let said = "Invalid value [hidden] for configuration tasks.max: Not a number of type INT";
    let message = refused["message"].as_str().expect("text");
    assert_eq!(status, 400);
    assert!(message.contains(said), "{message}");

    validated(&dialogue, &topic, &secret("bad")).await;

    let (status, refused) = dialogue
        .create("cp6", json!({ "connector.class": "${env:GOLDEN_CLASS}" }))
        .await;
    let said = "Failed to find any class that implements Connector and which name matches ${env:GOLDEN_CLASS}, available connectors are: ";
    assert_eq!(status, 400);
    assert!(
        refused["message"].as_str().expect("text").starts_with(said),
        "{refused}"
    );
}

/// The answer to a validation; `topic` and `bad` are placeholders.
async fn validated(dialogue: &Dialogue<'_>, topic: &str, bad: &str) {
    // There the answer holds golden-from-file and abc.
    let class = "org.apache.kafka.connect.file.FileStreamSourceConnector";
    let asked = json!({ "connector.class": class, "name": "v", "file": "f", "topic": topic, "batch.size": bad, "x": "${env:NOT_SET_AT_ALL}" });
    let answer = dialogue
        .worker
        .put("/connector-plugins/FileStreamSource/config/validate", asked)
        .await;
    assert_eq!(answer.status, 200);
    assert!(
        !answer.text.contains("golden-from-file") && !answer.text.contains("abc"),
        "I8: {}",
        answer.text
    );
    let body = answer.json();
    let value = |name: &str| {
        let mut configs = body["configs"].as_array().expect("a list").iter();
        let found = configs.find(|config| config["value"]["name"] == name);
        found.expect("the key is listed")["value"].clone()
    };
    assert_eq!(
        (&body["error_count"], &value("topic")["value"]),
        (&json!(1), &json!(topic))
    );
    let said = "Invalid value [hidden] for configuration batch.size: Not a number of type INT";
    assert_eq!(value("batch.size")["errors"], json!([said]));
}
