//! A leader whose advertised address leads nowhere: requests that must go there say so, tasks go on, and the right address mends it.

use anyhow::{Context, Result, ensure};
use longshore_kit::servers::free_port;

use super::{PATIENCE, Stage};
use crate::Home;

/// What is set wrongly.
const KEY: &str = "rest.advertised.port";

/// Runs it with two workers. Errors: any breach, by its name.
pub fn prove(bootstrap: &str) -> Result<()> {
    let astray = free_port()?.to_string();
    // The first worker of a group leads it.
    let home = Home::with("astray", Some(bootstrap.to_owned()), &[(KEY, &astray)])?;
    let mut stage = Stage::of(bootstrap, home)?;
    stage.connect(&[])?;
    let other = stage.fleet.join(&[(KEY, "")])?;
    let pids = [
        stage.fleet.worker(0)?.pid(),
        stage.fleet.worker(other)?.pid(),
    ];
    let config = stage.sink();
    let mut last = String::new();
    let named = stage
        .fleet
        .within(PATIENCE, "the refusal to name the key", |fleet| {
            let answer = fleet.answer(other, "PUT", "/connectors/out/config", Some(&config))?;
            last = format!("{} {}", answer.status, answer.body);
            Ok(answer.status == 503 && last.contains(KEY) && last.contains(&astray))
        });
    named.with_context(|| format!("{KEY} is not in {last}"))?;
    ensure!(
        stage.log(0).contains(KEY),
        "the worker itself does not say that nobody reaches it:\n{}",
        stage.log(0)
    );
    // Its tasks, and those that it gave to others, go on.
    stage.feed(200)?;
    stage.arrives()?;
    let now = [
        stage.fleet.worker(0)?.pid(),
        stage.fleet.worker(other)?.pid(),
    ];
    ensure!(now == pids, "a worker was started again");
    stage.is_quiet(KEY)?;

    stage.fleet.stop_one(0)?;
    let file = stage.fleet.home().path().join("worker.yaml");
    let settings = std::fs::read_to_string(&file)?;
    let right: Vec<&str> = settings
        .lines()
        .filter(|line| !line.contains(KEY))
        .collect();
    std::fs::write(&file, right.join("\n"))?;
    stage.fleet.raise(0, None)?;
    for number in [0, other] {
        let answered = stage
            .fleet
            .within(PATIENCE, "every worker to take the change", |fleet| {
                let answer = fleet.answer(number, "PUT", "/connectors/out/config", Some(&config));
                Ok(answer.is_ok_and(|answer| answer.status == 200))
            });
        answered.with_context(|| format!("worker {number}"))?;
    }
    stage.feed(100)?;
    stage.arrives()?;
    stage.fleet.stop()
}
