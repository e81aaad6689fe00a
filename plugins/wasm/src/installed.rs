//! A plugin that was loaded: what it said of itself, and how its calls are made.

use crate::{
    Limits,
    bindings::host::longshore::connector::types::Error as GuestError,
    columns::Rejected,
    engine::Engine,
    grants::{self, Grants},
    refusal::{Failure, Tag, failed, rejected, reported},
    services::{Caller, Journal, Provisions, Services, Stopping},
    store::{self, Allowance, State},
    told::Told,
};
use longshore_sdk::{
    Error, Plugin, Result, Secret, Share,
    config::{Definition, Finding, Flat, Key},
    erased::Boxed,
    mutant,
};
use serde_json::json;
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};
use tokio::time::Instant;
use wasmtime::Store;

/// The longest that `close` may take.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// What all instances of a plugin share.
pub(crate) struct Installed {
    pub(crate) tag: Tag,
    pub(crate) plugin: Plugin,
    pub(crate) told: Told,
    /// The guest's own keys.
    pub(crate) definition: Definition,
    pub(crate) limits: Limits,
    pub(crate) grants: Arc<Grants>,
    pub(crate) provisions: Arc<Provisions>,
    pub(crate) engine: Engine,
}

/// What the worker gives a plugin.
pub(crate) struct Provided {
    pub(crate) grants: Grants,
    pub(crate) provisions: Arc<Provisions>,
    pub(crate) engine: Engine,
}

/// Who an instance is made for.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) connector: String,
    pub(crate) task: Option<u32>,
    pub(crate) group: Option<String>,
    pub(crate) exactly_once: bool,
    pub(crate) replan: Option<Arc<dyn Fn() + Send + Sync>>,
    pub(crate) stopping: Stopping,
}

impl Place {
    /// The connector as a whole.
    pub(crate) fn of(config: &Flat) -> Self {
        Self {
            connector: config.get("name").cloned().unwrap_or_default(),
            ..Self::default()
        }
    }
}

