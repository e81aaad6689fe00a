//! What the parts of one worker share.

use super::{live::Live, lowered::Lowered, settings::WorkerSettings};
use crate::{
    budget::Budget,
    connector_config::get,
    metrics::Metrics,
    ports::{KeyedLog, Leadership, Membership, Peers, View, bus::SharedBus},
    providers::{Resolved, scrub},
    registry::{Connector, Missing, PluginKind, Registry},
    supervisor::{Departures, Leading, Requests, Whereabouts},
    validate,
    views::{
        assignment::AssignmentView,
        config::ConfigView,
        offset::OffsetView,
        status::{State, Status, StatusView},
    },
};
use longshore_sdk::{
    Error, ErrorKind, Result,
    config::{Flat, holds_placeholder, looks_secret},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long an explanation of a failure is waited for: the failure itself is known.
const EXPLAIN_MAX: Duration = Duration::from_secs(5);

/// The four logs of a group of workers.
#[derive(Clone)]
pub struct Logs {
    /// `config.storage.topic`.
    pub config: Arc<dyn KeyedLog>,
    /// `offset.storage.topic`.
    pub offset: Arc<dyn KeyedLog>,
    /// `status.storage.topic`.
    pub status: Arc<dyn KeyedLog>,
    /// `<group.id>-coordination`.
    pub coordination: Arc<dyn KeyedLog>,
}

/// What a worker needs of the outside.
#[derive(Clone)]
pub struct Ports {
    /// Opens clients.
    pub bus: SharedBus,
    /// The internal topics.
    pub logs: Logs,
    /// Who is in the group.
    pub membership: Arc<dyn Membership>,
    /// What only one of them may write.
    pub leadership: Arc<dyn Leadership>,
    /// Calls to the others.
    pub peers: Arc<dyn Peers>,
}

/// What the parts of one worker share: views to read, a bus to open clients on, plugins to build from.
pub(crate) struct Context {
    pub(crate) settings: WorkerSettings,
    pub(crate) bus: SharedBus,
    pub(crate) config: Arc<ConfigView>,
    pub(crate) offsets: Arc<OffsetView>,
    pub(crate) status: StatusView,
    pub(crate) assignments: Arc<AssignmentView>,
    pub(crate) leading: Leading,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) membership: Arc<dyn Membership>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) live: Live,
    pub(crate) lowered: Lowered,
    pub(crate) whereabouts: Whereabouts,
    pub(crate) requests: Requests,
    pub(crate) departures: Departures,
    /// Held while something is looked up in the config view and written on account of it.
    pub(crate) writing: tokio::sync::Mutex<()>,
    pub(crate) dice: Dice,
}

/// Where the jitters of one worker come from.
pub(crate) struct Dice(Mutex<StdRng>);

impl Dice {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(rand::random);
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
    /// 0..1.
    pub(crate) fn jitter(&self) -> f64 {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random()
    }
    /// The seed of a task's own.
    pub(crate) fn seed(&self) -> u64 {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .random()
    }
}

