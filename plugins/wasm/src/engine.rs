//! One wasmtime engine for all plugins of a worker, and the clock that interrupts them.

use crate::{Limits, turns::Turns};
use longshore_sdk::{Error, Result};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy};

/// How often a running guest is looked at: it yields to the worker's other tasks, and ends if its deadline has passed.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// The whole range of a 32-bit address: with it reserved, compiled code needs no bounds checks.
const RESERVED: u64 = 4 << 30;
/// A guest's own stack.
const STACK: usize = 1 << 20;
/// The stack of a call: the guest's own, and room for the host functions that it calls.
const CALL_STACK: usize = 2 << 20;
/// What one component may be made of. Rust's and JavaScript's are up to 4 core instances, Python's are 14 (its interpreter and each native
/// library is one), all with one memory and two tables.
pub(crate) const CORE_INSTANCES_MAX: u32 = 20;
pub(crate) const TABLES_MAX: u32 = 10;
pub(crate) const MEMORIES_MAX: u32 = 4;

/// The engine; clones are the same one.
#[derive(Clone)]
pub(crate) struct Engine {
    wasmtime: wasmtime::Engine,
    ticker: Arc<Ticker>,
    turns: Arc<Turns>,
    census: Arc<Census>,
}

impl Engine {
    /// An engine for `limits.instances` instances at once.
    pub(crate) fn new(limits: &Limits) -> Result<Self> {
        let pooled = wasmtime::Engine::new(&config(Some(limits)));
        let wasmtime = pooled.or_else(|error| {
            // A process whose address space is limited cannot reserve a pool.
            tracing::warn!(error = %error, "plugins run without a pool: each instance asks the system for its memory");
            wasmtime::Engine::new(&config(None))
        });
        let wasmtime = wasmtime
            .map_err(|error| Error::config("load", format!("no engine for plugins: {error:#}")))?;
        Ok(Self {
            ticker: Arc::new(Ticker::new(wasmtime.clone(), spawn)),
            census: Arc::new(Census::new(instances(limits))),
            wasmtime,
            turns: Arc::new(Turns::new()),
        })
    }
    /// The engine itself.
    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }
    /// Where guests that compute for long wait for one another.
    pub(crate) fn turns(&self) -> Arc<Turns> {
        self.turns.clone()
    }
    /// Room for one instance of a plugin, whose clock ticks as long as it is held. Transient: the worker, or the plugin, has as many instances
    /// as it may, or there is no clock.
    pub(crate) fn admit(&self, plugin: &str) -> Result<Admitted> {
        let counted = self.census.clone().count(plugin)?;
        let alive = self.ticker.clone().hold()?;
        Ok(Admitted {
            _counted: counted,
            _alive: alive,
        })
    }
    /// The same without a clock: the system has no thread left for it.
    #[cfg(test)]
    pub(crate) fn without_clock(limits: &Limits) -> Result<Self> {
        let mut engine = Self::new(limits)?;
        let refuse: Spawn = |_| Err(std::io::Error::other("no thread is left"));
        engine.ticker = Arc::new(Ticker::new(engine.wasmtime.clone(), refuse));
        Ok(engine)
    }
}

/// How many instances a worker may hold.
fn instances(limits: &Limits) -> u32 {
    limits.instances.clamp(1, 4_000)
}

fn config(pool: Option<&Limits>) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .concurrency_support(false)
        .epoch_interruption(true)
        .memory_reservation(RESERVED)
        // Tools for components make 32-bit memories; those alone need no bounds checks.
        .wasm_memory64(false)
        .max_wasm_stack(STACK)
        .async_stack_size(CALL_STACK)
        // One backtrace would be as deep as a plugin makes its recursion.
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8))
        .parallel_compilation(true);
    if let Some(limits) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(limits)));
    }
    config
}

