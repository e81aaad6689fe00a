//! Many clients create, change and delete connectors through all workers while one of them is killed and comes back.
//!
//! Every connector has one client, so that the last write which was acknowledged to it is what all workers must show in the end.

mod client;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::changes::same;
use super::leader::leader;
use crate::{Broker, Fleet, Home};
use client::{Client, Tally};

const WORKERS: usize = 3;
/// Until every worker shows the last write: a start and an election at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long the clients write.
    pub time: Duration,
    /// How many there are.
    pub clients: u32,
    /// The connectors that they have together.
    pub connectors: u32,
    /// The source of every random choice.
    pub seed: u64,
    /// An Apache Kafka of its own where KAFKA_BOOTSTRAP names no broker; else `longshore broker`.
    pub apache: bool,
}

/// What was counted.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Answers 503 with a Retry-After.
    pub refused: u64,
}

/// What each client wants of its connectors; `None` = it deleted it.
type Wanted = BTreeMap<String, Option<Value>>;

/// Runs the proof and prints it. Errors: a lost update, an answer that no client should get, views that differ.
pub fn prove(plan: &Plan) -> Result<Outcome> {
    let broker = Broker::start(plan.apache)?;
    println!(
        "prove rest-storm: seed {}, {} clients, {} connectors, {:?}, {WORKERS} workers, {}",
        plan.seed,
        plan.clients,
        plan.connectors,
        plan.time,
        broker.name()
    );
    let home = Home::cluster("storm", broker.bootstrap(), WORKERS, &[])?;
    let group = home.group().to_owned();
    let mut fleet = Fleet::start(home)?;
    let ports = fleet.ports();
    let mut random = StdRng::seed_from_u64(plan.seed);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..plan.clients)
        .map(|number| {
            let own = (number..plan.connectors).step_by(plan.clients.max(1) as usize);
            let own = own.map(|connector| format!("{group}-{connector}"));
            let client = Client::new(&group, own, &ports, random.random());
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || client.run(&stop))
        })
        .collect();
    let disturbed = disturb(&mut fleet, &group, plan.time);
    stop.store(true, Ordering::Relaxed);
    let (mut wanted, mut tally) = (Wanted::new(), Tally::default());
    for client in clients {
        let (own, counted) = client.join().map_err(|_| anyhow!("a client panicked"))?;
        wanted.extend(own);
        tally.add(counted);
    }
    disturbed?;
    println!("{}", tally.report());
    agree(&mut fleet, &wanted)?;
    let there = wanted.values().flatten().count();
    println!(
        "  {there} connectors in the end, the same on every worker, each as it was written last"
    );
    tally.verdict().with_context(|| fleet.log_tails())?;
    fleet.stop()?;
    ensure!(
        tally.writes() >= u64::from(plan.clients),
        "only {} writes",
        tally.writes()
    );
    println!(
        "prove rest-storm: {} writes acknowledged, no update lost, no 5xx but {} times 503 with Retry-After",
        tally.writes(),
        tally.refused()
    );
    Ok(Outcome {
        writes: tally.writes(),
        refused: tally.refused(),
    })
}

/// Kills the leader after a third of the time; it comes back a while later.
fn disturb(fleet: &mut Fleet, group: &str, time: Duration) -> Result<()> {
    let start = Instant::now();
    std::thread::sleep(time / 3);
    let victim = leader(fleet, group)?;
    fleet.kill(victim)?;
    println!(
        "  the leader, worker {victim}, killed after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    std::thread::sleep(time / 6);
    fleet.raise(victim, None)?;
    fleet.until("the killed worker to come back", |fleet| {
        Ok(fleet.healthy(victim))
    })?;
    println!("  back after {:.1} s", start.elapsed().as_secs_f64());
    std::thread::sleep(time.saturating_sub(start.elapsed()));
    Ok(())
}

/// Waits until all workers show the same, and that it is what was acknowledged.
fn agree(fleet: &mut Fleet, wanted: &Wanted) -> Result<()> {
    let start = Instant::now();
    loop {
        let wrong = differences(fleet, wanted)?;
        let Some(first) = wrong.first() else {
            return Ok(());
        };
        if start.elapsed() > PATIENCE {
            bail!(
                "{} differences {PATIENCE:?} after the last write, the first: {first}\n{}",
                wrong.len(),
                fleet.log_tails()
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Where a worker shows something else than was written last, or another status than the first worker does.
fn differences(fleet: &Fleet, wanted: &Wanted) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut first: Option<Value> = None;
    for number in fleet.awake() {
        let shown = fleet.ask(number, "GET", "/connectors?expand=info&expand=status", None)?;
        let shown = shown.as_object().context("no object")?;
        for name in shown.keys().filter(|name| !wanted.contains_key(*name)) {
            wrong.push(format!("worker {number} shows {name}, which nobody made"));
        }
        let mut statuses = serde_json::Map::new();
        for (name, config) in wanted {
            match (shown.get(name), config) {
                (None, None) => {}
                (Some(shown), Some(config)) if same(&shown["info"]["config"], config) => {
                    // Progress is each moment's and each worker's own.
                    statuses.insert(name.clone(), states(&shown["status"]));
                }
                (shown, config) => wrong.push(format!(
                    "worker {number} shows {name} as {:?}, written last was {config:?}",
                    shown.map(|shown| &shown["info"]["config"])
                )),
            }
        }
        let statuses = Value::Object(statuses);
        match &first {
            None => first = Some(statuses),
            Some(first) if *first == statuses => {}
            Some(first) => wrong.push(format!(
                "worker {number} shows other states than the first: {}",
                differs(first, &statuses)
            )),
        }
    }
    Ok(wrong)
}

fn states(status: &Value) -> Value {
    let state = |of: &Value| serde_json::json!([of["id"], of["state"], of["worker_id"]]);
    let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
    serde_json::json!([
        status["connector"]["state"],
        tasks.iter().map(state).collect::<Vec<_>>()
    ])
}

fn differs(one: &Value, two: &Value) -> String {
    let names = one.as_object().into_iter().flat_map(|one| one.keys());
    let different = names.filter(|name| one[*name] != two[*name]);
    let shown = different.map(|name| format!("{name}: {} and {}", one[name], two[name]));
    shown.take(3).collect::<Vec<_>>().join("; ")
}
