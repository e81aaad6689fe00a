//! Requests of a plugin against real servers on loopback, with names that stand for what the test says.

mod addresses;
mod credentials;
mod limits;
mod lookups;
mod redirects;
mod secure;
mod server;

use super::{HttpSettings, Network, resolve::Names};
use crate::{
    bindings::host::longshore::connector::{
        http::{Host, Request, Response},
        types::{Error, ErrorKind},
    },
    grants::{Ceilings, Grants},
    services::{Caller, PluginMetrics, Provisions, Services},
};
use futures::future::BoxFuture;
use longshore_sdk::Secret;
use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Names whose answers are written down: each lookup takes the next, the last one stays.
#[derive(Default)]
struct Written {
    names: Mutex<HashMap<String, Vec<&'static str>>>,
    lookups: AtomicUsize,
}

impl Written {
    fn new(names: &[(&str, &[&'static str])]) -> Arc<Self> {
        let names = names
            .iter()
            .map(|(name, answers)| ((*name).to_owned(), answers.iter().rev().copied().collect()));
        Arc::new(Self {
            names: Mutex::new(names.collect()),
            lookups: AtomicUsize::new(0),
        })
    }
    fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }
}

impl Names for Written {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let mut names = self.names.lock().expect("not poisoned");
        let found = names.get_mut(&name).map(|answers| match answers.len() {
            0 | 1 => answers.first().copied().unwrap_or_default(),
            _ => answers.pop().unwrap_or_default(),
        });
        Box::pin(async move {
            let found = found.ok_or_else(|| io::Error::other("no such name"))?;
            let addresses = found.split(' ').filter_map(|text| text.parse().ok());
            Ok(addresses.collect())
        })
    }
}

/// A plugin's services, and what a test wants to be different.
struct Plugin {
    net: String,
    other_grants: Vec<(&'static str, String)>,
    asked: Option<String>,
    secrets: Vec<(&'static str, &'static str)>,
    names: Arc<Written>,
    http: HttpSettings,
}

impl Plugin {
    fn granted(net: impl Into<String>) -> Self {
        Self {
            net: net.into(),
            other_grants: Vec::new(),
            asked: None,
            secrets: Vec::new(),
            names: Written::new(&[]),
            http: HttpSettings::default(),
        }
    }
    fn names(mut self, names: &Arc<Written>) -> Self {
        self.names = names.clone();
        self
    }
    fn secret(mut self, key: &'static str, value: &'static str) -> Self {
        self.secrets.push((key, value));
        self
    }
    fn services(self) -> Services {
        let mut settings: HashMap<&str, String> = self.other_grants.into_iter().collect();
        settings.insert("net", self.net);
        let settings = settings
            .into_iter()
            .map(|(what, value)| (format!("longshore.wasm.grants.probe.{what}"), value));
        let (ceilings, findings) = Ceilings::read(&settings.collect());
        assert_eq!(findings, [], "the grants of a test are in order");
        let mut grants: Grants = ceilings.of("probe");
        if let Some(asked) = self.asked {
            grants = grants.narrowed(&asked).expect("entries");
        }
        let provisions = Arc::new(Provisions {
            host_version: "1.2.3".to_owned(),
            scrub: Arc::new(str::to_owned),
            metrics: PluginMetrics::default(),
            network: Network::with(self.http, self.names).expect("settings"),
            log_lines: 100,
        });
        let secrets = self.secrets.into_iter();
        provisions.services(Caller {
            connector: "c".into(),
            task: Some(0),
            grants: Arc::new(grants),
            secrets: secrets
                .map(|(key, value)| (key.to_owned(), Secret::new(value)))
                .collect(),
            ..Caller::plugin("probe")
        })
    }
}

fn get(url: impl Into<String>) -> Request {
    Request {
        method: "GET".to_owned(),
        url: url.into(),
        headers: Vec::new(),
        body: None,
        timeout_ms: 0,
        credential: None,
        max_response_bytes: 0,
        redirects_max: 0,
    }
}

fn post(url: impl Into<String>, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        body: Some(body.as_bytes().to_vec()),
        ..get(url)
    }
}

async fn send(services: &mut Services, request: Request) -> Result<Response, Error> {
    Host::send(services, request).await.expect("no trap")
}

async fn sent(services: &mut Services, request: Request) -> (u16, String) {
    let response = send(services, request).await.expect("an answer");
    let body = String::from_utf8(response.body).expect("text");
    (response.status, body)
}

/// The message of a request that the grants do not cover.
async fn denied(services: &mut Services, request: Request) -> String {
    let before = services
        .http
        .provisions
        .metrics
        .denied_total("probe", "net");
    let error = send(services, request).await.expect_err("a denial");
    assert_eq!(error.kind, ErrorKind::Config, "{}", error.message);
    let after = services
        .http
        .provisions
        .metrics
        .denied_total("probe", "net");
    assert_eq!(after, before + 1, "counted: {}", error.message);
    error.message
}