impl Installed {
    /// What the loader knows of it.
    pub(crate) fn new(
        tag: Tag,
        told: Told,
        definition: Definition,
        limits: Limits,
        provided: Provided,
    ) -> Self {
        let Provided {
            grants,
            provisions,
            engine,
        } = provided;
        let plugin = Plugin {
            name: tag.name,
            aliases: &[],
            version: tag.version,
            about: told.description.clone().leak(),
            unsupported: &[],
            capabilities: told.capabilities(),
        };
        Self {
            tag,
            plugin,
            told,
            definition,
            limits,
            grants: Arc::new(grants),
            provisions,
            engine,
        }
    }
    /// How long a call may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.limits.call_timeout
    }
    /// How long a task that ends may take for it: what it has not flushed is lost anyway, and others wait for its partitions.
    pub(crate) fn close_timeout(&self) -> Duration {
        self.limits.call_timeout.min(CLOSE_MAX)
    }
    /// The keys of a config: the guest's, and the one that narrows its network.
    pub(crate) fn keys(&self) -> Definition {
        let mut net = Key::new(grants::NET);
        net.documentation =
            "Hosts that the plugin may reach, of those that the worker grants it; all of them, if it is missing."
                .to_owned();
        self.definition.clone().and(Definition { keys: vec![net] })
    }
    /// What is wrong with the network that a connector asks for.
    pub(crate) fn check_net(&self, config: &Flat) -> Vec<Finding> {
        let Some(net) = config.get(grants::NET) else {
            return Vec::new();
        };
        match self.grants.narrowed(net) {
            Ok(narrowed) => narrowed.ungranted(),
            Err(found) => found,
        }
    }
    /// The config as the guest gets it. Secrets stand there as references (I8), unless they are granted.
    pub(crate) fn json(&self, config: &Flat) -> String {
        self.task_json(config, &Share::new())
    }
    /// The same for one task: its share stands above the config. Entries that the schema does not know are text.
    pub(crate) fn task_json(&self, laid: &Flat, share: &Share) -> String {
        let reveal = self.grants.reveals_secrets();
        let mut shown = self.definition.to_json_with(laid, |name, _| {
            let hidden =
                !(reveal || mutant!("wasm-secrets-revealed")) && self.definition.is_secret(name);
            hidden.then(|| json!({ "secret": name }))
        });
        for (key, value) in share {
            if !self.definition.knows(key) {
                shown[key] = value.as_str().into();
            }
        }
        shown.to_string()
    }
    /// Counts a call that gave no answer.
    pub(crate) fn trapped(&self) {
        self.provisions.metrics().trapped(self.tag.name);
    }
    /// A store for one task, or for one call. `polite`: see [`store::open`].
    pub(crate) fn store(&self, config: &Flat, place: Place, polite: bool) -> Result<Store<State>> {
        let services = self.services(config, place)?;
        let allowance = Allowance {
            memory: self.limits.memory,
            table_elements: self.limits.table_elements,
            hostcall_bytes: self.limits.hostcall_bytes,
        };
        store::open(&self.engine, services, allowance, polite)
    }
    fn services(&self, config: &Flat, place: Place) -> Result<Services> {
        let grants = match config.get(grants::NET) {
            None => self.grants.clone(),
            Some(net) => Arc::new(self.grants.narrowed(net).map_err(|findings| {
                let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
                Error::config("open", texts.join("; "))
            })?),
        };
        let secret = |(name, value): (&String, &String)| {
            let hidden = self.definition.knows(name) && self.definition.is_secret(name);
            hidden.then(|| (name.clone(), Secret::new(value.clone())))
        };
        let secrets: BTreeMap<String, Secret> = config.iter().filter_map(secret).collect();
        Ok(self.provisions.services(Caller {
            plugin: self.tag.name.into(),
            connector: place.connector.into(),
            task: place.task,
            group: place.group,
            exactly_once: place.exactly_once,
            grants,
            secrets,
            replan: place.replan,
            stopping: place.stopping,
        }))
    }
    /// Makes an instance in a store.
    pub(crate) async fn instantiate<L: Sync, W: Send>(
        &self,
        mut store: Store<State>,
        linked: &L,
        made: impl for<'a> FnOnce(&'a L, &'a mut Store<State>) -> Boxed<'a, wasmtime::Result<W>> + Send,
    ) -> Result<Box<Guest<W>>> {
        let timeout = self.timeout();
        let deadline = store::begin(&mut store, timeout);
        match within(deadline, made(linked, &mut store)).await {
            Ok(world) => Ok(Box::new(Guest { store, world })),
            Err(Failure::Trap(error)) if pool_is_full(&error) => Err(no_room(&error)),
            Err(failure) => Err(failed(self.tag, "start", &failure, timeout, store.data())),
        }
    }
}

/// Whether an instance could not be made because others have its parts of the pool: no fault of the plugin.
pub(crate) fn pool_is_full(error: &wasmtime::Error) -> bool {
    error.is::<wasmtime::PoolConcurrencyLimitError>()
}

/// The error for it.
pub(crate) fn no_room(error: &wasmtime::Error) -> Error {
    let message = format!("too many instances of plugins on this worker: {error}");
    Error::transient("open", message)
}

