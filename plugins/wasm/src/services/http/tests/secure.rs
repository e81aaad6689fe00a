//! TLS, HTTP/2, connections that are used again, and the proxy.

use super::{
    Plugin, Written, denied, get, post, send, sent,
    server::{Server, answer},
};
use crate::bindings::host::longshore::connector::{http::Host, types::ErrorKind};
use longshore_sdk::Secret;

#[tokio::test]
async fn http_2_over_tls_with_an_authority_of_our_own() {
    let server = Server::secure("api.test", |seen| answer(200, seen.body.clone())).await;
    let names = Written::new(&[("api.test", &["127.0.0.1"])]);
    let grants = format!("https://api.test:{0}, https://127.0.0.1:{0}", server.port);
    let mut plugin = Plugin::granted(grants).names(&names);
    plugin.http.ca = server.ca.as_ref().map(|(_, file)| file.clone());
    let mut services = plugin.services();
    let url = format!("https://api.test:{}/", server.port);
    assert_eq!(
        sent(&mut services, post(&url, "one")).await,
        (200, "one".to_owned())
    );
    let many = (0..20)
        .map(|number| post(&url, &number.to_string()))
        .collect();
    let answers = services.send_all(many, 0).await.expect("no trap");
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(
            answer.expect("an answer").body,
            number.to_string().into_bytes()
        );
    }
    let seen = server.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.version == hyper::Version::HTTP_2)
    );
    assert_eq!(seen.len(), 21);
    assert_eq!(server.connections(), 1, "one connection carries them all");
    assert_eq!(seen[0].header("user-agent"), Some("longshore/1.2.3"));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let server = Server::secure("api.test", |_| answer(200, "")).await;
    let other = Server::secure("api.test", |_| answer(200, "")).await;
    let names = Written::new(&[("api.test", &["127.0.0.1"]), ("else.test", &["127.0.0.1"])]);
    let grants = format!("*.test, {}", server.address());
    for (ca, name) in [(&other, "api.test"), (&server, "else.test")] {
        let mut plugin = Plugin::granted(&grants).names(&names);
        plugin.http.ca = ca.ca.as_ref().map(|(_, file)| file.clone());
        let mut services = plugin.services();
        let url = format!("https://{name}:{}/", server.port);
        let error = send(&mut services, get(url))
            .await
            .expect_err("not trusted");
        assert_eq!(error.kind, ErrorKind::Config, "{}", error.message);
        assert!(
            error.message.contains("longshore.wasm.http.ca"),
            "{}",
            error.message
        );
    }
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn two_calls_share_a_connection() {
    let server = Server::new(|_| answer(200, "x")).await;
    let mut services = Plugin::granted(server.address()).services();
    for _ in 0..3 {
        sent(&mut services, get(server.url("/"))).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_proxy_is_asked_for_what_is_granted_by_name() {
    let proxy = Server::new(|seen| answer(200, seen.uri.clone())).await;
    let names = Written::new(&[]);
    let mut plugin = Plugin::granted("api.test").names(&names);
    plugin.http.proxy = Some(Secret::new(format!(
        "http://me:pw@127.0.0.1:{}",
        proxy.port
    )));
    let mut services = plugin.services();
    let body = sent(&mut services, get("http://api.test/x")).await.1;
    assert_eq!(body, "http://api.test/x");
    let seen = proxy.seen();
    assert_eq!(
        seen[0].header("proxy-authorization"),
        Some("Basic bWU6cHc=")
    );
    assert_eq!(names.lookups(), 0, "the proxy resolves");
    denied(&mut services, get("http://other.test/")).await;
    denied(&mut services, get("http://169.254.169.254/")).await;
    denied(&mut services, get("http://metadata.google.internal/")).await;
    denied(&mut services, get("http://127.0.0.1/")).await;
    assert_eq!(proxy.seen().len(), 1);
}

#[test]
fn i8_settings_that_cannot_be_used_are_named_without_the_password() {
    use super::super::{HttpSettings, Network};
    let proxies = ["socks5://me:hunter2@h:1", "hunter2", ""];
    for proxy in proxies {
        let proxy = Some(Secret::new(proxy));
        let error = Network::new(HttpSettings {
            proxy,
            ..HttpSettings::default()
        });
        let error = error.err().expect("no proxy");
        assert!(
            error.message().contains("longshore.wasm.http.proxy"),
            "{error}"
        );
        assert!(!error.trace().contains("hunter2"), "{error}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").expect("a file");
    for ca in [empty, folder.path().join("missing.pem")] {
        let ca = Some(ca);
        let error = Network::new(HttpSettings {
            ca,
            ..HttpSettings::default()
        });
        let error = error.err().expect("no certificates");
        assert!(
            error.message().contains("longshore.wasm.http.ca"),
            "{error}"
        );
    }
}
