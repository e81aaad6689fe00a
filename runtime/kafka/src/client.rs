//! Settings of clients: Kafka's own (Java) keys in, the client library's keys out.

use crate::{
    keys::{self, Rule, Scope},
    oauth,
    security::{self, Special},
};
use longshore_sdk::{Error, Result};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Client properties by name.
pub type Properties = BTreeMap<String, String>;

/// The worker's client settings, in the Java clients' names.
///
/// `common` goes to every client; then `producer`, `consumer` or `admin` (prefix taken off) wins over it, and a connector's overrides win over both.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientSettings {
    /// For every client: `bootstrap.servers`, `security.protocol`, ..
    pub common: Properties,
    /// For producers (`producer.*`).
    pub producer: Properties,
    /// For consumers (`consumer.*`).
    pub consumer: Properties,
    /// For admin clients (`admin.*`).
    pub admin: Properties,
}

impl ClientSettings {
    /// Settings that name the cluster and nothing else.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        let common = [("bootstrap.servers".to_owned(), bootstrap.into())];
        Self {
            common: common.into(),
            ..Self::default()
        }
    }
    /// Picks the clients' keys out of a worker's settings; keys that are not for clients are the worker's and left alone.
    /// Err (Config): a key that is refused, an unknown one behind `producer.`, `consumer.` or `admin.` or one of security, a value that cannot be
    /// used, a store that cannot be read.
    pub fn from_worker(worker: &Properties) -> Result<Self> {
        let mut settings = Self::default();
        for (key, value) in worker {
            let (target, name) = if let Some(name) = key.strip_prefix("producer.") {
                (&mut settings.producer, name)
            } else if let Some(name) = key.strip_prefix("consumer.") {
                (&mut settings.consumer, name)
            } else if key.starts_with("admin.listeners") {
                // The REST server's, in spite of its prefix.
                continue;
            } else if let Some(name) = key.strip_prefix("admin.") {
                (&mut settings.admin, name)
            } else {
                match keys::rule(key) {
                    // The worker's own group keys have the names of consumer keys: they are not for its consumers.
                    Some((Scope::Any, _)) if key != "client.id" => (&mut settings.common, &**key),
                    // Ignored, a slip here would go unseen until somebody else reads what was to be encrypted.
                    None if key.starts_with("sasl.") || key.starts_with("ssl.") => {
                        (&mut settings.common, &**key)
                    }
                    _ => continue,
                }
            };
            allowed(key, name)?;
            target.insert(name.to_owned(), value.clone());
        }
        for role in [Role::Admin, Role::Producer, Role::Consumer] {
            let resolved = settings.resolve(role, &Properties::new())?;
            security::warn(&resolved.native, role.name());
        }
        let sasl = |layer: &Properties| layer.contains_key("sasl.mechanism");
        if sasl(&settings.common) && !settings.common.contains_key("security.protocol") {
            tracing::warn!(
                "sasl.mechanism is set and security.protocol is not: nobody logs in, and nothing is encrypted"
            );
        }
        Ok(settings)
    }
    /// `bootstrap.servers`, for messages.
    pub fn bootstrap(&self) -> &str {
        self.common
            .get("bootstrap.servers")
            .map_or("", String::as_str)
    }
    /// Settings for one client; `overrides` are a connector's.
    pub(crate) fn resolve(&self, role: Role, overrides: &Properties) -> Result<Resolved> {
        let (own, prefix) = match role {
            Role::Producer => (&self.producer, "producer."),
            Role::Consumer => (&self.consumer, "consumer."),
            Role::Admin => (&self.admin, "admin."),
        };
        let mut resolved = Resolved::default();
        let mut special = Special::default();
        resolved.lay(&self.common, role, "", &mut special)?;
        resolved.lay(own, role, prefix, &mut special)?;
        let endpoint = special.get(oauth::TOKEN_URL).map(str::to_owned);
        resolved.lay(overrides, role, &format!("{prefix}override."), &mut special)?;
        // Whoever writes connectors could otherwise send the worker to any address (CVE-2025-27817).
        if overrides.contains_key(oauth::TOKEN_URL)
            && special.get(oauth::TOKEN_URL) != endpoint.as_deref()
        {
            return Err(special.bad(
                oauth::TOKEN_URL,
                "names another token endpoint than the worker's settings do: only they may",
            ));
        }
        let login = security::translate(&special, &mut resolved.native)?;
        resolved.tokens = login.map(oauth::source).transpose()?;
        resolved.finish(role, &special)?;
        Ok(resolved)
    }
}

