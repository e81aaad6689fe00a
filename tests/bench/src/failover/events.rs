//! What happens to the cluster, one thing at a time, and what it did to the tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::goals::{Goals, note};
use super::lanes::Connector;
use super::series::{Window, now};
use super::stage::{HEAL_MAX, Places, Stage, WORKERS, state_of};
use super::watch::Task;

/// What records of tasks that nothing happened to may be apart, in seconds.
pub(crate) const UNRELATED_GAP: f64 = 0.25;
/// Connectors that are added, one after the other.
const ADDED: usize = 3;
/// In what is in flight when a worker is killed, the broker still stamps records shortly after.
const IN_FLIGHT_MS: f64 = 200.0;

/// Nothing happens: what the machine and the readers do to the figures by themselves.
pub(crate) fn quiet(stage: &mut Stage, goals: &mut Goals) -> Result<()> {
    println!("nothing happens for 10 s");
    let from = now();
    std::thread::sleep(Duration::from_secs(10));
    let window = Window { from, to: now() };
    stage.read_up();
    others(stage, goals, window, |_| true, "")
}

/// Holds the largest gap of the tasks that `unrelated` names against the goal.
pub(crate) fn others(
    stage: &Stage,
    goals: &mut Goals,
    window: Window,
    unrelated: impl Fn(&Task) -> bool,
    peer: &str,
) -> Result<()> {
    let gap = stage.gap(window, unrelated)?;
    let whose = gap
        .as_ref()
        .map_or_else(String::new, |(_, (name, task))| format!(" ({name}-{task})"));
    let figure = gap.map(|(gap, _)| gap);
    goals.at_most(
        &format!("largest gap of tasks that it has nothing to do with{whose}"),
        figure,
        UNRELATED_GAP,
        "s",
        peer,
    );
    stage.note_feed(window)
}

/// Adds connectors through every worker: how long until they run, and what the others notice.
pub(crate) fn add(stage: &mut Stage, goals: &mut Goals) -> Result<()> {
    println!("a connector is added, {ADDED} times");
    let from = now();
    let mut times = Vec::new();
    for number in 0..ADDED {
        let mut added = Connector::made(&format!("added-{number}"), stage.rate);
        added.config["tasks.max"] = "1".into();
        let body = json!({ "name": added.name, "config": added.config });
        let (worker, path) = (number % WORKERS, format!("/connectors/{}", added.name));
        let start = Instant::now();
        stage
            .fleet
            .ask(worker, "POST", "/connectors", Some(&body))?;
        let mut status = json!(null);
        while !(status["connector"]["state"] == "RUNNING"
            && status["tasks"][0]["state"] == "RUNNING")
        {
            ensure!(
                start.elapsed() < HEAL_MAX,
                "{} does not run: {}",
                added.name,
                state_of(&status)
            );
            std::thread::sleep(Duration::from_millis(5));
            status = stage
                .fleet
                .ask(worker, "GET", &format!("{path}/status"), None)
                .unwrap_or_default();
        }
        times.push(start.elapsed().as_secs_f64());
        std::thread::sleep(Duration::from_secs(2));
        stage
            .fleet
            .ask((worker + 1) % WORKERS, "DELETE", &path, None)?;
        std::thread::sleep(Duration::from_secs(1));
    }
    let window = Window { from, to: now() };
    stage.read_up();
    let shown: Vec<String> = times.iter().map(|time| format!("{time:.3}")).collect();
    note(
        "  RUNNING after each POST",
        &format!("{} s", shown.join(", ")),
    );
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied();
    goals.at_most("RUNNING after the POST, median", median, 0.2, "s", "0.17 s");
    others(stage, goals, window, |_| true, "0.06-0.10 s")
}

