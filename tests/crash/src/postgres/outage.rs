//! Postgres goes away while rows move, and comes back: the connector heals alone, nothing is lost, nothing is there twice, and the status says
//! meanwhile what is wrong.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use longshore_kit::servers::{Proxy, wait_until};

use super::place::{Place, Systems};
use crate::{Home, Worker};

/// How Postgres goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is stopped in order, and started again at once.
    Restart,
    /// Connections are reset, new ones are refused.
    Refused,
    /// Nothing answers any more, and nothing closes.
    BlackHole,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Restart, Self::Refused, Self::BlackHole];
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Records that are on their way at each fault.
    pub records: u64,
    /// The faults, one after the other.
    pub faults: Vec<Fault>,
    /// How long Postgres cannot be reached; a restart takes as long as it takes.
    pub lasts: Duration,
    /// `connection.statement.timeout.ms`; `None` = the connector's own.
    pub statement_ms: Option<u64>,
    /// Starts an Apache Kafka where KAFKA_BOOTSTRAP names no broker; else `longshore broker`.
    pub apache: bool,
}

impl Plan {
    /// Each fault once, away for a minute, on Apache Kafka, with the connector's own settings.
    pub fn long() -> Self {
        Self {
            records: 20_000,
            faults: Fault::ALL.to_vec(),
            lasts: Duration::from_secs(60),
            statement_ms: None,
            apache: true,
        }
    }
}

/// Records before the ledger is watched.
const FIRST: u64 = 400;
/// From the end of a fault to the last row: the backoff of a restart may have grown as long as the fault.
const HEALING_MAX: Duration = Duration::from_secs(180);

/// Runs the proof and prints it. Errors: any breach, with what was seen.
pub fn prove(plan: &Plan) -> Result<()> {
    let mut systems = Systems::start(plan.apache)?;
    println!(
        "prove postgres --outage: {} faults, each {} s, {}",
        plan.faults.len(),
        plan.lasts.as_secs(),
        systems.broker_name()
    );
    let mut place = Place::new(&systems)?;
    let proxy = Proxy::start(&format!("127.0.0.1:{}", systems.postgres.port()))?;
    let home = Home::with("outage", Some(systems.bootstrap()), &[])?;
    let mut worker = home.start(&["worker", "worker.yaml"], None)?;
    worker.ready()?;
    place.feed(FIRST)?;
    let mut connector = place.connector(&place.url(proxy.port()));
    if let Some(limit) = plan.statement_ms {
        connector["config"]["connection.statement.timeout.ms"] = limit.to_string().into();
    }
    worker.run(&connector)?;
    worker.until("the first rows", || {
        Ok(place.rows(&systems.postgres)? == FIRST)
    })?;
    place.watch_ledger(&systems.postgres)?;
    for fault in &plan.faults {
        suffer(
            *fault,
            plan,
            &mut systems,
            (&mut place, &proxy),
            &mut worker,
        )?;
    }
    worker.settled(&place.connector)?;
    place.check(&systems.postgres)?;
    worker.stop()?;
    println!(
        "prove postgres --outage: {} faults of a running transfer, nothing lost, nothing twice",
        plan.faults.len()
    );
    Ok(())
}

/// One fault amid a running transfer, to its healing.
fn suffer(
    fault: Fault,
    plan: &Plan,
    systems: &mut Systems,
    (place, proxy): (&mut Place, &Proxy),
    worker: &mut Worker,
) -> Result<()> {
    let before = place.fed();
    // Slow enough that the transfer is still running when the fault strikes.
    proxy.delay(Duration::from_millis(5));
    place.feed(plan.records)?;
    worker.until("rows to move", || {
        Ok(place.rows(&systems.postgres)? > before)
    })?;
    match fault {
        Fault::Restart => systems.postgres.restart()?,
        Fault::Refused => proxy.refuse()?,
        Fault::BlackHole => proxy.black_hole(),
    }
    let had = place.rows(&systems.postgres)?;
    ensure!(
        had < place.fed(),
        "{fault:?} hit no running transfer: all {had} rows are there"
    );
    if fault != Fault::Restart {
        let said = complaint(worker, &place.connector, plan.lasts)?;
        println!("  {fault:?} at row {had}; meanwhile the status says: {said}");
        let now = place.rows(&systems.postgres)?;
        ensure!(
            now <= had + BATCHES_UNDER_WAY,
            "{} rows came through a fault that lets nothing through",
            now - had
        );
    } else {
        println!("  {fault:?} at row {had}");
    }
    proxy.heal()?;
    let healed = Instant::now();
    worker.within(HEALING_MAX, "every row after the fault", || {
        Ok(place.rows(&systems.postgres)? >= place.fed())
    })?;
    println!(
        "    healed alone: every row {:.1} s after the fault's end",
        healed.elapsed().as_secs_f64()
    );
    Ok(())
}

/// What was already behind the proxy when the fault struck.
const BATCHES_UNDER_WAY: u64 = 1000;

/// Lets the fault last, and returns what the status came to say. Errors: it said nothing.
fn complaint(worker: &mut Worker, connector: &str, lasts: Duration) -> Result<String> {
    let start = Instant::now();
    let mut said = None;
    // A fault shorter than a client's patience is not noticed by it: the status gets its time even then.
    let noticed = wait_until(lasts.max(PATIENCE), || {
        said = worker.complaints(connector)?.into_iter().next();
        Ok(said.is_some())
    })?;
    ensure!(
        noticed,
        "the status shows no trouble after {:?}:\n{}",
        start.elapsed(),
        worker.rest("GET", &format!("/connectors/{connector}/status"), None)?
    );
    let rest = lasts.saturating_sub(start.elapsed());
    let end = Instant::now() + rest;
    // A worker that dies meanwhile is noticed at once.
    worker.within(rest + PATIENCE, "the fault's end", || {
        Ok(Instant::now() >= end)
    })?;
    Ok(said.unwrap_or_default())
}

/// How long a connector may take to notice that nothing answers.
const PATIENCE: Duration = Duration::from_secs(45);
