//! The worker's memory: how many bytes of records all its tasks may hold together (I6).
//!
//! A task asks before it fetches a batch and says afterwards what it holds: one short lock per batch, none per record. Three rules:
//! a task that holds nothing may always fetch one batch, so that nothing ever stands still for lack of memory; beyond that there must be room, that
//! of every busy task's next batch left aside;
//! and while somebody waits, nobody gets more than an equal part, so that one greedy task starves no other.
//! What consumer clients fetch ahead cannot be taken back once they are open, so a sink task gets a fixed part for it when it opens.

use crate::metrics::Metrics;
use longshore_sdk::{Error, Result};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// The key that sets the budget.
const KEY: &str = "longshore.memory.max.bytes";
/// What is left aside for a task's first batch, if as much is there for everybody.
const FIRST: u64 = 256 << 10;
/// What one sink task's consumer may fetch ahead, at least and at most.
const BUFFERS: (u64, u64) = (2 << 20, 24 << 20);
/// A sink task gets this part of what is left for all of them: the first ones leave room for those that come later.
const BUFFERS_PART: u64 = 32;

/// How much memory there is for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// In bytes.
    pub bytes: u64,
    /// A person chose it: what does not fit is refused. A default gives way instead.
    pub chosen: bool,
}

/// The budget of one worker.
pub struct Budget {
    limit: MemoryLimit,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    tasks: BTreeMap<u64, Holding>,
    /// Held and promised, of all tasks.
    records: u64,
    /// The same, but each task counts with at least its next batch, which it may always fetch.
    charged: u64,
    /// What consumers may fetch ahead, of all tasks.
    buffers: u64,
    waiting: usize,
}

#[derive(Default)]
struct Holding {
    held: u64,
    /// Set aside for the batch that is being fetched.
    promised: u64,
    /// About the size of its next batch; 0 = the task is at rest.
    expected: u64,
    /// It has fetched a batch: what is expected is no guess.
    known: bool,
    /// What it counts for in the sum.
    charge: u64,
    buffers: u64,
    waits: bool,
    wake: Arc<Notify>,
}

