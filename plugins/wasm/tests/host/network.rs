//! Addresses that no plugin may reach, asked for by one that runs: each is denied with the grant that would allow it, or because none does.

use crate::probes::{failure, file, numbers, settings};
use futures::future::BoxFuture;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use longshore_sdk::{Offsets, Share, SourceContext, erased::DynSourceConnector};
use longshore_wasm::{
    Ceilings, Registered, load,
    services::{HttpSettings, Names, Provisions, Resolver, ServicesSettings},
};
use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

/// What a plugin is told of a name whose addresses are not granted.
const BEHIND: &str = "what the name stands for is not granted";
const NEVER: &str = "no grant allows it";

/// Names with the address of each lookup; the last one stays.
struct Written(Mutex<HashMap<&'static str, Vec<&'static str>>>);

impl Names for Written {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut names = self.0.lock().expect("not poisoned");
        let found = names.get_mut(name.as_str()).map(|answers| {
            let last = answers.len() == 1;
            if last { answers[0] } else { answers.remove(0) }
        });
        Box::pin(async move {
            let found = found.ok_or_else(|| io::Error::other("no such name"))?;
            Ok(vec![found.parse().expect("an address")])
        })
    }
}

/// A server on loopback; it closes each connection after its answer.
#[derive(Clone, Default)]
struct Web {
    port: u16,
    asked: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Web {
    /// Answers 200, or sends to `elsewhere` if there is one.
    async fn start(elsewhere: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let web = Self {
            port,
            ..Self::default()
        };
        let own = web.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (web, elsewhere) = (own.clone(), elsewhere.clone());
                let service = service_fn(move |_: Request<Incoming>| {
                    let (web, elsewhere) = (web.clone(), elsewhere.clone());
                    async move { Ok::<_, Infallible>(web.answer(elsewhere).await) }
                });
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        web
    }
    async fn answer(&self, elsewhere: Option<String>) -> Response<String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        let answer = Response::builder().header("connection", "close");
        let answer = match elsewhere {
            Some(url) => answer.status(302).header("location", url),
            None => answer.status(200),
        };
        answer.body(String::new()).expect("an answer")
    }
    fn at(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// The source of numbers with these grants, and how to ask how often it was denied something.
struct Granted {
    source: Arc<dyn DynSourceConnector>,
    provisions: Arc<Provisions>,
}

impl Granted {
    fn new(grants: &[(&str, &str)], names: &[(&'static str, &[&'static str])]) -> Self {
        let names = names
            .iter()
            .map(|(name, answers)| (*name, answers.to_vec()))
            .collect();
        let services = ServicesSettings {
            http: HttpSettings {
                names: Some(Resolver(Arc::new(Written(Mutex::new(names))))),
                ..HttpSettings::default()
            },
            ..ServicesSettings::default()
        };
        let provisions = Provisions::new(services).expect("settings");
        let grants = grants.iter().map(|(what, value)| {
            let key = format!("longshore.wasm.grants.probe-source.{what}");
            (key, (*value).to_owned())
        });
        let (ceilings, findings) = Ceilings::read(&grants.collect());
        assert_eq!(findings, []);
        let (mut loaded, broken) =
            load(&[file("probe-source")], &settings(), &provisions, &ceilings);
        assert!(broken.is_empty(), "{broken:?}");
        match loaded.pop().expect("a plugin").plugin {
            Registered::Source(source) => Self { source, provisions },
            _ => panic!("the probe is a source"),
        }
    }
    /// What the plugin reports of what it asked for.
    async fn sees(&self, deed: &str, url: &str) -> String {
        let config = numbers(&[("misbehave", &format!("poll:{deed}")), ("url", url)]);
        let cx = SourceContext::detached("counting", 0, Offsets::default());
        let task = self.source.open(&config, Share::new(), cx).await;
        let answer = task.expect("it starts").poll(Duration::from_secs(1)).await;
        failure(answer).message().to_owned()
    }
    fn denied(&self) -> u64 {
        self.provisions
            .metrics()
            .denied_total("probe-source", "net")
    }
}

#[tokio::test]
async fn inner_addresses_are_denied_with_the_grant_that_would_allow_them() {
    let web = Web::start(None).await;
    let grant =
        |at: &str| format!("the worker's setting longshore.wasm.grants.probe-source.net={at}");
    let (own, inner) = (grant(&web.at()), grant("10.0.0.7:80"));
    let at = |host: &str| format!("http://{host}:{}/", web.port);
    let wide = "*, 0.0.0.0/0, ::/0, 169.254.0.0/16";
    let names: [(_, &[_]); 3] = [
        ("localhost", &["127.0.0.1"]),
        ("inner.test", &["10.0.0.7"]),
        ("metadata.test", &["169.254.169.254"]),
    ];
    for (granted, url, expected) in [
        ("", "http://169.254.169.254/latest/".to_owned(), NEVER),
        (wide, "http://169.254.169.254/latest/".to_owned(), NEVER),
        (wide, "http://metadata.google.internal/".to_owned(), NEVER),
        (wide, "http://metadata.test/".to_owned(), BEHIND),
        ("", at("127.0.0.1"), own.as_str()),
        (wide, at("127.0.0.1"), &own),
        (wide, at("127.1"), &own),
        ("localhost", at("localhost"), BEHIND),
        (wide, "http://10.0.0.7/".to_owned(), &inner),
        (wide, "http://inner.test/".to_owned(), BEHIND),
    ] {
        let plugin = Granted::new(&[("net", granted)], &names);
        let seen = plugin.sees("get", &url).await;
        assert!(seen.contains(expected), "{granted} {url}: {seen}");
        assert!(seen.contains("the plugin probe-source"), "{seen}");
        assert_eq!(plugin.denied(), 2, "{url}: each is counted");
    }
    assert_eq!(web.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_turns_to_an_inner_address_is_denied_the_second_time() {
    let web = Web::start(None).await;
    for turned in ["169.254.169.254", "10.0.0.7"] {
        let grants = format!("turning.test, {}", web.at());
        let names: [(_, &[_]); 1] = [("turning.test", &["127.0.0.1", turned])];
        let plugin = Granted::new(&[("net", &grants)], &names);
        let url = format!("http://turning.test:{}/", web.port);
        let seen = plugin.sees("get", &url).await;
        assert!(seen.contains("first 200, then"), "{seen}");
        assert!(seen.contains(BEHIND) && !seen.contains(turned), "{seen}");
        assert_eq!(plugin.denied(), 1);
    }
}

#[tokio::test]
async fn a_redirect_to_an_inner_address_is_not_followed() {
    let own = Web::start(None).await;
    for (to, expected) in [
        ("http://169.254.169.254/latest/".to_owned(), NEVER),
        (
            format!("http://{}/", own.at()),
            "longshore.wasm.grants.probe-source.net=127.0.0.1:",
        ),
        ("http://inner.test/".to_owned(), BEHIND),
    ] {
        let web = Web::start(Some(to.clone())).await;
        let names: [(_, &[_]); 1] = [("inner.test", &["10.0.0.7"])];
        let grants = format!("*, {}", web.at());
        let plugin = Granted::new(&[("net", &grants)], &names);
        let seen = plugin.sees("get", &format!("http://{}/", web.at())).await;
        assert!(seen.contains(expected), "{to}: {seen}");
        assert_eq!(web.asked.load(Ordering::SeqCst), 2, "{to}");
        assert_eq!(plugin.denied(), 2, "{to}");
    }
    assert_eq!(own.asked.load(Ordering::SeqCst), 0);
}

/// All at once is what the plugin asks for; as many at once as it was granted is what it gets.
#[tokio::test]
async fn ten_thousand_concurrent_requests_go_out_a_few_at_a_time() {
    let web = Web::start(None).await;
    let grants = [
        ("net", web.at()),
        ("http.concurrency", "8".to_owned()),
        // Generous: a loaded machine is not a failure.
        ("call.timeout.ms", "300000".to_owned()),
    ];
    let grants: Vec<(&str, &str)> = grants
        .iter()
        .map(|(what, it)| (*what, it.as_str()))
        .collect();
    let plugin = Granted::new(&grants, &[]);
    let url = format!("http://{}", web.at());
    let seen = plugin.sees("granted-requests", &url).await;
    assert!(seen.contains("0 of 10000 refused"), "{seen}");
    assert_eq!(web.asked.load(Ordering::SeqCst), 10_000);
    let most = web.most.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} at once");
    assert_eq!(plugin.denied(), 0);
}
