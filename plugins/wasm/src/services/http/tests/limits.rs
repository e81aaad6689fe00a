//! Everything has an end.

use super::{
    Plugin, get, post, send, sent,
    server::{Answer, Seen, Server, answer, never, write},
};
use crate::bindings::host::longshore::connector::{
    http::{Host, HostBody, Opened, Request},
    types::{Error, ErrorKind},
};
use crate::services::Services;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use wasmtime::component::Resource;

const ENDLESS: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// A body that never ends.
async fn endless() -> Server {
    Server::raw(|mut stream| async move {
        let mut going = write(&mut stream, ENDLESS).await;
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        while going {
            going = write(&mut stream, chunk.as_bytes()).await;
        }
    })
    .await
}

async fn refused(services: &mut Services, request: Request, kind: ErrorKind, says: &str) {
    let error = send(services, request).await.expect_err(says);
    assert_eq!(error.kind, kind, "{}", error.message);
    assert!(error.message.contains(says), "{}", error.message);
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_an_error() {
    let announced = Server::new(|_| answer(200, "x".repeat(2000))).await;
    let endless = endless().await;
    for server in [&announced, &endless] {
        let mut plugin = Plugin::granted(server.address());
        plugin.http.limits.response = 1000;
        let mut services = plugin.services();
        refused(
            &mut services,
            get(server.url("/")),
            ErrorKind::Config,
            "more than 1000 bytes",
        )
        .await;
        let mut less = get(server.url("/"));
        less.max_response_bytes = 10;
        refused(&mut services, less, ErrorKind::Config, "more than 10 bytes").await;
        let mut more = get(server.url("/"));
        more.max_response_bytes = 1_000_000;
        refused(
            &mut services,
            more,
            ErrorKind::Config,
            "more than 1000 bytes",
        )
        .await;
    }
}

#[tokio::test]
async fn headers_beyond_the_limits_are_an_error() {
    let many = Server::raw(|mut stream| async move {
        let mut going = write(&mut stream, b"HTTP/1.1 200 OK\r\n").await;
        while going {
            going = write(&mut stream, b"x-header: value\r\n").await;
        }
    })
    .await;
    let long = Server::raw(|mut stream| async move {
        let mut going = write(&mut stream, b"HTTP/1.1 200 OK\r\nx: ").await;
        while going {
            going = write(&mut stream, &[b'x'; 4096]).await;
        }
    })
    .await;
    for server in [many, long] {
        let mut services = Plugin::granted(server.address()).services();
        send(&mut services, get(server.url("/")))
            .await
            .expect_err("endless headers");
    }
    let large = Server::new(|_| {
        let mut answer = answer(200, "");
        let value = "x".repeat(60_000).parse().expect("a value");
        answer.headers_mut().insert("a", value);
        let value = "x".repeat(60_000).parse().expect("a value");
        answer.headers_mut().insert("b", value);
        answer
    })
    .await;
    let mut services = Plugin::granted(large.address()).services();
    refused(
        &mut services,
        get(large.url("/")),
        ErrorKind::Config,
        "headers of",
    )
    .await;
}

#[tokio::test]
async fn requests_beyond_the_limits_are_not_sent() {
    let server = Server::new(|_| answer(200, "")).await;
    let mut plugin = Plugin::granted(server.address());
    plugin.http.limits.request = 10;
    let mut services = plugin.services();
    let config = ErrorKind::Config;
    refused(
        &mut services,
        post(server.url("/"), "eleven byte"),
        config,
        "has 11 bytes",
    )
    .await;
    let long = format!("{}{}", server.url("/"), "x".repeat(20_000));
    refused(&mut services, get(long), config, "a URL has").await;
    let mut request = get(server.url("/"));
    request.headers = vec![("a".to_owned(), "b".to_owned()); 101];
    refused(&mut services, request, config, "101 headers").await;
    let mut request = get(server.url("/"));
    request.headers = vec![("a".to_owned(), "b".repeat(70_000))];
    refused(&mut services, request, config, "70001 bytes").await;
    let host = format!("http://{}example/", "a.".repeat(500));
    refused(&mut services, get(host), config, "a host of 1007 bytes").await;
    let scheme = format!("{}:x", "a".repeat(10_000));
    let error = send(&mut services, get(scheme)).await.expect_err("none");
    assert!(error.message.len() < 200, "{}", error.message);
    for method in ["CONNECT", "TRACE", "", "GET /", "G\r\nET"] {
        let mut request = get(server.url("/"));
        request.method = method.to_owned();
        refused(&mut services, request, config, "method").await;
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn headers_of_the_connection_are_the_hosts() {
    let server = Server::new(|_| answer(200, "")).await;
    let mut services = Plugin::granted(server.address()).services();
    let forbidden = [
        ("Host", "evil.test"),
        ("host", "127.0.0.1"),
        ("Connection", "close"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "5"),
        ("Upgrade", "websocket"),
        ("Proxy-Authorization", "x"),
        ("TE", "trailers"),
        ("X", "a\r\nHost: evil"),
        ("X: y", "z"),
    ];
    for (name, value) in forbidden {
        let mut request = post(server.url("/"), "body");
        request.headers = vec![(name.to_owned(), value.to_owned())];
        let error = send(&mut services, request).await.expect_err(name);
        assert_eq!(error.kind, ErrorKind::Config, "{name}: {}", error.message);
    }
    assert_eq!(server.connections(), 0);
    let mut request = post(server.url("/"), "body");
    request.headers = vec![
        ("Host".to_owned(), server.address()),
        ("Content-Length".to_owned(), "4".to_owned()),
    ];
    assert_eq!(sent(&mut services, request).await.0, 200);
    assert_eq!(server.seen()[0].header("host"), Some(&*server.address()));
}

#[tokio::test]
async fn a_server_that_is_too_slow_is_left() {
    let silent = Server::raw(|stream| async move {
        never().await;
        drop(stream);
    })
    .await;
    let halfway = Server::raw(|mut stream| async move {
        write(&mut stream, ENDLESS).await;
        never().await;
    })
    .await;
    for server in [silent, halfway] {
        let mut services = Plugin::granted(server.address()).services();
        let mut request = get(server.url("/"));
        request.timeout_ms = 100;
        refused(&mut services, request, ErrorKind::Transient, "in time").await;
        // The call's own deadline counts, too, and a little earlier; without it this would take the limit of half a minute.
        services.begin(Instant::now() + Duration::from_millis(150));
        let waited = refused(
            &mut services,
            get(server.url("/")),
            ErrorKind::Transient,
            "in time",
        );
        tokio::time::timeout(Duration::from_secs(15), waited)
            .await
            .expect("it ends with the call");
    }
}

fn gently(seen: &Seen) -> Answer {
    let path = seen.uri.clone();
    Box::pin(async move {
        tokio::time::sleep(Duration::from_millis(2)).await;
        answer(200, path)
    })
}

#[tokio::test]
async fn ten_thousand_requests_keep_to_the_limit_of_those_in_flight() {
    let server = Server::slow(gently).await;
    let mut plugin = Plugin::granted(server.address());
    plugin
        .other_grants
        .push(("http.concurrency", "7".to_owned()));
    let mut services = plugin.services();
    let requests = (0..10_000).map(|number| get(server.url(&format!("/{number}"))));
    let answers = services
        .send_all(requests.collect(), 1_000_000)
        .await
        .expect("no trap");
    assert_eq!(answers.len(), 10_000);
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(
            answer.expect("an answer").body,
            format!("/{number}").into_bytes()
        );
    }
    assert_eq!(server.most(), 7, "as many as granted, and no more");
    let requests = (0..50).map(|_| get(server.url("/"))).collect();
    let before = server.connections();
    services.send_all(requests, 1).await.expect("no trap");
    assert_eq!(server.connections(), before);
}

#[tokio::test]
async fn more_requests_than_one_call_takes_are_refused_as_a_whole() {
    let mut services = Plugin::granted("").services();
    let requests = (0..10_001).map(|_| get("http://a.test/")).collect();
    let error = services.send_all(requests, 1).await.expect_err("a trap");
    assert!(error.to_string().contains("10001 requests"), "{error}");
    let denied = services.caller().grants.plugin().to_owned();
    let counted = services.provisions().metrics().denied_total(&denied, "net");
    assert_eq!(counted, 0, "none of them was looked at");
}

#[tokio::test]
async fn requests_that_fail_at_once_let_others_run() {
    let mut services = Plugin::granted("").services();
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = ran.clone();
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let requests = (0..10_000).map(|_| get("http://a.test/")).collect();
    let answers = services.send_all(requests, 0).await.expect("no trap");
    assert_eq!(
        answers.iter().filter(|answer| answer.is_err()).count(),
        10_000
    );
    other.abort();
    // A task's budget is for some hundred answers.
    let ran = ran.load(Ordering::SeqCst);
    assert!(ran > 10, "{ran}");
}

#[tokio::test]
async fn the_answers_of_one_call_have_a_limit_together() {
    let server = Server::new(|_| answer(200, "x".repeat(1000))).await;
    let mut plugin = Plugin::granted(server.address());
    plugin.http.limits.responses = 2500;
    let mut services = plugin.services();
    let requests = (0..5).map(|_| get(server.url("/"))).collect();
    let answers = services.send_all(requests, 1).await.expect("no trap");
    let whole = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(whole, 2);
    let errors = answers.into_iter().filter_map(Result::err);
    for error in errors {
        assert!(
            error.message.contains("2500 bytes together"),
            "{}",
            error.message
        );
    }
    // Headers count as bodies do.
    let server = Server::new(|_| {
        let mut answer = answer(200, "");
        let value = "x".repeat(1000).parse().expect("a value");
        answer.headers_mut().insert("a", value);
        answer
    })
    .await;
    let mut plugin = Plugin::granted(server.address());
    plugin.http.limits.responses = 2500;
    let mut services = plugin.services();
    let requests = (0..5).map(|_| get(server.url("/"))).collect();
    let answers = services.send_all(requests, 1).await.expect("no trap");
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    // The next call has a budget of its own.
    assert_eq!(sent(&mut services, get(server.url("/"))).await.0, 200);
}

async fn open(services: &mut Services, request: Request) -> Result<Opened, Error> {
    Host::open(services, request).await.expect("no trap")
}

async fn read(
    services: &mut Services,
    body: &Resource<crate::services::Body>,
    max: u32,
) -> Result<Vec<u8>, Error> {
    let body = Resource::new_borrow(body.rep());
    HostBody::read(services, body, max).await.expect("no trap")
}

#[tokio::test]
async fn an_open_body_is_read_in_pieces_to_its_end() {
    let server = Server::new(|_| answer(200, "0123456789")).await;
    let mut services = Plugin::granted(server.address()).services();
    let opened = open(&mut services, get(server.url("/")))
        .await
        .expect("an answer");
    assert_eq!(opened.status, 200);
    let mut all = Vec::new();
    loop {
        let piece = read(&mut services, &opened.body, 4).await.expect("bytes");
        assert!(piece.len() <= 4);
        if piece.is_empty() {
            break;
        }
        all.extend(piece);
    }
    assert_eq!(all, b"0123456789");
    HostBody::drop(&mut services, opened.body)
        .await
        .expect("it is there");
    // A body that is larger than asked for.
    let mut request = get(server.url("/"));
    request.max_response_bytes = 9;
    let opened = open(&mut services, request).await.expect("an answer");
    let error = read(&mut services, &opened.body, 4)
        .await
        .expect_err("too large");
    assert!(
        error.message.contains("max-response-bytes"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn an_endless_body_ends_at_the_limit_that_was_asked_for() {
    let server = endless().await;
    let mut services = Plugin::granted(server.address()).services();
    let mut request = get(server.url("/"));
    request.max_response_bytes = 100_000;
    let opened = open(&mut services, request).await.expect("an answer");
    let mut all = 0;
    let error = loop {
        match read(&mut services, &opened.body, u32::MAX).await {
            Ok(piece) => all += piece.len(),
            Err(error) => break error,
        }
        assert!(all <= 100_000);
    };
    assert!(
        error.message.contains("max-response-bytes"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn open_bodies_are_counted_and_an_endless_one_is_left_when_dropped() {
    let server = endless().await;
    let mut plugin = Plugin::granted(server.address());
    plugin.http.limits.bodies = 2;
    let mut services = plugin.services();
    let first = open(&mut services, get(server.url("/")))
        .await
        .expect("an answer")
        .body;
    let second = open(&mut services, get(server.url("/")))
        .await
        .expect("an answer")
        .body;
    let error = open(&mut services, get(server.url("/")))
        .await
        .expect_err("a third");
    assert!(
        error.message.contains("2 bodies are open"),
        "{}",
        error.message
    );
    for _ in 0..100 {
        let piece = read(&mut services, &first, u32::MAX).await.expect("bytes");
        assert!(!piece.is_empty() && piece.len() <= 1024 * 1024);
    }
    HostBody::drop(&mut services, first)
        .await
        .expect("it is there");
    open(&mut services, get(server.url("/")))
        .await
        .expect("one less");
    HostBody::drop(&mut services, second)
        .await
        .expect("it is there");
}

#[tokio::test]
async fn a_silent_body_may_be_read_again_later_and_ends_with_the_task() {
    let server = Server::raw(|mut stream| async move {
        write(&mut stream, ENDLESS).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        write(&mut stream, b"3\r\nabc\r\n").await;
        never().await;
    })
    .await;
    let mut services = Plugin::granted(server.address()).services();
    let mut request = get(server.url("/"));
    request.timeout_ms = 50;
    let opened = open(&mut services, request).await.expect("an answer");
    let mut waits = 0;
    let piece = loop {
        match read(&mut services, &opened.body, 10).await {
            Ok(piece) => break piece,
            Err(error) => assert_eq!(error.kind, ErrorKind::Transient, "{}", error.message),
        }
        waits += 1;
    };
    assert_eq!(
        piece, b"abc",
        "nothing is lost by a wait that was too short"
    );
    assert!(waits > 0);
    services.caller().stopping.set();
    let error = read(&mut services, &opened.body, 10)
        .await
        .expect_err("it stops");
    assert!(error.message.contains("stopped"), "{}", error.message);
}
