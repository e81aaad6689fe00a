//! What is done to workers and to the broker.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::changes::Changes;
use crate::{Broker, Fleet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// SIGKILL, and a start some time later.
    Kill,
    /// Two at once.
    KillTwo,
    /// SIGSTOP, and SIGCONT some time later: long enough that its tasks run elsewhere, as a rule.
    Freeze,
    /// SIGTERM, and a start.
    Restart,
    /// The broker killed, and back.
    Broker,
}

/// Which faults there are, and how often each comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix(&'static [(Fault, u32)]);

impl Mix {
    pub(super) const ALL: Self = Self(&[
        (Fault::Kill, 9),
        (Fault::KillTwo, 2),
        (Fault::Freeze, 4),
        (Fault::Restart, 3),
        (Fault::Broker, 2),
    ]);
    /// A broker that others use is left alone.
    pub(super) const WITHOUT_BROKER: Self = Self(&[
        (Fault::Kill, 9),
        (Fault::KillTwo, 2),
        (Fault::Freeze, 4),
        (Fault::Restart, 3),
    ]);
}

/// The faults so far.
pub(super) struct Faults {
    mix: Mix,
    /// Those that hit a running transfer.
    hit: BTreeMap<Fault, u32>,
    kills: u32,
    last: String,
    healed: Vec<Duration>,
}

impl Faults {
    pub(super) fn new(mix: Mix) -> Self {
        Self {
            mix,
            hit: BTreeMap::new(),
            kills: 0,
            last: "the start".into(),
            healed: Vec::new(),
        }
    }

    /// Kills of a worker that ran tasks whose transfers were moving.
    pub(super) fn kills(&self) -> u32 {
        self.kills
    }

    /// All faults that hit a running transfer.
    pub(super) fn total(&self) -> u32 {
        self.hit.values().sum()
    }

    /// The last one, in words.
    pub(super) fn last(&self) -> &str {
        &self.last
    }

    /// The cluster is whole again, so long after everything was up.
    pub(super) fn healed(&mut self, after: Duration) {
        if self.total() > 0 {
            println!(
                "  {:>4}. {}; whole again {:.1} s later",
                self.total(),
                self.last,
                after.as_secs_f64()
            );
            self.healed.push(after);
        }
    }

    /// How many there were of each kind, and how long it took until all was well.
    pub(super) fn report(&self) -> String {
        let mut healed = self.healed.clone();
        healed.sort();
        let at = |index: usize| healed.get(index).map_or(0.0, Duration::as_secs_f64);
        format!(
            "  faults that hit a running transfer: {:?}; whole again after {:.1} s (median), {:.1} s (longest)",
            self.hit,
            at(healed.len() / 2),
            at(healed.len().saturating_sub(1))
        )
    }

    /// Something happens to a cluster that is whole and moves records; when it returns, every process runs again.
    pub(super) fn inject(
        &mut self,
        fleet: &mut Fleet,
        broker: &mut Broker,
        changes: &mut Changes,
        random: &mut StdRng,
    ) -> Result<()> {
        let (fault, _) = self
            .mix
            .0
            .choose_weighted(random, |(_, weight)| *weight)
            .context("a mix of faults")?;
        let loads = loads(fleet)?;
        // One that runs nothing is hit as well, now and then: it may lead.
        let chance = |number: &usize| if loads[*number] > 0 { 8 } else { 1 };
        let all: Vec<usize> = (0..fleet.len()).collect();
        let victims: Vec<usize> = match fault {
            Fault::KillTwo => all
                .choose_multiple_weighted(random, 2, |number| f64::from(chance(number)))?
                .copied()
                .collect(),
            Fault::Broker => all,
            Fault::Kill | Fault::Freeze | Fault::Restart => {
                vec![*all.choose_weighted(random, chance)?]
            }
        };
        let hit = victims.iter().filter(|victim| loads[**victim] > 0).count();
        self.last = match fault {
            Fault::Broker => "broker killed".into(),
            _ => {
                let of = |victim: &usize| format!("{victim} (with {} tasks)", loads[*victim]);
                let whom: Vec<String> = victims.iter().map(of).collect();
                format!("{fault:?} of worker {}", whom.join(" and "))
            }
        };
        apply(*fault, &victims, fleet, broker, changes, random)
            .with_context(|| self.last.clone())?;
        if hit > 0 {
            *self.hit.entry(*fault).or_default() += 1;
            if matches!(fault, Fault::Kill | Fault::KillTwo) {
                self.kills += u32::try_from(hit)?;
            }
        }
        Ok(())
    }
}

fn apply(
    fault: Fault,
    victims: &[usize],
    fleet: &mut Fleet,
    broker: &mut Broker,
    changes: &mut Changes,
    random: &mut StdRng,
) -> Result<()> {
    let mut pause = |seconds: f64| Duration::from_secs_f64(random.random_range(0.0..seconds));
    match fault {
        Fault::Kill | Fault::KillTwo => {
            for victim in victims {
                fleet.kill(*victim)?;
            }
            std::thread::sleep(pause(2.0));
            // Every other time the rest of the cluster is asked for something while some are dead.
            if random.random_bool(0.5) {
                changes.make(fleet, random)?;
            }
            for victim in victims {
                fleet.raise(*victim, None)?;
            }
        }
        Fault::Freeze => {
            for victim in victims {
                fleet.worker(*victim)?.freeze()?;
            }
            std::thread::sleep(pause(6.0));
            if random.random_bool(0.5) {
                changes.make(fleet, random)?;
            }
            for victim in victims {
                fleet.worker(*victim)?.thaw()?;
            }
        }
        Fault::Restart => {
            for victim in victims {
                fleet.stop_one(*victim)?;
                std::thread::sleep(pause(2.0));
                fleet.raise(*victim, None)?;
            }
        }
        Fault::Broker => {
            broker.go_away()?;
            std::thread::sleep(pause(3.0));
            broker.come_back()?;
        }
    }
    Ok(())
}

/// How many tasks run on each worker.
fn loads(fleet: &Fleet) -> Result<Vec<usize>> {
    let all = fleet.rest("GET", "/connectors?expand=status", None)?;
    let mut loads = vec![0; fleet.len()];
    for connector in all.as_object().into_iter().flat_map(|all| all.values()) {
        let tasks = connector["status"]["tasks"].as_array();
        for task in tasks.into_iter().flatten() {
            if let Some(number) = fleet.number_of(&task["worker_id"])
                && task["state"] == "RUNNING"
            {
                loads[number] += 1;
            }
        }
    }
    Ok(loads)
}
