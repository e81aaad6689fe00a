//! Internal topics are created and checked; a cluster that does not answer is named.

mod rig;

use longshore_engine::ports::{Bus, TopicSpec};
use longshore_kafka::{Admin, ClientSettings, InternalTopic, KafkaBus, check_overrides};
use longshore_sdk::ErrorKind;
use rig::{Cluster, map, record, send, unique};

#[tokio::test(flavor = "multi_thread")]
async fn internal_topics_are_created_once_and_accepted_again() {
    let cluster = Cluster::start().await;
    let group = unique("worker");
    let admin = Admin::connect(&cluster.settings).await.expect("connect");
    let topics = [
        InternalTopic::configs(format!("{group}-configs")),
        InternalTopic::offsets(format!("{group}-offsets")),
        InternalTopic::statuses(format!("{group}-status")),
        InternalTopic::coordination(&group),
    ];
    for _ in 0..2 {
        admin.ensure_internal(&topics).await.expect("ensure");
    }
    for (topic, partitions) in topics.iter().zip([1, 25, 5, 1]) {
        let found = admin.partitions(&topic.name).await.expect("metadata");
        assert_eq!(found, Some(partitions), "{}", topic.name);
    }
    assert!(!admin.cluster_id().await.expect("an id").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_internal_topic_that_deletes_is_refused_with_the_cure() {
    let cluster = Cluster::start().await;
    let admin = Admin::connect(&cluster.settings).await.expect("connect");
    for policy in ["delete", "compact,delete"] {
        let name = unique("offsets");
        cluster
            .create(&name, 25, &[("cleanup.policy", policy)])
            .await;
        let refused = admin
            .ensure_internal(&[InternalTopic::offsets(&name)])
            .await;
        let error = refused.expect_err("it would lose offsets");
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = error.to_string();
        for part in [
            name.as_str(),
            "kafka-configs.sh",
            "cleanup.policy=compact",
            &cluster.bootstrap,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_topic_with_several_partitions_is_refused() {
    let cluster = Cluster::start().await;
    let admin = Admin::connect(&cluster.settings).await.expect("connect");
    let name = unique("configs");
    cluster
        .create(&name, 2, &[("cleanup.policy", "compact")])
        .await;
    let refused = admin
        .ensure_internal(&[InternalTopic::configs(&name)])
        .await;
    let error = refused.expect_err("order would be lost");
    assert!(error.to_string().contains("exactly 1 partition"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_created_once() {
    let cluster = Cluster::start().await;
    let spec = TopicSpec {
        name: unique("t"),
        partitions: None,
        replication: Some(3),
        config: map(&[("retention.ms", "86400000")]),
    };
    assert!(
        cluster
            .bus
            .ensure_topic(spec.clone())
            .await
            .expect("created")
    );
    assert!(!cluster.bus.ensure_topic(spec.clone()).await.expect("there"));
    let mut producer = cluster.producer(&[]).await;
    let answers = send(&mut producer, vec![record(&spec.name.into(), 0, "x")]).await;
    rig::all_ok(&answers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_is_named() {
    let bus = KafkaBus::new(ClientSettings::new("127.0.0.1:1"));
    let error = bus.cluster_id().await.expect_err("nobody there");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(
        error.to_string().contains("bootstrap.servers=127.0.0.1:1"),
        "{error}"
    );
}

#[test]
fn overrides_pass_an_allow_list() {
    let check = |key: &str| check_overrides("producer.override.", &map(&[(key, "s3cret")]));
    for key in [
        "linger.ms",
        "compression.type",
        "sasl.jaas.config",
        "max.request.size",
        "acks",
    ] {
        check(key).expect(key);
    }
    for key in [
        "plugin.library.paths",
        "sasl.kerberos.kinit.cmd",
        "ssl.engine.location",
        "ssl.engine.factory.class",
        "sasl.login.callback.handler.class",
        "interceptor.classes",
        "log_cb",
        "opaque",
        "debug",
        "transactional.id",
    ] {
        let error = check(key).expect_err(key);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error
                .to_string()
                .contains(&format!("producer.override.{key}"))
        );
        assert!(!format!("{error:?}").contains("s3cret"), "I8");
    }
    let error = check("lingerms").expect_err("a typo");
    assert!(
        error
            .to_string()
            .contains("did you mean producer.override.linger.ms?"),
        "{error}"
    );
}

#[test]
fn a_workers_settings_give_each_client_its_own() {
    let worker = map(&[
        ("bootstrap.servers", "b:1"),
        ("group.id", "workers"),
        ("session.timeout.ms", "30000"),
        ("key.converter", "X"),
        ("admin.listeners", "http://127.0.0.1:8084"),
        ("security.protocol", "PLAINTEXT"),
        ("producer.linger.ms", "7"),
        ("consumer.max.poll.records", "9"),
    ]);
    let settings = ClientSettings::from_worker(&worker).expect("valid");
    assert_eq!(settings.bootstrap(), "b:1");
    assert_eq!(settings.common.len(), 2, "{settings:?}");
    assert_eq!(settings.producer["linger.ms"], "7");
    assert_eq!(settings.consumer["max.poll.records"], "9");
    let bad = map(&[("producer.max.requst.size", "1")]);
    let error = ClientSettings::from_worker(&bad).expect_err("a typo");
    assert!(
        error.to_string().contains("producer.max.request.size"),
        "{error}"
    );
}
