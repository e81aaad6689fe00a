//! What is reached, and what is not.

use super::{
    Plugin, Written, denied, get, send, sent,
    server::{Server, answer, to},
};
use crate::bindings::host::longshore::connector::types::ErrorKind;
use std::time::Duration;

/// What a plugin is told of a name whose addresses are not granted.
const BEHIND: &str = "what the name stands for is not granted";

async fn hello() -> Server {
    Server::new(|_| answer(200, "hello")).await
}

#[tokio::test]
async fn without_a_grant_nothing_is_reached_and_the_message_names_the_grant() {
    let server = hello().await;
    let mut services = Plugin::granted("").services();
    let message = denied(&mut services, get(server.url("/secret?token=abc"))).await;
    let grant = format!("longshore.wasm.grants.probe.net=127.0.0.1:{}", server.port);
    assert!(message.contains(&grant), "{message}");
    assert!(message.contains("loopback"), "{message}");
    // I8: a query may hold a secret.
    assert!(!message.contains("token"), "{message}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_granted_address_is_reached_under_every_spelling() {
    let server = hello().await;
    let mut services = Plugin::granted(server.address()).services();
    let port = server.port;
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::ffff:127.0.0.1]",
    ] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(
            sent(&mut services, get(url)).await,
            (200, "hello".to_owned()),
            "{host}"
        );
    }
}

