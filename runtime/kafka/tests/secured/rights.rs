//! Rights that are missing: each is told by name, with what to do. The broker is an Apache Kafka of this test's own.

use crate::{
    raw::Raw,
    rig::{Cluster, unique},
};
use kafka_protocol::{
    messages::{CreateAclsRequest, create_acls_request::AclCreation},
    protocol::StrBytes,
};
use longshore_engine::ports::Leadership;
use longshore_kafka::{KafkaLeadership, KafkaMembership, LeadershipSpec, MemberSpec};
use longshore_kit::servers::{Kafka, KafkaOptions};
use longshore_sdk::{Error, ErrorKind};
use std::sync::Arc;

const GROUP: i8 = 3;
const TRANSACTIONAL_ID: i8 = 5;

fn start() -> Kafka {
    let authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
    let settings = [
        ("authorizer.class.name", authorizer),
        ("allow.everyone.if.no.acl.found", "true"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let options = KafkaOptions {
        settings: settings.into(),
        ..KafkaOptions::default()
    };
    Kafka::start_with(&options).expect("an Apache Kafka")
}

/// From now on only somebody else may use what is called so.
fn close(kafka: &Kafka, kind: i8, name: &str) {
    let (all, allow, literal) = (2, 3, 3);
    let acl = AclCreation::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_string(name.to_owned()))
        .with_resource_pattern_type(literal)
        .with_principal(StrBytes::from_static_str("User:somebody"))
        .with_host(StrBytes::from_static_str("*"))
        .with_operation(all)
        .with_permission_type(allow);
    let request = CreateAclsRequest::default().with_creations(vec![acl]);
    let answer = Raw::open(&kafka.bootstrap()).call(1, &request);
    assert_eq!(answer.results[0].error_code, 0);
}

fn says(error: &Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error:?}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

fn leadership(group: &str, config_topic: &str) -> LeadershipSpec {
    LeadershipSpec {
        group: group.to_owned(),
        config_topic: config_topic.to_owned(),
        coordination_topic: format!("{group}-coordination"),
        offset_topic: format!("{group}-offsets"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named() {
    let kafka = start();
    let cluster = Cluster::at(kafka.bootstrap(), None);
    let admin = cluster.bus.admin().await.expect("an admin client");
    let topic = cluster.topic(1).await;
    let group = unique("workers");
    cluster
        .create(&format!("{group}-coordination"), 1, &[])
        .await;
    let id = format!("connect-cluster-{group}");
    close(&kafka, TRANSACTIONAL_ID, &id);
    let prepared = KafkaLeadership::prepare(admin, leadership(&group, &topic)).await;
    let refused = prepared.expect("nothing is asked yet").take().await;
    let error = refused.err().expect("refused");
    says(
        &error,
        ErrorKind::Auth,
        &[&id, "Write", "Describe", "TransactionalId"],
    );
    let task = format!("{group}-orders-0");
    close(&kafka, TRANSACTIONAL_ID, &task);
    let error = cluster.transactional(&task, &topic).await.err();
    says(
        &error.expect("refused"),
        ErrorKind::Auth,
        &[&task, "Write", "Describe", "TransactionalId"],
    );
    close(&kafka, GROUP, &group);
    let spec = MemberSpec {
        group: group.clone(),
        worker_id: "127.0.0.1:1".to_owned(),
        incarnation: "1".to_owned(),
        https: false,
        session_timeout_ms: 6000,
        who: Arc::new(|_| Box::pin(async { None })),
    };
    let error = KafkaMembership::join(admin, spec).await.err();
    says(
        &error.expect("refused"),
        ErrorKind::Auth,
        &[&group, "Read", "Describe"],
    );
}
