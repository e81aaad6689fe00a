//! What a worker's settings come to: defaults that depend on other settings.

use super::{
    keys::{ExactlyOnceSupport, OverridePolicy, WorkerSettings},
    memory,
    rest_keys::RestKeys,
};
use crate::settings::{file::Syntax, listener::Listener};
use longshore_engine::{
    budget::MemoryLimit,
    guarantee::SourceSupport,
    validate::{self, Overrides},
};
use longshore_sdk::{
    config::{Flat, UnknownKeys},
    converter::Part,
};
use std::{sync::LazyLock, time::Duration};

const JSON_CONVERTER: &str = "org.apache.kafka.connect.json.JsonConverter";

/// Which cluster the worker works for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bootstrap {
    /// A development broker inside the worker.
    Embedded,
    /// Brokers, as clients take them: `host:port,host:port`.
    Servers(String),
}

/// The three internal topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Config,
    Offset,
    Status,
}

impl WorkerSettings {
    /// Which cluster the worker works for.
    pub(crate) fn bootstrap(&self) -> Bootstrap {
        match self.bootstrap_servers.as_slice() {
            [] => Bootstrap::Embedded,
            [one] if one.eq_ignore_ascii_case("embedded") => Bootstrap::Embedded,
            servers => Bootstrap::Servers(servers.join(",")),
        }
    }
    /// Where the REST API listens; at least one address.
    pub(crate) fn listeners(&self) -> &[Listener] {
        &self.parsed_listeners
    }
    /// Who may use the REST API.
    pub(crate) fn rest(&self) -> &RestKeys {
        static UNSET: LazyLock<RestKeys> = LazyLock::new(RestKeys::default);
        self.rest.as_ref().unwrap_or(&UNSET)
    }
    /// Which of the listeners is advertised: the first, or the first of the protocol `rest.advertised.listener`.
    pub(crate) fn advertised_listener(&self) -> usize {
        let Some(name) = &self.advertised_listener else {
            return 0;
        };
        let has = |listener: &Listener| listener.scheme().eq_ignore_ascii_case(name);
        self.parsed_listeners.iter().position(has).unwrap_or(0)
    }
    /// The host and port that others reach the REST API at; `bound` is the advertised listener's real port.
    pub(crate) fn advertised(&self, bound: u16) -> (String, u16) {
        let listener = self.parsed_listeners.get(self.advertised_listener());
        let host = self.advertised_host.clone().unwrap_or_else(|| {
            listener.map_or_else(|| "127.0.0.1".to_owned(), Listener::reachable_host)
        });
        (host, self.advertised_port.unwrap_or(bound))
    }
    /// The host that is advertised, where one is given.
    pub(crate) fn advertised_host(&self) -> Option<&str> {
        self.advertised_host.as_deref()
    }
    /// The name of an internal topic.
    pub(crate) fn topic(&self, store: Store) -> String {
        let (given, suffix) = match store {
            Store::Config => (&self.config_topic, "configs"),
            Store::Offset => (&self.offset_topic, "offsets"),
            Store::Status => (&self.status_topic, "status"),
        };
        let given = given.clone();
        given.unwrap_or_else(|| format!("{}-{suffix}", self.group_id))
    }
    /// The class and the settings of the converter for a part; the class of headers is SimpleHeaderConverter unless given.
    pub(crate) fn converter(&self, part: Part) -> (String, Flat) {
        let (class, settings) = match part {
            Part::Key => (&self.key_converter, &self.key_converter_settings),
            Part::Value => (&self.value_converter, &self.value_converter_settings),
            Part::Headers => (&self.header_converter, &self.header_converter_settings),
        };
        let mut settings = settings.clone();
        let class = class.clone().unwrap_or_else(|| {
            if part == Part::Headers {
                return "org.apache.kafka.connect.storage.SimpleHeaderConverter".to_owned();
            }
            // A class that is given keeps its own default; ours comes without the schema envelope.
            let schemas = settings.entry("schemas.enable".to_owned());
            schemas.or_insert_with(|| "false".to_owned());
            JSON_CONVERTER.to_owned()
        });
        (class, settings)
    }
    /// The converters of all parts as worker keys: `key.converter`, `key.converter.schemas.enable`, and so on.
    pub(crate) fn converters(&self) -> Flat {
        let mut keys = Flat::new();
        for (part, key) in [
            (Part::Key, "key.converter"),
            (Part::Value, "value.converter"),
            (Part::Headers, "header.converter"),
        ] {
            let (class, settings) = self.converter(part);
            keys.insert(key.to_owned(), class);
            let settings = settings.into_iter();
            keys.extend(settings.map(|(name, value)| (format!("{key}.{name}"), value)));
        }
        keys
    }
    /// Which client settings connectors may override.
    pub(crate) fn overrides(&self) -> Overrides {
        let policy = match self.override_policy {
            OverridePolicy::All => validate::OverridePolicy::All,
            OverridePolicy::None => validate::OverridePolicy::None,
            OverridePolicy::Principal => validate::OverridePolicy::Principal,
            OverridePolicy::Allowlist => {
                validate::OverridePolicy::Allowlist(self.override_allowlist.clone())
            }
        };
        Overrides {
            policy,
            known: Some(longshore_kafka::check_overrides),
        }
    }
    /// Which sources write exactly once.
    pub(crate) fn source_support(&self) -> SourceSupport {
        match (self.exactly_once, self.syntax) {
            (Some(ExactlyOnceSupport::Enabled), _) => SourceSupport::Enabled,
            (Some(ExactlyOnceSupport::Disabled | ExactlyOnceSupport::Preparing), _) => {
                SourceSupport::Disabled
            }
            // Who wrote such a file may have given the workers no right to transactional ids.
            (None, Some(Syntax::Properties)) => SourceSupport::Disabled,
            (None, _) => SourceSupport::Possible,
        }
    }
    /// How often offsets are committed.
    pub(crate) fn offset_flush_interval(&self) -> Duration {
        let default = match self.syntax {
            Some(Syntax::Properties) => 60_000,
            _ => 1000,
        };
        Duration::from_millis(self.offset_flush_interval_ms.unwrap_or(default))
    }
    /// After which silence a worker counts as gone.
    pub(crate) fn session_timeout(&self) -> Duration {
        let default = match self.bootstrap() {
            Bootstrap::Embedded => 500,
            Bootstrap::Servers(_) => 6000,
        };
        Duration::from_millis(self.session_timeout_ms.unwrap_or(default))
    }
    /// How long workers sign with the same key: at least as long as a former one is accepted.
    pub(crate) fn session_key_ttl(&self) -> Duration {
        Duration::from_millis(self.session_key_ms.max(60_000))
    }
    /// How long a task may take to stop.
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        Duration::from_millis(self.shutdown_ms)
    }
    /// How long the group must have stayed the same before tasks move for balance alone.
    pub(crate) fn rebalance_delay(&self) -> Duration {
        Duration::from_millis(self.rebalance_delay_ms)
    }
    /// How long an operation is retried that fails for a passing reason.
    pub(crate) fn retry_timeout(&self) -> Duration {
        Duration::from_millis(self.retry_ms)
    }
    /// Without progress for this long a task that has work is shown as stalled.
    pub(crate) fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_ms)
    }
    /// How many bytes of records the worker's tasks may hold, all together.
    pub(crate) fn memory(&self) -> MemoryLimit {
        MemoryLimit {
            bytes: self.memory_bytes_max.unwrap_or_else(memory::default),
            chosen: self.memory_bytes_max.is_some(),
        }
    }
    /// What becomes of keys that nobody knows in configs that come by REST: warned about unless given.
    pub(crate) fn unknown_keys_by_rest(&self) -> UnknownKeys {
        self.unknown_keys.unwrap_or(UnknownKeys::Warn)
    }
    /// What becomes of keys that nobody knows in files.
    pub(crate) fn unknown_keys(&self) -> UnknownKeys {
        self.unknown_keys.unwrap_or(match self.syntax {
            Some(Syntax::Properties) => UnknownKeys::Warn,
            _ => UnknownKeys::Refuse,
        })
    }
}
