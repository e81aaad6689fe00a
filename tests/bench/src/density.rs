//! W11: what a hundred sources and a hundred sinks take that have nothing to do.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cells;
use crate::meter::{memory_mb, threads_and_files};
use crate::system::System;
use crate::topics::Topics;

const MANY: u32 = 100;
/// MB of resident memory for each.
const GOALS_MB: [f64; 2] = [0.1, 0.8];
/// Until what only starting takes is given back.
const SETTLE: Duration = Duration::from_secs(15);
/// A source that was opened with a transactional id gives its client up after a minute without work, and its memory goes back a little later.
const QUIET: Duration = Duration::from_secs(75);

#[derive(Clone, Copy)]
struct Footprint {
    resident: f64,
    threads: f64,
    files: f64,
}

/// Runs W11 and prints it.
pub(crate) fn run(bootstrap: &str, peer: bool) -> Result<()> {
    let topics = Topics::new(bootstrap)?;
    topics.create("idle")?;
    let longshore = System::longshore(bootstrap)?;
    let own = measure(&longshore)?;
    drop(longshore);
    if peer {
        let connect = System::connect(bootstrap, None)?;
        measure(&connect)?;
    }
    for ((goal, mb), what) in GOALS_MB.iter().zip(own).zip(["source", "sink"]) {
        let verdict = if mb <= *goal { "met" } else { "missed" };
        println!("  goal <= {goal} MB for each idle {what}: {verdict}");
    }
    Ok(())
}

/// MB for each source, and for each sink on top of the sources.
fn measure(system: &System) -> Result<[f64; 2]> {
    println!(
        "W11 of {}: {MANY} idle file sources, then {MANY} idle file sinks beside them",
        system.name
    );
    let dir = tempfile::Builder::new()
        .prefix("longshore-bench-")
        .tempdir()?;
    std::thread::sleep(SETTLE);
    let mut before = footprint(system.pid)?;
    println!(
        "  without connectors: {:.1} MB resident, {} threads, {} open files",
        before.resident, before.threads, before.files
    );
    let mut each = [0.0; 2];
    for (kind, each) in each.iter_mut().enumerate() {
        let what = ["source", "sink"][kind];
        for number in 0..MANY {
            let path = dir.path().join(format!("{what}-{number}.txt"));
            let config = connector(kind, &path.to_string_lossy());
            if kind == 0 {
                std::fs::write(&path, "")?;
            }
            system.create(&format!("idle-{what}-{number}"), &config)?;
        }
        system.all_running((kind + 1) * MANY as usize)?;
        std::thread::sleep([QUIET, SETTLE][kind]);
        let now = footprint(system.pid)?;
        let many = f64::from(MANY);
        *each = (now.resident - before.resident) / many;
        println!(
            "  each {what:<6}: {:>6.3} MB resident, {:.2} threads, {:.2} open files",
            *each,
            (now.threads - before.threads) / many,
            (now.files - before.files) / many
        );
        before = now;
    }
    Ok(each)
}

fn connector(kind: usize, file: &str) -> Value {
    match kind {
        0 => cells::source(file, "idle"),
        _ => {
            let mut config = cells::sink("idle", file, false);
            cells::merge(
                &mut config,
                json!({ "consumer.override.auto.offset.reset": "latest" }),
            );
            config
        }
    }
}

fn footprint(pid: u32) -> Result<Footprint> {
    let (threads, files) = threads_and_files(pid)?;
    Ok(Footprint {
        resident: memory_mb(pid, "status", "VmRSS")?,
        threads,
        files,
    })
}