/// Values may be secrets: only the names are shown (I8).
impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSettings")
            .field("bootstrap.servers", &self.bootstrap())
            .field("common", &self.common.keys())
            .field("producer", &self.producer.keys())
            .field("consumer", &self.consumer.keys())
            .field("admin", &self.admin.keys())
            .finish()
    }
}

/// Checks a connector's client overrides (`producer.override.`, `consumer.override.` or `admin.override.`, prefix taken off) against the
/// allow-list. Err (Config) names the first bad key and the nearest known one.
pub fn check_overrides(prefix: &str, overrides: &Properties) -> Result<()> {
    let mut special = Special::default();
    for (key, value) in overrides {
        let full = format!("{prefix}{key}");
        allowed(&full, key)?;
        special.insert(key, full, value.trim().to_owned());
    }
    oauth::known_classes(&special)
}

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Producer,
    Consumer,
    Admin,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Producer => "producers",
            Self::Consumer => "consumers",
            Self::Admin => "admin clients",
        }
    }
}

/// Settings in the client library's names.
#[derive(Default)]
pub(crate) struct Resolved {
    pub(crate) native: Properties,
    /// `max.poll.records`.
    pub(crate) records_max: Option<usize>,
    /// Where OAUTHBEARER tokens come from. To be kept until the client is open: the client keeps it from then on.
    pub(crate) tokens: Option<Arc<oauth::Source>>,
}

impl Resolved {
    fn lay(
        &mut self,
        layer: &Properties,
        role: Role,
        prefix: &str,
        special: &mut Special,
    ) -> Result<()> {
        for (key, value) in layer {
            let value = value.trim().to_owned();
            let scope_and_rule = allowed(&format!("{prefix}{key}"), key)?;
            let foreign = match scope_and_rule.0 {
                Scope::Any => false,
                Scope::Producer => role != Role::Producer,
                Scope::Consumer => role != Role::Consumer,
            };
            if foreign {
                continue;
            }
            match scope_and_rule.1 {
                Rule::Ignored | Rule::Refused(_) => {}
                Rule::Special => {
                    special.insert(key, format!("{prefix}{key}"), value);
                }
                Rule::Same => {
                    self.native.insert(key.clone(), clamped(key, value));
                }
                Rule::Renamed(name) => {
                    self.native.insert(name.to_owned(), clamped(name, value));
                }
                Rule::Kilobytes(name) => {
                    let bytes = number(&format!("{prefix}{key}"), &value)?;
                    let kilobytes = (bytes / 1024).clamp(64, i64::from(i32::MAX));
                    self.native.insert(name.to_owned(), kilobytes.to_string());
                }
            }
        }
        Ok(())
    }

    /// The special keys that are not about security.
    fn finish(&mut self, role: Role, special: &Special) -> Result<()> {
        let native = &mut self.native;
        for (key, value) in special.iter() {
            match key {
                "request.timeout.ms" if role == Role::Producer => {
                    native.insert(key.to_owned(), value.to_owned());
                }
                "request.timeout.ms" => {
                    native.insert("socket.timeout.ms".to_owned(), value.to_owned());
                }
                "send.buffer.bytes" | "receive.buffer.bytes" if value != "-1" => {
                    native.insert(format!("socket.{key}"), value.to_owned());
                }
                "auto.offset.reset" => {
                    native.insert(key.to_owned(), reset(value)?.to_owned());
                }
                "fetch.max.bytes" => {
                    let bytes = number(key, value)?.clamp(1000, i64::from(i32::MAX) - 512);
                    native.insert(key.to_owned(), bytes.to_string());
                    // The library insists on message <= fetch < receive.
                    native.insert(
                        "message.max.bytes".to_owned(),
                        bytes.min(1_000_000).to_string(),
                    );
                    native.insert(
                        "receive.message.max.bytes".to_owned(),
                        (bytes + 512).max(100_000_000).to_string(),
                    );
                }
                "max.poll.records" => {
                    let records = number(key, value)?.clamp(1, 100_000);
                    self.records_max = usize::try_from(records).ok();
                }
                "partition.assignment.strategy" => {
                    native.insert(key.to_owned(), assignors(value)?);
                }
                _ => {}
            }
        }
        if role == Role::Producer {
            idempotence(native);
        }
        Ok(())
    }

