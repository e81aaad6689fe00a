//! What a status says of tasks that wait.

use crate::support::{Worker, command, eventually, lines, text};
use serde_json::{Value, json};

#[tokio::test]
async fn a_sink_names_the_topics_that_do_not_exist_and_reads_them_once_they_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let file = |name: &str| folder.path().join(name);
    let source = |topic: &str| {
        let from = file(&format!("{topic}.txt"));
        std::fs::write(&from, "a line\n").expect("written");
        json!({ "connector.class": "file-source", "topic": topic, "file": from })
    };
    let waiting = |name: &'static str, wanted: &'static str| {
        let worker = &worker;
        eventually("it says what it waits for", move || async move {
            let progress = &worker.status(name).await["tasks"][0]["x"]["progress"];
            let blocked = progress["blocked_on"] == Value::Null;
            (progress["waiting_for"] == wanted && blocked).then_some(())
        })
    };
    worker.create("early", source("early")).await;
    worker.task("early", "RUNNING").await;
    let topics = "early,late,never";
    let sink = json!({ "connector.class": "file-sink", "topics": topics, "file": file("out") });
    worker.create("sink", sink).await;
    waiting("sink", "topics that do not exist: late, never").await;
    waiting("early", "records").await;
    let table = command(folder.path(), &["status", "--url", &worker.url]).await;
    let table = text(&table.stdout);
    assert!(
        table.contains("waiting for topics that do not exist: late, never"),
        "{table}"
    );
    assert!(table.contains("1 records, waiting for records"), "{table}");
    assert!(!table.contains("blocked on"), "{table}");
    worker.create("late", source("late")).await;
    lines(&file("out"), 2).await;
    waiting("sink", "topics that do not exist: never").await;
}
