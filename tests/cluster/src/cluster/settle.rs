//! Calm: everything heals, and nothing is missing.

use super::{client::Clients, workers::Cluster};
use longshore_engine::control::{ConnectorStateInfo, Control, HealthStatus};
use rand::{Rng, rngs::StdRng};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

/// How long healing may take: a managed restart waits five minutes at most.
const HEAL_MAX: Duration = Duration::from_secs(900);
/// How long all must stay as it is.
const STAYS: Duration = Duration::from_secs(3);
/// So often at most it is waited for tasks to move no more.
const QUIET_ROUNDS: u32 = 50;
/// How long views may take to agree on what was written before.
const AGREE_MAX: Duration = Duration::from_secs(60);
/// How long a worker may take to stop while nothing is wrong: a handover, and the end of its tasks.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Waits until all is well and verifies it. Answers how many records were looked for.
pub(super) async fn settle(cluster: &Cluster, clients: &Clients, rng: &mut StdRng) -> u64 {
    let world = &cluster.world;
    until(cluster, "the views agree", AGREE_MAX, || agree(cluster)).await;
    for name in &cluster.plan.connectors {
        for (control, _, _) in cluster.doors() {
            if let Some(lost) = clients.lost(name, &control) {
                world.breach(lost);
            }
        }
    }
    for name in &cluster.plan.connectors {
        let tasks_max = rng.random_range(1..4);
        if let Err(why) = clients.insist(cluster, name, tasks_max, rng).await {
            world.breach(why);
        }
    }
    until(cluster, "all heals", HEAL_MAX, || well(cluster)).await;
    if world.breaches().is_empty() && rng.random_bool(0.3) {
        change_one(cluster, clients, rng).await;
    }
    if world.breaches().is_empty() && cluster.plan.workers > 1 && rng.random_bool(0.3) {
        stop_one(cluster, rng).await;
    }
    let plan = &cluster.plan;
    world.verify(&plan.connectors, plan.each, &plan.sunk)
}

async fn until(
    cluster: &Cluster,
    what: &str,
    longest: Duration,
    check: impl Fn() -> Option<String>,
) {
    let end = Instant::now() + longest;
    while cluster.world.breaches().is_empty() {
        let Some(why) = check() else {
            return;
        };
        if Instant::now() >= end {
            cluster
                .world
                .breach(format!("waited in vain until {what}: {why}"));
            return;
        }
        sleep(Duration::from_millis(400)).await;
    }
}

/// A change of one connector restarts no other; a write of what is there restarts nothing.
async fn change_one(cluster: &Cluster, clients: &Clients, rng: &mut StdRng) {
    let world = &cluster.world;
    // Tasks may still move to even out the load, after a while.
    let quiet = STAYS + cluster.plan.rebalance_delay * 2;
    let mut before = world.opens_but("");
    for _ in 0..QUIET_ROUNDS {
        sleep(quiet).await;
        let now = world.opens_but("");
        // One that is on its way is open nowhere.
        if now == before && well(cluster).is_none() {
            break;
        }
        before = now;
    }
    let names = &cluster.plan.connectors;
    let name = &names[rng.random_range(0..names.len())];
    let before = world.opens_but(name);
    let doors = cluster.doors();
    let Ok(now) = doors[0].0.config(name) else {
        return world.breach(format!("{name} has no config"));
    };
    let tasks_max = now["tasks.max"].parse().unwrap_or(1);
    if let Err(why) = clients.insist(cluster, name, tasks_max, rng).await {
        world.breach(why);
    }
    sleep(STAYS).await;
    let all = world.opens_but("");
    for (control, _, _) in &doors {
        if let Ok(config) = control.config(name)
            && let Err(error) = control.put_config(name, config).await
        {
            world.breach(format!("an unchanged config is refused: {}", error.message));
        }
    }
    sleep(STAYS).await;
    if world.opens_but("") != all {
        world.breach(format!("an unchanged config of {name} restarted a task"));
    }
    let after = world.opens_but(name);
    if after != before {
        let text =
            format!("a change of {name} restarted tasks of others: {before:?}, now {after:?}");
        world.breach(text);
    }
    until(cluster, "all is well again", HEAL_MAX, || well(cluster)).await;
}