    /// Sets `key` unless the user did.
    pub(crate) fn preset(&mut self, key: &str, value: impl ToString) {
        self.native
            .entry(key.to_owned())
            .or_insert_with(|| value.to_string());
    }
    /// How soon a connection is made, again or for the first time: half of the first back-off is also how long the library lets pass between
    /// the first broker that it knows and the next, which every client that starts waits for.
    pub(crate) fn quick_to_connect(&mut self) {
        self.preset("reconnect.backoff.ms", 20);
        self.preset("reconnect.backoff.max.ms", 2000);
    }
    /// Sets `key` whatever the user said.
    pub(crate) fn force(&mut self, key: &str, value: impl ToString) {
        self.native.insert(key.to_owned(), value.to_string());
    }
    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in &self.native {
            config.set(key, value);
        }
        if let Some(tokens) = &self.tokens {
            oauth::name_source(&mut config, tokens);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }
}

fn allowed(full: &str, key: &str) -> Result<(Scope, Rule)> {
    match keys::rule(key) {
        Some((_, Rule::Refused(reason))) => Err(Error::config(
            "config",
            format!("{full} cannot be set: {reason}"),
        )
        .with("key", full)),
        Some(known) => Ok(known),
        None => {
            let hint = keys::nearest(key).map_or_else(String::new, |near| {
                let prefix = full.strip_suffix(key).unwrap_or("");
                format!(": did you mean {prefix}{near}?")
            });
            Err(Error::config(
                "config",
                format!("{full} is not a client setting that Longshore knows{hint}"),
            )
            .with("key", full))
        }
    }
}

fn number(key: &str, value: &str) -> Result<i64> {
    value.parse().map_err(|_| {
        Error::config(
            "config",
            format!(
                "{key} must be a whole number, not {} characters of other text",
                value.len()
            ),
        )
        .with("key", key)
    })
}

/// Java's limits are wider than the library's for these; the nearest value it takes means the same.
fn clamped(name: &str, value: String) -> String {
    let (low, high) = match name {
        "message.max.bytes" => (1_000, 1_000_000_000),
        "topic.metadata.propagation.max.ms" => (0, 3_600_000),
        "fetch.wait.max.ms" => (0, 300_000),
        "batch.size" | "fetch.min.bytes" => (1, 100_000_000),
        "message.timeout.ms" | "retries" => (0, i64::from(i32::MAX)),
        "max.partition.fetch.bytes" => (1, 1_000_000_000),
        // A Java client asks no sooner than after its retry.backoff.ms.
        "topic.metadata.refresh.interval.ms" => (100, 3_600_000),
        "linger.ms" => (0, 900_000),
        _ => return value,
    };
    match value.parse::<i64>() {
        Ok(number) => number.clamp(low, high).to_string(),
        Err(_) => value,
    }
}

fn reset(value: &str) -> Result<&str> {
    match value {
        "earliest" | "latest" => Ok(value),
        "none" | "error" => Ok("error"),
        _ => Err(Error::config(
            "config",
            "auto.offset.reset must be earliest, latest or none",
        )),
    }
}

fn assignors(value: &str) -> Result<String> {
    let mut eager = Vec::new();
    for class in value.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        match class.rsplit('.').next().unwrap_or(class) {
            "CooperativeStickyAssignor" | "cooperative-sticky" => {}
            "RangeAssignor" | "range" => eager.push("range"),
            "RoundRobinAssignor" | "roundrobin" => eager.push("roundrobin"),
            _ => {
                return Err(Error::config(
                    "config",
                    format!(
                        "partition.assignment.strategy: {class} is not supported: use cooperative-sticky, range or roundrobin"
                    ),
                ));
            }
        }
    }
    // Like a Java member with both kinds in its list, which stays eager until nobody else needs it.
    Ok(if eager.is_empty() {
        "cooperative-sticky".to_owned()
    } else {
        eager.join(",")
    })
}

/// As in Java, settings that idempotence cannot live with turn it off unless it was asked for by name. Order is kept either way.
fn idempotence(native: &mut Properties) {
    let unfit = native.iter().any(|(key, value)| match key.as_str() {
        "acks" => !matches!(value.as_str(), "all" | "-1"),
        "retries" => value == "0",
        "max.in.flight.requests.per.connection" => value.parse::<u32>().is_ok_and(|n| n > 5),
        _ => false,
    });
    if unfit && !native.contains_key("enable.idempotence") {
        native.insert("enable.idempotence".to_owned(), "false".to_owned());
    }
    if native.get("enable.idempotence").map(String::as_str) == Some("false") {
        native
            .entry("max.in.flight.requests.per.connection".to_owned())
            .or_insert_with(|| "1".to_owned());
    } else {
        native.insert("enable.idempotence".to_owned(), "true".to_owned());
    }
}