impl Context {
    /// The group as this worker sees it.
    pub(crate) fn view(&self) -> View {
        self.membership.view().borrow().clone()
    }
    /// The version of the plugin that a config names, as statuses show it.
    pub(crate) fn plugin_version(&self, config: &Flat) -> Option<String> {
        Some(self.connector(config)?.plugin().version.to_owned())
    }
    /// The connector that a config names by its class, if this worker has it.
    pub(crate) fn connector(&self, config: &Flat) -> Option<&Connector> {
        self.registry.connector_of(config).ok()
    }
    /// The same where nothing goes on without it.
    pub(crate) fn needed(&self, config: &Flat) -> Result<&Connector> {
        self.registry.connector_of(config).map_err(|missing| {
            let class = config.get("connector.class").map_or("", String::as_str);
            let wanted = get(config, "connector.plugin.version");
            self.lacks(PluginKind::Source, class, wanted, &missing)
        })
    }
    /// The error of a plugin that this worker does not have; others of the group may: it names the worker.
    pub(crate) fn lacks(
        &self,
        kind: PluginKind,
        class: &str,
        version: Option<&str>,
        missing: &Missing,
    ) -> Error {
        let error = self.registry.unknown(kind, class, missing);
        let wanted = match (missing, version) {
            (Missing::Name, Some(version)) => format!(" (version {version} is asked for)"),
            _ => String::new(),
        };
        let text = format!(
            "worker {}: {}{wanted}; a plugin of a file must be installed on every worker of the group",
            self.settings.worker_id,
            error.message()
        );
        let mut told = Error::config("open", text);
        for (name, value) in error.context() {
            told = told.with(name, value);
        }
        told
    }
    /// Reads what only the leader writes to its true end: what is wanted, and who runs it.
    pub(crate) async fn read_to_end(&self) -> Result<()> {
        tokio::try_join!(self.config.refresh(), self.assignments.refresh()).map(drop)
    }
    /// What is wrong with an internal topic: it is gone, was made anew under this worker, or is not the one that the group uses. A broker that is away
    /// is none of it.
    pub(crate) fn trouble(&self) -> Option<Arc<str>> {
        self.unwritable()
            .or_else(|| self.offsets.trouble())
            .or_else(|| self.status.log().trouble())
    }
    /// The same where this worker must change nothing.
    pub(crate) fn unwritable(&self) -> Option<Arc<str>> {
        let config = self.config.trouble();
        config
            .or_else(|| self.assignments.trouble())
            .or_else(|| self.disagreement())
    }
    /// How this worker's internal topics differ from those of its group, if that has any yet: two that were started at the same moment see it only here.
    pub(crate) fn disagreement(&self) -> Option<Arc<str>> {
        self.assignments.read(|now| {
            let error = self.settings.topics.same_as(now.topics()?).err()?;
            Some(error.message().into())
        })
    }
    /// The same where tasks must not go on: without the offsets they would repeat records after the next start, without the assignments they
    /// could run twice (I2, I4).
    pub(crate) fn halted(&self) -> Option<Arc<str>> {
        let offsets = self.offsets.trouble();
        offsets.or_else(|| self.assignments.trouble())
    }
    /// The same where this worker must not lead.
    pub(crate) fn is_lost(&self) -> bool {
        self.config.is_lost() || self.assignments.is_lost()
    }
    /// A connector's or a task's config for the plugins that need it, with everything secret in it told apart (I8). Read anew each time.
    pub(crate) async fn resolve(&self, config: &Flat) -> Result<Resolved> {
        let mut resolved = if config.values().any(|value| holds_placeholder(value)) {
            let (placeholders, config) = (self.settings.placeholders.clone(), config.clone());
            // A file system may hang: not on a thread that moves records.
            let read = tokio::task::spawn_blocking(move || placeholders.resolve(&config)).await;
            read.map_err(|_| Error::bug("config", "a config provider panicked"))??
        } else {
            Resolved::plain(config)
        };
        let definition = validate::definition(&resolved.config, &self.registry);
        let secrets = &mut resolved.secrets;
        secrets.add_config(&resolved.config, |key| definition.is_secret(key));
        secrets.add_config(&self.settings.converters, looks_secret);
        secrets.remember();
        Ok(resolved)
    }
    /// What the brokers say of a topic that could not be written, where that explains a failure.
    pub(crate) async fn explained(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Transient {
            return error;
        }
        let (op, text) = (error.op(), error.message().to_owned());
        let explain = self.bus.explain(error, &self.settings.topics.offset);
        let explained = tokio::time::timeout(EXPLAIN_MAX, explain).await;
        explained.unwrap_or_else(|_| Error::transient(op, text))
    }
    /// A status that this worker gives.
    pub(crate) fn says(
        &self,
        state: State,
        version: Option<String>,
        trace: Option<String>,
    ) -> Status {
        Status {
            state,
            // I8: whoever made the text may not have known what is secret.
            trace: trace.map(|trace| scrub(&trace).into_owned()),
            worker_id: self.settings.worker_id.clone(),
            generation: self.membership.view().borrow().generation,
            version,
        }
    }
    /// The wall clock, in milliseconds since the Unix epoch: for people and records. Clocks of two workers may be hours apart, so nothing is decided by
    /// comparing them; only the age of a session key is looked at, and a wrong one costs another key.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place of the worker that reads the wall clock"
    )]
    pub(crate) fn wall_clock_ms(&self) -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        now.saturating_add(self.settings.clock_off_ms)
    }
}
