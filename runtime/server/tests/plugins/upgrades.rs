//! From version 1.0.0 of a plugin to 1.1.0 while records flow, and back. The two write positions of different shapes.

use super::{both_versions, guest, numbers, runs_version};
use crate::support::{EMBEDDED, Process, Worker, eventually, lines};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

const STRINGS: &str = "org.apache.kafka.connect.storage.StringConverter";
/// Lines of the file that a neighbour reads.
const NEIGHBOURS: u64 = 500;

/// Every number once, in order.
fn in_order(out: &Path) {
    let written = fs::read_to_string(out).expect("a file");
    for (number, line) in written.lines().enumerate() {
        assert_eq!(line, format!("{{\"lane\":0,\"number\":{number}}}"));
    }
}

/// A sink that writes the numbers to a file.
async fn written(worker: &Worker, folder: &Path) -> PathBuf {
    let out = folder.join("out.txt");
    let sink = json!({
        "connector.class": "file-sink", "topics": "numbers", "file": out, "value.converter": STRINGS,
    });
    worker.create("out", sink).await;
    out
}

async fn change(worker: &Worker, config: Value) {
    let stored = worker.put("/connectors/numbers/config", config).await;
    assert!(stored.status < 300, "{}", stored.text);
}

/// A bundled source and a plugin's sink on the same worker that have done all their work: started anew, they would count from 0.
async fn neighbours(worker: &Worker, folder: &Path) {
    let file = folder.join("lines.txt");
    let text: String = (0..NEIGHBOURS)
        .map(|line| format!("line {line}\n"))
        .collect();
    fs::write(&file, text).expect("written");
    let source = json!({
        "connector.class": "file-source", "file": file, "topic": "lines", "value.converter": STRINGS,
    });
    worker.create("reading", source).await;
    let sink = json!({
        "connector.class": "probe-sink", "topics": "lines", "value.converter": STRINGS,
    });
    worker.create("taking", sink).await;
    for name in ["reading", "taking"] {
        eventually(&format!("{name} has done its work"), || async {
            let status = worker.status(name).await;
            (records(&status) == NEIGHBOURS).then_some(())
        })
        .await;
    }
}

fn records(status: &Value) -> u64 {
    let records = &status["tasks"][0]["x"]["progress"]["records"];
    records.as_u64().unwrap_or_default()
}

async fn undisturbed(worker: &Worker) {
    for name in ["reading", "taking"] {
        let status = worker.status(name).await;
        let task = &status["tasks"][0];
        assert_eq!(task["state"], "RUNNING", "{status}");
        assert_eq!(task["trace"], Value::Null, "{status}");
        assert_eq!(
            records(&status),
            NEIGHBOURS,
            "it was started anew: {status}"
        );
    }
    let metrics = worker.get("/metrics").await.text;
    let started = "longshore_wasm_calls_total{function=\"start\",plugin=\"probe-sink\"} 1";
    assert!(metrics.lines().any(|line| line == started), "{metrics}");
    assert!(
        !metrics.contains("longshore_wasm_traps_total{plugin=\"probe-sink\"}"),
        "{metrics}"
    );
}

/// 1.0.0 understands what 1.1.0 writes beside what it knows.
#[tokio::test]
async fn an_upgrade_and_a_way_back_while_records_flow_lose_and_repeat_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    both_versions(folder.path()).await;
    let path = format!(
        "{EMBEDDED}  plugin.path: {}\n",
        guest("probe-sink").display()
    );
    let mut worker = Worker::with(folder.path(), &path).await;
    worker.create("numbers", numbers(Some("1.0.0"))).await;
    let out = written(&worker, folder.path()).await;
    neighbours(&worker, folder.path()).await;
    let mut seen = lines(&out, 100).await.len();
    for (version, runs) in [
        ("1.1.0", "1.1.0"),
        ("[1.0.0,1.1.0)", "1.0.0"),
        ("latest", "1.1.0"),
        ("1.0.0", "1.0.0"),
        ("1.1.0", "1.1.0"),
    ] {
        change(&worker, numbers(Some(version))).await;
        runs_version(&worker, runs).await;
        seen = lines(&out, seen + 200).await.len();
        // What runs is the other file, and not only its name.
        let shown = worker.get("/connectors/numbers/offsets").await.text;
        eventually(&format!("a position of {runs}: {shown}"), || async {
            let shown = worker.get("/connectors/numbers/offsets").await.json();
            let offset = &shown["offsets"][0]["offset"];
            let newer = offset["by"] == "1.1.0";
            (offset["next"].is_u64() && newer == (runs == "1.1.0")).then_some(())
        })
        .await;
        undisturbed(&worker).await;
    }
    worker.process.kill();
    let mut worker =
        Worker::running(Process::start(folder.path(), &["worker", "worker.yaml"])).await;
    runs_version(&worker, "1.1.0").await;
    lines(&out, seen + 300).await;
    let metrics = worker.get("/metrics").await.text;
    assert!(
        metrics.contains("longshore_wasm_calls_total{function=\"poll\",plugin=\"probe-source\"}"),
        "{metrics}"
    );
    worker.process.terminate().await;
    in_order(&out);
}

/// Bad input of issue 6: 1.0.0 does not understand the cursor that 1.1.0 writes. It says so, and going forward again heals it.
#[tokio::test]
async fn positions_of_a_newer_version_are_refused_by_an_older_one_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    both_versions(folder.path()).await;
    let path = format!(
        "{EMBEDDED}  plugin.path: {}\n",
        guest("probe-sink").display()
    );
    let mut worker = Worker::with(folder.path(), &path).await;
    let cursors = |version: &str| {
        let mut config = numbers(Some(version));
        config["positions"] = json!("cursor");
        config
    };
    // From what 1.0.0 has stored 1.1.0 goes on.
    worker.create("numbers", cursors("1.0.0")).await;
    let out = written(&worker, folder.path()).await;
    neighbours(&worker, folder.path()).await;
    let seen = lines(&out, 100).await.len();
    change(&worker, cursors("1.1.0")).await;
    runs_version(&worker, "1.1.0").await;
    let mut seen = lines(&out, seen + 200).await.len();
    for _ in 0..2 {
        change(&worker, cursors("1.0.0")).await;
        let failed = worker.task("numbers", "FAILED").await;
        let trace = failed["trace"].as_str().expect("a trace");
        for part in [
            "the plugin probe-source 1.0.0: the position has no \"next\"",
            "{\"cursor\": {\"page\": number, \"row\": number}}",
            "connector.plugin.version",
        ] {
            assert!(trace.contains(part), "{part} is not in: {trace}");
        }
        undisturbed(&worker).await;
        change(&worker, cursors("1.1.0")).await;
        runs_version(&worker, "1.1.0").await;
        seen = lines(&out, seen + 200).await.len();
    }
    undisturbed(&worker).await;
    worker.process.terminate().await;
    in_order(&out);
}
