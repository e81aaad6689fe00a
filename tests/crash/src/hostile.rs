//! Plugins that do what no plugin may, beside a pair of connectors that only copy lines: each is contained and named, and the pair hardly notices.

mod deeds;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use longshore_kit::servers::wait_until;

use crate::transfer::{Delays, LineByLine, plugins};
use crate::{Fleet, Home};
use deeds::{DEEDS, Deed, SECRET};

/// What each task of a plugin may take.
const PLUGIN_MEMORY: u64 = 64 << 20;
/// Once for each deed that allocates, and for what lies about: logs, results, compiled code.
const GROWTH_MAX: u64 = 6 * PLUGIN_MEMORY;
/// Of a line at most 8 kB are logged, and of a plugin 100 lines a second.
const LOG_MAX: u64 = 64 << 20;
const WARM: Duration = Duration::from_secs(3);
/// From the beginning of an attack to its end; the calls' own limit is a few seconds.
const CONTAINED_MAX: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Lines a second of the good pair.
    pub rate: u64,
    /// How long it is measured alone.
    pub calm: Duration,
    /// How long it is measured beside the others, which are started again whenever they have failed.
    pub attack: Duration,
    /// `longshore.wasm.call.timeout.ms`
    pub call_timeout_ms: u64,
    /// How many times its 99th percentile may grow.
    pub factor: u32,
    /// Below this it is good enough, however short it was before.
    pub floor: Duration,
    /// How long a DELETE, and how long the end by SIGTERM may take.
    pub patience: Duration,
}

impl Plan {
    /// Strict, for so many seconds on each side.
    pub fn long(seconds: u64) -> Self {
        Self {
            rate: 500,
            calm: Duration::from_secs(seconds),
            attack: Duration::from_secs(seconds),
            call_timeout_ms: 5_000,
            factor: 2,
            floor: Duration::from_millis(100),
            patience: Duration::from_secs(15),
        }
    }
}

/// Runs the proof and prints it. Errors: any breach, with what was seen.
pub fn prove(plan: &Plan) -> Result<()> {
    println!(
        "prove hostile: {} hostile connectors, {} lines a second, embedded broker",
        DEEDS.len(),
        plan.rate
    );
    let mut fleet = Fleet::start(home(plan)?)?;
    let mut good = LineByLine::start(&mut fleet, plan.rate)?;
    // Whoever has just started is slow.
    measure(&mut fleet, &good, WARM)?;
    let before = measure(&mut fleet, &good, plan.calm)?;
    let resident = fleet.worker(0)?.memory_kb("VmRSS")?;
    println!("  alone:  {}", words(&before));

    let since = good.arrived();
    let (attacks, unlike) = attack(&mut fleet, &good, plan.attack)?;
    let during = good.delays_since(since)?;
    println!("  beside: {}", words(&during));
    let limit = (before.percent(99) * plan.factor).max(plan.floor);
    for deed in DEEDS {
        deed.delete(&fleet, plan.patience)?;
    }
    let fed = good.finish(&mut fleet)?;
    let grown = fleet
        .worker(0)?
        .memory_kb("VmHWM")?
        .saturating_sub(resident)
        * 1024;
    println!(
        "  {attacks} attacks, all contained; the pair: {fed} lines, none lost, none twice, no error; memory +{} MB at its peak",
        grown >> 20
    );
    ensure!(unlike.is_empty(), "{}", unlike.join("\n"));
    let p99 = during.percent(99);
    ensure!(
        p99 <= limit,
        "p99 is {p99:?} beside hostile plugins, allowed are {limit:?}"
    );
    ensure!(
        grown <= GROWTH_MAX,
        "the worker grew by {grown} bytes, allowed are {GROWTH_MAX}"
    );
    end(fleet, plan.patience)?;
    println!("prove hostile: all contained");
    Ok(())
}

fn home(plan: &Plan) -> Result<Home> {
    let folder = plugins()?;
    let files = ["probe-source", "probe-sink", "probe-transform"]
        .map(|name| folder.join(format!("{name}.wasm")).display().to_string());
    let (files, timeout) = (
        format!("[{}]", files.join(", ")),
        plan.call_timeout_ms.to_string(),
    );
    let memory = PLUGIN_MEMORY.to_string();
    let keys = [
        ("plugin.path", &*files),
        ("longshore.wasm.call.timeout.ms", &timeout),
        ("longshore.wasm.memory.max.bytes", &memory),
        // Transactions would take longer than what is to be seen.
        ("exactly.once.source.support", "disabled"),
        // So that its requests really are made; nobody listens there.
        ("longshore.wasm.grants.probe-source.net", "127.0.0.1:9"),
        ("longshore.wasm.grants.probe-source.secrets", "reveal"),
    ];
    Home::with("hostile", None, &keys)
}

