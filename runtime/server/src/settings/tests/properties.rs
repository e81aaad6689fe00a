//! .properties files as people bring them along from Kafka Connect.

use super::texts;
use crate::settings::{Bootstrap, Settings, Store, WorkerSettings};
use longshore_sdk::converter::Part;
use std::time::Duration;

fn read(text: &str) -> (WorkerSettings, Vec<String>) {
    let settings = Settings::from_properties("w.properties", text.as_bytes()).expect("properties");
    let section = settings.worker.expect("a worker section");
    let (worker, notes) = WorkerSettings::read_resolved(&section)
        .unwrap_or_else(|problems| panic!("{:?}", texts(problems)));
    (worker, texts(notes))
}

/// What a file sets that ships with Kafka 4.1, with the lines that it has commented out.
const DISTRIBUTED: &str = "
# A list of host/port pairs to use for establishing the initial connection to the Kafka cluster.
bootstrap.servers=localhost:9092
group.id=connect-cluster
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=true
value.converter.schemas.enable=true
offset.storage.topic=connect-offsets
offset.storage.replication.factor=1
offset.storage.partitions=25
config.storage.topic=connect-configs
config.storage.replication.factor=1
status.storage.topic=connect-status
status.storage.replication.factor=1
status.storage.partitions=5
offset.flush.interval.ms=10000
listeners=HTTP://127.0.0.1:8083
rest.advertised.host.name=worker-1
rest.advertised.port=18083
rest.advertised.listener=http
plugin.path=/usr/local/share/java,/usr/local/share/kafka/plugins,
";

#[test]
fn the_distributed_file_of_kafka_is_read() {
    let (worker, notes) = read(DISTRIBUTED);
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(
        worker.bootstrap(),
        Bootstrap::Servers("localhost:9092".to_owned())
    );
    assert_eq!(worker.group_id, "connect-cluster");
    for (store, topic) in [
        (Store::Config, "connect-configs"),
        (Store::Offset, "connect-offsets"),
        (Store::Status, "connect-status"),
    ] {
        assert_eq!(worker.topic(store), topic);
    }
    let replication = [
        worker.config_replication,
        worker.offset_replication,
        worker.status_replication,
    ];
    assert_eq!(replication, [Some(1); 3]);
    assert_eq!(
        (worker.offset_partitions, worker.status_partitions),
        (25, 5)
    );
    assert_eq!(worker.offset_flush_interval(), Duration::from_secs(10));
    assert_eq!(worker.advertised(8083), ("worker-1".to_owned(), 18083));
    for part in [Part::Key, Part::Value] {
        let (class, settings) = worker.converter(part);
        assert_eq!(class, "org.apache.kafka.connect.json.JsonConverter");
        assert_eq!(settings["schemas.enable"], "true");
    }
}

#[test]
fn keys_of_standalone_workers_say_what_becomes_of_them() {
    let (worker, notes) = read(
        "bootstrap.servers=localhost:9092
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=true
value.converter.schemas.enable=true
offset.storage.file.filename=/tmp/connect.offsets
offset.flush.interval.ms=10000
plugin.path=/opt/plugins
",
    );
    assert_eq!(worker.group_id, "longshore");
    assert_eq!(worker.topic(Store::Offset), "longshore-offsets");
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("w.properties:6:1: offset.storage.file.filename: has no effect: ")
            && notes[0].contains("longshore-offsets"),
        "{notes:?}"
    );
}