/// Waits for a call until its deadline. Afterwards the store of a call that is late is of no use.
pub(crate) async fn within<T>(
    deadline: Instant,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> std::result::Result<T, Failure> {
    if mutant!("wasm-waits-for-ever") {
        return call.await.map_err(Failure::Trap);
    }
    match tokio::time::timeout_at(deadline, call).await {
        Ok(answer) => answer.map_err(Failure::Trap),
        Err(_) => Err(Failure::Deadline),
    }
}

/// An instance in its store.
pub(crate) struct Guest<W> {
    pub(crate) store: Store<State>,
    pub(crate) world: W,
}

/// Where a task's instance lives. After a trap, a missed deadline or a call that was dropped it is gone, and with it the store: whatever state
/// such an instance is in, nobody calls it again.
pub(crate) struct Seat<W> {
    pub(crate) installed: Arc<Installed>,
    /// Outlives the instance: what it said last is told after its end.
    journal: Arc<Journal>,
    guest: Option<Box<Guest<W>>>,
}

impl<W: Send> Seat<W> {
    pub(crate) fn new(installed: Arc<Installed>, guest: Box<Guest<W>>) -> Self {
        Self {
            installed,
            journal: guest.store.data().services.journal().clone(),
            guest: Some(guest),
        }
    }
    /// The host's services to the guest; none once it is gone.
    pub(crate) fn services(&mut self) -> Option<&mut Services> {
        let guest = self.guest.as_mut()?;
        Some(&mut guest.store.data_mut().services)
    }
    /// Asks a function of the guest that may report an error of its own, within the time of any call.
    pub(crate) async fn ask<A: Sync, T: Send>(
        &mut self,
        op: &'static str,
        arguments: &A,
        call: impl for<'a> FnOnce(
            &'a mut Guest<W>,
            &'a A,
        )
            -> Boxed<'a, wasmtime::Result<std::result::Result<T, GuestError>>>
        + Send,
    ) -> Result<T> {
        let timeout = self.installed.timeout();
        let answer = self.call(op, timeout, arguments, call).await?;
        answer.map_err(|error| self.reported(op, error))
    }
    /// Calls a function of the guest, with arguments that are borrowed for the call. One box per call, never per record.
    pub(crate) async fn call<A: Sync, T: Send>(
        &mut self,
        op: &'static str,
        timeout: Duration,
        arguments: &A,
        call: impl for<'a> FnOnce(&'a mut Guest<W>, &'a A) -> Boxed<'a, wasmtime::Result<T>> + Send,
    ) -> Result<T> {
        // Taken out: it comes back only after a whole answer.
        let Some(mut guest) = self.guest.take() else {
            let tag = self.installed.tag;
            let message = format!("{tag}: {op} was called after its instance was thrown away");
            return Err(Error::bug(op, message));
        };
        let metrics = self.installed.provisions.metrics();
        metrics.called(self.installed.tag.name, op);
        let deadline = store::begin(&mut guest.store, timeout);
        let answer = within(deadline, call(&mut guest, arguments)).await;
        guest.store.data().output.settle(answer.is_ok());
        match answer {
            Ok(answer) => {
                self.guest = Some(guest);
                Ok(answer)
            }
            Err(failure) => {
                let state = guest.store.data();
                self.installed.trapped();
                let error = failed(self.installed.tag, op, &failure, timeout, state);
                if mutant!("wasm-store-kept") {
                    self.guest = Some(guest);
                }
                Err(error)
            }
        }
    }
    /// An error that the guest reports.
    pub(crate) fn reported(&self, op: &'static str, error: GuestError) -> Error {
        reported(self.installed.tag, op, error, |text| {
            self.journal.clean(text)
        })
    }
    /// A text that may hold what the guest was given (I8).
    pub(crate) fn clean(&self, text: &str) -> String {
        self.journal.clean(text)
    }
    /// An answer that breaks the ABI's promises, after which nobody knows what the guest holds: its instance ends.
    pub(crate) fn rejected(&mut self, op: &'static str, wrong: &Rejected) -> Error {
        if !mutant!("wasm-rejected-goes-on") {
            self.guest = None;
        }
        rejected(self.installed.tag, op, wrong)
    }
    /// Has the guest release everything, and ends its instance. There may be none.
    pub(crate) async fn close(
        &mut self,
        call: impl for<'a> FnOnce(&'a mut Guest<W>, &'a ()) -> Boxed<'a, wasmtime::Result<()>> + Send,
    ) -> Result<()> {
        if self.guest.is_none() {
            return Ok(());
        }
        let timeout = self.installed.close_timeout();
        let closed = self.call("close", timeout, &(), call).await;
        self.guest = None;
        closed
    }
}
