//! The client keys that users may set, and what becomes of each. A key that is not listed here cannot be set by anybody: this table is the
//! allow-list for worker settings and connector overrides alike (no library paths, no commands, no callbacks, no class names).

/// What becomes of a Java client's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The client library knows it by the same name.
    Same,
    /// The same meaning under another name.
    Renamed(&'static str),
    /// The same meaning under another name, in units of 1,024 bytes instead of bytes.
    Kilobytes(&'static str),
    /// It has no effect here, and none is missed.
    Ignored,
    /// Read by [`crate::client`]: it becomes other keys.
    Special,
    /// Refused, with the reason.
    Refused(&'static str),
}

/// Which clients a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All.
    Any,
    /// Producers; others ignore it.
    Producer,
    /// Consumers; others ignore it.
    Consumer,
}

use Rule::{Ignored, Kilobytes, Refused, Renamed, Same, Special};
use Scope::{Any, Consumer, Producer};

const CLASSES: &str = "it names a class or a command to run, which is never done";
const GRANT: &str = "the grant with signed assertions is not supported: client credentials are";
const OWNED: &str = "Longshore sets it itself";

/// Every known key.
pub(crate) const KEYS: &[(&str, Scope, Rule)] = &[
    ("bootstrap.servers", Any, Same),
    ("client.id", Any, Same),
    ("client.rack", Any, Same),
    ("client.dns.lookup", Any, Same),
    (
        "metadata.max.age.ms",
        Any,
        Renamed("topic.metadata.refresh.interval.ms"),
    ),
    ("metadata.recovery.strategy", Any, Same),
    ("metadata.recovery.rebootstrap.trigger.ms", Any, Same),
    ("connections.max.idle.ms", Any, Same),
    ("reconnect.backoff.ms", Any, Same),
    ("reconnect.backoff.max.ms", Any, Same),
    ("retry.backoff.ms", Any, Same),
    ("retry.backoff.max.ms", Any, Same),
    ("request.timeout.ms", Any, Special),
    ("default.api.timeout.ms", Any, Ignored),
    ("socket.connection.setup.timeout.ms", Any, Same),
    ("socket.connection.setup.timeout.max.ms", Any, Ignored),
    ("socket.timeout.ms", Any, Same),
    ("socket.keepalive.enable", Any, Same),
    ("socket.nagle.disable", Any, Same),
    ("broker.address.family", Any, Same),
    ("broker.address.ttl", Any, Same),
    ("send.buffer.bytes", Any, Special),
    ("receive.buffer.bytes", Any, Special),
    ("receive.message.max.bytes", Any, Same),
    ("security.protocol", Any, Special),
    ("sasl.mechanism", Any, Special),
    ("sasl.username", Any, Same),
    ("sasl.password", Any, Same),
    ("sasl.jaas.config", Any, Special),
    ("sasl.kerberos.service.name", Any, Ignored),
    ("sasl.kerberos.principal", Any, Ignored),
    ("sasl.kerberos.keytab", Any, Ignored),
    ("sasl.oauthbearer.token.endpoint.url", Any, Special),
    (
        "sasl.oauthbearer.client.credentials.client.id",
        Any,
        Special,
    ),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        Any,
        Special,
    ),
    ("sasl.oauthbearer.scope", Any, Special),
    ("sasl.oauthbearer.sub.claim.name", Any, Special),
    ("sasl.oauthbearer.header.urlencode", Any, Special),
    ("sasl.oauthbearer.jwt.retriever.class", Any, Special),
    ("sasl.oauthbearer.jwt.validator.class", Any, Special),
    ("sasl.login.callback.handler.class", Any, Special),
    ("sasl.login.connect.timeout.ms", Any, Special),
    ("sasl.login.read.timeout.ms", Any, Special),
    ("sasl.login.retry.backoff.ms", Any, Special),
    ("sasl.login.retry.backoff.max.ms", Any, Special),
    ("sasl.oauthbearer.scope.claim.name", Any, Ignored),
    ("sasl.oauthbearer.clock.skew.seconds", Any, Ignored),
    ("sasl.oauthbearer.expected.audience", Any, Ignored),
    ("sasl.oauthbearer.expected.issuer", Any, Ignored),
    ("sasl.oauthbearer.jwks.endpoint.url", Any, Ignored),
    ("sasl.oauthbearer.jwks.endpoint.refresh.ms", Any, Ignored),
    (
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms",
        Any,
        Ignored,
    ),
    (
        "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms",
        Any,
        Ignored,
    ),
    ("sasl.oauthbearer.assertion.algorithm", Any, Refused(GRANT)),
    ("sasl.oauthbearer.assertion.claim.aud", Any, Refused(GRANT)),
    (
        "sasl.oauthbearer.assertion.claim.exp.seconds",
        Any,
        Refused(GRANT),
    ),
    ("sasl.oauthbearer.assertion.claim.iss", Any, Refused(GRANT)),
    (
        "sasl.oauthbearer.assertion.claim.jti.include",
        Any,
        Refused(GRANT),
    ),
    (
        "sasl.oauthbearer.assertion.claim.nbf.seconds",
        Any,
        Refused(GRANT),
    ),
    ("sasl.oauthbearer.assertion.claim.sub", Any, Refused(GRANT)),
    ("sasl.oauthbearer.assertion.file", Any, Refused(GRANT)),
    (
        "sasl.oauthbearer.assertion.private.key.file",
        Any,
        Refused(GRANT),
    ),
    (
        "sasl.oauthbearer.assertion.private.key.passphrase",
        Any,
        Refused(GRANT),
    ),
    (
        "sasl.oauthbearer.assertion.template.file",
        Any,
        Refused(GRANT),
    ),
    ("ssl.truststore.type", Any, Special),
    ("ssl.truststore.location", Any, Special),
    ("ssl.truststore.certificates", Any, Special),
    ("ssl.truststore.password", Any, Special),
    ("ssl.keystore.type", Any, Special),
    ("ssl.keystore.location", Any, Special),
    ("ssl.keystore.password", Any, Special),
    ("ssl.keystore.key", Any, Special),
    ("ssl.keystore.certificate.chain", Any, Special),
    ("ssl.key.password", Any, Same),
    ("ssl.ca.location", Any, Same),
    ("ssl.ca.pem", Any, Same),
    ("ssl.certificate.location", Any, Same),
    ("ssl.certificate.pem", Any, Same),
    ("ssl.key.location", Any, Same),
    ("ssl.key.pem", Any, Same),
    ("ssl.crl.location", Any, Same),
    ("ssl.endpoint.identification.algorithm", Any, Special),
    ("ssl.cipher.suites", Any, Special),
    ("ssl.client.auth", Any, Ignored),
    ("ssl.curves.list", Any, Same),
    ("ssl.sigalgs.list", Any, Same),
    ("enable.ssl.certificate.verification", Any, Same),
    ("ssl.protocol", Any, Ignored),
    ("ssl.provider", Any, Ignored),
    ("ssl.enabled.protocols", Any, Ignored),
    ("ssl.keymanager.algorithm", Any, Ignored),
    ("ssl.trustmanager.algorithm", Any, Ignored),
    ("ssl.secure.random.implementation", Any, Ignored),
    ("metric.reporters", Any, Ignored),
    ("metrics.num.samples", Any, Ignored),
    ("metrics.recording.level", Any, Ignored),
    ("metrics.sample.window.ms", Any, Ignored),
    ("auto.include.jmx.reporter", Any, Ignored),
    ("enable.metrics.push", Any, Same),
    ("sasl.login.refresh.buffer.seconds", Any, Ignored),
    ("sasl.login.refresh.min.period.seconds", Any, Ignored),
    ("sasl.login.refresh.window.factor", Any, Ignored),
    ("sasl.login.refresh.window.jitter", Any, Ignored),
    ("sasl.kerberos.min.time.before.relogin", Any, Ignored),
    ("sasl.kerberos.ticket.renew.jitter", Any, Ignored),
    ("sasl.kerberos.ticket.renew.window.factor", Any, Ignored),
    ("acks", Producer, Same),
    ("batch.size", Producer, Same),
    ("batch.num.messages", Producer, Same),
    (
        "buffer.memory",
        Producer,
        Kilobytes("queue.buffering.max.kbytes"),
    ),
    ("queue.buffering.max.kbytes", Producer, Same),
    ("queue.buffering.max.messages", Producer, Same),
    ("compression.type", Producer, Same),
    (
        "compression.gzip.level",
        Producer,
        Renamed("compression.level"),
    ),
    (
        "compression.lz4.level",
        Producer,
        Renamed("compression.level"),
    ),
    (
        "compression.zstd.level",
        Producer,
        Renamed("compression.level"),
    ),
    ("compression.level", Producer, Same),
    (
        "delivery.timeout.ms",
        Producer,
        Renamed("message.timeout.ms"),
    ),
    ("message.timeout.ms", Producer, Same),
    ("enable.idempotence", Producer, Same),
    ("linger.ms", Producer, Same),
    (
        "max.block.ms",
        Producer,
        Renamed("topic.metadata.propagation.max.ms"),
    ),
    ("max.in.flight.requests.per.connection", Producer, Same),
    ("max.request.size", Producer, Renamed("message.max.bytes")),
    ("message.max.bytes", Producer, Same),
    ("metadata.max.idle.ms", Producer, Ignored),
    ("partitioner", Producer, Same),
    ("partitioner.class", Producer, Refused(CLASSES)),
    (
        "partitioner.adaptive.partitioning.enable",
        Producer,
        Ignored,
    ),
    ("partitioner.availability.timeout.ms", Producer, Ignored),
    ("partitioner.ignore.keys", Producer, Ignored),
    ("retries", Producer, Same),
    ("sticky.partitioning.linger.ms", Producer, Same),
    ("transaction.timeout.ms", Producer, Same),
    ("transactional.id", Producer, Refused(OWNED)),
    ("key.serializer", Producer, Ignored),
    ("value.serializer", Producer, Ignored),
    ("allow.auto.create.topics", Any, Same),
    ("auto.commit.interval.ms", Consumer, Ignored),
    ("auto.offset.reset", Consumer, Special),
    ("check.crcs", Consumer, Same),
    ("enable.auto.commit", Consumer, Refused(OWNED)),
    ("exclude.internal.topics", Consumer, Ignored),
    ("fetch.max.bytes", Consumer, Special),
    ("fetch.max.wait.ms", Consumer, Renamed("fetch.wait.max.ms")),
    ("fetch.wait.max.ms", Consumer, Same),
    ("fetch.min.bytes", Consumer, Same),
    ("group.id", Consumer, Same),
    ("group.instance.id", Consumer, Same),
    ("group.protocol", Consumer, Same),
    ("group.remote.assignor", Consumer, Same),
    ("heartbeat.interval.ms", Consumer, Same),
    ("isolation.level", Consumer, Same),
    ("max.partition.fetch.bytes", Consumer, Same),
    ("max.poll.interval.ms", Consumer, Same),
    ("max.poll.records", Consumer, Special),
    ("partition.assignment.strategy", Consumer, Special),
    ("queued.max.messages.kbytes", Consumer, Same),
    ("queued.min.messages", Consumer, Same),
    ("session.timeout.ms", Consumer, Same),
    ("key.deserializer", Consumer, Ignored),
    ("value.deserializer", Consumer, Ignored),
    ("interceptor.classes", Any, Refused(CLASSES)),
    ("plugin.library.paths", Any, Refused(CLASSES)),
    ("sasl.kerberos.kinit.cmd", Any, Refused(CLASSES)),
    ("sasl.kerberos.kinit.cmd.path", Any, Refused(CLASSES)),
    ("sasl.client.callback.handler.class", Any, Refused(CLASSES)),
    ("sasl.login.class", Any, Refused(CLASSES)),
    ("security.providers", Any, Refused(CLASSES)),
    ("ssl.engine.factory.class", Any, Refused(CLASSES)),
    ("ssl.engine.location", Any, Refused(CLASSES)),
    ("ssl.engine.id", Any, Refused(CLASSES)),
    ("ssl.providers", Any, Refused(CLASSES)),
];

/// The rule of `key`.
pub(crate) fn rule(key: &str) -> Option<(Scope, Rule)> {
    KEYS.iter()
        .find(|(name, _, _)| *name == key)
        .map(|(_, scope, rule)| (*scope, *rule))
}

/// The known key that looks most like `key`.
pub(crate) fn nearest(key: &str) -> Option<&'static str> {
    let distance = |name: &str| edits(key, name);
    KEYS.iter()
        .filter(|(_, _, rule)| !matches!(rule, Refused(_)))
        .map(|(name, _, _)| (distance(name), *name))
        .min()
        .filter(|(edits, name)| *edits * 3 <= name.len())
        .map(|(_, name)| name)
}

fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().take(128).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