/// Address space is what a pool costs; pages are given back when an instance ends.
fn pooling(limits: &Limits) -> PoolingAllocationConfig {
    let instances = instances(limits);
    let mut pool = PoolingAllocationConfig::new();
    // As much as all of them may have: so the census alone says who gets an instance, and no plugin can take another's parts.
    pool.total_component_instances(instances)
        .total_stacks(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(instances.saturating_mul(MEMORIES_MAX))
        .total_tables(instances.saturating_mul(TABLES_MAX))
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .table_elements(usize::try_from(limits.table_elements).unwrap_or(usize::MAX))
        // What a task may use is its store's to say.
        .max_memory_size(usize::try_from(RESERVED).unwrap_or(usize::MAX));
    pool
}

/// An instance that was let in: it is counted, and the clock ticks for it.
pub(crate) struct Admitted {
    _counted: Counted,
    _alive: Alive,
}

/// Counts the instances of each plugin, with and without a pool.
struct Census {
    /// Of all plugins together.
    max: u32,
    /// Of one of them: what is left is the others'.
    share: u32,
    living: Mutex<HashMap<Box<str>, u32>>,
}

/// One instance that was counted.
struct Counted {
    census: Arc<Census>,
    plugin: Box<str>,
}

impl Census {
    fn new(max: u32) -> Self {
        Self {
            max,
            share: max.div_ceil(2),
            living: Mutex::default(),
        }
    }
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, u32>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn count(self: Arc<Self>, plugin: &str) -> Result<Counted> {
        let (max, share) = (self.max, self.share);
        let mut living = self.lock();
        // Few plugins: this runs once per instance, not per call.
        let all: u32 = living.values().sum();
        if all >= max {
            let message =
                format!("too many instances of plugins on this worker: it may hold {max}");
            return Err(Error::transient("open", message));
        }
        let own = living.get(plugin).copied().unwrap_or_default();
        // One that has no name yet is asked for it by the loader, a few at a time.
        if own >= share && !plugin.is_empty() {
            let message = format!(
                "the plugin {plugin} has {own} instances on this worker, and one plugin may have half of its {max}: use fewer tasks, or raise the limit for instances"
            );
            return Err(Error::transient("open", message));
        }
        living.insert(plugin.into(), own + 1);
        drop(living);
        Ok(Counted {
            census: self,
            plugin: plugin.into(),
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut living = self.census.lock();
        if let Some(own) = living.get_mut(&self.plugin) {
            *own -= 1;
            if *own == 0 {
                living.remove(&self.plugin);
            }
        }
    }
}

/// Starts the clock's thread.
type Spawn = fn(Arc<Ticker>) -> std::io::Result<()>;

fn spawn(ticker: Arc<Ticker>) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("plugin-clock".into());
    thread.spawn(move || ticker.run()).map(drop)
}

/// Advances the engine's epoch while anybody holds it.
struct Ticker {
    engine: wasmtime::Engine,
    state: Mutex<Ticking>,
    spawn: Spawn,
}

#[derive(Default)]
struct Ticking {
    holders: usize,
    running: bool,
}

/// Somebody who needs the clock.
struct Alive(Arc<Ticker>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.lock().holders -= 1;
    }
}

impl Ticker {
    fn new(engine: wasmtime::Engine, spawn: Spawn) -> Self {
        Self {
            engine,
            state: Mutex::default(),
            spawn,
        }
    }
    fn lock(&self) -> std::sync::MutexGuard<'_, Ticking> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn hold(self: Arc<Self>) -> Result<Alive> {
        let mut state = self.lock();
        if !state.running {
            // I6: a guest that never yields could not be stopped without it. The next instance tries again.
            (self.spawn)(self.clone()).map_err(|error| {
                let message = "no thread for the clock that stops plugins: none is started";
                Error::transient("open", message).because(error)
            })?;
            state.running = true;
        }
        state.holders += 1;
        drop(state);
        Ok(Alive(self))
    }
    /// Ends with the last holder: a worker without plugins at work has no such thread.
    fn run(&self) {
        loop {
            std::thread::sleep(TICK);
            self.engine.increment_epoch();
            let mut state = self.lock();
            if state.holders == 0 {
                state.running = false;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Census, Engine};
    use crate::Limits;
    use longshore_sdk::{Error, ErrorKind, Result};
    use std::sync::Arc;

    fn refused<T>(result: Result<T>) -> Error {
        let error = result.err().expect("it must be refused");
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
        error
    }

    #[test]
    fn one_plugin_takes_half_of_the_instances_and_leaves_the_rest() {
        let census = Arc::new(Census::new(4));
        let count = |plugin: &str| census.clone().count(plugin);
        let first = count("greedy").expect("room");
        let _second = count("greedy").expect("room");
        let error = refused(count("greedy"));
        assert!(error.message().contains("the plugin greedy"), "{error}");
        let _third = count("modest").expect("the other half is its own");
        let _fourth = count("modest").expect("room");
        let error = refused(count("third"));
        assert!(error.message().contains("it may hold 4"), "{error}");
        drop(first);
        refused(count("modest"));
        let _fifth = count("third").expect("there is room again");
    }

    #[test]
    fn no_instance_is_let_in_without_the_clock() {
        let limits = Limits {
            instances: 2,
            ..Limits::default()
        };
        let engine = Engine::without_clock(&limits).expect("an engine");
        for _ in 0..3 {
            // Each time for the same reason: a refusal is not counted as an instance.
            let error = refused(engine.admit("spinning"));
            assert!(
                error.message().contains("no thread for the clock"),
                "{error}"
            );
        }
        let engine = Engine::new(&limits).expect("an engine");
        assert!(engine.admit("spinning").is_ok());
    }
}
