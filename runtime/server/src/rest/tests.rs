//! Every route of the table, without, with wrong, with weaker and with sufficient credentials.

use super::{
    Auth, Browsers, Cors, Door,
    access::{Identity, Need, Peer, Role, Route},
    auth::quick_hash,
    gate::{Gate, gate},
    routes::{routes, table},
};
use crate::settings::RestKeys;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
    middleware::from_fn_with_state,
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use longshore_engine::metrics::Metrics;
use longshore_sdk::config::{Flat, read};
use serde_json::{Value, json};
use std::{
    io::Write,
    sync::{Arc, Mutex},
};
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

pub(super) fn keys(entries: &[(&str, &str)]) -> RestKeys {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    read(&entries.iter().map(own).collect::<Flat>()).expect("good keys")
}

/// A router with one user per role, whose password is its name and `-secret`.
fn basic() -> Router {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users");
    let line = |role: Role| {
        let name = role.name();
        format!("{name}:{}:{name}\n", quick_hash(&format!("{name}-secret")))
    };
    std::fs::write(&file, Role::ALL.map(line).concat()).expect("written");
    let file = file.to_str().expect("a path");
    let keys = keys(&[
        ("longshore.rest.auth", "basic"),
        ("longshore.rest.auth.credentials.file", file),
    ]);
    router(Auth::open(&keys).expect("opened"), None)
}

fn router(auth: Arc<Auth>, names: Option<Vec<String>>) -> Router {
    let cors = Cors::new("https://ui.example", "");
    let browsers = Browsers::new(cors.clone(), names);
    routes(Door::new(Metrics::new()), auth, cors, browsers)
}

fn login(user: &str, password: &str) -> Option<String> {
    let text = STANDARD.encode(format!("{user}:{password}"));
    Some(format!("Basic {text}"))
}

fn of(role: Role) -> Option<String> {
    login(role.name(), &format!("{}-secret", role.name()))
}

fn path(route: &Route) -> String {
    let path = route.path.replace("{name}", "c").replace("{task}", "0");
    path.replace("{plugin}", "datagen")
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

async fn ask(router: &Router, method: &Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_from([10, 1, 2, 3], router, method, path, headers).await
}

async fn ask_from(
    address: [u8; 4],
    router: &Router,
    method: &Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if *method == Method::POST {
        json!({ "name": "c", "config": {} }).to_string()
    } else {
        "{}".to_owned()
    };
    let mut request = request.body(Body::from(body)).expect("a request");
    request.extensions_mut().insert(Peer {
        address: (address, 4567).into(),
        https: true,
        certificate: None,
    });
    let response = router.clone().oneshot(request).await.expect("an answer");
    let (head, body) = response.into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: to_bytes(body, 1 << 20).await.expect("a body").to_vec(),
    }
}

async fn ask_as(router: &Router, method: &Method, path: &str, who: Option<&str>) -> Answer {
    let headers: Vec<_> = who.map(|who| ("authorization", who)).into_iter().collect();
    ask(router, method, path, &headers).await
}

/// What a route has to need, by rules that do not look at the table: a new one that changes something is for admins unless it is listed here.
fn expected(route: &Route) -> Need {
    const OPEN: [&str; 2] = ["/health", "/internal/worker"];
    const OPERATING: [&str; 6] = [
        "/connectors/{name}/pause",
        "/connectors/{name}/resume",
        "/connectors/{name}/stop",
        "/connectors/{name}/restart",
        "/connectors/{name}/tasks/{task}/restart",
        "/connectors/{name}/topics/reset",
    ];
    if route.method == Method::GET {
        if OPEN.contains(&route.path) {
            Need::Nothing
        } else {
            Need::Role(Role::Read)
        }
    } else if route.path == "/internal/command" {
        Need::Signature
    } else if OPERATING.contains(&route.path) {
        Need::Role(Role::Operate)
    } else {
        Need::Role(Role::Admin)
    }
}

