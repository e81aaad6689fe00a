//! The line between one worker and everything outside of it.

use longshore_sdk::{Error, Result};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// How long a client waits for an answer.
const ANSWER_MAX: (u64, u64) = (1_000, 6_000);

/// How bad a line is, in thousandths of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// Nothing is done, and the caller is told.
    pub refuse: u32,
    /// It is done, and the caller is told the opposite.
    pub deny: u32,
    /// It is done, and the caller hears nothing until it gives up.
    pub lose: u32,
    /// It is done late.
    pub slow: u32,
}

/// The line of one start of a worker. Clones are the same line.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    number: u64,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    rng: StdRng,
    line: Line,
    dead: bool,
    frozen: bool,
    cut: bool,
    injected: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Refuse,
    Deny,
    Lose,
}

impl Link {
    /// A good line with a number of its own.
    pub fn new(number: u64, seed: u64, line: Line) -> Self {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            line,
            dead: false,
            frozen: false,
            cut: false,
            injected: 0,
        };
        Self(Arc::new(Shared {
            number,
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }
    /// Its number.
    pub fn number(&self) -> u64 {
        self.0.number
    }
    /// The worker is dead: whatever it was about to do is not done.
    pub fn kill(&self) {
        self.state().dead = true;
    }
    /// The worker stands still, or goes on: all that it asks for and all that it is told waits.
    pub fn freeze(&self, frozen: bool) {
        self.state().frozen = frozen;
        self.0.changed.notify_waiters();
    }
    /// The worker does not reach the broker, or does again.
    pub fn cut(&self, cut: bool) {
        self.state().cut = cut;
        self.0.changed.notify_waiters();
    }
    /// Makes it better or worse.
    pub fn set_line(&self, line: Line) {
        self.state().line = line;
    }
    /// Whether calls go through.
    pub fn is_up(&self) -> bool {
        let state = self.state();
        !state.dead && !state.frozen && !state.cut
    }
    /// Whether the worker was killed.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }
    /// Whether the worker stands still.
    pub fn is_frozen(&self) -> bool {
        self.state().frozen
    }
    /// How many calls were refused, or answered wrongly, or not, or late.
    pub fn injected(&self) -> u64 {
        self.state().injected
    }

    /// Carries out `work` at the other side, unless the line is in the way. Err (Transient): it may have been carried out.
    pub async fn call<T>(&self, op: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let (there, back, patience, trouble) = self.draw();
        tokio::time::sleep(there).await;
        self.thawed().await;
        let give_up = Instant::now() + patience;
        if timeout_at(give_up, self.mended()).await.is_err() {
            return Err(Error::transient(op, "no answer in time"));
        }
        if trouble == Trouble::Refuse {
            return Err(Error::transient(op, "refused by the fault plan"));
        }
        let result = work();
        tokio::time::sleep(back).await;
        self.thawed().await;
        if trouble == Trouble::Lose || self.state().cut {
            tokio::time::sleep_until(give_up).await;
            self.thawed().await;
            return Err(Error::transient(op, "no answer in time"));
        }
        if trouble == Trouble::Deny && result.is_ok() {
            return Err(Error::transient(op, "failed after the work was done"));
        }
        result
    }
    /// The same for a system that is not the broker: a cut does not touch it.
    pub async fn call_aside<T>(
        &self,
        op: &'static str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let (there, back, _, trouble) = self.draw();
        tokio::time::sleep(there).await;
        self.thawed().await;
        if trouble == Trouble::Refuse {
            return Err(Error::transient(op, "refused by the fault plan"));
        }
        let result = work();
        tokio::time::sleep(back).await;
        self.thawed().await;
        if matches!(trouble, Trouble::Deny | Trouble::Lose) && result.is_ok() {
            return Err(Error::transient(op, "failed after the work was done"));
        }
        result
    }
    /// Returns once the worker does not stand still.
    pub async fn thawed(&self) {
        self.wait(|state| !state.frozen).await;
    }
    /// Returns once calls go through.
    pub(super) async fn open(&self) {
        self.wait(|state| !state.frozen && !state.cut).await;
    }
    async fn mended(&self) {
        self.wait(|state| !state.cut).await;
    }
    /// Never returns for a dead worker.
    async fn wait(&self, good: impl Fn(&State) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            {
                let state = self.state();
                if !state.dead && good(&state) {
                    return;
                }
            }
            changed.await;
        }
    }
    fn draw(&self) -> (Duration, Duration, Duration, Trouble) {
        let mut state = self.state();
        let State { rng, line, .. } = &mut *state;
        let dice = rng.random_range(0..1000u32);
        let (mut there, mut back) = (rng.random_range(100..1500), rng.random_range(100..1500));
        let patience = Duration::from_millis(rng.random_range(ANSWER_MAX.0..ANSWER_MAX.1));
        let mut sum = 0;
        let mut hits = |rate: u32| {
            sum += rate;
            dice >= sum - rate && dice < sum
        };
        let trouble = if hits(line.refuse) {
            Trouble::Refuse
        } else if hits(line.deny) {
            Trouble::Deny
        } else if hits(line.lose) {
            Trouble::Lose
        } else {
            if hits(line.slow) {
                let late = rng.random_range(1_000..900_000);
                if rng.random_bool(0.5) {
                    there += late;
                } else {
                    back += late;
                }
                state.injected += 1;
            }
            Trouble::None
        };
        if trouble != Trouble::None {
            state.injected += 1;
        }
        let micros = Duration::from_micros;
        (micros(there), micros(back), patience, trouble)
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
