//! One client for each place, since a resolver is told a name alone, and a grant is for a port, too. Its connections are kept for the next
//! request.

use super::{
    failure,
    resolve::{Checked, ProxyAlone},
};
use crate::{
    Grants,
    bindings::host::longshore::connector::types::Error,
    grants::{Scheme, Target},
    services::Provisions,
};
use reqwest::{Client, redirect::Policy};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Places that a task keeps connections to; one more closes those to the place that was not asked for longest.
const PLACES_MAX: usize = 32;
/// Connections of HTTP/1 that are kept to one place without a request on them.
const IDLE_MAX: usize = 8;
const IDLE_TIME: Duration = Duration::from_secs(60);
/// How often a connection of HTTP/2 with requests on it is tried, and how long it may take to show that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What a server may send before it is read, in bytes; HTTP/1 has the connection's own buffers.
const WINDOW: u32 = 1024 * 1024;
/// Headers of one answer.
const HEADERS_MAX: usize = 100;

pub(super) struct Clients {
    provisions: Arc<Provisions>,
    grants: Arc<Grants>,
    /// The one that was used last comes last.
    kept: Mutex<Vec<(Target, Client)>>,
}

impl Clients {
    pub(super) fn new(provisions: Arc<Provisions>, grants: Arc<Grants>) -> Self {
        Self {
            provisions,
            grants,
            kept: Mutex::default(),
        }
    }
    pub(super) async fn of(&self, target: &Target) -> Result<Client, Error> {
        if let Some(client) = self.known(target) {
            return Ok(client);
        }
        let network = &self.provisions.network;
        let tls = network.tls(target.scheme == Scheme::Https).await?;
        let limits = network.limits();
        let mut client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(format!("longshore/{}", self.provisions.host_version))
            .redirect(Policy::none())
            .referer(false)
            // Nothing of the worker's environment.
            .no_proxy()
            .connect_timeout(limits.connect_timeout)
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE_MAX)
            .http1_max_headers(HEADERS_MAX)
            // A connection that leads nowhere any more is noticed, and not used for one request after another.
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .http2_initial_stream_window_size(WINDOW)
            .http2_initial_connection_window_size(4 * WINDOW)
            .http2_max_header_list_size(u32::try_from(limits.headers).unwrap_or(u32::MAX));
        let names = network.lookups(self.grants.plugin());
        client = match network.proxy() {
            Some((proxy, url)) => {
                let host = url.host_str().unwrap_or_default().to_owned();
                let resolver = ProxyAlone { names, host };
                client.proxy(proxy.clone()).dns_resolver(resolver)
            }
            None => client.dns_resolver(Checked {
                names,
                grants: self.grants.clone(),
                target: target.clone(),
            }),
        };
        let client = client.build();
        let client = client.map_err(|error| failure::unreachable(target, error))?;
        Ok(self.keep(target, client))
    }
    fn known(&self, target: &Target) -> Option<Client> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == target)?;
        let found = kept.remove(at);
        let client = found.1.clone();
        kept.push(found);
        Some(client)
    }
    /// Another request may have made one meanwhile; then that one is kept, so that both share its connections.
    fn keep(&self, target: &Target, client: Client) -> Client {
        if let Some(known) = self.known(target) {
            return known;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= PLACES_MAX {
            kept.remove(0);
        }
        kept.push((target.clone(), client.clone()));
        client
    }
}
