//! Where a planted secret may turn up.

use crate::support::{Answer, Process, Worker, text};
use serde_json::Value;
use std::{fs, path::Path, process::Command};

/// Every planted secret holds this, in any case.
const MARK: &str = "canary";

/// A process that logs all that it has to say.
pub(crate) fn talkative(command: &mut Command, format: &str) {
    let all = "debug,longshore=trace,longshore_engine=trace,longshore_kafka=trace,longshore_mirror=trace,rdkafka=trace";
    command
        .env("LONGSHORE_LOG", all)
        .env("LONGSHORE_LOG_FORMAT", format);
    command.env("RUST_BACKTRACE", "1");
}

/// Fails with the place where a text shows a secret.
pub(crate) fn clean(place: &str, text: &str) {
    // Names of files and folders hold the word, too, and are no secrets.
    let lower = text.to_lowercase();
    if let Some(at) = lower.find(MARK) {
        let from = lower[..at]
            .char_indices()
            .rev()
            .nth(200)
            .map_or(0, |(at, _)| at);
        let to = lower[at..]
            .char_indices()
            .nth(60)
            .map_or(lower.len(), |(to, _)| at + to);
        panic!("I8: {place} shows a secret: {}", &lower[from..to]);
    }
}

/// What the process has logged so far; it must have said something.
pub(crate) fn log_is_clean(process: &Process, said: &str) {
    let log = process.log();
    assert!(log.contains(said), "the log does not say {said}:\n{log}");
    clean("the log", &log);
}

/// An answer that has no business with the config as it was sent.
pub(crate) fn answer_is_clean(place: &str, answer: &Answer) {
    clean(place, &answer.text);
    clean(
        &format!("{place}: headers"),
        &format!("{:?}", answer.headers),
    );
}

/// An answer that returns the config as it was sent: a secret stands there as the value of the key that it was sent as, and nowhere else.
pub(crate) fn answer_returns(place: &str, answer: &Answer, sent: &Value) {
    let mut body = answer.json();
    cut_out(&mut body, sent);
    clean(place, &body.to_string());
}

fn cut_out(body: &mut Value, sent: &Value) {
    match body {
        Value::Object(map) => {
            map.retain(|key, value| sent.get(key) != Some(value) || !value.is_string());
            map.values_mut().for_each(|value| cut_out(value, sent));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| cut_out(item, sent)),
        _ => {}
    }
}

/// Everything that the API says about the worker and one connector.
pub(crate) async fn answers_are_clean(worker: &Worker, name: &str, sent: &Value) {
    for path in [
        "/".to_owned(),
        "/health".to_owned(),
        "/metrics".to_owned(),
        "/connectors".to_owned(),
        "/connectors?expand=status".to_owned(),
        "/connector-plugins?connectorsOnly=false".to_owned(),
        format!("/connectors/{name}/status"),
        format!("/connectors/{name}/topics"),
        format!("/connectors/{name}/offsets"),
        format!("/connectors/{name}/tasks/0/status"),
        format!("/connectors/{name}/nothing"),
    ] {
        answer_is_clean(&path, &worker.get(&path).await);
    }
    for path in ["", "/config", "/tasks", "/tasks-config"] {
        let path = format!("/connectors/{name}{path}");
        let answer = worker.get(&path).await;
        if answer.status == 200 {
            answer_returns(&path, &answer, sent);
        }
    }
}

/// All that the worker's broker has on disk of topics other than the config topic, as bytes. A status must be there, readable.
pub(crate) fn topics_are_clean(data: &Path) {
    let mut statuses = false;
    let mut files = Vec::new();
    below(data, &mut files);
    for file in files {
        let bytes = fs::read(&file).unwrap_or_default();
        let place = file.display().to_string();
        let shown = text(&bytes);
        // Folders of topics are not called as the topics are.
        let config_topic = shown.contains("{\"properties\":{");
        // What time may mend is shown as RESTARTING at first.
        let failed = shown.contains("FAILED") || shown.contains("RESTARTING");
        statuses |= failed && !config_topic;
        if config_topic {
            // The config as it was sent, by contract; nothing that a placeholder stands for.
            clean(&place, &shown.replace("canary-literal", ""));
        } else {
            clean(&place, &shown);
        }
    }
    assert!(statuses, "no status can be read in {}", data.display());
}

fn below(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            below(&path, files);
        } else {
            files.push(path);
        }
    }
}