/// The pair's delays from now on.
fn measure(fleet: &mut Fleet, good: &LineByLine, lasts: Duration) -> Result<Delays> {
    let since = good.arrived();
    let end = Instant::now() + lasts;
    fleet.within(lasts + CONTAINED_MAX, "the measurement's end", |_| {
        Ok(Instant::now() >= end)
    })?;
    good.content(fleet)?;
    good.delays_since(since)
}

/// Starts all of them at once, and again when they have failed, for so long at least. How many attacks there were, and what was not as it should be.
fn attack(fleet: &mut Fleet, good: &LineByLine, lasts: Duration) -> Result<(usize, Vec<String>)> {
    let end = Instant::now() + lasts;
    for deed in DEEDS {
        deed.create(fleet)?;
    }
    let (mut attacks, mut unlike) = (0, Vec::new());
    loop {
        for deed in DEEDS {
            let found = contained(fleet, good, deed)?;
            attacks += 1;
            unlike.extend(found);
        }
        if Instant::now() >= end || !unlike.is_empty() {
            return Ok((attacks, unlike));
        }
        for deed in DEEDS {
            deed.again(fleet)?;
        }
    }
}

/// Waits until a deed has had its end, while the pair is asked how it does. What is wrong with the end.
fn contained(fleet: &mut Fleet, good: &LineByLine, deed: &Deed) -> Result<Option<String>> {
    let mut end = None;
    fleet
        .within(CONTAINED_MAX, "its end", |fleet| {
            good.content(fleet)?;
            end = deed.end(fleet)?;
            Ok(end.is_some())
        })
        .with_context(|| deed.name.to_owned())?;
    let end = end.context("it has ended")?;
    Ok(end.err())
}

/// With the endless ones at work, SIGTERM; and no secret anywhere.
fn end(mut fleet: Fleet, patience: Duration) -> Result<()> {
    let endless: Vec<&Deed> = DEEDS.iter().filter(|deed| deed.is_endless()).collect();
    for deed in &endless {
        deed.create(&fleet)?;
    }
    for deed in &endless {
        fleet.until("it to run", |fleet| deed.began(fleet))?;
    }
    let metrics = fleet.answer(0, "GET", "/metrics", None)?.body;
    ensure!(
        !metrics.contains(SECRET),
        "I8: the secret is in the metrics"
    );
    let path = fleet.home().log(0);
    let start = Instant::now();
    // Not by the fleet's own end, which takes the log with it.
    fleet.worker(0)?.terminate()?;
    let mut status = None;
    wait_until(patience * 2, || {
        status = fleet.worker(0)?.exited()?;
        Ok(status.is_some())
    })?;
    let took = start.elapsed();
    let status = status.with_context(|| {
        format!(
            "it does not end within {took:?} of SIGTERM:\n{}",
            fleet.log_tails()
        )
    })?;
    ensure!(
        status.success(),
        "after SIGTERM it ends with {status}:\n{}",
        fleet.log_tails()
    );
    let log = std::fs::read(&path)?;
    println!(
        "  SIGTERM beside {} endless ones: ended in order after {:.1} s; {} kB of log, without the secret",
        endless.len(),
        took.as_secs_f64(),
        log.len() / 1024
    );
    ensure!(
        took <= patience,
        "the end took {took:?}, allowed are {patience:?}"
    );
    ensure!((log.len() as u64) < LOG_MAX, "{} bytes of log", log.len());
    let log = String::from_utf8_lossy(&log);
    ensure!(
        log.contains("without an end: [hidden]"),
        "the secret's betrayal is not in the log at all"
    );
    let line = log.lines().find(|line| line.contains(SECRET));
    ensure!(line.is_none(), "I8: the log has the secret: {line:?}");
    Ok(())
}

fn words(delays: &Delays) -> String {
    let ms = |percent| delays.percent(percent).as_secs_f64() * 1e3;
    format!(
        "{} lines, ms of each: p50 {:.1}, p99 {:.1}, longest {:.1}",
        delays.count(),
        ms(50),
        ms(99),
        ms(100)
    )
}