/// Puts every config again as it is: nothing opens, nothing moves.
pub(crate) fn put_unchanged(stage: &mut Stage, goals: &mut Goals) -> Result<()> {
    println!("every connector's config is PUT again, unchanged");
    let (opens, from) = (stage.opens(), now());
    ensure!(
        opens >= stage.tasks().len(),
        "the logs name {opens} opened tasks of {}: their words have changed, and with them what this bench looks for",
        stage.tasks().len()
    );
    let moves = stage.watch.see(|seen| seen.moves.len())?;
    for (number, connector) in stage.connectors.iter().enumerate() {
        let path = format!("/connectors/{}/config", connector.name);
        stage.fleet.ask(
            (number + 1) % WORKERS,
            "PUT",
            &path,
            Some(&connector.config),
        )?;
    }
    std::thread::sleep(Duration::from_secs(5));
    let window = Window { from, to: now() };
    stage.read_up();
    let opened = stage.opens() - opens;
    let moved = stage.watch.see(|seen| seen.moves.len())? - moves;
    goals.at_most("tasks opened", Some(opened as f64), 0.0, "", "not measured");
    goals.at_most("tasks moved", Some(moved as f64), 0.0, "", "");
    others(stage, goals, window, |_| true, "")
}

/// Ends a worker in order and starts it again at once: one that does not lead, then the leader.
pub(crate) fn restart(stage: &mut Stage, goals: &mut Goals) -> Result<()> {
    for leading in [false, true] {
        let (victim, its) = victim(stage, leading)?;
        println!(
            "planned restart of {}: SIGTERM, and started again at once",
            if leading { "the leader" } else { "a worker" }
        );
        let from = now();
        stage.fleet.stop_one(victim)?;
        let stopped = now();
        stage.fleet.raise(victim, None)?;
        stage.settle("after a planned restart")?;
        let window = Window { from, to: now() };
        stage.read_up();
        note(
            "  until the process had ended",
            &format!("{:>8.2} s", (stopped - from) / 1e3),
        );
        gaps_of_restart(stage, goals, window, &its)?;
    }
    Ok(())
}

/// Holds the gaps of a worker's tasks and of all others against their goals.
pub(crate) fn gaps_of_restart(
    stage: &Stage,
    goals: &mut Goals,
    window: Window,
    its: &BTreeSet<Task>,
) -> Result<()> {
    let moved = stage.watch.see(|seen| {
        let since = seen.moves.iter().filter(|one| one.at >= window.from);
        since.map(|one| one.task.clone()).collect::<BTreeSet<_>>()
    })?;
    let gap = stage.gap(window, |task| its.contains(task) || moved.contains(task))?;
    if gap.is_none() {
        note("  no task moved, and none of its own stood still", "");
        return others(stage, goals, window, |_| true, "0-4.1 s");
    }
    goals.at_most(
        &format!(
            "largest gap of its {} tasks and of {} that moved",
            its.len(),
            moved.len()
        ),
        gap.map(|(gap, _)| gap),
        2.0,
        "s",
        "304.5 s by default, 3.3-7.5 s with the delay 0",
    );
    for kind in ["made", "copy", "keep"] {
        let of =
            |task: &Task| task.0.starts_with(kind) && (its.contains(task) || moved.contains(task));
        if let Some((gap, (name, task))) = stage.gap(window, of)? {
            note(
                &format!("  the largest of {kind}-n: {name}-{task}"),
                &format!("{gap:>8.2} s"),
            );
        }
    }
    others(
        stage,
        goals,
        window,
        |task| !its.contains(task) && !moved.contains(task),
        "0-4.1 s",
    )
}

/// The tasks that run on a worker.
pub(crate) fn on(places: &Places, worker: usize) -> BTreeSet<Task> {
    let its = places.iter().filter(|(_, at)| **at == worker);
    its.map(|(task, _)| task.clone()).collect()
}

/// The leader, or the one of the others that runs most tasks; and those tasks.
fn victim(stage: &Stage, leading: bool) -> Result<(usize, BTreeSet<Task>)> {
    let leader = stage.leader()?;
    let places = stage.places(leader)?;
    let others = (0..WORKERS).filter(|worker| *worker != leader);
    let fullest = others.max_by_key(|worker| on(&places, *worker).len());
    let victim = if leading {
        leader
    } else {
        fullest.context("three workers")?
    };
    Ok((victim, on(&places, victim)))
}

