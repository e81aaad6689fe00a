//! Worker keys that are not read into a field: what clients take, what has no effect here, what is refused.

use longshore_sdk::config::{Definition, Finding, Flat, Key};

/// Keys that every client takes. A name that ends with a dot is a prefix.
const CLIENT: &[&str] = &[
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.max.idle.ms",
    "default.api.timeout.ms",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.",
    "security.protocol",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
    "ssl.",
];

/// Kafka Connect's keys that are accepted and have no effect, each with the reason. A name that ends with a dot is a prefix.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    (
        "auto.include.jmx.reporter",
        "there is no JMX: metrics are at /metrics",
    ),
    (
        "connect.protocol",
        "workers keep in step through topics of their own",
    ),
    (
        "heartbeat.interval.ms",
        "it follows from session.timeout.ms",
    ),
    (
        "inter.worker.key.generation.algorithm",
        "calls between workers are signed with HmacSHA256",
    ),
    (
        "inter.worker.key.size",
        "calls between workers are signed with keys of 32 bytes",
    ),
    (
        "inter.worker.signature.algorithm",
        "calls between workers are signed with HmacSHA256",
    ),
    (
        "inter.worker.verification.algorithms",
        "calls between workers are signed with HmacSHA256",
    ),
    ("internal.key.converter", "internal topics have one format"),
    (
        "internal.value.converter",
        "internal topics have one format",
    ),
    ("metric.reporters", "metrics are at /metrics"),
    ("metrics.", "metrics are at /metrics"),
    (
        "offset.flush.timeout.ms",
        "a commit has no time limit of its own: task.shutdown.graceful.timeout.ms bounds a stop",
    ),
    (
        "offset.storage.file.filename",
        "it is a key of standalone workers; offsets are kept in the topic of offset.storage.topic, longshore-offsets unless given",
    ),
    ("plugin.discovery", "plugins say themselves what they are"),
    (
        "rebalance.timeout.ms",
        "a change moves only the tasks that must move",
    ),
    (
        "response.http.headers.config",
        "answers carry no extra headers",
    ),
    (
        "rest.host.name",
        "the REST API listens where listeners says",
    ),
    ("rest.port", "the REST API listens where listeners says"),
    (
        "worker.sync.timeout.ms",
        "workers keep in step through topics of their own",
    ),
    (
        "worker.unsync.backoff.ms",
        "workers keep in step through topics of their own",
    ),
];

/// Keys whose meaning would be lost if they were ignored. A name that ends with a dot is a prefix.
const REFUSED: &[(&str, &str)] = &[
    (
        "admin.listeners",
        "the admin endpoints are at listeners, with the others",
    ),
    (
        "rest.extension.classes",
        "Java classes do not run here. In place of BasicAuthSecurityRestExtension set longshore.rest.auth=basic and longshore.rest.auth.credentials.file, a file of the lines that `longshore auth hash NAME --role admin` makes of the passwords of your JAAS login file; in place of one that checks tokens set longshore.rest.auth=bearer",
    ),
];

/// The keys of all three kinds: a refused one is known, too, and without a value it is in order.
pub(super) fn definition() -> Definition {
    let client = CLIENT.iter().copied();
    let judged = WITHOUT_EFFECT.iter().chain(REFUSED);
    let judged = judged.map(|(name, _)| *name);
    Definition {
        keys: client.chain(judged).map(Key::new).collect(),
    }
}

/// The entries that every client takes.
pub(super) fn client(config: &Flat) -> Flat {
    let entries = config
        .iter()
        .filter(|(key, _)| CLIENT.iter().any(|name| falls_under(key, name)));
    entries
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// One finding for each key that has no effect.
pub(super) fn without_effect(config: &Flat) -> Vec<Finding> {
    let reason = |key: &str| {
        WITHOUT_EFFECT
            .iter()
            .find(|(name, _)| falls_under(key, name))
    };
    let findings = config.keys().filter_map(|key| {
        let (_, why) = reason(key)?;
        Some(Finding::new(key, format!("has no effect: {why}")))
    });
    findings.collect()
}

/// One finding for each key that is refused; one without a value asks for nothing.
pub(super) fn refused(config: &Flat) -> Vec<Finding> {
    let reason = |key: &str| REFUSED.iter().find(|(name, _)| falls_under(key, name));
    let given = config.iter().filter(|(_, value)| !value.trim().is_empty());
    let findings = given.filter_map(|(key, _)| {
        let (_, why) = reason(key)?;
        Some(Finding::new(key, "not supported").suggest(*why))
    });
    findings.collect()
}

fn falls_under(key: &str, name: &str) -> bool {
    key == name || (name.ends_with('.') && key.starts_with(name))
}
