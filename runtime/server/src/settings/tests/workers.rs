use super::{texts, yaml};
use crate::settings::{
    Bootstrap, RestartPolicy, Section, Settings, Store, WorkerSettings, worker::OverridePolicy,
};
use longshore_sdk::{config::UnknownKeys, converter::Part};
use std::{path::Path, time::Duration};

fn section(text: &str) -> Section {
    yaml(text).worker.expect("a worker section")
}

fn read(text: &str) -> WorkerSettings {
    match WorkerSettings::read(&section(text)) {
        Ok((settings, notes)) => {
            assert!(notes.is_empty(), "{notes:?}");
            settings
        }
        Err(problems) => panic!("{problems:?}"),
    }
}

fn refused(text: &str) -> Vec<String> {
    texts(WorkerSettings::read(&section(text)).expect_err(text))
}

#[test]
fn without_a_file_the_defaults_hold() {
    let (worker, notes) =
        WorkerSettings::read(&Section::empty()).expect("the defaults are in order");
    assert!(notes.is_empty());
    assert_eq!(worker.bootstrap(), Bootstrap::Embedded);
    assert_eq!(worker.group_id, "longshore");
    assert_eq!(worker.topic(Store::Config), "longshore-configs");
    assert_eq!(worker.topic(Store::Offset), "longshore-offsets");
    assert_eq!(worker.topic(Store::Status), "longshore-status");
    assert_eq!(
        (worker.offset_partitions, worker.status_partitions),
        (25, 5)
    );
    assert_eq!(
        (worker.config_replication, worker.broker_listen.as_deref()),
        (None, None)
    );
    assert_eq!(worker.offset_flush_interval(), Duration::from_secs(1));
    assert_eq!(worker.session_timeout(), Duration::from_millis(500));
    assert_eq!(worker.retry_timeout(), Duration::from_secs(300));
    assert_eq!(worker.shutdown_timeout(), Duration::from_secs(5));
    assert_eq!(worker.stall_timeout(), Duration::from_secs(60));
    let memory = worker.memory();
    assert!(!memory.chosen && memory.bytes >= 64 << 20, "{memory:?}");
    let small = refused("worker: {longshore.memory.max.bytes: 16777215}\n");
    assert!(
        small[0].contains("longshore.memory.max.bytes") && small[0].contains("16777216"),
        "{small:?}"
    );
    let chosen = read("worker: {longshore.memory.max.bytes: 16777216}\n").memory();
    assert_eq!((chosen.bytes, chosen.chosen), (16 << 20, true));
    assert_eq!(worker.data_dir, Path::new("./longshore-data"));
    assert_eq!(worker.unknown_keys(), UnknownKeys::Refuse);
    assert_eq!(worker.unknown_keys_by_rest(), UnknownKeys::Warn);
    assert_eq!(worker.restart_policy, RestartPolicy::OnTransient);
    assert_eq!(worker.override_policy, OverridePolicy::All);
    let listeners: Vec<(&str, u16)> = worker
        .listeners()
        .iter()
        .map(|at| (at.host.as_str(), at.port))
        .collect();
    assert_eq!(listeners, [("127.0.0.1", 8083)]);
    assert_eq!(worker.advertised(8083), ("127.0.0.1".to_owned(), 8083));
    let (class, settings) = worker.converter(Part::Value);
    assert_eq!(class, "org.apache.kafka.connect.json.JsonConverter");
    assert_eq!(settings["schemas.enable"], "false");
    assert!(
        worker
            .converter(Part::Headers)
            .0
            .ends_with("SimpleHeaderConverter")
    );
}

