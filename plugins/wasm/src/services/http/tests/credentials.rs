//! I8: the host puts secrets where they belong; the guest never sees them.

use super::{
    Plugin, get, send, sent,
    server::{Server, answer},
};
use crate::bindings::host::longshore::connector::{
    http::{Credential, Placement, Request},
    secrets,
    types::ErrorKind,
};

fn with(url: String, key: &str, placement: Placement) -> Request {
    let credential = Some(Credential {
        key: key.to_owned(),
        placement,
    });
    Request {
        credential,
        ..get(url)
    }
}

#[tokio::test]
async fn i8_a_secret_arrives_where_it_was_placed() {
    let server = Server::new(|_| answer(200, "")).await;
    let mut services = Plugin::granted(server.address())
        .secret("api.key", "s3cret")
        .services();
    let placements = [
        (Placement::Bearer, "authorization", "Bearer s3cret"),
        (
            Placement::Basic("me".to_owned()),
            "authorization",
            "Basic bWU6czNjcmV0",
        ),
        (
            Placement::Header("X-Api-Key".to_owned()),
            "x-api-key",
            "s3cret",
        ),
    ];
    for (placement, name, value) in placements {
        let mut request = with(server.url("/"), "api.key", placement);
        request
            .headers
            .push((name.to_owned(), "the guest's own".to_owned()));
        assert_eq!(sent(&mut services, request).await.0, 200);
        let seen = server.seen().pop().expect("a request");
        let values: Vec<_> = seen.headers.get_all(name).iter().collect();
        assert_eq!(values, [value]);
    }
}

#[tokio::test]
async fn i8_what_cannot_be_placed_is_refused_without_showing_it() {
    let server = Server::new(|_| answer(200, "")).await;
    let mut services = Plugin::granted(server.address())
        .secret("api.key", "s3cret")
        .secret("odd.key", "line1-s3cret\nline2")
        .services();
    let requests = [
        ("missing.key", Placement::Bearer),
        ("odd.key", Placement::Bearer),
        ("odd.key", Placement::Header("X".to_owned())),
        ("api.key", Placement::Header("Host".to_owned())),
        ("api.key", Placement::Header("Transfer-Encoding".to_owned())),
        ("api.key", Placement::Header("not a name".to_owned())),
        ("api.key", Placement::Basic("a:b".to_owned())),
    ];
    for (key, placement) in requests {
        let request = with(server.url("/"), key, placement);
        let error = send(&mut services, request).await.expect_err(key);
        assert_eq!(error.kind, ErrorKind::Config, "{}", error.message);
        assert!(!error.message.contains("s3cret"), "{}", error.message);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn i8_secrets_are_read_under_reveal_alone() {
    let mut services = Plugin::granted("").secret("api.key", "s3cret").services();
    let got = secrets::Host::get(&mut services, "api.key".to_owned()).await;
    assert_eq!(got.expect("no trap"), None);
    assert_eq!(
        services
            .http
            .provisions
            .metrics
            .denied_total("probe", "secrets"),
        1
    );
    let mut plugin = Plugin::granted("").secret("api.key", "s3cret");
    plugin.other_grants.push(("secrets", "reveal".to_owned()));
    let mut services = plugin.services();
    let got = secrets::Host::get(&mut services, "api.key".to_owned()).await;
    assert_eq!(got.expect("no trap").as_deref(), Some("s3cret"));
    let got = secrets::Host::get(&mut services, "other".to_owned()).await;
    assert_eq!(got.expect("no trap"), None);
}

#[tokio::test]
async fn i8_a_query_stands_in_no_message() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let mut services = Plugin::granted(address.to_string()).services();
    let url = format!("http://{address}/path-s3cret?token=s3cret");
    let error = send(&mut services, get(url))
        .await
        .expect_err("nobody is there");
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(
        error.message.contains(&address.to_string()),
        "{}",
        error.message
    );
    assert!(!error.message.contains("s3cret"), "{}", error.message);
}
