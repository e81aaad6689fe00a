//! PLAIN and SCRAM.

use crate::{
    clients::{Pairs, forbidden, jaas, refused, server, settings, works},
    rig::Cluster,
};
use longshore_kit::servers::SecuredKafka;
use longshore_sdk::ErrorKind;

fn login(mechanism: &str, user: &str, password: &str) -> Pairs {
    let module = match mechanism {
        "PLAIN" => "plain.PlainLoginModule",
        _ => "scram.ScramLoginModule",
    };
    vec![
        ("sasl.mechanism", mechanism.to_owned()),
        (
            "sasl.jaas.config",
            jaas(module, &[("username", user), ("password", password)]),
        ),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", server().file("ca.pem")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_logs_in_with_a_password() {
    for (listener, protocol, mechanism) in [
        ("PASSWORDS", "SASL_SSL", "PLAIN"),
        ("PASSWORDS", "SASL_SSL", "SCRAM-SHA-256"),
        ("PASSWORDS", "SASL_SSL", "SCRAM-SHA-512"),
        ("CLEAR", "SASL_PLAINTEXT", "SCRAM-SHA-512"),
    ] {
        let login = login(mechanism, SecuredKafka::USER, SecuredKafka::PASSWORD);
        works(settings(listener, protocol, &login)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_soon() {
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let login = login(mechanism, SecuredKafka::USER, "canary-wrong");
        let settings = settings("PASSWORDS", "SASL_SSL", &login);
        refused(
            &settings,
            ErrorKind::Auth,
            &["SASL", "check security.protocol"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mechanism_that_the_broker_lacks_is_named() {
    let login = login("PLAIN", SecuredKafka::USER, SecuredKafka::PASSWORD);
    let settings = settings("TOKENS", "SASL_SSL", &login);
    let error = longshore_kafka::Admin::connect(&settings)
        .await
        .err()
        .expect("refused");
    assert!(
        matches!(error.kind(), ErrorKind::Auth | ErrorKind::Config),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("OAUTHBEARER"),
        "what it has: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_named() {
    let alice = login("SCRAM-SHA-512", SecuredKafka::USER, SecuredKafka::PASSWORD);
    let topic = Cluster::with(settings("PASSWORDS", "SASL_SSL", &alice))
        .topic(1)
        .await;
    let (user, password) = (SecuredKafka::POWERLESS, SecuredKafka::POWERLESS_PASSWORD);
    let mallory = login("SCRAM-SHA-512", user, password);
    forbidden(settings("PASSWORDS", "SASL_SSL", &mallory), &topic).await;
}
