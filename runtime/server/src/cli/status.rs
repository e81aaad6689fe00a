//! `longshore status`.

use super::{
    Remote,
    client::{Rest, segment},
    screen::{self, Palette},
};
use anyhow::Result;
use serde_json::{Value, json};

/// Shows all connectors, or one with its tasks' traces.
pub(crate) async fn run(name: Option<&str>, remote: &Remote) -> Result<()> {
    let rest = Rest::of(remote)?;
    let all = match name {
        Some(name) => {
            json!({ name: { "status": rest.get(&format!("/connectors/{}/status", segment(name))).await? } })
        }
        None => rest.get("/connectors?expand=status").await?,
    };
    if remote.json {
        screen::json(match name {
            Some(name) => &all[name]["status"],
            None => &all,
        });
        return Ok(());
    }
    let palette = Palette::detect();
    let mut rows = Vec::new();
    for (connector, entry) in all.as_object().into_iter().flatten() {
        rows.extend(rows_of(connector, &entry["status"], &palette));
    }
    if rows.is_empty() {
        screen::line("no connectors");
        return Ok(());
    }
    screen::table(&["NAME", "TYPE", "STATE", "PROGRESS", "WORKER"], &rows);
    if name.is_some() {
        for entry in all
            .as_object()
            .into_iter()
            .flatten()
            .map(|(_, entry)| &entry["status"])
        {
            traces(entry);
        }
    }
    Ok(())
}

fn rows_of(connector: &str, status: &Value, palette: &Palette) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut rows = vec![vec![
        connector.to_owned(),
        text(&status["type"]),
        palette.state(&text(&status["connector"]["state"])),
        text(&status["connector"]["x"]["guarantee"]["level"]),
        text(&status["connector"]["worker_id"]),
    ]];
    for task in status["tasks"].as_array().into_iter().flatten() {
        rows.push(vec![
            format!("  task {}", task["id"]),
            String::new(),
            palette.state(&text(&task["state"])),
            progress(&task["x"]),
            text(&task["worker_id"]),
        ]);
    }
    rows
}

/// One task's progress in a few words, from the status' `x`.
pub(crate) fn progress(x: &Value) -> String {
    let mut words = Vec::new();
    let progress = &x["progress"];
    if let Some(records) = progress["records"].as_u64() {
        words.push(format!("{records} records"));
    }
    if let Some(lag) = progress["lag"].as_i64() {
        words.push(format!("lag {lag}"));
    }
    if progress["partitions"].as_u64() == Some(0) {
        words.push("no partition".to_owned());
    }
    if progress["stalled"].as_bool() == Some(true) {
        words.push("stalled".to_owned());
    }
    if let Some(blocked) = progress["blocked_on"].as_str() {
        words.push(format!("blocked on {blocked}"));
    }
    if let Some(wanted) = progress["waiting_for"].as_str() {
        words.push(format!("waiting for {wanted}"));
    }
    if let Some(why) = progress["unknown"].as_str() {
        words.push(format!("progress unknown: {why}"));
    }
    if x["finished"].as_bool() == Some(true) {
        words.push("finished".to_owned());
    }
    if let Some(reason) = x["reason"].as_str() {
        words.push(reason.to_owned());
    }
    words.join(", ")
}

fn traces(status: &Value) {
    let connector = std::iter::once(("connector".to_owned(), &status["connector"]));
    let tasks = status["tasks"].as_array().into_iter().flatten();
    for (what, entry) in connector.chain(tasks.map(|task| (format!("task {}", task["id"]), task))) {
        if let Some(trace) = entry["trace"].as_str() {
            screen::line(&format!("\n{what}:\n{trace}"));
        }
    }
}
