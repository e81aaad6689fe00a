//! Redirects are followed as RFC 9110 says, and carry no secrets elsewhere.

use super::{
    Plugin, get, post, send, sent,
    server::{Server, answer, to},
};
use crate::bindings::host::longshore::connector::{
    http::{Credential, Placement},
    types::ErrorKind,
};

/// Answers every path `/<status>` with that redirect to `place`, and all else with what it saw.
async fn redirecting(place: &'static str) -> Server {
    Server::new(move |seen| match seen.uri[1..].parse() {
        Ok(status) => to(status, place),
        Err(_) => answer(200, format!("{} {}", seen.method, seen.body)),
    })
    .await
}

#[tokio::test]
async fn methods_and_bodies_follow_the_status() {
    let server = redirecting("/end").await;
    let mut services = Plugin::granted(server.address()).services();
    for (status, arrives) in [
        (301, "GET "),
        (302, "GET "),
        (303, "GET "),
        (307, "POST body"),
        (308, "POST body"),
    ] {
        let mut request = post(server.url(&format!("/{status}")), "body");
        request
            .headers
            .push(("Content-Type".to_owned(), "text/plain".to_owned()));
        request.redirects_max = 1;
        assert_eq!(
            sent(&mut services, request).await,
            (200, arrives.to_owned()),
            "{status}"
        );
        let last = server.seen().pop().expect("a request");
        assert_eq!(
            last.header("content-type").is_some(),
            arrives.starts_with("POST"),
            "{status}"
        );
    }
}

#[tokio::test]
async fn at_most_as_many_redirects_as_asked_for_are_followed() {
    let server = redirecting("/302").await;
    let mut services = Plugin::granted(server.address()).services();
    for (max, requests) in [(0, 1), (3, 4), (1_000_000, 11)] {
        let before = server.seen().len();
        let mut request = get(server.url("/302"));
        request.redirects_max = max;
        assert_eq!(sent(&mut services, request).await.0, 302);
        assert_eq!(server.seen().len() - before, requests, "{max}");
    }
}

#[tokio::test]
async fn a_credential_stays_with_its_origin() {
    let other = redirecting("/").await;
    // The same address with another port is another origin.
    let place: &'static str = Box::leak(other.url("/end").into_boxed_str());
    let server = Server::new(move |seen| match seen.uri.as_str() {
        "/same" => to(307, "/end"),
        "/other" => to(307, place),
        _ => answer(200, ""),
    })
    .await;
    let grants = format!("{}, {}", server.address(), other.address());
    for placement in [Placement::Bearer, Placement::Header("X-Api-Key".to_owned())] {
        let mut services = Plugin::granted(&grants)
            .secret("api.key", "s3cret")
            .services();
        for path in ["/same", "/other"] {
            let mut request = get(server.url(path));
            request.redirects_max = 3;
            request.headers = ["Cookie", "Authorization", "X-Api-Key", "X-Other"]
                .map(|name| (name.to_owned(), "mine".to_owned()))
                .to_vec();
            request.credential = Some(Credential {
                key: "api.key".to_owned(),
                placement: placement.clone(),
            });
            assert_eq!(sent(&mut services, request).await.0, 200);
        }
        let name = match placement {
            Placement::Bearer => "authorization",
            _ => "x-api-key",
        };
        let same = server
            .seen()
            .into_iter()
            .rfind(|seen| seen.uri == "/end")
            .expect("a request");
        assert!(
            same.header(name)
                .is_some_and(|value| value.contains("s3cret")),
            "{same:?}"
        );
        assert_eq!(same.header("cookie"), Some("mine"));
        let elsewhere = other.seen().pop().expect("a request");
        assert_eq!(elsewhere.header(name), None);
        assert_eq!(elsewhere.header("authorization"), None);
        assert_eq!(elsewhere.header("cookie"), None);
        assert_eq!(elsewhere.header("x-other"), Some("mine"));
    }
}

#[tokio::test]
async fn a_credential_does_not_come_back_to_its_origin() {
    let server_url = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let back = server_url.clone();
    let other = Server::new(move |_| to(302, back.get().expect("set"))).await;
    let place = other.url("/");
    let server = Server::new(move |seen| match seen.uri.as_str() {
        "/" => to(302, &place),
        _ => answer(200, ""),
    })
    .await;
    server_url.set(server.url("/end")).expect("set once");
    let grants = format!("{}, {}", server.address(), other.address());
    let mut services = Plugin::granted(grants)
        .secret("api.key", "s3cret")
        .services();
    let mut request = get(server.url("/"));
    request.redirects_max = 3;
    request.credential = Some(Credential {
        key: "api.key".to_owned(),
        placement: Placement::Bearer,
    });
    assert_eq!(sent(&mut services, request).await.0, 200);
    let seen = server.seen();
    assert_eq!(seen[0].header("authorization"), Some("Bearer s3cret"));
    assert_eq!(seen[1].header("authorization"), None);
}

#[tokio::test]
async fn a_redirect_to_what_is_no_place_of_http_is_an_error() {
    for place in ["file:///etc/passwd", "gopher://example.com/", "http://["] {
        let server = Server::new(move |_| to(301, place)).await;
        let mut services = Plugin::granted(server.address()).services();
        let mut request = get(server.url("/"));
        request.redirects_max = 1;
        let error = send(&mut services, request).await.expect_err(place);
        assert_eq!(error.kind, ErrorKind::Config, "{}", error.message);
        assert!(error.message.contains("redirects to"), "{}", error.message);
    }
}
