//! TLS: whom the client trusts, and the client's own certificate.

use crate::{
    clients::{Pairs, refused, server, settings, works},
    rig::unique,
};
use longshore_kafka::Admin;
use longshore_sdk::ErrorKind;

const TRUST: &str = "ssl.truststore.location";
const KEY: &str = "ssl.keystore.location";
const STORE_PASSWORD: &str = "canary-store-p4ss";

fn trusting(file: &str) -> Pairs {
    vec![
        ("ssl.truststore.type", "PEM".to_owned()),
        (TRUST, server().file(file)),
    ]
}

async fn reaches(listener: &str, pairs: Pairs) {
    let settings = settings(listener, "SSL", &pairs);
    let admin = Admin::connect(&settings).await.expect("a connection");
    assert_eq!(admin.brokers().await.expect("an answer"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_every_form_are_trusted() {
    works(settings("TLS", "SSL", &trusting("ca.pem"))).await;
    // As it stands in a file of properties: one line.
    let text = server().ca().pem().replace('\n', " ");
    reaches("TLS", vec![("ssl.truststore.certificates", text)]).await;
    for kind in ["JKS", "PKCS12"] {
        let store = server().java_truststore(kind).expect("a store");
        let password = ("ssl.truststore.password", STORE_PASSWORD.to_owned());
        // Java's default type, whatever the file is.
        reaches("TLS", vec![(TRUST, store.clone()), password]).await;
        let wrong = [
            ("bootstrap.servers", "127.0.0.1:1"),
            ("security.protocol", "SSL"),
            (TRUST, store.as_str()),
            ("ssl.truststore.password", "canary-wrong"),
        ];
        let wrong = longshore_kafka::ClientSettings::from_worker(&crate::rig::map(&wrong));
        let text = format!("{:?}", wrong.expect_err("the password is wrong"));
        assert!(
            text.contains(TRUST) && text.contains("ssl.truststore.password"),
            "{text}"
        );
        crate::clients::shows_no_secret(&text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_not_trusted_are_told_soon() {
    let stranger = settings("TLS", "SSL", &trusting("other-ca.pem"));
    refused(&stranger, ErrorKind::Auth, &["certificate", "ssl."]).await;
    // The system's authorities do not know the test's.
    let nobody = Admin::connect(&settings("TLS", "SSL", &Vec::new())).await;
    assert_eq!(nobody.err().expect("refused").kind(), ErrorKind::Auth);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_another_host_is_refused_unless_asked_for() {
    let strict = settings("ELSEWHERE", "SSL", &trusting("ca.pem"));
    refused(&strict, ErrorKind::Auth, &["certificate", "ssl."]).await;
    let mut lax = trusting("ca.pem");
    lax.push(("ssl.endpoint.identification.algorithm", String::new()));
    reaches("ELSEWHERE", lax).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_logs_in() {
    let mut pem = trusting("ca.pem");
    pem.push(("ssl.keystore.type", "PEM".to_owned()));
    pem.push((KEY, server().file("client.pem")));
    works(settings("MTLS", "SSL", &pem)).await;

    let store = std::fs::read_to_string(server().file("client.pem")).expect("the store");
    let at = store.find("-----BEGIN CERTIFICATE").expect("a certificate");
    let mut text = trusting("ca.pem");
    text.push(("ssl.keystore.key", store[..at].replace('\n', " ")));
    text.push((
        "ssl.keystore.certificate.chain",
        store[at..].replace('\n', " "),
    ));
    reaches("MTLS", text).await;

    let p12 = server().file(&format!("{}.p12", unique("client")));
    let made = std::process::Command::new("openssl")
        .args([
            "pkcs12",
            "-export",
            "-passout",
            &format!("pass:{STORE_PASSWORD}"),
        ])
        .args(["-in", &server().file("client.pem"), "-out", &p12])
        .output()
        .expect("openssl is missing: install it");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut pkcs12 = trusting("ca.pem");
    pkcs12.push((KEY, p12));
    pkcs12.push(("ssl.keystore.password", STORE_PASSWORD.to_owned()));
    reaches("MTLS", pkcs12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_client_certificate_it_is_told_what_is_missing() {
    let settings = settings("MTLS", "SSL", &trusting("ca.pem"));
    refused(&settings, ErrorKind::Auth, &["certificate", "ssl."]).await;
}