#[test]
fn connects_keys_are_read() {
    let worker = read(
        "worker:
  bootstrap.servers: a:9092, b:9092
  group.id: g
  listeners: [http://localhost:0, 'http://[::1]:8084']
  config.storage: {topic: c, replication.factor: 3, min.insync.replicas: 2}
  offset.storage.partitions: -1
  key.converter: org.apache.kafka.connect.json.JsonConverter
  key.converter.schemas.enable: true
  value.converter: org.apache.kafka.connect.storage.StringConverter
  producer: {linger.ms: 5, ssl.keystore.password: x}
  consumer.max.poll.records: 10
  security.protocol: SASL_SSL
  sasl.mechanism: PLAIN
  connector.client.config.override.policy: none
  config.providers: file
  config.providers.file.class: org.apache.kafka.common.config.provider.FileConfigProvider
  config.providers.file.param.allowed.paths: /
  longshore:
    unknown.keys: warn
    restart.policy: never
",
    );
    assert_eq!(
        worker.bootstrap(),
        Bootstrap::Servers("a:9092,b:9092".to_owned())
    );
    assert_eq!(
        (worker.topic(Store::Config), worker.topic(Store::Status)),
        ("c".to_owned(), "g-status".to_owned())
    );
    assert_eq!(worker.config_replication, Some(3));
    assert_eq!(worker.config_topic_configs["min.insync.replicas"], "2");
    assert_eq!(
        worker.config_topic_configs.len(),
        1,
        "keys of their own are no topic configs"
    );
    assert_eq!(worker.session_timeout(), Duration::from_secs(6));
    assert_eq!(worker.converter(Part::Key).1["schemas.enable"], "true");
    assert!(worker.converter(Part::Value).1.is_empty());
    let converters = worker.converters();
    assert_eq!(converters.len(), 4, "{converters:?}");
    assert_eq!(converters["key.converter.schemas.enable"], "true");
    assert_eq!(worker.producer.len(), 2);
    assert_eq!(worker.consumer["max.poll.records"], "10");
    assert_eq!(worker.client.len(), 2);
    assert_eq!(worker.client["sasl.mechanism"], "PLAIN");
    assert_eq!(worker.override_policy, OverridePolicy::None);
    assert_eq!(
        (worker.unknown_keys(), worker.restart_policy),
        (UnknownKeys::Warn, RestartPolicy::Never)
    );
}

#[test]
fn properties_files_keep_connects_defaults() {
    let text = b"bootstrap.servers=k:9092\ngroup.id=g\nplugin.path=/plugins\nmistyped.key=1\nlisteners=http://127.0.0.1:8083\n";
    let settings = Settings::from_properties("w.properties", text).expect("good");
    let section = settings.worker.expect("a worker section");
    let (worker, notes) = WorkerSettings::read(&section).expect("good");
    assert_eq!(worker.offset_flush_interval(), Duration::from_secs(60));
    assert_eq!(worker.unknown_keys(), UnknownKeys::Warn);
    assert_eq!(
        texts(notes),
        ["w.properties:4:1: mistyped.key: unknown key",]
    );
}

#[test]
fn wrong_worker_settings_are_refused_where_they_stand() {
    for (text, expected) in [
        (
            "worker:\n  grup.id: x\n",
            "f.yaml:2:3: grup.id: unknown key (did you mean group.id?)",
        ),
        (
            "worker:\n  session.timeout.ms: soon\n",
            "f.yaml:2:3: session.timeout.ms: expected an integer, got a string of 4 characters: soon",
        ),
        (
            "worker:\n  listeners: http://0.0.0.0:8083\n",
            "f.yaml:2:3: listeners: http://0.0.0.0:8083 can be reached from other machines, and the REST API has no authentication (set longshore.rest.auth, listen on 127.0.0.1, or set longshore.rest.insecure=true where the network keeps others out)",
        ),
        (
            "worker:\n  listeners: []\n",
            "f.yaml:2:3: listeners: expected at least 1 address, such as http://127.0.0.1:8083",
        ),
        (
            "worker:\n  bootstrap.servers: [embedded, a:1]\n",
            "f.yaml:2:3: bootstrap.servers: embedded stands alone: no other broker beside it",
        ),
        (
            "worker:\n  bootstrap.servers: kafka\n",
            "f.yaml:2:3: bootstrap.servers: expected host:port or embedded, got kafka",
        ),
        (
            "worker:\n  offset.storage.partitions: 0\n",
            "f.yaml:2:3: offset.storage.partitions: expected at least 1, or -1 for the brokers' default, got 0",
        ),
        (
            "worker:\n  longshore:\n    broker.listen: here\n",
            "f.yaml:3:5: longshore.broker.listen: expected host:port, got here",
        ),
        (
            "worker:\n  rest.extension.classes: a.B\n",
            "f.yaml:2:3: rest.extension.classes: not supported (Java classes do not run here. In place of BasicAuthSecurityRestExtension set longshore.rest.auth=basic and longshore.rest.auth.credentials.file, a file of the lines that `longshore auth hash NAME --role admin` makes",
        ),
        (
            "worker:\n  listeners: https://127.0.0.1:0\n",
            "f.yaml:2:3: listeners: https needs a certificate and its key (set listeners.https.ssl.keystore.location",
        ),
        (
            "worker:\n  listeners: https://127.0.0.1:0\n  listeners.https.ssl:\n    keystore: {type: JKS, location: /k}\n",
            "f.yaml:4:16: listeners.https.ssl.keystore.type: expected PEM, got JKS (openssl pkcs12",
        ),
        (
            "worker:\n  listeners: https://127.0.0.1:0\n  ssl.keystore.location: /k\n  ssl.client.auth: required\n",
            "f.yaml:4:3: ssl.client.auth: clients' certificates need ones to trust them by (set ssl.truststore.location",
        ),
        (
            "worker:\n  listeners.https.ssl.keystore.lokation: /k\n",
            "f.yaml:2:3: listeners.https.ssl.keystore.lokation: unknown key (did you mean listeners.https.ssl.keystore.location?)",
        ),
        (
            "worker:\n  longshore.rest.auth: basic\n",
            "f.yaml:2:3: longshore.rest.auth.credentials.file: required with longshore.rest.auth=basic, but missing",
        ),
        (
            "worker:\n  longshore.rest.auth: kerberos\n",
            "f.yaml:2:3: longshore.rest.auth: expected one of its names, got a string of 8 characters: kerberos (use ",
        ),
        (
            "worker:\n  longshore.rest.auth: bearer\n  longshore.rest.auth.audience: a\n  longshore.rest.auth.issuer: i\n  longshore.rest.auth.jwks.url: http://idp.example/keys\n",
            "f.yaml:5:3: longshore.rest.auth.jwks.url: plain http to another machine cannot be trusted with signing keys",
        ),
        (
            "worker:\n  longshore.rest.auth: bearer\n  longshore.rest.auth.audience: a\n  longshore.rest.auth.issuer: i\n  longshore.rest.auth.jwks.file: f\n  longshore.rest.auth.algorithms: HS256\n",
            "f.yaml:6:3: longshore.rest.auth.algorithms: ",
        ),
        (
            "worker:\n  rest.advertised.listener: https\n",
            "f.yaml:2:3: rest.advertised.listener: expected the protocol of one of listeners, got https",
        ),
        (
            "worker:\n  config.providers: vault\n  config.providers.vault.class: x.Vault\n",
            "f.yaml:3:3: config.providers.vault.class: there is no config provider x.Vault (there are directory, env, file, org.apache",
        ),
        (
            "worker:\n  longshore.unknown.keys: ignore\n",
            "f.yaml:2:3: longshore.unknown.keys: expected one of its names, got a string of 6 characters: ignore (use ",
        ),
    ] {
        let found = refused(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(expected),
            "expected {expected}\nfound    {}",
            found[0]
        );
    }
}

#[test]
fn values_and_names_are_reported_together() {
    let found = refused("worker:\n  session.timeout.ms: x\n  grup.id: y\n");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn who_asks_for_it_may_listen_everywhere() {
    let worker = read("worker:\n  listeners: http://:8083\n  longshore.rest.insecure: true\n");
    assert_eq!(worker.listeners()[0].host, "0.0.0.0");
    assert_eq!(worker.advertised(9000), ("127.0.0.1".to_owned(), 9000));
}

#[test]
fn who_proves_who_he_is_over_https_may_come_from_anywhere() {
    for text in [
        "worker:\n  listeners: https://:8443\n  listeners.https.ssl.keystore.location: k.pem\n  longshore.rest.auth: basic\n  longshore.rest.auth.credentials.file: users\n",
        "worker:\n  listeners: https://:8443\n  longshore.rest.ssl: {certificate.file: c.pem, key.file: k.pem}\n  longshore.rest.auth: bearer\n  longshore.rest.auth.issuer: i\n  longshore.rest.auth.audience: a, b\n  longshore.rest.auth.jwks.url: https://idp.example/keys\n",
        "worker:\n  listeners: https://:8443\n  ssl: {keystore.location: k.pem, truststore.location: t.pem, client.auth: required}\n",
        "worker:\n  listeners: http://:8443\n  longshore.rest.insecure: true\n  longshore.rest.auth: basic\n  longshore.rest.auth.credentials.file: users\n",
    ] {
        let worker = read(text);
        assert_eq!(worker.listeners()[0].host, "0.0.0.0");
    }
    let two = read(
        "worker:\n  listeners: http://127.0.0.1:1, https://localhost:2\n  rest.advertised.listener: https\n  ssl.keystore.location: k\n",
    );
    assert_eq!(two.advertised_listener(), 1);
    assert_eq!(two.advertised(2), ("localhost".to_owned(), 2));
    // With files of its own the REST API leaves the plain keys to the Kafka clients.
    let both = read(
        "worker:\n  listeners: https://127.0.0.1:1\n  longshore.rest.ssl: {certificate.file: c, key.file: k}\n  ssl: {keystore.location: k.p12, keystore.type: PKCS12, key.password: x}\n",
    );
    assert_eq!(both.https.expect("https").keystore_location, None);
    // Stores of the Kafka clients are nobody's business where there is no https.
    read("worker:\n  ssl: {keystore.location: k.jks, keystore.type: JKS}\n");
}

#[test]
fn keys_of_another_method_are_noted() {
    let section = section(
        "worker:\n  longshore.rest.auth.issuer: i\n  longshore.rest.auth.credentials.file: f\n",
    );
    let (_, notes) = WorkerSettings::read(&section).expect("accepted");
    assert_eq!(
        texts(notes),
        [
            "f.yaml:3:3: longshore.rest.auth.credentials.file: has no effect without longshore.rest.auth=basic",
            "f.yaml:2:3: longshore.rest.auth.issuer: has no effect without longshore.rest.auth=bearer",
        ]
    );
}

#[test]
#[cfg(feature = "wasm")]
fn what_plugins_may_use_is_read_and_checked() {
    let text = "worker:\n  plugin.path: [/a, /b/c.wasm]\n  longshore.data.dir: /data\n  longshore.wasm:\n    call.timeout.ms: 500\n    memory.max.bytes: 1048576\n    grants.pii: {net: \"api.example.com:443\", secrets: reveal}\n";
    let (worker, notes) = WorkerSettings::read(&section(text)).expect("good");
    assert_eq!(texts(notes), Vec::<String>::new());
    assert_eq!(worker.plugins().path, ["/a", "/b/c.wasm"]);
    assert_eq!(
        worker.installed_plugins(),
        std::path::Path::new("/data/plugins")
    );
    let host = worker.wasm();
    assert_eq!(host.cache, Some("/data/wasm-cache".into()));
    assert_eq!(host.limits.call_timeout, Duration::from_millis(500));
    assert_eq!(host.limits.memory, 1 << 20);
    let granted = worker.plugins().ceilings().of("pii").describe();
    assert_eq!(granted["net"], "api.example.com:443");
    assert_eq!(granted["secrets"], "reveal");
    for (text, expected) in [
        ("longshore.wasm.call.timeout.ms: 1", "out of range"),
        (
            "longshore.wasm.grants.pii.nett: x",
            "did you mean longshore.wasm.grants.pii.net?",
        ),
        ("longshore.wasm.grants.pii.cpu: 7", "no share of a core"),
        ("longshore.wasm.grant.pii.net: x", "unknown key"),
    ] {
        let wrong = WorkerSettings::read(&section(&format!("worker:\n  {text}\n")));
        let problems = texts(wrong.expect_err(text));
        assert!(problems[0].contains(expected), "{text}: {problems:?}");
    }
}

#[test]
#[cfg(feature = "wasm")]
fn every_limit_of_plugins_is_a_key() {
    let text = "worker:\n  longshore.wasm:\n    table.elements.max: 2000\n    hostcall.max.bytes: 2097152\n    position.max.bytes: 512\n    \
        log.lines.max: 7\n    compile.timeout.ms: 1500\n    cache.max.bytes: 0\n    instances.max: 9\n    file.max.bytes: 100\n    http:\n      \
        timeout.ms: 50\n      connect.timeout.ms: 60\n      concurrency: 3\n      request.max.bytes: 10\n      response.max.bytes: 100000000\n      \
        redirects.max: 0\n";
    let (worker, notes) = WorkerSettings::read(&section(text)).expect("good");
    assert_eq!(texts(notes), Vec::<String>::new());
    let limits = worker.wasm().limits;
    assert_eq!(
        (limits.table_elements, limits.hostcall_bytes),
        (2_000, 2 << 20)
    );
    assert_eq!((limits.position, limits.cache), (512, 0));
    assert_eq!((limits.instances, limits.file), (9, 100));
    assert_eq!(limits.compile_timeout, Duration::from_millis(1_500));
    let services = worker.plugins().services();
    assert_eq!(services.log_lines, 7);
    let http = services.http.limits;
    assert_eq!(http.timeout, Duration::from_millis(50));
    assert_eq!(http.connect_timeout, Duration::from_millis(60));
    assert_eq!((http.concurrency, http.request, http.redirects), (3, 10, 0));
    assert_eq!((http.response, http.responses), (100_000_000, 100_000_000));
}

#[test]
fn keys_without_effect_are_noted() {
    let section =
        section("worker:\n  plugin.discovery: only_scan\n  inter.worker: {key.size: 1}\n");
    let (_, notes) = WorkerSettings::read(&section).expect("accepted");
    assert_eq!(
        texts(notes),
        [
            "f.yaml:3:18: inter.worker.key.size: has no effect: calls between workers are signed with keys of 32 bytes",
            "f.yaml:2:3: plugin.discovery: has no effect: plugins say themselves what they are",
        ]
    );
}

#[test]
fn i8_no_secret_of_the_clients_is_shown() {
    let definition = WorkerSettings::definition();
    for key in [
        "sasl.jaas.config",
        "ssl.key.password",
        "ssl.keystore.key",
        "producer.sasl.jaas.config",
    ] {
        assert!(definition.knows(key) && definition.is_secret(key), "{key}");
    }
}

/// The worker's file in the ConfigMap that people copy.
#[test]
fn the_worker_of_the_kubernetes_example_starts() {
    const EXAMPLE: &str = include_str!("../../../../../docs/examples/kubernetes.yaml");
    let (_, file) = EXAMPLE
        .split_once("  worker.yaml: |\n")
        .expect("the ConfigMap's file");
    let (file, _) = file.split_once("\n---\n").expect("its end");
    // The pod's address comes from its environment; here something else that is there stands for it.
    let file: String = file
        .lines()
        .map(|line| line.replace("POD_IP", "CARGO_PKG_NAME") + "\n")
        .collect();
    let (worker, notes) = WorkerSettings::read_resolved(&section(&file))
        .unwrap_or_else(|problems| panic!("{:?}", texts(problems)));
    assert!(notes.is_empty(), "{:?}", texts(notes));
    assert_eq!(worker.group_id, "connect");
    let memory = worker.memory();
    let limit = 512 << 20;
    assert!(EXAMPLE.contains("limits: {memory: 512Mi}"));
    assert!(memory.chosen && memory.bytes * 2 <= limit, "{memory:?}");
}