/// Every key of Kafka 4.1's workers: one that has no effect is noted once, and none is called unknown.
#[test]
fn no_key_of_kafka_is_unknown() {
    let effect = "client.dns.lookup=use_all_dns_ips
inter.worker.key.ttl.ms=3600000
client.id=c
connections.max.idle.ms=540000
metadata.max.age.ms=300000
metadata.recovery.strategy=rebootstrap
metadata.recovery.rebootstrap.trigger.ms=300000
receive.buffer.bytes=32768
reconnect.backoff.ms=50
reconnect.backoff.max.ms=1000
request.timeout.ms=40000
retry.backoff.ms=100
retry.backoff.max.ms=1000
send.buffer.bytes=131072
socket.connection.setup.timeout.ms=10000
socket.connection.setup.timeout.max.ms=30000
security.protocol=PLAINTEXT
scheduled.rebalance.max.delay.ms=300000
session.timeout.ms=10000
task.shutdown.graceful.timeout.ms=5000
topic.creation.enable=true
topic.tracking.enable=true
topic.tracking.allow.reset=true
connector.client.config.override.policy=All
exactly.once.source.support=disabled
header.converter=org.apache.kafka.connect.storage.SimpleHeaderConverter
access.control.allow.origin=
access.control.allow.methods=
admin.listeners=
rest.extension.classes=
config.providers=
producer.acks=all
consumer.max.poll.records=100
admin.retries=3
";
    let idle = "auto.include.jmx.reporter=true
connect.protocol=sessioned
heartbeat.interval.ms=3000
inter.worker.key.generation.algorithm=HmacSHA256
inter.worker.key.size=
inter.worker.signature.algorithm=HmacSHA256
inter.worker.verification.algorithms=HmacSHA256
metric.reporters=
metrics.num.samples=2
metrics.recording.level=INFO
metrics.sample.window.ms=30000
offset.flush.timeout.ms=5000
plugin.discovery=hybrid_warn
rebalance.timeout.ms=60000
response.http.headers.config=
rest.host.name=h
rest.port=8085
worker.sync.timeout.ms=3000
worker.unsync.backoff.ms=300000
";
    let (worker, notes) = read(&format!("{DISTRIBUTED}{effect}"));
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(worker.session_timeout(), Duration::from_secs(10));
    assert_eq!(worker.rebalance_delay(), Duration::from_secs(300));
    let (_, notes) = read(idle);
    assert_eq!(notes.len(), idle.lines().count(), "{notes:#?}");
    assert!(
        notes.iter().all(|note| note.contains("has no effect: ")),
        "{notes:#?}"
    );
    // A typing error is told, with what was meant.
    let (_, notes) = read("offset.flush.intervall.ms=1\n");
    assert_eq!(
        notes,
        [
            "w.properties:1:1: offset.flush.intervall.ms: unknown key (did you mean offset.flush.interval.ms?)"
        ]
    );
}

/// As operators of Kubernetes mount it.
#[test]
fn passwords_come_from_files_beside() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("s.properties"),
        "line=a \\\n  b\npw=p:w=1\n",
    )
    .expect("written");
    let root = folder.path().display();
    let text = format!(
        "config.providers=file
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
config.providers.file.param.allowed.paths={root}
security.protocol=SASL_SSL
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  username=\"u\" password=\"${{file:{root}/s.properties:pw}}\";
producer.sasl.jaas.config=${{file:{root}/s.properties:line}}
"
    );
    let (worker, notes) = read(&text);
    assert!(notes.is_empty(), "{notes:?}");
    assert_eq!(
        worker.client["sasl.jaas.config"],
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p:w=1\";"
    );
    assert_eq!(worker.producer["sasl.jaas.config"], "a b");
}

#[test]
fn credentials_in_clear_text_are_noted_and_do_not_stop_a_worker() {
    let open = "listeners=http://0.0.0.0:1\nlongshore.rest.auth=basic\nlongshore.rest.auth.credentials.file=f\n";
    let (_, notes) = read(open);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("in clear text"), "{notes:?}");
    let (_, notes) = read(&format!("{open}longshore.rest.insecure=true\n"));
    assert!(notes.is_empty(), "{notes:?}");
    let (_, notes) = read(&open.replace("0.0.0.0", "127.0.0.1"));
    assert!(notes.is_empty(), "{notes:?}");
}