impl Budget {
    /// Nothing is held yet.
    pub fn new(limit: MemoryLimit, metrics: Arc<Metrics>) -> Arc<Self> {
        metrics.set_memory(0, limit.bytes);
        Arc::new(Self {
            limit,
            metrics,
            state: Mutex::default(),
        })
    }
    /// A task's part in it, which ends when it is dropped, however the task ends.
    pub fn join(self: &Arc<Self>) -> Credit {
        let wake = Arc::new(Notify::new());
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        let holding = Holding {
            wake: Arc::clone(&wake),
            ..Holding::default()
        };
        state.tasks.insert(id, holding);
        let fair = self.limit.bytes / 2 / state.tasks.len() as u64;
        state.change(id, |task| task.expected = FIRST.min(fair));
        Credit {
            budget: Some(Arc::clone(self)),
            id,
            wake,
            held: 0,
            fetching: false,
            waits: false,
            rests: false,
        }
    }
    /// The bytes in use: held, promised, and what consumers may fetch ahead.
    pub fn used(&self) -> u64 {
        let state = self.state();
        state.records + state.buffers
    }
    /// What is left for records once consumers have their part, which is never more than half.
    fn room(&self, state: &State) -> u64 {
        self.limit.bytes - state.buffers.min(self.limit.bytes / 2)
    }
    fn fits(&self, state: &State, id: u64) -> bool {
        let Some(task) = state.tasks.get(&id) else {
            return true;
        };
        let (room, next) = (self.room(state), task.held + task.expected);
        if state.charged - task.charge + next.max(task.charge) > room {
            return false;
        }
        let others = state.waiting > usize::from(task.waits);
        let busy = || state.tasks.values().filter(|task| task.charge > 0).count();
        !others || next <= room / busy().max(1) as u64
    }
    /// Promises what became free to those who wait: who holds least is served first.
    fn grant(&self, state: &mut State) {
        while state.waiting > 0 {
            let waiting = state.tasks.iter().filter(|(_, task)| task.waits);
            let Some(id) = waiting.min_by_key(|(_, task)| task.held).map(|(id, _)| *id) else {
                return;
            };
            let room = self.room(state);
            let charged = state.charged;
            let Some(task) = state.tasks.get_mut(&id) else {
                return;
            };
            if charged - task.charge + (task.held + task.expected).max(task.charge) > room {
                return;
            }
            task.waits = false;
            task.wake.notify_one();
            state.waiting -= 1;
            state.change(id, |task| task.promised = task.expected);
        }
    }
    fn show(&self, state: &State) {
        self.metrics
            .set_memory(state.records + state.buffers, self.limit.bytes);
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task's part in the budget.
pub struct Credit {
    /// `None` = there is no limit.
    budget: Option<Arc<Budget>>,
    id: u64,
    wake: Arc<Notify>,
    held: u64,
    /// A batch is being fetched, or was, and the budget has not been told how it went.
    fetching: bool,
    /// The last question was answered with no.
    waits: bool,
    /// Nothing is kept for its next batch.
    rests: bool,
}

impl Credit {
    /// Of a task that nobody limits, for tests and tools.
    pub fn unlimited() -> Self {
        Self {
            budget: None,
            id: 0,
            wake: Arc::default(),
            held: 0,
            fetching: false,
            waits: false,
            rests: false,
        }
    }
    /// Whether another batch may be fetched now. `false` = the task is in line: [`Credit::granted`] returns when it is worth asking again.
    pub fn may_fetch(&mut self) -> bool {
        let Some(budget) = &self.budget else {
            return true;
        };
        self.rests = false;
        let mut state = budget.state();
        let Some(task) = state.tasks.get(&self.id) else {
            return true;
        };
        if task.promised == 0 {
            if task.held > 0 && !budget.fits(&state, self.id) {
                if state.set_waits(self.id, true) {
                    budget.metrics.memory_wait();
                }
                self.waits = true;
                return false;
            }
            state.set_waits(self.id, false);
            state.change(self.id, |task| task.promised = task.expected);
            budget.show(&state);
        }
        self.fetching = true;
        self.waits = false;
        true
    }
    /// Whether the task stands in line.
    pub fn waits(&self) -> bool {
        self.waits
    }
    /// Returns once memory was promised to this task. Cancel safe; a promise that nobody waited for is found by [`Credit::may_fetch`].
    pub async fn granted(&self) {
        self.wake.notified().await;
    }
    /// Says what the task holds now, in bytes: after a batch came (or none did), and after some of it was delivered. Cheap if nothing changed.
    pub fn hold(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        if bytes == self.held && !self.fetching {
            return;
        }
        let Some(budget) = &self.budget else {
            return;
        };
        let fetched = std::mem::take(&mut self.fetching);
        self.held = bytes;
        let mut state = budget.state();
        state.change(self.id, |task| {
            if fetched {
                let came = bytes.saturating_sub(task.held);
                // An idle task's next batch sets nothing aside after a few empty polls; a busy one's is about as large as the largest of late.
                task.expected = match came {
                    0 => task.expected / 2,
                    _ if !task.known => came,
                    _ => came.max(task.expected - task.expected / 8),
                };
                task.known |= came > 0;
            }
            // A task that holds nothing needs no promise.
            if fetched || bytes == 0 {
                task.promised = 0;
            }
            task.held = bytes;
        });
        if bytes == 0 {
            state.set_waits(self.id, false);
            self.waits = false;
        }
        budget.grant(&mut state);
        budget.show(&state);
    }
    /// The task is paused: until it fetches again nothing is kept for its next batch. Cheap if it was told before.
    pub fn rest(&mut self) {
        let Some(budget) = self.budget.as_ref().filter(|_| !self.rests) else {
            return;
        };
        (self.rests, self.waits, self.fetching) = (true, false, false);
        let mut state = budget.state();
        state.set_waits(self.id, false);
        state.change(self.id, |task| (task.promised, task.expected) = (0, 0));
        budget.grant(&mut state);
        budget.show(&state);
    }
    /// Sets aside what the task's consumer may fetch ahead, for as long as the task lives; `None` = no limit.
    /// Err (Transient, names the key): a budget that a person chose has no room for one more sink task; it may have when another has gone.
    pub fn buffers(&mut self) -> Result<Option<usize>> {
        let Some(budget) = &self.budget else {
            return Ok(None);
        };
        let mut state = budget.state();
        let left = (budget.limit.bytes / 2).saturating_sub(state.buffers);
        let part = (left / BUFFERS_PART).clamp(BUFFERS.0, BUFFERS.1);
        if part > left && budget.limit.chosen {
            let (bytes, sinks) = (budget.limit.bytes, state.sinks());
            let text = format!(
                "{KEY} = {bytes} is too small for one more sink task beside the {sinks} that run: half of it is for what they fetch ahead, at least {} bytes each; raise it, or give the work to more workers",
                BUFFERS.0
            );
            return Err(Error::transient("open", text).with("key", KEY));
        }
        if let Some(task) = state.tasks.get_mut(&self.id) {
            let before = std::mem::replace(&mut task.buffers, part);
            state.buffers = state.buffers + part - before;
        }
        // A batch in the hands of a sink counts once it is there.
        state.change(self.id, |task| task.expected = 0);
        budget.show(&state);
        Ok(usize::try_from(part).ok())
    }
}

impl State {
    /// Changes what a task holds, is promised or expects, and the sums with it.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut Holding)) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let (records, charge) = (task.held + task.promised, task.charge);
        change(task);
        task.charge = (task.held + task.promised).max(task.expected);
        self.records = self.records - records + task.held + task.promised;
        self.charged = self.charged - charge + task.charge;
    }
    /// True = that is new.
    fn set_waits(&mut self, id: u64, waits: bool) -> bool {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.waits != waits) else {
            return false;
        };
        task.waits = waits;
        if waits {
            self.waiting += 1;
        } else {
            self.waiting -= 1;
        }
        true
    }
    fn sinks(&self) -> usize {
        self.tasks.values().filter(|task| task.buffers > 0).count()
    }
}

/// Whatever the task held is free, also when it was dropped in the middle of a call or by a panic.
impl Drop for Credit {
    fn drop(&mut self) {
        let Some(budget) = &self.budget else {
            return;
        };
        let mut state = budget.state();
        if let Some(task) = state.tasks.remove(&self.id) {
            state.records -= task.held + task.promised;
            state.charged -= task.charge;
            state.buffers -= task.buffers;
            state.waiting -= usize::from(task.waits);
        }
        budget.grant(&mut state);
        budget.show(&state);
    }
}

#[cfg(test)]
mod tests;
