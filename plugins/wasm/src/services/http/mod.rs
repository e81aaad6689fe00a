//! HTTP for plugins: to granted addresses alone, pooled, within limits.
//!
//! A request is checked as it stands ([`request`]), its address by the grants ([`crate::grants`]), and once more what its name was resolved
//! to, in the resolver of the very connection ([`resolve`]): what was checked is what is connected to. Redirects are followed here, each as
//! a new request ([`redirect`]). With a proxy (`longshore.wasm.http.proxy`) it is the proxy that resolves names: then only names and
//! addresses as written are checked, and the proxy has to keep plugins away from what they must not reach.

mod answer;
mod body;
mod clients;
mod credential;
mod exchange;
mod failure;
mod network;
mod redirect;
mod request;
mod resolve;
#[cfg(test)]
mod tests;

pub use body::Body;
pub use resolve::Names;

pub(super) use network::Network;

use super::{Caller, Journal, Provisions, Services};
use crate::bindings::host::longshore::connector::{
    http::{Host, HostBody, Opened, Request, Response},
    types::Error,
};
use answer::Budget;
use clients::Clients;
use futures::{StreamExt, stream};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::time::Instant;
use wasmtime::component::Resource;

/// Requests of one `send-all`.
const REQUESTS_MAX: usize = 10_000;

/// What the worker's settings say about HTTP of plugins.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// `longshore.wasm.http.ca`: a PEM file with certificates that are trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// `longshore.wasm.http.proxy`: the URL of an HTTP proxy that every request goes through. It may hold a password.
    pub proxy: Option<longshore_sdk::Secret>,
    /// Limits.
    pub limits: HttpLimits,
    /// Who resolves names; none = the system.
    pub names: Option<Resolver>,
}

/// Who resolves names in place of the system.
#[derive(Clone)]
pub struct Resolver(pub Arc<dyn Names>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

/// Limits of one task; sizes in bytes.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// One request with its answer.
    pub timeout: Duration,
    /// A new connection with its TLS.
    pub connect_timeout: Duration,
    /// Requests in flight, unless the plugin's grants say otherwise.
    pub concurrency: usize,
    /// The body of one request.
    pub request: usize,
    /// The body of one answer.
    pub response: usize,
    /// All answers to one `send-all` together.
    pub responses: usize,
    /// The headers of a request or an answer, names and values.
    pub headers: usize,
    /// Redirects that are followed.
    pub redirects: u32,
    /// Bodies that are open at once.
    pub bodies: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            concurrency: 16,
            request: 16 * MIB,
            response: 16 * MIB,
            responses: 64 * MIB,
            headers: 64 * 1024,
            redirects: 10,
            bodies: 16,
        }
    }
}

/// The way to the network of one store.
pub(super) struct Http {
    provisions: Arc<Provisions>,
    caller: Caller,
    journal: Arc<Journal>,
    clients: Clients,
    deadline: Option<Instant>,
    /// Bodies that the guest holds open.
    open: usize,
}

