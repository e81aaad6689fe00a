//! A whole worker on a secured Apache Kafka, with a file of properties as a user writes it; and what it says when it is not let in (I8).

use std::time::Duration;

use longshore_crash_tests::Home;
use longshore_kit::servers::{SecuredKafka, http, http_status};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::json;

/// As it would stand in connect-distributed.properties: every prefix, a value over several lines, a store that keytool made.
fn properties(home: &Home, kafka: &SecuredKafka, password: &str) -> String {
    let store = kafka.java_truststore("PKCS12").expect("a store");
    let mut text = format!(
        "bootstrap.servers={}\ngroup.id=secured\nlisteners={}\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false\n\
         config.storage.topic=connect-configs\noffset.storage.topic=connect-offsets\nstatus.storage.topic=connect-status\n\
         config.storage.replication.factor=1\noffset.storage.replication.factor=1\nstatus.storage.replication.factor=1\n",
        kafka.kafka().bootstrap_of("PASSWORDS"),
        home.url(),
    );
    for prefix in ["", "producer.", "consumer.", "admin."] {
        text.push_str(&format!(
            "{prefix}security.protocol=SASL_SSL\n{prefix}sasl.mechanism=SCRAM-SHA-512\n\
             {prefix}sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  \
             username=\"{}\" \\\n  password=\"{password}\";\n\
             {prefix}ssl.truststore.location={store}\n{prefix}ssl.truststore.password=canary-store-p4ss\n\
             {prefix}ssl.endpoint.identification.algorithm=https\n",
            SecuredKafka::USER,
        ));
    }
    text
}

/// I8: the planted secrets stand in nothing that the worker wrote or answered.
fn shows_no_secret(text: &str) {
    for secret in [SecuredKafka::PASSWORD, "canary-wrong", "canary-store-p4ss"] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "I8: {secret} stands in {line:?}");
    }
}

fn log_of(home: &Home) -> String {
    std::fs::read_to_string(home.path().join("longshore.log")).expect("the log")
}

#[test]
fn a_worker_moves_records_on_a_secured_kafka_and_says_why_it_is_not_let_in() {
    let kafka = SecuredKafka::start().expect("a secured Apache Kafka");
    let home = Home::with("secured", None, &[]).expect("a home");
    let write = |name, password| {
        let text = properties(&home, &kafka, password);
        home.write(name, &text).expect("writes");
    };
    write("wrong.properties", "canary-wrong");
    let mut worker = home
        .start(&["worker", "wrong.properties"], None)
        .expect("starts");
    let status = worker.ended(Duration::from_secs(60)).expect("its end");
    let log = log_of(&home);
    assert!(
        status.is_some_and(|status| !status.success()),
        "{status:?}:\n{log}"
    );
    for part in ["SASL authentication error", "the credentials"] {
        assert!(log.contains(part), "{part} is not in\n{log}");
    }
    shows_no_secret(&log);

    write("worker.properties", SecuredKafka::PASSWORD);
    let mut worker = home
        .start(&["worker", "worker.properties"], None)
        .expect("starts");
    worker.ready().expect("REST answers");
    let port = home
        .url()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    let port: u16 = port.expect("a port");
    worker
        .until("the topics are read", || {
            Ok(http_status(port, "/connectors") == Some(200))
        })
        .expect("it opens");
    let config = json!({"connector.class": "datagen", "topic": "made-up", "rate": 500});
    worker
        .rest(
            "POST",
            "/connectors",
            Some(&json!({"name": "made-up", "config": config})),
        )
        .expect("created");
    // Without a login: the plain listener belongs to the tests.
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.kafka().bootstrap())
        .create()
        .expect("a reader");
    worker
        .until("1,000 records", || {
            let end = reader.fetch_watermarks("made-up", 0, Duration::from_secs(5));
            Ok(end.is_ok_and(|(_, end)| end > 1000))
        })
        .expect("records arrive");
    for path in [
        "/",
        "/connectors?expand=info&expand=status",
        "/metrics",
        "/admin/loggers",
    ] {
        let answer = http(port, "GET", path, None).expect("an answer");
        shows_no_secret(&answer.body);
    }
    worker.stop().expect("ends in order");
    shows_no_secret(&log_of(&home));
}
