//! Scripted and seeded faults of the systems around a task.

use longshore_sdk::{Error, ErrorKind, Result};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// The producer's write of one record.
    Send,
    /// The offset store.
    Store,
    /// `Source::commit`.
    SourceCommit,
    /// `Source::poll`.
    SourcePoll,
    /// The consumer's poll.
    ConsumerPoll,
    /// The consumer's commit.
    ConsumerCommit,
    /// A transform or converter.
    Chain,
    /// `Sink::put`.
    Put,
    /// `Sink::flush`.
    Flush,
    /// `Sink::assigned`.
    Assigned,
    /// A keyed log's put.
    Log,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and the caller is told: Transient.
    Refuse,
    /// It is done, and the caller is told the opposite: Transient.
    FailAfterWrite,
    /// It is done, and the caller hears nothing for this long; then a timeout: Transient.
    LoseReply(Duration),
    /// It is done, after this time.
    Hold(Duration),
    /// Nothing is done, and the caller is asked to wait this long.
    Throttle(Duration),
    /// Nothing is done, and the promise to answer is broken: only where there is a receipt; elsewhere as [`Fault::Refuse`].
    Silence,
}

/// How often seeded faults strike, in thousandths of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// [`Fault::Refuse`].
    pub refuse: u32,
    /// [`Fault::FailAfterWrite`].
    pub fail_after_write: u32,
    /// [`Fault::LoseReply`].
    pub lose_reply: u32,
    /// [`Fault::Hold`].
    pub hold: u32,
    /// [`Fault::Throttle`].
    pub throttle: u32,
    /// [`Fault::Silence`].
    pub silence: u32,
    /// The longest time of hold, throttle and lost reply.
    pub time_max: Duration,
}

/// A plan of faults, shared by everything that a test puts around a task.
pub struct Faults(Mutex<Plan>);

struct Plan {
    rng: StdRng,
    rates: BTreeMap<At, Rates>,
    /// Calls to let pass, then the fault.
    script: BTreeMap<At, Vec<(u64, Fault)>>,
    calls: BTreeMap<At, u64>,
    injected: u64,
}

/// What is left to do once the work is done.
#[must_use = "a fault after the write is reported by `finish`"]
pub enum After {
    /// Say what happened.
    Tell,
    /// Say that it failed.
    Deny,
    /// Say nothing for this long; then that it took too long.
    Hang(Duration),
}

impl Faults {
    /// No faults but scripted ones.
    pub fn none() -> Arc<Self> {
        Self::seeded(0, [])
    }
    /// Random faults: the same seed and the same calls give the same faults.
    pub fn seeded(seed: u64, rates: impl IntoIterator<Item = (At, Rates)>) -> Arc<Self> {
        let rates = rates.into_iter().collect();
        let plan = Plan {
            rng: StdRng::seed_from_u64(seed),
            rates,
            script: BTreeMap::new(),
            calls: BTreeMap::new(),
            injected: 0,
        };
        Arc::new(Self(Mutex::new(plan)))
    }
    /// Lets `skip` more calls pass at `at`, then strikes once.
    pub fn script(&self, at: At, skip: u64, fault: Fault) {
        let mut plan = self.plan();
        let nth = plan.calls.get(&at).copied().unwrap_or(0) + skip;
        plan.script.entry(at).or_default().push((nth, fault));
    }
    /// Ends the random faults; scripted ones stay.
    pub fn calm(&self) {
        self.plan().rates.clear();
    }
    /// How many faults struck.
    pub fn injected(&self) -> u64 {
        self.plan().injected
    }
    /// How many calls were made at `at`.
    pub fn calls(&self, at: At) -> u64 {
        self.plan().calls.get(&at).copied().unwrap_or(0)
    }
    /// The fault of the next call.
    pub fn next(&self, at: At) -> Option<Fault> {
        let mut plan = self.plan();
        let call = *plan.calls.entry(at).and_modify(|n| *n += 1).or_insert(1) - 1;
        let fault = plan.scripted(at, call).or_else(|| plan.random(at));
        plan.injected += u64::from(fault.is_some());
        fault
    }
    /// Suffers what comes before the work: waits, or fails.
    pub async fn before(&self, at: At, op: &'static str) -> Result<After> {
        match self.next(at) {
            None => Ok(After::Tell),
            Some(Fault::Hold(time)) => {
                tokio::time::sleep(time).await;
                Ok(After::Tell)
            }
            Some(Fault::Refuse | Fault::Silence) => {
                Err(Error::transient(op, "refused by the fault plan"))
            }
            Some(Fault::Throttle(time)) => Err(Error::new(
                ErrorKind::Throttled(Some(time)),
                op,
                "throttled by the fault plan",
            )),
            Some(Fault::FailAfterWrite) => Ok(After::Deny),
            Some(Fault::LoseReply(time)) => Ok(After::Hang(time)),
        }
    }
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl After {
    /// Suffers what comes after the work.
    pub async fn finish(self, op: &'static str) -> Result<()> {
        match self {
            Self::Tell => Ok(()),
            Self::Deny => Err(Error::transient(
                op,
                "failed after the write, by the fault plan",
            )),
            Self::Hang(time) => {
                tokio::time::sleep(time).await;
                Err(Error::transient(
                    op,
                    "the reply was lost, by the fault plan",
                ))
            }
        }
    }
    /// Whether the caller will be told of a success.
    pub fn tells(&self) -> bool {
        matches!(self, Self::Tell)
    }
}

impl Plan {
    fn scripted(&mut self, at: At, call: u64) -> Option<Fault> {
        let script = self.script.get_mut(&at)?;
        let place = script.iter().position(|(nth, _)| *nth == call)?;
        Some(script.remove(place).1)
    }
    fn random(&mut self, at: At) -> Option<Fault> {
        let rates = *self.rates.get(&at)?;
        let mut dice = self.rng.random_range(0..1000u32);
        let longest = u64::try_from(rates.time_max.as_micros())
            .unwrap_or(u64::MAX)
            .max(1);
        let time = Duration::from_micros(self.rng.random_range(0..=longest));
        let table = [
            (rates.refuse, Fault::Refuse),
            (rates.fail_after_write, Fault::FailAfterWrite),
            (rates.lose_reply, Fault::LoseReply(time)),
            (rates.hold, Fault::Hold(time)),
            (rates.throttle, Fault::Throttle(time)),
            (rates.silence, Fault::Silence),
        ];
        for (rate, fault) in table {
            if dice < rate {
                return Some(fault);
            }
            dice -= rate;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let rates = Rates {
            refuse: 100,
            hold: 100,
            time_max: Duration::from_millis(5),
            ..Rates::default()
        };
        let run = |seed| {
            let faults = Faults::seeded(seed, [(At::Put, rates)]);
            let drawn: Vec<_> = (0..200).map(|_| faults.next(At::Put)).collect();
            (drawn, faults.injected())
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).0, run(2).0);
        assert!(run(1).1 > 10, "about a fifth of the calls");
    }

    #[test]
    fn a_scripted_fault_strikes_once_at_its_call() {
        let faults = Faults::none();
        faults.next(At::Put);
        faults.script(At::Put, 1, Fault::Refuse);
        assert_eq!(
            [
                faults.next(At::Put),
                faults.next(At::Put),
                faults.next(At::Put)
            ],
            [None, Some(Fault::Refuse), None]
        );
        assert_eq!(
            (
                faults.injected(),
                faults.calls(At::Put),
                faults.next(At::Flush)
            ),
            (1, 4, None)
        );
    }
}
