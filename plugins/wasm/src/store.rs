//! One store per task: its memory, what it may ask the host for, and its deadline.

use crate::{
    engine::{Admitted, CORE_INSTANCES_MAX, Engine, MEMORIES_MAX, TABLES_MAX, TICK},
    output::Output,
    services::Services,
    turns::{FREE_TICKS, Turns},
};
use longshore_sdk::{Result, mutant};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Handles of WASI (clocks' waits, streams) that a guest may hold at once.
const HANDLES_MAX: usize = 10_000;
/// How long a guest that has computed for a tick lets others run, at least.
const BREATH: Duration = Duration::from_millis(1);
/// Random bytes that WASI gives at once.
const RANDOM_MAX: u64 = 64 * 1024;

/// What a store holds beside the guest.
pub(crate) struct State {
    pub(crate) services: Services,
    pub(crate) output: Output,
    pub(crate) limiter: Limiter,
    /// Whether a guest that computes for long lets others run in between.
    polite: bool,
    /// Since when it computes, at most.
    running: Instant,
    /// Ticks that the call has computed.
    ticks: u32,
    turns: Arc<Turns>,
    wasi: WasiCtx,
    table: ResourceTable,
    _admitted: Admitted,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// What a store may use.
#[derive(Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) memory: u64,
    pub(crate) table_elements: u64,
    pub(crate) hostcall_bytes: u64,
}

/// A store without a guest yet. `polite` calls yield every tick, and need a runtime that goes on with them. Transient: there is no room for
/// another instance, see [`Engine::admit`].
pub(crate) fn open(
    engine: &Engine,
    services: Services,
    allowance: Allowance,
    polite: bool,
) -> Result<Store<State>> {
    let admitted = engine.admit(&services.caller().plugin)?;
    let output = Output::new(services.journal().clone());
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES_MAX);
    let state = State {
        services,
        wasi: wasi(&output),
        output,
        limiter: Limiter::new(allowance),
        polite,
        running: Instant::now(),
        ticks: 0,
        turns: engine.turns(),
        table,
        _admitted: admitted,
    };
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| &mut state.limiter);
    let fuel = usize::try_from(allowance.hostcall_bytes).unwrap_or(usize::MAX);
    store.set_hostcall_fuel(fuel);
    store.epoch_deadline_callback(|mut context| Ok(tick(context.data_mut())));
    Ok(store)
}

/// What a guest does that has computed for a tick.
fn tick(state: &mut State) -> UpdateDeadline {
    let now = Instant::now();
    if mutant!("wasm-never-interrupted") {
        return UpdateDeadline::Continue(1);
    }
    // Outside of a call there is nothing that a guest may do.
    if state
        .services
        .deadline()
        .is_none_or(|deadline| now >= deadline)
    {
        return UpdateDeadline::Interrupt;
    }
    if !state.polite {
        return UpdateDeadline::Continue(1);
    }
    state.ticks = state.ticks.saturating_add(1);
    // It looks up at every tick: what lies further back it spent in the host.
    let ran = now.saturating_duration_since(state.running).min(TICK);
    let share = state.services.caller().grants.cpu();
    let rest = share.map(|share| share.rest_after(ran));
    // I6: nobody else may starve. A short call owes nothing.
    let turn = (state.ticks > FREE_TICKS).then(|| state.turns.take());
    // Not only behind what is ready: a runtime whose threads always have something at hand looks after its sockets and timers seldom.
    let wait = rest.max(turn.flatten()).unwrap_or(BREATH);
    state.running = now + wait;
    UpdateDeadline::YieldCustom(1, Box::pin(tokio::time::sleep(wait)))
}

/// WASI as every guest's standard library expects it, with nothing behind it: no folders, no environment, no arguments, no network.
fn wasi(output: &Output) -> WasiCtx {
    WasiCtxBuilder::new()
        .stdout(output.clone())
        .stderr(output.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_MAX)
        .build()
}

/// Begins a call that ends, one way or the other, by the deadline that is returned.
pub(crate) fn begin(store: &mut Store<State>, timeout: Duration) -> Instant {
    let deadline = Instant::now() + timeout;
    let state = store.data_mut();
    state.running = Instant::now();
    state.ticks = 0;
    state.services.begin(deadline);
    store.set_epoch_deadline(1);
    deadline
}

/// Counts memory of all of a store's memories together, and remembers that it had to say no.
pub(crate) struct Limiter {
    allowance: Allowance,
    used: u64,
    pub(crate) refused: bool,
}

impl Limiter {
    fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            used: 0,
            refused: false,
        }
    }
    /// The limit, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.allowance.memory
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let fits = self.used.saturating_add(more) <= self.allowance.memory
            || mutant!("wasm-memory-without-limit");
        if fits && maximum.is_none_or(|maximum| desired <= maximum) {
            self.used += more;
            return Ok(true);
        }
        self.refused |= !fits;
        Ok(false)
    }
    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired as u64 <= self.allowance.table_elements
            && maximum.is_none_or(|maximum| desired <= maximum))
    }
    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }
    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }
    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }
}
