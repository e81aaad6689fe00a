//! How fast a worker starts, and what it takes while it does nothing.

use std::time::{Duration, Instant};

use anyhow::Result;
use longshore_kit::servers::{Connect, ConnectOptions};

use crate::meter::memory_mb;
use crate::system::Longshore;

const START_GOAL_MS: f64 = 150.0;
const IDLE_GOAL_MB: f64 = 25.0;
const STARTS: usize = 5;

/// From exec to the first 200 of `GET /`, and of `GET /health`: by then the worker has read its topics and takes requests. The goal is
/// held against the later one.
pub(crate) fn start(bootstrap: &str, peer: bool) -> Result<()> {
    println!("start: exec -> 200 of GET / and of GET /health");
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
            times.push((
                ms(longshore.ready("/", at)?),
                ms(longshore.ready("/health", at)?),
            ));
            longshore.stop()?;
        }
        // The first one makes the internal topics.
        let first = times.remove(0);
        let root = median(times.iter().map(|time| time.0));
        let health = median(times.iter().map(|time| time.1));
        if bootstrap != "embedded" {
            own = health;
        }
        println!(
            "  longshore      {root:>7.0} ms, {health:>6.0} ms: median of {STARTS} ({what}); {:.0} ms, {:.0} ms with new internal topics",
            first.0, first.1
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
            let root = ms(at.elapsed());
            connect.wait_ready("/health")?;
            println!(
                "  kafka connect  {root:>7.0} ms, {:>6.0} ms: once, with new internal topics ({what})",
                ms(at.elapsed())
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

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
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