/// Kills the leader, or another worker; then it comes back.
pub(crate) fn kill(stage: &mut Stage, goals: &mut Goals, leading: bool) -> Result<()> {
    let (victim, its) = victim(stage, leading)?;
    println!(
        "kill -9 of {}, which runs {} tasks",
        if leading {
            "the leader"
        } else {
            "another worker"
        },
        its.len()
    );
    let killed = now();
    stage.fleet.kill(victim)?;
    let (statuses, data) = heal(stage, &its, killed)?;
    // What happens to the others afterwards counts as well.
    std::thread::sleep(Duration::from_secs(5));
    let window = Window {
        from: killed,
        to: now(),
    };
    stage.read_up();
    let worst = |times: &BTreeMap<Task, f64>| {
        let all = (times.len() == its.len()).then(|| times.values().copied().fold(0.0, f64::max));
        all.map(|at| (at - killed) / 1e3)
    };
    let (data_at, true_at) = (worst(&data), worst(&statuses));
    let first = data.values().copied().fold(f64::MAX, f64::min);
    if !data.is_empty() {
        note(
            "  data of the first task moves elsewhere after",
            &format!("{:>8.2} s", (first - killed) / 1e3),
        );
    }
    let peer = "310 s by default; delay 0: sources 10-11 s, sinks 45 s";
    goals.at_most(
        "data of all its tasks moves elsewhere after",
        data_at,
        10.0,
        "s",
        peer,
    );
    let lag = data_at
        .zip(true_at)
        .map(|(data, truth)| (truth - data).max(0.0));
    goals.at_most(
        "the status is true, after the data moves",
        lag,
        5.0,
        "s",
        "",
    );
    note(
        "  the status is true after the kill",
        &true_at.map_or("   never".into(), |at| format!("{at:>8.2} s")),
    );
    let lie = its
        .iter()
        .filter_map(|task| Some(data.get(task)? - statuses.get(task)?))
        .fold(0.0, f64::max);
    note(
        "  longest time that a status said RUNNING before data moved",
        &format!("{:>8.2} s", lie / 1e3),
    );
    others(
        stage,
        goals,
        window,
        |task| !its.contains(task),
        "0.3-1.2 s",
    )?;

    println!("  .. it comes back");
    let from = now();
    stage.fleet.raise(victim, None)?;
    stage.settle("after a killed worker came back")?;
    let window = Window { from, to: now() };
    stage.read_up();
    gaps_of_restart(stage, goals, window, &BTreeSet::new())
}

/// Waits until every task runs elsewhere, as every worker says, and moves data: when each did.
#[allow(clippy::type_complexity)]
fn heal(
    stage: &mut Stage,
    its: &BTreeSet<Task>,
    killed: f64,
) -> Result<(BTreeMap<Task, f64>, BTreeMap<Task, f64>)> {
    let start = Instant::now();
    let mut statuses: BTreeMap<Task, f64> = BTreeMap::new();
    loop {
        let awake = stage.fleet.awake();
        let said: Vec<Places> = awake
            .iter()
            .map(|worker| stage.places(*worker))
            .collect::<Result<_>>()
            .context("a worker that was not killed answers no status")?;
        for task in its {
            // What each says is where it runs, and all say the same; a status that is taken back was not true.
            let mut places = said.iter().map(|places| places.get(task));
            let first = places.next().flatten();
            let alive = first.is_some_and(|at| awake.contains(at));
            if alive && places.all(|place| place == first) {
                statuses.entry(task.clone()).or_insert_with(now);
            } else {
                statuses.remove(task);
            }
        }
        let data = stage.watch.see(|seen| {
            let first = |task: &Task| {
                let series = seen.tasks.get(task)?;
                Some((task.clone(), series.first_after(killed + IN_FLIGHT_MS)?))
            };
            its.iter().filter_map(first).collect::<BTreeMap<_, _>>()
        })?;
        if (statuses.len() == its.len() && data.len() == its.len()) || start.elapsed() > HEAL_MAX {
            return Ok((statuses, data));
        }
        std::thread::sleep(Duration::from_millis(40));
    }
}