#[tokio::test]
async fn another_port_or_scheme_of_a_granted_address_is_not_reached() {
    let (server, other) = (hello().await, hello().await);
    let mut services = Plugin::granted(format!("http://{}", server.address())).services();
    denied(&mut services, get(other.url("/"))).await;
    denied(&mut services, get(format!("https://{}/", server.address()))).await;
    assert_eq!(sent(&mut services, get(server.url("/"))).await.0, 200);
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn metadata_and_link_local_addresses_are_never_reached() {
    let wide = "*, 0.0.0.0/0, ::/0, 169.254.0.0/16, fe80::/10, fd00::/8, 100.64.0.0/10";
    let mut services = Plugin::granted(wide).services();
    for host in [
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "169.254.170.2",
        "100.100.100.200",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "metadata.google.internal",
        "METADATA.google.internal.",
    ] {
        let message = denied(
            &mut services,
            get(format!("http://{host}/latest/meta-data/")),
        )
        .await;
        assert!(message.contains("no grant allows it"), "{host}: {message}");
    }
}

#[tokio::test]
async fn a_name_that_stands_for_a_metadata_address_is_not_reached() {
    let names = Written::new(&[
        ("innocent.test", &["169.254.169.254"]),
        ("mapped.test", &["::ffff:169.254.169.254"]),
        ("both.test", &["169.254.169.254 fd00:ec2::254"]),
    ]);
    let mut services = Plugin::granted("*, 169.254.0.0/16")
        .names(&names)
        .services();
    for name in ["innocent.test", "mapped.test", "both.test"] {
        let message = denied(&mut services, get(format!("http://{name}/"))).await;
        assert!(message.contains(BEHIND), "{name}: {message}");
        assert!(!message.contains("254"), "{name}: {message}");
    }
}

#[tokio::test]
async fn a_name_grant_does_not_reach_loopback() {
    let server = hello().await;
    let names = Written::new(&[
        ("api.test", &["127.0.0.1"]),
        ("v6.test", &["::1"]),
        ("ten.test", &["10.0.0.1"]),
    ]);
    let port = server.port;
    let grants = "*.test, localhost, 0.0.0.0/0, ::/0";
    let mut services = Plugin::granted(grants).names(&names).services();
    for (name, address) in [
        ("api.test", "127.0.0.1"),
        ("v6.test", "::1"),
        ("ten.test", "10.0.0.1"),
    ] {
        let request = get(format!("http://{name}:{port}/"));
        let error = send(&mut services, request).await.expect_err("a denial");
        assert!(error.message.contains(BEHIND), "{}", error.message);
        // The plugin learns nothing of the network around the worker.
        let told = format!("{} {:?}", error.message, error.context);
        assert!(!told.contains(address), "{told}");
    }
    denied(&mut services, get(format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_and_its_address_granted_reach_loopback() {
    let server = hello().await;
    let names = Written::new(&[("api.test", &["10.9.9.9 127.0.0.1"])]);
    let grants = format!("api.test, {}", server.address());
    let mut services = Plugin::granted(grants).names(&names).services();
    // Of its addresses only the granted one is tried.
    let url = format!("http://api.test:{}/", server.port);
    assert_eq!(
        sent(&mut services, get(url)).await,
        (200, "hello".to_owned())
    );
}

#[tokio::test]
async fn a_name_is_not_even_looked_up_without_a_grant_of_the_name() {
    let server = hello().await;
    let names = Written::new(&[("leak.test", &["127.0.0.1"])]);
    let mut services = Plugin::granted(server.address()).names(&names).services();
    denied(
        &mut services,
        get(format!("http://leak.test:{}/", server.port)),
    )
    .await;
    assert_eq!(
        names.lookups(),
        0,
        "a lookup tells its name server something"
    );
}

#[tokio::test]
async fn a_name_that_stands_for_loopback_a_moment_later_is_not_reached() {
    let port = 0;
    let closing = |_: &super::server::Seen| -> super::server::Answer {
        let mut answer = answer(200, "first");
        answer.headers_mut().insert(
            "connection",
            hyper::header::HeaderValue::from_static("close"),
        );
        Box::pin(async { answer })
    };
    let first = Server::at([127, 0, 0, 2].into(), port, closing).await;
    let second = Server::at([127, 0, 0, 1].into(), first.port, closing).await;
    let names = Written::new(&[("rebind.test", &["127.0.0.2", "127.0.0.1"])]);
    let grants = format!("rebind.test, 127.0.0.2:{}", first.port);
    let mut services = Plugin::granted(grants).names(&names).services();
    let url = format!("http://rebind.test:{}/", first.port);
    assert_eq!(sent(&mut services, get(&url)).await.1, "first");
    assert_eq!(
        names.lookups(),
        1,
        "what was checked is what is connected to"
    );
    let message = denied(&mut services, get(&url)).await;
    assert!(message.contains(BEHIND), "{message}");
    assert_eq!(names.lookups(), 2);
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn a_redirect_to_metadata_or_loopback_is_not_followed() {
    let inner = hello().await;
    let places = [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        inner.url("/"),
        format!("http://meta.test:{}/", inner.port),
        format!("//2852039166:{}/", inner.port),
    ];
    let names = Written::new(&[("meta.test", &["169.254.169.254"])]);
    for place in places {
        let location = place.clone();
        let outer = Server::new(move |_| to(302, &location)).await;
        let grants = format!("{}, meta.test", outer.address());
        let mut services = Plugin::granted(grants).names(&names).services();
        let mut request = get(outer.url("/"));
        request.redirects_max = 5;
        denied(&mut services, request).await;
        assert_eq!(outer.connections(), 1, "{place}");
    }
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn a_connector_narrows_and_never_widens() {
    let (server, other) = (hello().await, hello().await);
    let both = format!("{}, {}", server.address(), other.address());
    let mut plugin = Plugin::granted(&both);
    plugin.asked = Some(server.address());
    let mut services = plugin.services();
    assert_eq!(sent(&mut services, get(server.url("/"))).await.0, 200);
    let message = denied(&mut services, get(other.url("/"))).await;
    assert!(message.contains("longshore.wasm.net"), "{message}");
    let mut plugin = Plugin::granted(server.address());
    plugin.asked = Some(both);
    let mut services = plugin.services();
    let message = denied(&mut services, get(other.url("/"))).await;
    assert!(
        message.contains("longshore.wasm.grants.probe.net="),
        "{message}"
    );
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn what_is_no_address_of_http_is_refused() {
    let mut services = Plugin::granted("*").services();
    for url in [
        "file:///etc/passwd",
        "ftp://example.com/",
        "unix:/run/x",
        "nonsense",
        "http://",
        "http://user:pass@example.com/",
    ] {
        let error = send(&mut services, get(url)).await.expect_err(url);
        assert_eq!(error.kind, ErrorKind::Config, "{url}: {}", error.message);
        assert!(!error.message.contains("pass@"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_worth_another_try() {
    let mut services = Plugin::granted("gone.test").services();
    services.begin(tokio::time::Instant::now() + Duration::from_secs(60));
    let error = send(&mut services, get("http://gone.test/"))
        .await
        .expect_err("no such name");
    assert_eq!(error.kind, ErrorKind::Transient, "{}", error.message);
    assert!(error.message.contains("no such name"), "{}", error.message);
}

#[tokio::test]
async fn a_name_whose_address_is_granted_with_one_port_is_not_reached_at_another() {
    let (server, other) = (hello().await, hello().await);
    let names = Written::new(&[("api.test", &["127.0.0.1"])]);
    let grants = format!("api.test, {}", server.address());
    let mut services = Plugin::granted(grants).names(&names).services();
    let url = |server: &Server| format!("http://api.test:{}/", server.port);
    assert_eq!(sent(&mut services, get(url(&server))).await.0, 200);
    let message = denied(&mut services, get(url(&other))).await;
    assert!(message.contains(BEHIND), "{message}");
    assert_eq!(other.connections(), 0);
}
