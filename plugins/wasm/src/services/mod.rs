//! What the host offers a plugin: the imports of every world, and the limits on them.
//!
//! [`Provisions`] is the worker's, one for all plugins; [`Services`] belongs to one store, that is to one task.

mod context;
mod http;
mod journal;
mod metrics;
mod secrets;
pub(crate) mod state;
mod stopping;
#[cfg(test)]
mod tests;

pub use http::{HttpLimits, HttpSettings, Names, Resolver};
pub use journal::Journal;
pub(crate) use journal::Loudness;
pub use metrics::PluginMetrics;
pub(crate) use state::{Kept, Progress, States};
pub(crate) use stopping::Following;
pub use stopping::Stopping;

#[doc(hidden)] // the generated code names it
pub use http::Body;

use crate::Grants;
use longshore_sdk::{Error, Secret};
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio::time::Instant;
use wasmtime::component::ResourceTable;

/// Takes known secrets out of a text (I8).
pub type Scrub = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// What the worker says about its services to plugins.
#[derive(Clone)]
pub struct ServicesSettings {
    /// The worker's semantic version.
    pub host_version: String,
    /// Asked for every text of a plugin before it is logged.
    pub scrub: Scrub,
    /// HTTP.
    pub http: HttpSettings,
    /// Lines a second that a task may log in the long run; ten times as many at once. More are left out, and counted.
    pub log_lines: u32,
}

impl Default for ServicesSettings {
    fn default() -> Self {
        Self {
            host_version: env!("CARGO_PKG_VERSION").to_owned(),
            scrub: Arc::new(str::to_owned),
            http: HttpSettings::default(),
            log_lines: 100,
        }
    }
}

impl fmt::Debug for ServicesSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServicesSettings")
            .field("host_version", &self.host_version)
            .field("http", &self.http)
            .field("log_lines", &self.log_lines)
            .finish_non_exhaustive()
    }
}

/// What one worker has for all its plugins: the way to the network, and the metrics.
pub struct Provisions {
    host_version: String,
    scrub: Scrub,
    metrics: PluginMetrics,
    network: http::Network,
    log_lines: u32,
}

impl Provisions {
    /// Err (Config): the CA file or the proxy cannot be used; names the key.
    pub fn new(settings: ServicesSettings) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            host_version: settings.host_version,
            scrub: settings.scrub,
            metrics: PluginMetrics::default(),
            network: http::Network::new(settings.http)?,
            log_lines: settings.log_lines,
        }))
    }
    /// The metrics of all plugins; a clone of it is registered with the worker's.
    pub fn metrics(&self) -> &PluginMetrics {
        &self.metrics
    }
    /// Takes the network away from all plugins, or gives it back: each request fails for the moment, as it does when the other side is away.
    pub(crate) fn cut_network(&self, cut: bool) {
        self.network.cut(cut);
    }
    /// The services of one store.
    pub fn services(self: &Arc<Self>, caller: Caller) -> Services {
        let journal = Journal::new(
            &caller,
            self.scrub.clone(),
            self.metrics.clone(),
            self.log_lines,
        );
        let meters = self
            .metrics
            .task(&caller.plugin, &caller.connector, caller.task);
        let journal = Arc::new(journal);
        Services {
            http: http::Http::new(self.clone(), &caller, journal.clone()),
            journal,
            meters,
            host_version: self.host_version.clone(),
            caller,
            deadline: None,
            kept: Kept::default(),
            table: ResourceTable::new(),
        }
    }
}

/// Who calls the host: a task, or a connector that is being planned or checked.
#[derive(Clone)]
pub struct Caller {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// The connector's name; empty while there is none.
    pub connector: Arc<str>,
    /// The task's number; none = the connector as a whole.
    pub task: Option<u32>,
    /// Of a sink: its consumer group.
    pub group: Option<String>,
    /// Of a sink: whether a target that can keep offsets is to keep them.
    pub exactly_once: bool,
    /// What it may.
    pub grants: Arc<Grants>,
    /// The config keys that the plugin's schema marks secret, with their values.
    pub secrets: BTreeMap<String, Secret>,
    /// Of a source: asks for a new plan.
    pub replan: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Set once the task is to stop.
    pub stopping: Stopping,
}

impl Caller {
    /// A plugin alone, with nothing granted.
    pub fn plugin(plugin: &str) -> Self {
        Self {
            plugin: plugin.into(),
            connector: "".into(),
            task: None,
            group: None,
            exactly_once: false,
            grants: Arc::new(Grants::none(plugin)),
            secrets: BTreeMap::new(),
            replan: None,
            stopping: Stopping::default(),
        }
    }
}

/// The services of one store. It implements the imports of every world.
pub struct Services {
    caller: Caller,
    host_version: String,
    journal: Arc<Journal>,
    meters: Arc<metrics::TaskMeters>,
    http: http::Http,
    /// When the call that is being made ends.
    deadline: Option<Instant>,
    /// What the plugin may have kept beside its records.
    kept: Kept,
    /// The bodies that the guest holds open.
    table: ResourceTable,
}

impl Services {
    /// A call of the guest begins: nothing that the host does for it takes longer than until `deadline`.
    pub fn begin(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
        self.http.begin(deadline);
    }
    /// When the call that is being made ends; none before the first.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
    /// Where the plugin's own lines go; also for what it writes to its standard streams.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }
    /// What the worker has for all plugins.
    pub fn provisions(&self) -> &Arc<Provisions> {
        self.http.provisions()
    }
    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}