#[tokio::test]
async fn every_route_is_tried_with_every_kind_of_credentials() {
    let router = basic();
    let (_, list) = table();
    let mut tried = 0_u16;
    for route in list.iter() {
        let (method, path, need) = (&route.method, path(route), expected(route));
        assert_eq!(route.need, need, "{method} {path}");
        let strangers = [
            None,
            login("admin", "wrong"),
            login("admin", "read-secret"),
            login("nobody", "admin-secret"),
            login("", ""),
            Some("Bearer abc".to_owned()),
            Some("Basic !!".to_owned()),
            Some("Basic".to_owned()),
        ];
        for stranger in strangers {
            // An address each: one that sends many wrong ones is held off.
            let [high, low] = tried.to_be_bytes();
            let headers: Vec<_> = stranger
                .iter()
                .map(|who| ("authorization", who.as_str()))
                .collect();
            let ask =
                async |method| ask_from([10, 9, high, low], &router, method, &path, &headers).await;
            let answer = ask(method).await;
            tried += 1;
            if let Need::Nothing | Need::Signature = need {
                // Starting: the route itself has answered.
                assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
                continue;
            }
            assert_error(&answer, StatusCode::UNAUTHORIZED);
            let challenge = &answer.headers[header::WWW_AUTHENTICATE];
            assert_eq!(challenge, "Basic realm=\"longshore\", charset=\"UTF-8\"");
            if *method == Method::GET {
                let head = ask(&Method::HEAD).await;
                assert_eq!(head.status, StatusCode::UNAUTHORIZED, "HEAD {path}");
            }
        }
        for role in Role::ALL {
            let answer = ask_as(&router, method, &path, of(role).as_deref()).await;
            tried += 1;
            if need_of(need) <= role {
                let refused = [401, 403, 404, 405].contains(&answer.status.as_u16());
                assert!(
                    !refused,
                    "{method} {path} as {}: {}",
                    role.name(),
                    answer.status
                );
            } else {
                assert_error(&answer, StatusCode::FORBIDDEN);
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

fn need_of(need: Need) -> Role {
    match need {
        Need::Nothing | Need::Signature => Role::Read,
        Need::Role(role) => role,
    }
}

fn assert_error(answer: &Answer, status: StatusCode) {
    assert_eq!(answer.status, status);
    let body: Value = serde_json::from_slice(&answer.body).expect("an error body");
    assert_eq!(body["error_code"], status.as_u16());
    assert!(!body["message"].as_str().expect("a message").is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_not_told_to_strangers() {
    let router = basic();
    for (method, path, status) in [
        (Method::GET, "/nowhere", 404),
        (Method::GET, "/connectors/c/nowhere", 404),
        (Method::POST, "/connector-plugins", 405),
        (Method::POST, "/health", 405),
        (Method::DELETE, "/metrics", 405),
    ] {
        let stranger = ask_as(&router, &method, path, None).await;
        assert_eq!(stranger.status, 401, "{path}");
        let known = ask_as(&router, &method, path, of(Role::Admin).as_deref()).await;
        assert_eq!(known.status.as_u16(), status, "{path}");
    }
    let many = of(Role::Admin).expect("credentials");
    let twice = [
        ("authorization", many.as_str()),
        ("authorization", many.as_str()),
    ];
    let answer = ask(&router, &Method::GET, "/connectors", &twice).await;
    assert_eq!(answer.status, 401, "two headers are none");
    let trailing = ask_as(&router, &Method::DELETE, "/connectors/c/", None).await;
    assert_eq!(trailing.status, 401);
}

#[tokio::test]
async fn a_route_that_is_not_in_the_table_is_not_served() {
    let gate_of = Gate {
        auth: Auth::open(&keys(&[])).expect("opened"),
        routes: table().1,
        audit: Arc::default(),
    };
    let router = Router::new()
        .route("/forgotten", get(async || "secret"))
        .route("/health", get(async || "well").delete(async || "gone"))
        .layer(from_fn_with_state(gate_of, gate));
    for (method, path, status) in [
        (Method::GET, "/health", 200),
        (Method::GET, "/forgotten", 405),
        (Method::DELETE, "/health", 405),
    ] {
        let answer = ask_as(&router, &method, path, None).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
    }
}

#[tokio::test]
async fn without_authentication_everybody_may_do_everything() {
    let router = router(Auth::open(&keys(&[])).expect("opened"), None);
    for route in table().1.iter() {
        let answer = ask_as(&router, &route.method, &path(route), None).await;
        let refused = [401, 403, 404, 405].contains(&answer.status.as_u16());
        assert!(!refused, "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn a_name_of_a_foreign_page_does_not_lead_here() {
    let auth = Auth::open(&keys(&[])).expect("opened");
    let names = vec!["Connect.example".to_owned()];
    let router = router(auth, Some(names));
    for (host, fine) in [
        ("127.0.0.1:8083", true),
        ("127.8.9.1", true),
        ("localhost:1", true),
        ("LOCALHOST", true),
        ("[::1]:8083", true),
        ("connect.example", true),
        ("evil.example:8083", false),
        ("127.0.0.1.evil.example", false),
        ("localhost.evil.example", false),
        ("10.0.0.1:8083", false),
        ("a b", false),
    ] {
        for method in [Method::GET, Method::PUT] {
            let path = if method == Method::GET {
                "/"
            } else {
                "/connectors/c/pause"
            };
            let answer = ask(&router, &method, path, &[("host", host)]).await;
            assert_eq!(answer.status != 403, fine, "{method} {host}");
        }
    }
    let told = ask(&router, &Method::GET, "/", &[("host", "evil.example")]).await;
    let text = String::from_utf8(told.body).expect("text");
    assert!(text.contains("rest.advertised.host.name"), "{text}");
}

#[tokio::test]
async fn pages_of_other_origins_change_nothing() {
    let open = router(Auth::open(&keys(&[])).expect("opened"), None);
    let secured = basic();
    let admin = of(Role::Admin).expect("credentials");
    for (headers, fine) in [
        (vec![], true),
        (vec![("origin", "http://me:8083")], true),
        (
            vec![
                ("origin", "https://me:8083"),
                ("sec-fetch-site", "same-origin"),
            ],
            true,
        ),
        (vec![("sec-fetch-site", "none")], true),
        (
            vec![
                ("origin", "https://ui.example"),
                ("sec-fetch-site", "cross-site"),
            ],
            true,
        ),
        (vec![("origin", "http://evil.example")], false),
        (vec![("origin", "http://me:9999")], false),
        (vec![("origin", "null")], false),
        (vec![("sec-fetch-site", "cross-site")], false),
        (vec![("sec-fetch-site", "same-site")], false),
    ] {
        for router in [&open, &secured] {
            let mut headers = headers.clone();
            headers.extend([("host", "me:8083"), ("authorization", admin.as_str())]);
            let write = ask(router, &Method::PUT, "/connectors/c/pause", &headers).await;
            assert_eq!(write.status != 403, fine, "{headers:?}");
            let look = ask(router, &Method::GET, "/", &headers).await;
            assert_eq!(look.status, 200, "{headers:?}");
        }
    }
}

/// What was logged.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
    }
    pub(super) fn start(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(self.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .expect("not poisoned")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn i8_writes_and_refusals_are_audited_without_secrets() {
    let (log, router) = (Log::default(), basic());
    let logging = log.start();
    let operate = of(Role::Operate).expect("credentials");
    let headers = [
        ("authorization", operate.as_str()),
        ("x-request-id", "req-7"),
    ];
    ask(
        &router,
        &Method::PUT,
        "/connectors/a%20b/pause?token=planted-query",
        &headers,
    )
    .await;
    ask(&router, &Method::DELETE, "/connectors/c", &headers).await;
    ask(&router, &Method::GET, "/connectors", &headers).await;
    let admin = of(Role::Admin);
    ask_as(&router, &Method::POST, "/connectors", admin.as_deref()).await;
    let wrong = login("planted-name", "planted-password");
    ask_as(&router, &Method::GET, "/connectors", wrong.as_deref()).await;
    let wrong = login("admin", "planted-password");
    ask_as(&router, &Method::GET, "/connectors", wrong.as_deref()).await;
    drop(logging);
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("audit")).collect();
    assert_eq!(lines.len(), 5, "{text}");
    for (line, parts) in lines.iter().zip([
        &[
            "user=\"operate\"",
            "method=PUT",
            "route=\"/connectors/{name}/pause\"",
            "connector=\"a b\"",
            "status=\"503\"",
            "remote=10.1.2.3:4567",
            "request=\"req-7\"",
        ][..],
        &[
            "user=\"operate\"",
            "role=\"operate\"",
            "method=DELETE",
            "connector=\"c\"",
            "status=\"403\"",
        ],
        &[
            "user=\"admin\"",
            "method=POST",
            "route=\"/connectors\"",
            "status=\"503\"",
        ],
        &["user=\"unknown\"", "status=401"],
        &[
            "user=\"admin\"",
            "status=401",
            "unknown name or wrong password",
        ],
    ]) {
        for part in parts {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
    let basics = [operate, admin.expect("credentials")];
    for planted in [
        "planted-",
        "-secret",
        "argon2",
        &basics[0][6..],
        &basics[1][6..],
    ] {
        assert!(!text.contains(planted), "{planted} in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn i6_a_flood_of_wrong_credentials_is_not_a_flood_of_lines() {
    let (log, router) = (Log::default(), basic());
    let logging = log.start();
    let mut seen = Vec::new();
    for number in 0..60 {
        let wrong = login("admin", &format!("wrong{number}"));
        seen.push(
            ask_as(&router, &Method::GET, "/connectors", wrong.as_deref())
                .await
                .status
                .as_u16(),
        );
    }
    drop(logging);
    assert_eq!(
        seen.iter().filter(|status| **status == 401).count(),
        30,
        "{seen:?}"
    );
    assert_eq!(seen.last(), Some(&429));
    let lines = log.text().matches("audit: not let in").count();
    assert!((1..=20).contains(&lines), "{lines}");
}

#[test]
fn a_certificate_names_its_owner_where_nothing_else_does() {
    let peer = Peer {
        address: ([127, 0, 0, 1], 1).into(),
        https: true,
        certificate: Some(Arc::from("0123456789abcdef")),
    };
    let identity: Identity = super::auth::anybody(Some(&peer));
    assert_eq!(&*identity.name, "certificate:0123456789abcdef");
    assert_eq!(&*super::auth::anybody(None).name, "anonymous");
}