/// A worker that is stopped in order hands its tasks over: no sink is without a member for a moment, and it does not take long.
async fn stop_one(cluster: &Cluster, rng: &mut StdRng) {
    let world = &cluster.world;
    // One that was told to stop before the calm may be on its way still.
    sleep(STAYS + STOP_MAX).await;
    until(cluster, "all is well again", HEAL_MAX, || well(cluster)).await;
    let sinks = || cluster.plan.sunk.keys();
    let gaps = || sinks().map(|sink| world.gaps(sink)).collect::<Vec<_>>();
    let (before, begun) = (gaps(), Instant::now());
    let number = rng.random_range(0..cluster.plan.workers);
    cluster.shut_down(number).await;
    let (after, took) = (gaps(), begun.elapsed());
    if before != after {
        let sinks: Vec<_> = sinks().collect();
        world.breach(format!(
            "w{number} was stopped, and nobody had a sink's task for a while: {sinks:?} {before:?}, now {after:?}"
        ));
    }
    if took > STOP_MAX {
        world.breach(format!("w{number} took {took:?} to stop"));
    }
    until(cluster, "all is well without one", HEAL_MAX, || {
        well(cluster)
    })
    .await;
}

/// Why not all is well; `None` = all is.
fn well(cluster: &Cluster) -> Option<String> {
    let plan = &cluster.plan;
    agree(cluster)
        .or_else(|| plan.connectors.iter().find_map(|name| runs(cluster, name)))
        .or_else(|| tasks(cluster))
        .or_else(|| {
            cluster
                .world
                .unfinished(&plan.connectors, plan.each, &plan.sunk)
        })
}

/// The views of all workers are equal.
fn agree(cluster: &Cluster) -> Option<String> {
    let doors = cluster.doors();
    let cold =
        |(control, ..): &&(Control, u64, String)| control.health().status != HealthStatus::Healthy;
    if let Some((_, _, worker)) = doors.iter().find(cold) {
        return Some(format!("{worker} is not ready"));
    }
    let seen = |control: &Control| {
        let names = control.connectors();
        let of = |name: &String| (control.info(name).ok(), control.tasks(name).ok());
        let all: Vec<_> = names.iter().map(of).collect();
        all
    };
    let first = seen(&doors.first()?.0);
    let other = doors
        .iter()
        .find(|(control, _, _)| seen(control) != first)?;
    Some(format!(
        "{} and {} see different configs",
        doors[0].2, other.2
    ))
}

/// The status is true: RUNNING on the one worker where the task is open, in the words of every worker.
fn runs(cluster: &Cluster, name: &str) -> Option<String> {
    let mut told = None;
    let lines = cluster
        .doors()
        .iter()
        .map(|(_, line, _)| *line)
        .collect::<Vec<_>>();
    let open = cluster.world.open_on(&lines);
    for (control, _, worker) in cluster.doors() {
        let Ok(status) = control.status(name) else {
            return Some(format!("{worker} has no status of {name}"));
        };
        let says = format!("{worker} says of {name}: {}", text(&status));
        let wanted = control.info(name).map_or(0, |info| info.tasks.len());
        if status.connector.state != "RUNNING" || wanted == 0 || status.tasks.len() != wanted {
            return Some(says);
        }
        for task in &status.tasks {
            let at = open.get(&(name.to_owned(), task.id));
            if task.state != "RUNNING" || at.is_none_or(|at| *at != [task.worker_id.clone()]) {
                return Some(format!("{says}; open at {at:?}"));
            }
        }
        let told = told.get_or_insert_with(|| text(&status));
        if *told != text(&status) {
            return Some(format!("{says}; another says {told}"));
        }
    }
    None
}

fn text(status: &ConnectorStateInfo) -> String {
    let tasks = status.tasks.iter();
    let tasks = tasks.map(|task| {
        let trace = task.trace.as_deref().and_then(|trace| trace.lines().next());
        format!(
            "{} {} at {} {}",
            task.id,
            task.state,
            task.worker_id,
            trace.unwrap_or_default()
        )
    });
    let tasks: Vec<String> = tasks.collect();
    let of = &status.connector;
    format!(
        "{} {:?} [{}]",
        of.state,
        of.trace.as_deref().unwrap_or_default(),
        tasks.join(", ")
    )
}

/// Every wanted task is open exactly once, and no other.
fn tasks(cluster: &Cluster) -> Option<String> {
    let doors = cluster.doors();
    let lines: Vec<u64> = doors.iter().map(|(_, line, _)| *line).collect();
    let open = cluster.world.open_on(&lines);
    let control = &doors.first()?.0;
    let mut wanted = BTreeMap::new();
    for name in control.connectors() {
        for task in control.tasks(&name).unwrap_or_default() {
            wanted.insert((name.clone(), task.id.task), 1);
        }
    }
    let found: BTreeMap<_, _> = open.iter().map(|(id, at)| (id.clone(), at.len())).collect();
    (found != wanted).then(|| format!("open: {open:?}, wanted: {wanted:?}"))
}
