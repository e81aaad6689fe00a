//! The quick start, killed at random, ends with every id; then a plain worker goes on from the topics alone.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::drain::drain;
use crate::ids::Ids;
use crate::topic::ids_of_topic;
use crate::{Home, Worker};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many kills must hit a running transfer.
    pub kills: u32,
    /// The source of every random choice.
    pub seed: u64,
    /// `connectors:` in YAML, and perhaps a `worker:` section, which the proof replaces by one with free ports.
    pub yaml: String,
    /// Where those connectors write, relative to their working directory.
    pub output: PathBuf,
    /// The topic between source and sink.
    pub topic: String,
    /// The longest time from the first new record to a kill.
    pub run_max: Duration,
}

/// What was counted.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Kills that hit a running transfer.
    pub kills: u32,
    /// The highest id.
    pub ids: usize,
    /// Sightings beyond the first in the topic, and in the file.
    pub duplicates: (u64, u64),
}

/// Runs the proof and prints it. Errors: any breach, with what was seen.
pub fn prove(plan: &Plan) -> Result<Outcome> {
    let home = Home::new("quickstart")?;
    let output = home.path().join(&plan.output);
    std::fs::create_dir_all(output.parent().unwrap_or(home.path()))?;
    home.write("quickstart.yaml", &without_worker(&plan.yaml))?;
    println!(
        "prove quickstart: seed {}, {} kills, {}",
        plan.seed,
        plan.kills,
        home.broker_name()
    );
    if home.is_outside() {
        let old = ids_of_topic(&home.bootstrap(), &plan.topic)?.total();
        ensure!(
            old == 0,
            "the topic {} holds {old} records already: use a fresh broker",
            plan.topic
        );
    }
    let mut random = StdRng::seed_from_u64(plan.seed);
    let mut counted = Ids::default();
    for number in 1..=plan.kills {
        let mut worker = home.start(&["up", "worker.yaml", "quickstart.yaml"], None)?;
        let before = counted.max();
        worker.until("new records in the file", || {
            Ok(Ids::of_file(&output, true)?.max() > before)
        })?;
        std::thread::sleep(plan.run_max.mul_f64(random.random()));
        worker.kill()?;
        let now = Ids::of_file(&output, true)?;
        ensure!(
            now.max() > before,
            "kill {number} hit no running transfer: no id above {before}"
        );
        let fresh = now.duplicates().saturating_sub(counted.duplicates());
        println!(
            "  kill {number:>3}: ids 1..{}, {} lines, {fresh} new duplicates",
            now.max(),
            now.total()
        );
        counted = now;
    }

    std::fs::remove_file(home.path().join("quickstart.yaml"))
        .context("the YAML cannot be deleted")?;
    let (mut worker, settled) = go_on(&home, &output, counted.max())?;
    println!("  YAML deleted; `longshore worker` goes on from the topics alone: ids 1..{settled}");
    worker = restart_in_order(&home, worker, &output, settled)?;
    let drained = drain(&home, &mut worker, &plan.topic, &output)?;
    worker.stop()?;
    drained.check(settled)?;
    let duplicates = (drained.topic.duplicates(), drained.file.duplicates());
    println!(
        "prove quickstart: {} kills of a running transfer, 0 lost, {} duplicates, all after kills",
        plan.kills, duplicates.1
    );
    Ok(Outcome {
        kills: plan.kills,
        ids: drained.file.max(),
        duplicates,
    })
}

/// A plain worker on the same data; the highest id after it has moved records for a while.
fn go_on(home: &Home, output: &Path, before: usize) -> Result<(Worker, usize)> {
    let mut worker = home.start(&["worker", "worker.yaml"], None)?;
    worker.until("the plain worker to move records", || {
        Ok(Ids::of_file(output, true)?.max() > before)
    })?;
    // Whatever a kill repeats comes first. After a while of fresh ids no duplicate may appear.
    let start = Instant::now();
    worker.until("three seconds of running", || {
        Ok(start.elapsed() > Duration::from_secs(3))
    })?;
    let settled = Ids::of_file(output, true)?.max();
    worker.until("more records", || {
        Ok(Ids::of_file(output, true)?.max() > settled)
    })?;
    Ok((worker, settled))
}

/// A stop in order and a start repeat nothing.
fn restart_in_order(home: &Home, worker: Worker, output: &Path, settled: usize) -> Result<Worker> {
    worker.stop().context("the stop before the last start")?;
    let before = Ids::of_file(output, false)?;
    let mut worker = home.start(&["worker", "worker.yaml"], None)?;
    worker.until("records after a restart in order", || {
        Ok(Ids::of_file(output, true)?.max() > before.max())
    })?;
    let after = Ids::of_file(output, true)?;
    let repeated = after.duplicates_above(settled);
    ensure!(
        repeated == 0,
        "{repeated} duplicates without a kill, above id {settled}"
    );
    println!(
        "  stopped in order and started again: ids 1..{}, no new duplicate",
        after.max()
    );
    Ok(worker)
}

/// The file without its top-level `worker:` block.
pub fn without_worker(yaml: &str) -> String {
    let mut inside = false;
    let kept = yaml.lines().filter(|line| {
        if !line.starts_with([' ', '#']) && !line.trim().is_empty() {
            inside = line.starts_with("worker:");
        }
        !inside
    });
    kept.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_worker_section_goes_and_the_rest_stays() {
        let yaml = "# head\nworker:\n  # note\n  a: b\n\nconnectors:\n  x:\n    y: z\n";
        assert_eq!(
            super::without_worker(yaml),
            "# head\nconnectors:\n  x:\n    y: z\n"
        );
    }
}