impl Http {
    pub(super) fn new(provisions: Arc<Provisions>, caller: &Caller, journal: Arc<Journal>) -> Self {
        Self {
            clients: Clients::new(provisions.clone(), caller.grants.clone()),
            provisions,
            caller: caller.clone(),
            journal,
            deadline: None,
            open: 0,
        }
    }
    /// The host's waits end before the call's deadline, so that the guest hears of it instead of being ended.
    pub(super) fn begin(&mut self, deadline: Instant) {
        let margin = Duration::from_millis(50);
        self.deadline = Some(deadline.checked_sub(margin).unwrap_or(deadline));
    }
    pub(super) fn provisions(&self) -> &Arc<Provisions> {
        &self.provisions
    }
    fn limits(&self) -> &HttpLimits {
        self.provisions.network.limits()
    }
    /// When something ends that may take `timeout`.
    fn until(&self, timeout: Duration) -> Instant {
        let own = Instant::now() + timeout;
        self.deadline.map_or(own, |deadline| own.min(deadline))
    }
    /// What the request's own timeout comes to.
    fn timeout(&self, asked_ms: u32) -> Duration {
        let limit = self.limits().timeout;
        match asked_ms {
            0 => limit,
            ms => limit.min(Duration::from_millis(ms.into())),
        }
    }
    fn concurrency(&self, asked: u32) -> usize {
        let granted = self.caller.grants.concurrency();
        let limit = granted.unwrap_or(self.limits().concurrency);
        match asked {
            0 => limit,
            asked => limit.min(asked as usize),
        }
    }
    async fn send(&self, request: Request, budget: &Budget) -> Result<Response, Error> {
        let until = self.until(self.timeout(request.timeout_ms));
        let max = match request.max_response_bytes {
            0 => self.limits().response,
            bytes => self.limits().response.min(bytes as usize),
        };
        let started = self.exchange(request, until).await?;
        answer::whole(started, max, budget, until, self).await
    }
    async fn open(&self, request: Request) -> Result<(u16, answer::Headers, Body), Error> {
        if self.open >= self.limits().bodies {
            return Err(failure::config(format!(
                "{} bodies are open already: read them to their end or drop them before another request is opened",
                self.open
            )));
        }
        let timeout = self.timeout(request.timeout_ms);
        let max = match request.max_response_bytes {
            0 => u64::MAX,
            bytes => bytes.into(),
        };
        let until = self.until(timeout);
        let started = self.exchange(request, until).await?;
        let headers = answer::headers(started.response.headers());
        let status = started.response.status().as_u16();
        Ok((status, headers, Body::new(started, max, timeout)))
    }
}

impl Host for Services {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, Error>> {
        let budget = Budget::new(self.http.limits().responses);
        Ok(Box::pin(self.http.send(request, &budget)).await)
    }
    async fn send_all(
        &mut self,
        requests: Vec<Request>,
        concurrency: u32,
    ) -> wasmtime::Result<Vec<Result<Response, Error>>> {
        // What comes back is bounded by the budget. An error for each beyond the limit would be as much work again.
        if requests.len() > REQUESTS_MAX {
            return Err(wasmtime::Error::msg(format!(
                "http.send-all was called with {} requests; it sends {REQUESTS_MAX} at most: send them in several calls",
                requests.len()
            )));
        }
        let http = &self.http;
        let budget = &Budget::new(http.limits().responses);
        let count = requests.len();
        let numbered = requests.into_iter().enumerate();
        let sent = stream::iter(numbered).map(|(index, request)| {
            Box::pin(async move { (index, http.send(request, budget).await) })
        });
        let mut sent = sent.buffer_unordered(http.concurrency(concurrency));
        let mut answers: Vec<Option<_>> = std::iter::repeat_with(|| None).take(count).collect();
        while let Some((index, answer)) = sent.next().await {
            answers[index] = Some(answer);
            // Those that fail at once never wait: others run in between.
            tokio::task::consume_budget().await;
        }
        let missing = || Err(failure::fatal("a request got no answer".to_owned()));
        let answers = answers.into_iter();
        Ok(answers
            .map(|answer| answer.unwrap_or_else(missing))
            .collect())
    }
    async fn open(&mut self, request: Request) -> wasmtime::Result<Result<Opened, Error>> {
        let (status, headers, body) = match Box::pin(self.http.open(request)).await {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let body = self.table.push(body)?;
        self.http.open += 1;
        Ok(Ok(Opened {
            status,
            headers,
            body,
        }))
    }
}

impl HostBody for Services {
    async fn read(
        &mut self,
        body: Resource<Body>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let body = self.table.get_mut(&body)?;
        let until = self.http.until(body.timeout());
        let stopping = self.http.caller.stopping.clone();
        Ok(body.read(max, until, stopping).await)
    }
    async fn drop(&mut self, body: Resource<Body>) -> wasmtime::Result<()> {
        self.table.delete(body)?;
        self.http.open = self.http.open.saturating_sub(1);
        Ok(())
    }
}

impl crate::bindings::host::longshore::connector::types::Host for Services {}
