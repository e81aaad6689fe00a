//! OAUTHBEARER: tokens of an OpenID Connect provider.

use crate::{
    clients::{Pairs, jaas, refused, server, settings, shows_no_secret, works},
    rig::{Cluster, all_ok, bytes, map, read, record, send, unique},
};
use longshore_engine::ports::{Bus, ProducerSpec};
use longshore_kafka::{Admin, ClientSettings};
use longshore_kit::servers::{SecuredKafka, TokenAnswer, TokenServer};
use longshore_sdk::ErrorKind;
use std::time::Duration;

const URL: &str = "sasl.oauthbearer.token.endpoint.url";

/// As in Kafka up to 4.0: everything in the login module.
fn login(tokens: &TokenServer, secret: &str) -> Pairs {
    let options = [
        ("clientId", SecuredKafka::CLIENT),
        ("clientSecret", secret),
        ("scope", "kafka"),
    ];
    vec![
        ("sasl.mechanism", "OAUTHBEARER".to_owned()),
        (
            "sasl.jaas.config",
            jaas("oauthbearer.OAuthBearerLoginModule", &options),
        ),
        (
            "sasl.login.callback.handler.class",
            "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler"
                .to_owned(),
        ),
        (URL, tokens.url()),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", server().file("ca.pem")),
    ]
}

fn secured(pairs: &Pairs) -> ClientSettings {
    settings("TOKENS", "SASL_SSL", pairs)
}

/// An endpoint of a test's own, whose tokens the broker does not know.
fn unknown() -> TokenServer {
    let identity = server()
        .ca()
        .identity("endpoint", &["127.0.0.1"])
        .expect("an identity");
    TokenServer::start(SecuredKafka::CLIENT, SecuredKafka::SECRET, Some(&identity)).expect("starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_logs_in_with_tokens_and_one_token_serves_all() {
    let tokens = server().tokens();
    let before = tokens.asked();
    // Held, so that its source of tokens stays: the clients below find it.
    let held = secured(&login(tokens, SecuredKafka::SECRET));
    let admin = Admin::connect(&held).await.expect("an admin client");
    works(held.clone()).await;
    // Kafka 4.1's keys, without a login module.
    let keys = vec![
        ("sasl.mechanism", "OAUTHBEARER".to_owned()),
        (URL, tokens.url()),
        (
            "sasl.oauthbearer.client.credentials.client.id",
            SecuredKafka::CLIENT.to_owned(),
        ),
        (
            "sasl.oauthbearer.client.credentials.client.secret",
            SecuredKafka::SECRET.to_owned(),
        ),
        ("sasl.oauthbearer.scope", "kafka".to_owned()),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", server().file("ca.pem")),
    ];
    works(secured(&keys)).await;
    assert_eq!(tokens.asked() - before, 1, "equal logins share their token");
    drop(admin);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told_at_once_and_never_shown() {
    let tokens = unknown();
    let settings = secured(&login(&tokens, "canary-wrong"));
    refused(
        &settings,
        ErrorKind::Auth,
        &["401", "invalid_client", "/token", "check the client id"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_broker_does_not_take_is_told() {
    let tokens = unknown();
    let settings = secured(&login(&tokens, SecuredKafka::SECRET));
    refused(&settings, ErrorKind::Auth, &["SASL"]).await;
    let tokens = unknown();
    tokens.answer(TokenAnswer::Expired);
    let settings = secured(&login(&tokens, SecuredKafka::SECRET));
    refused(&settings, ErrorKind::Auth, &["expired", "clock"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_does_not_answer_is_named() {
    let tokens = unknown();
    tokens.answer(TokenAnswer::Silence);
    let mut impatient = login(&tokens, SecuredKafka::SECRET);
    impatient.push(("sasl.login.connect.timeout.ms", "500".to_owned()));
    impatient.push(("sasl.login.read.timeout.ms", "500".to_owned()));
    let error = Admin::connect(&secured(&impatient))
        .await
        .err()
        .expect("no token");
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    assert!(
        error
            .to_string()
            .contains("token endpoint https://127.0.0.1:"),
        "{error}"
    );
    let gone = tokens.url();
    drop(tokens);
    let mut pairs = login(&unknown(), SecuredKafka::SECRET);
    pairs.retain(|(key, _)| *key != URL);
    pairs.push((URL, gone));
    let error = Admin::connect(&secured(&pairs))
        .await
        .err()
        .expect("no token");
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    shows_no_secret(&format!("{error:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_not_trusted_gets_no_secret() {
    let tokens = unknown();
    let mut pairs = login(&tokens, SecuredKafka::SECRET);
    pairs.retain(|(key, _)| !key.starts_with("ssl.") && *key != "sasl.jaas.config");
    let options = [
        ("clientId", SecuredKafka::CLIENT),
        ("clientSecret", SecuredKafka::SECRET),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", &server().file("other-ca.pem")),
    ];
    pairs.push((
        "sasl.jaas.config",
        jaas("oauthbearer.OAuthBearerLoginModule", &options),
    ));
    let error = Admin::connect(&secured(&pairs))
        .await
        .err()
        .expect("not trusted");
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(tokens.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_cannot_send_the_worker_to_another_endpoint() {
    let tokens = server().tokens();
    let cluster = Cluster::with(secured(&login(tokens, SecuredKafka::SECRET)));
    let elsewhere = unknown();
    let spec = ProducerSpec {
        client_id: unique("p"),
        overrides: map(&[(URL, &elsewhere.url())]),
        ..ProducerSpec::default()
    };
    let error = cluster.bus.producer(spec).await.err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(
        error
            .to_string()
            .contains(&format!("producer.override.{URL}")),
        "{error}"
    );
    assert_eq!(elsewhere.asked(), 0);
}

/// Tokens run out under way, and the endpoint is away for longer than the last one lives: clients go on by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn clients_outlive_their_tokens_and_an_endpoint_that_is_away() {
    const LIFE: Duration = Duration::from_secs(4);
    let tokens = server().short_tokens();
    tokens.answer(TokenAnswer::Token(LIFE));
    let cluster = Cluster::with(secured(&login(tokens, SecuredKafka::SECRET)));
    let topic = cluster.topic(1).await;
    let mut producer = cluster.producer(&[]).await;
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &[]).await;
    let round = async |producer: &mut _, consumer: &mut _, n: usize| {
        all_ok(&send(producer, vec![record(&topic, 0, &n.to_string())]).await);
        assert_eq!(read(consumer, 1).await.len(), 1, "round {n}");
    };
    for n in 0..4 {
        round(&mut producer, &mut consumer, n).await;
        tokio::time::sleep(LIFE / 2).await;
    }
    assert!(tokens.asked() >= 3, "asked {} times", tokens.asked());
    tokens.answer(TokenAnswer::Unavailable);
    tokio::time::sleep(LIFE + LIFE / 2).await;
    let sending = send(&mut producer, vec![record(&topic, 0, "late")]);
    let back = async {
        tokio::time::sleep(LIFE / 2).await;
        tokens.answer(TokenAnswer::Token(LIFE));
    };
    let (answers, ()) = tokio::join!(sending, back);
    all_ok(&answers);
    // The consumer heals as well. Nothing was committed: should its session have ended, it begins anew.
    while read(&mut consumer, 1).await.last().map(|r| &r.record.value) != Some(&bytes("late")) {}
    shows_no_secret("");
}
