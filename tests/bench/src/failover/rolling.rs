//! Every worker is restarted in turn while a spare one stands by: how often each task moves, and how long it stands still.

use std::collections::BTreeMap;

use anyhow::Result;

use super::events::{gaps_of_restart, on};
use super::goals::{Goals, note};
use super::series::{Window, now};
use super::stage::{SPARE, Stage, WORKERS};
use super::watch::{Move, Task};

pub(crate) fn restart_all(stage: &mut Stage, goals: &mut Goals) -> Result<()> {
    println!("rolling restart of the three workers, with a spare one");
    stage.fleet.raise(SPARE, None)?;
    stage.settle("after the spare worker joined")?;
    let began = now();
    for victim in 0..WORKERS {
        let its = on(&stage.places(SPARE)?, victim);
        println!("  worker {victim} with {} tasks:", its.len());
        let from = now();
        stage.fleet.stop_one(victim)?;
        stage.fleet.raise(victim, None)?;
        stage.settle("during a rolling restart")?;
        let window = Window { from, to: now() };
        stage.read_up();
        gaps_of_restart(stage, goals, window, &its)?;
    }
    let moves = stage
        .watch
        .see(|seen| count(seen.moves.iter().filter(|one| one.at >= began)))?;
    let tasks = stage.tasks();
    let mut spread: BTreeMap<usize, usize> = BTreeMap::new();
    for task in &tasks {
        *spread
            .entry(moves.get(task).copied().unwrap_or(0))
            .or_default() += 1;
    }
    let shown: Vec<String> = spread
        .iter()
        .map(|(times, tasks)| format!("{tasks} tasks {times} x"))
        .collect();
    note("  moved in the whole rolling restart", &shown.join(", "));
    let most = spread.keys().copied().max().unwrap_or(0);
    goals.at_most(
        "moves of the task that moved most often",
        Some(most as f64),
        1.0,
        "",
        "several",
    );
    stage.fleet.stop_one(SPARE)?;
    stage.settle("after the spare worker left")
}

/// How often each task was placed on another start of a worker, or on another worker.
fn count<'a>(moves: impl Iterator<Item = &'a Move>) -> BTreeMap<Task, usize> {
    let mut counts = BTreeMap::new();
    for one in moves.filter(|one| one.to.is_some()) {
        *counts.entry(one.task.clone()).or_insert(0) += 1;
    }
    counts
}
