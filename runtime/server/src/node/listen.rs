//! The REST API's listeners, and what keeps others out of them.

use crate::{
    rest::{self, Auth, Browsers, Cors, Door, Tls},
    settings::{Listener, WorkerSettings},
};
use anyhow::{Context, Result};
use std::{fmt, sync::Arc};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// The REST API, listening.
pub(super) struct Listening {
    pub(super) address: Address,
    /// The TLS of https listeners, where there are any.
    pub(super) tls: Option<Arc<Tls>>,
}

/// Where others reach the REST API.
pub(super) struct Address {
    scheme: &'static str,
    host: String,
    port: u16,
}

impl Address {
    /// Whether it is reached by https.
    pub(super) fn https(&self) -> bool {
        self.scheme == "https"
    }
    /// The worker's name in its group: host and port.
    pub(super) fn worker_id(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// Binds every listener and serves; answers where the API is advertised. What authentication and https need is read before, what has to be
/// fetched comes after.
pub(super) async fn start(
    settings: &WorkerSettings,
    door: &Door,
    servers: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<Listening> {
    let auth = Auth::open(settings.rest())?;
    let tls = match &settings.https {
        Some(keys) => Some(Tls::open(keys, settings.rest())?),
        None => None,
    };
    let origins = Cors::new(&settings.allow_origin, &settings.allow_methods);
    let mut ports = Vec::new();
    for listener in settings.listeners() {
        let bound = rest::bind(&format!("{}:{}", bracketed(&listener.host), listener.port)).await?;
        ports.push(local_port(&bound)?);
        let names = (listener.is_loopback() && auth.is_open()).then(|| names(settings, listener));
        let browsers = Browsers::new(origins.clone(), names);
        let routes = rest::routes(door.clone(), Arc::clone(&auth), origins.clone(), browsers);
        let tls = tls.clone().filter(|_| listener.https);
        servers.spawn(rest::serve(bound, tls, routes, stop.clone()));
    }
    if !auth.is_open() {
        servers.spawn(auth.keep_fresh(stop.clone()));
    }
    if let Some(tls) = tls.clone() {
        servers.spawn(tls.keep_fresh(stop.clone()));
    }
    let at = settings.advertised_listener();
    let (host, port) = settings.advertised(ports.get(at).copied().unwrap_or_default());
    let scheme = settings
        .listeners()
        .get(at)
        .map_or("http", Listener::scheme);
    let address = Address { scheme, host, port };
    Ok(Listening { address, tls })
}

/// The names by which the worker may be called besides loopback addresses.
fn names(settings: &WorkerSettings, listener: &Listener) -> Vec<String> {
    let advertised = settings.advertised_host().map(str::to_owned);
    advertised
        .into_iter()
        .chain([listener.host.clone()])
        .collect()
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn local_port(listener: &TcpListener) -> Result<u16> {
    Ok(listener
        .local_addr()
        .context("the listener has no address")?
        .port())
}
