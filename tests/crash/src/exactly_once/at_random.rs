//! SIGKILL of the worker that runs a task, at any instant, again and again; now and then of another one amid the takeover.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::Rng;
use rand::rngs::StdRng;

use crate::Fleet;
use crate::transfer::{Transfer, all_moved};

/// From the first new numbers after a takeover to the next kill, at most.
const RUN_MAX: Duration = Duration::from_millis(1500);
/// From a kill to the worker's next start, at most: shorter and longer than its session.
const AWAY_MAX: Duration = Duration::from_millis(1200);
/// One kill in this many is followed by a second one, of whichever worker, while the first one's tasks are taken over.
const DOUBLE: u32 = 4;
/// Numbers come in portions, and a quick connector is through with one before the next: so seldom a kill may fall in between, which does not count.
const MISSES: u32 = 10;
/// A takeover that takes longer is a fault. The design says 10 s; a loaded machine takes its time.
const TAKEOVER_MAX: Duration = Duration::from_secs(60);

/// Kills until `kills` have hit a running transfer, and brings each killed worker back; how many that were.
pub(super) fn kill(
    fleet: &mut Fleet,
    transfer: &mut dyn Transfer,
    kills: u32,
    random: &mut StdRng,
) -> Result<u32> {
    let mut takeovers = Vec::new();
    let mut doubles = 0;
    let mut before = transfer.marks()?;
    let mut since = Instant::now();
    let (mut hits, mut misses) = (0, 0);
    while hits < kills {
        let number = hits + misses + 1;
        fleet.within(TAKEOVER_MAX, "new numbers in every partition", |_| {
            Ok(all_moved(&before, &transfer.marks()?))
        })?;
        if number > 1 {
            takeovers.push(since.elapsed());
        }
        std::thread::sleep(RUN_MAX.mul_f64(random.random()));
        let task = random.random_range(0..transfer.tasks());
        let awake = fleet.awake();
        let owner = fleet.owner_when(transfer.connector(), task, |owner| awake.contains(&owner))?;
        fleet.kill(owner)?;
        since = Instant::now();
        let mut dead = vec![owner];
        let others = fleet.awake();
        if !others.is_empty() && random.random_ratio(1, DOUBLE) {
            std::thread::sleep(AWAY_MAX.mul_f64(random.random()));
            let other = others[random.random_range(0..others.len())];
            fleet.kill(other)?;
            dead.push(other);
            doubles += 1;
        }
        before = transfer.marks()?;
        let arrived: u64 = before.iter().sum();
        let fed = transfer.fed();
        if arrived < fed {
            hits += 1;
            println!("    kill {number:>3}: worker {dead:?} at {arrived} of {fed}");
        } else {
            misses += 1;
            println!(
                "    kill {number:>3}: worker {dead:?} hit no running transfer: all {arrived} numbers are there"
            );
        }
        ensure!(
            misses <= kills.div_ceil(MISSES),
            "{misses} kills hit no running transfer, {hits} did"
        );
        for dead in dead {
            std::thread::sleep(AWAY_MAX.mul_f64(random.random()));
            fleet.raise(dead, None)?;
        }
    }
    fleet.within(TAKEOVER_MAX, "new numbers after the last kill", |_| {
        Ok(all_moved(&before, &transfer.marks()?))
    })?;
    takeovers.push(since.elapsed());
    takeovers.sort_unstable();
    println!(
        "    {hits} kills, {doubles} more of another worker amid a takeover; every partition moves again after {:.1} s (median), {:.1} s (longest)",
        takeovers[takeovers.len() / 2].as_secs_f64(),
        takeovers[takeovers.len() - 1].as_secs_f64()
    );
    Ok(hits)
}
