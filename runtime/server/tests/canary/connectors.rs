//! A worker whose connectors fail in every way, with secrets all over their configs.

use crate::{
    evidence::{
        answer_is_clean, answer_returns, answers_are_clean, log_is_clean, talkative,
        topics_are_clean,
    },
    support::{BINARY, EMBEDDED, Process, Worker, eventually},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

/// What the providers hold. Values of the config itself are called canary-literal-..: those the config topic keeps, by contract.
const FILE: &str = "password=canary-file-1
number=canary-file-2-no-number
path=/dev/null/canary-file-3/out.ndjson
regex=canary-file-4(
url=postgres://u:canary-file-5@127.0.0.1:1/db
jaas=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"canary-file-6\";
host=canary-file-7.invalid:9092
";

async fn start(folder: &Path) -> Worker {
    fs::create_dir(folder.join("vault")).expect("a folder");
    fs::write(folder.join("vault/s.properties"), FILE).expect("written");
    fs::write(folder.join("vault/password"), "canary-directory-1\n").expect("written");
    let yaml = format!(
        "{EMBEDDED}  longshore.retry.timeout.ms: 500
  config.providers: file, directory, env
  config.providers.file.param.allowed.paths: vault
  config.providers.directory.param.allowed.paths: vault
  config.providers.env.param.allowlist.pattern: PLANTED_.*
  producer.ssl.key.password: canary-literal-worker-1
  value.converter: org.apache.kafka.connect.json.JsonConverter
  value.converter.schemas.enable: false
"
    );
    fs::write(folder.join("worker.yaml"), yaml).expect("written");
    let mut command = Command::new(BINARY);
    command
        .args(["worker", "worker.yaml"])
        .env("PLANTED_TOKEN", "canary-env-1");
    talkative(&mut command, "text");
    Worker::running(Process::spawn(command, folder)).await
}

/// Connectors that are taken and fail later, each with the text that its task's trace has.
fn failing(bootstrap: &str) -> [(&'static str, Value); 4] {
    let mirror = |client: Value| {
        let mut config = json!({
            "connector.class": "mirror", "topics": "in", "target.topic": "copy.${topic}",
        });
        let entries = client.as_object().expect("a map").clone();
        config.as_object_mut().expect("a map").extend(entries);
        config
    };
    [
        // The broker speaks no SASL: every login fails.
        (
            "wrong-password",
            mirror(json!({
                "source.cluster.bootstrap.servers": bootstrap,
                "source.cluster.security.protocol": "SASL_PLAINTEXT",
                "source.cluster.sasl.mechanism": "PLAIN",
                "source.cluster.sasl.username": "u",
                "source.cluster.sasl.password": "canary-literal-1",
            })),
        ),
        (
            "unknown-host",
            mirror(json!({
                "source.cluster.bootstrap.servers": "${file:vault/s.properties:host}",
                "source.cluster.security.protocol": "SASL_PLAINTEXT",
                "source.cluster.sasl.mechanism": "PLAIN",
                "source.cluster.sasl.jaas.config": "${file:vault/s.properties:jaas}",
            })),
        ),
        (
            "overrides",
            json!({
                "connector.class": "datagen", "topic": "in", "generator": "orders", "rate": "5",
                "producer.override.security.protocol": "SASL_PLAINTEXT",
                "producer.override.sasl.mechanism": "PLAIN",
                "producer.override.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"canary-literal-2\";",
                "some.api.token": "${env:PLANTED_TOKEN}",
                "some.url": "https://u:canary-literal-3@example.invalid/x",
            }),
        ),
        (
            "no-folder",
            json!({
                "connector.class": "file-sink", "topics": "in",
                "file": "${file:vault/s.properties:path}",
                "value.converter": "org.apache.kafka.connect.json.JsonConverter",
                "value.converter.schemas.enable": "false",
                "value.converter.basic.auth.user.info": "u:canary-literal-4",
                "transforms": "m",
                "transforms.m.type": "org.apache.kafka.connect.transforms.MaskField$Value",
                "transforms.m.fields": "none",
                "transforms.m.password": "${directory:vault:password}",
            }),
        ),
    ]
}

/// Configs that are refused, each with a key that must be named.
fn refused() -> Vec<(Value, &'static str)> {
    let sink = |key: &str, value: &str| {
        let mut config = json!({ "connector.class": "file-sink", "topics": "in", "file": "out" });
        config[key] = json!(value);
        config
    };
    let mut route = sink("transforms", "r");
    route["transforms.r.type"] = json!("org.apache.kafka.connect.transforms.RegexRouter");
    route["transforms.r.replacement"] = json!("x");
    let mut from_file = route.clone();
    from_file["transforms.r.regex"] = json!("${file:vault/s.properties:regex}");
    let table = |url: &str, password: &str| {
        let mut config = sink("connection.url", url);
        config["connector.class"] = json!("postgres-sink");
        config["connection.user"] = json!("u");
        config["connection.password"] = json!(password);
        config.as_object_mut().expect("a map").remove("file");
        config
    };
    let closed = "jdbc:postgresql://127.0.0.1:1/db?user=u&password=canary-literal-9";
    let mut refused = vec![
        (
            table(
                "postgres://u:canary-literal-6@127.0.0.1:1/db",
                "canary-literal-7",
            ),
            "connection.url",
        ),
        (table(closed, "${directory:vault:password}"), "connection"),
        (
            table("${file:vault/s.properties:url}", "canary-literal-8"),
            "connection",
        ),
    ];
    refused.extend(vec![
        (
            sink("tasks.max", "${file:vault/s.properties:number}"),
            "tasks.max",
        ),
        (
            sink("errors.tolerance", "${directory:vault:password}"),
            "errors.tolerance",
        ),
        (
            sink("consumer.override.no.such.password", "canary-literal-5"),
            "no.such.password",
        ),
        (
            sink(
                "consumer.override.ssl.key.password",
                "${file:vault/../../canary:k}",
            ),
            "ssl.key.password",
        ),
        (from_file, "transforms.r.regex"),
    ]);
    refused
}

#[tokio::test]
async fn i8_no_secret_of_a_connector_leaves_the_worker() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut worker = start(folder.path()).await;
    let bootstrap = worker.bootstrap().await;
    worker.create("seed", json!({ "connector.class": "datagen", "topic": "in", "generator": "orders", "count": "20" })).await;
    for (config, key) in refused() {
        let mut named = config.clone();
        named["name"] = json!("refused");
        let body = json!({ "name": "refused", "config": config });
        let answer = worker.post("/connectors", body).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.text.contains(key), "{}", answer.text);
        // The placeholder that was sent may come back, and names no secret.
        answer_is_clean("a refused config", &without(answer, "vault/../../canary"));
        let class = named["connector.class"].as_str().expect("text").to_owned();
        let path = format!("/connector-plugins/{class}/config/validate");
        let answer = worker.put(&path, named).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(
            answer.json()["error_count"].as_u64() > Some(0),
            "{}",
            answer.text
        );
        answer_is_clean("a validation", &without(answer, "vault/../../canary"));
    }
    let failing = failing(&bootstrap);
    for (name, config) in &failing {
        let answer = worker
            .post("/connectors", json!({ "name": name, "config": config }))
            .await;
        answer_returns(&format!("creating {name}"), &answer, config);
        let mut named = config.clone();
        named["name"] = json!(name);
        let class = config["connector.class"].as_str().expect("text");
        let path = format!("/connector-plugins/{class}/config/validate");
        answer_is_clean(&path, &worker.put(&path, named).await);
    }
    for (name, _) in &failing {
        failed(&worker, name).await;
    }
    for (name, config) in &failing {
        worker
            .call(
                Method::POST,
                &format!("/connectors/{name}/restart?includeTasks=true"),
                None,
            )
            .await;
        answers_are_clean(&worker, name, config).await;
    }
    // A process that is stopped has more to say.
    worker.process.terminate().await;
    log_is_clean(&worker.process, "stopped");
    topics_are_clean(&folder.path().join("longshore-data"));
}

/// The answer without a text.
fn without(mut answer: crate::support::Answer, text: &str) -> crate::support::Answer {
    answer.text = answer.text.replace(text, "");
    answer
}

/// Waits until something of a connector has failed, if it was taken at all.
async fn failed(worker: &Worker, name: &str) {
    eventually(&format!("{name} fails"), || async {
        let answer = worker.get(&format!("/connectors/{name}/status")).await;
        let tells = answer.status == 404
            || ["FAILED", "RESTARTING", "restart"]
                .iter()
                .any(|state| answer.text.contains(state));
        tells.then_some(())
    })
    .await;
}
