//! Crashes at named points of the code: every worker of the group is armed with a point, and when the task comes to one of them and crashes it, the
//! next one gets the task, and its crash.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::Rng;
use rand::rngs::StdRng;

use super::Pair;
use crate::Fleet;
use crate::points::ABORTED;
use crate::transfer::Transfer;

/// A point's name, and the latest hit at which a crash still comes soon.
type Point = (&'static str, u32);

const SOURCE: [Point; 4] = [
    ("before-poll", 20),
    ("after-poll", 20),
    ("after-transform", 20),
    ("after-send", 20),
];
const TRANSACTION: [Point; 5] = [
    ("before-init", 1),
    ("after-init", 1),
    ("txn-begin", 10),
    ("before-txn-commit", 10),
    ("after-txn-commit", 10),
];
const OFFSETS: [Point; 3] = [
    ("before-offset-store", 4),
    ("after-offset-store", 4),
    ("after-commit", 4),
];
const SINK: [Point; 9] = [
    ("before-poll", 20),
    ("after-poll", 20),
    ("after-transform", 20),
    ("before-put", 10),
    ("after-put", 10),
    ("before-flush", 10),
    ("after-flush", 10),
    ("after-commit", 4),
    ("on-assign", 1),
];

/// Amid a call of a plugin.
const PLUGIN: [Point; 2] = [("before-plugin-http", 20), ("after-plugin-http", 20)];

/// Without a crash for this long, those that run the tasks are not those that are armed: they are killed.
const STUCK: Duration = Duration::from_secs(5);
/// How long they stay away: one that is back at once gets its tasks again.
const AWAY: Duration = Duration::from_secs(4);
/// So many kills of that kind in a row, and a point is never reached.
const STUCK_MAX: u32 = 12;

/// The points that a pair passes again and again.
pub fn points(pair: Pair) -> Vec<Point> {
    match pair {
        Pair::Source => [&SOURCE[..], &TRANSACTION].concat(),
        Pair::PluginSource => [&SOURCE[..], &TRANSACTION, &PLUGIN].concat(),
        Pair::SourceAtLeastOnce => [&SOURCE[..], &OFFSETS].concat(),
        Pair::Sink | Pair::SinkAtLeastOnce => SINK.to_vec(),
        Pair::PluginSink => [&SINK[..], &PLUGIN].concat(),
    }
}

/// Crashes at each of the points `each` times; how many crashes that were. At the end all workers run, none of them armed.
pub(super) fn kill(
    fleet: &mut Fleet,
    transfer: &mut dyn Transfer,
    points: Vec<Point>,
    each: u32,
    random: &mut StdRng,
) -> Result<u32> {
    let mut board = Board {
        left: points.iter().map(|(name, _)| (*name, each)).collect(),
        armed: vec![None; fleet.len()],
        points,
    };
    for number in 0..fleet.len() {
        fleet.kill(number)?;
        fleet.raise(number, board.arm(number, random).as_deref())?;
    }
    let (mut crashes, mut stuck, mut since) = (0, 0, Instant::now());
    while board.left.values().any(|left| *left > 0) {
        if let Some((number, status)) = fleet.ended()? {
            let point = board.armed[number].take();
            let point = point.with_context(|| {
                format!(
                    "worker {number}, unarmed, ended with {status}:\n{}",
                    fleet.log_tails()
                )
            })?;
            ensure!(
                status.code() == Some(ABORTED),
                "at {point} worker {number} ended with {status} instead of the crash:\n{}",
                fleet.log_tails()
            );
            if let Some(left) = board.left.get_mut(point) {
                *left = left.saturating_sub(1);
            }
            crashes += 1;
            let arrived: u64 = transfer.marks()?.iter().sum();
            println!(
                "    crash {crashes:>3}: worker {number} at {point:<22} {arrived} of {}",
                transfer.fed()
            );
            std::thread::sleep(Duration::from_millis(random.random_range(0..500)));
            fleet.raise(number, board.arm(number, random).as_deref())?;
            (stuck, since) = (0, Instant::now());
        } else if since.elapsed() > STUCK {
            ensure!(
                stuck < STUCK_MAX,
                "none of these is reached: {:?}\n{}",
                board.armed,
                fleet.log_tails()
            );
            // Their tasks go to the armed ones, and back as soon as there is somebody to share with.
            let unarmed: Vec<usize> = (0..fleet.len())
                .filter(|number| board.armed[*number].is_none())
                .collect();
            let victims = match unarmed.len() {
                0 => fleet.owner(transfer.connector(), 0)?.into_iter().collect(),
                _ => unarmed,
            };
            for number in &victims {
                fleet.kill(*number)?;
                board.armed[*number] = None;
            }
            std::thread::sleep(AWAY);
            for number in victims {
                fleet.raise(number, board.arm(number, random).as_deref())?;
            }
            (stuck, since) = (stuck + 1, Instant::now());
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    for number in 0..fleet.len() {
        if board.armed[number].is_some() {
            // It may crash at its point in this very instant.
            if fleet
                .worker(number)
                .is_ok_and(|worker| worker.exited().is_ok_and(|end| end.is_none()))
            {
                fleet.kill(number)?;
            } else {
                fleet.ended()?;
            }
            fleet.raise(number, None)?;
        }
    }
    Ok(crashes)
}

/// Which crashes are still to come, and who is armed with which.
struct Board {
    points: Vec<Point>,
    left: BTreeMap<&'static str, u32>,
    armed: Vec<Option<&'static str>>,
}

impl Board {
    /// The next point for a worker, as LONGSHORE_CRASH_AT takes it; `None` when enough workers are armed.
    fn arm(&mut self, number: usize, random: &mut StdRng) -> Option<String> {
        let waiting = |name: &str| {
            let armed = self
                .armed
                .iter()
                .flatten()
                .filter(|at| **at == name)
                .count();
            u32::try_from(armed).unwrap_or(u32::MAX)
        };
        let want = |point: &Point| self.left[point.0].saturating_sub(waiting(point.0));
        // Two that wait for the same rare point would leave nobody for the others.
        let first = |point: &&Point| (want(point) > 0 && waiting(point.0) == 0, want(point));
        let (name, latest) = *self.points.iter().max_by_key(first)?;
        let alone = waiting(name) == 0;
        if !alone || want(&(name, latest)) == 0 {
            return None;
        }
        self.armed[number] = Some(name);
        Some(format!("{name}:{}", random.random_range(1..=latest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn workers_are_armed_as_long_as_crashes_are_left() {
        let mut random = StdRng::seed_from_u64(1);
        let mut board = Board {
            points: vec![("a", 1), ("b", 1)],
            left: BTreeMap::from([("a", 1), ("b", 1)]),
            armed: vec![None; 3],
        };
        let mut armed: Vec<_> = (0..3).map(|at| board.arm(at, &mut random)).collect();
        armed.sort();
        assert_eq!(armed, [None, Some("a:1".into()), Some("b:1".into())]);
    }
}
