//! How fast a worker starts, and what it takes while it does nothing.

use std::time::{Duration, Instant};

use anyhow::Result;
use longshore_kit::servers::{Connect, ConnectOptions};

use crate::meter::memory_mb;
use crate::system::Longshore;

const START_GOAL_MS: f64 = 150.0;
const IDLE_GOAL_MB: f64 = 25.0;
const STARTS: usize = 5;

/// From exec to the first 200 of `GET /`.
pub(crate) fn start(bootstrap: &str, peer: bool) -> Result<()> {
    println!("start: exec -> REST 200");
    let mut own = f64::MAX;
    for (what, bootstrap, group) in [
        ("on Apache Kafka", bootstrap, "bench-start"),
        ("embedded broker", "embedded", "bench-embedded"),
    ] {
        let dir = tempfile::Builder::new()
            .prefix("longshore-bench-")
            .tempdir()?;
        let mut times = Vec::new();
        for _ in 0..=STARTS {
            let at = Instant::now();
            let mut longshore = Longshore::launch(dir.path(), bootstrap, group)?;
            times.push(longshore.ready(at)?.as_secs_f64() * 1e3);
        }
        // The first one makes the internal topics.
        let first = times.remove(0);
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        if bootstrap != "embedded" {
            own = median;
        }
        println!(
            "  longshore      {median:>7.0} ms median of {STARTS} ({what}); {first:.0} ms with new internal topics"
        );
    }
    if peer {
        for (what, options) in [
            ("default", plain()),
            ("plugin.discovery=service_load", ConnectOptions::default()),
        ] {
            let at = Instant::now();
            let mut connect = Connect::launch(bootstrap, &options)?;
            connect.wait_ready("/")?;
            println!(
                "  kafka connect  {:>7.0} ms ({what})",
                at.elapsed().as_secs_f64() * 1e3
            );
        }
    }
    println!(
        "  goal <= {START_GOAL_MS} ms: {}",
        if own <= START_GOAL_MS {
            "met"
        } else {
            "missed"
        }
    );
    Ok(())
}

/// Memory without connectors, five seconds after the start.
pub(crate) fn idle(bootstrap: &str, peer: bool) -> Result<()> {
    println!("idle: memory without connectors");
    let longshore = Longshore::fresh(bootstrap)?;
    let own = settled(longshore.pid(), "longshore")?;
    drop(longshore);
    if peer {
        for (what, options) in [
            ("kafka connect, default", plain()),
            ("kafka connect, tuned", ConnectOptions::default()),
        ] {
            let connect = Connect::start(bootstrap, &options)?;
            settled(connect.pid(), what)?;
        }
    }
    println!(
        "  goal <= {IDLE_GOAL_MB} MB: {}",
        if own <= IDLE_GOAL_MB { "met" } else { "missed" }
    );
    Ok(())
}

fn settled(pid: u32, name: &str) -> Result<f64> {
    std::thread::sleep(Duration::from_secs(5));
    let resident = memory_mb(pid, "status", "VmRSS")?;
    let (peak, shared) = (
        memory_mb(pid, "status", "VmHWM")?,
        memory_mb(pid, "smaps_rollup", "Pss")?,
    );
    println!(
        "  {name:<22} {resident:>7.1} MB resident, {shared:.1} MB proportional, {peak:.1} MB at its peak"
    );
    Ok(resident)
}

/// As Apache ships it.
fn plain() -> ConnectOptions {
    ConnectOptions {
        settings: Vec::new(),
        ..ConnectOptions::default()
    }
}
