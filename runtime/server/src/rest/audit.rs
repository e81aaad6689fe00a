//! The audit log: a line for each request that changes something or that is refused. It never holds a body, a query or credentials (I8).

use super::{
    access::{Identity, Peer, Role},
    auth::Refusal,
    internal::Why,
};
use axum::{
    extract::Request,
    http::{HeaderValue, Method, StatusCode},
    response::Response,
};
use longshore_engine::control::Forwarded;
use percent_encoding::percent_decode_str;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How many lines about wrong credentials there are in a window; the next window's first line counts the others.
const LINES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// The longest request id and path that are written.
const ID_CHARS_MAX: usize = 64;
const NAME_CHARS_MAX: usize = 256;

/// The connector that a request is about, where its path does not say: the handler fills it in.
#[derive(Clone, Default)]
pub(crate) struct Subject(Arc<OnceLock<String>>);

impl Subject {
    /// Names it, once.
    pub(crate) fn is(&self, connector: &str) {
        let _ = self.0.set(connector.to_owned());
    }
}

/// Wrong credentials that were written lately.
#[derive(Default)]
pub(crate) struct Audit {
    window: Mutex<Option<(Instant, u32)>>,
}

impl Audit {
    /// Writes that a caller was not let in; only so often.
    pub(super) fn refused(
        &self,
        request: &Request,
        template: Option<&str>,
        peer: Option<&Peer>,
        refusal: &Refusal,
    ) {
        let Some(left_out) = self.turn() else {
            return;
        };
        let (status, user, why) = match refusal {
            Refusal::Missing => (401, None, "no credentials"),
            Refusal::Wrong { user, why } => (401, user.as_deref(), *why),
            Refusal::TooMany { .. } => (429, None, "too many wrong credentials"),
            Refusal::Unavailable { why } => (503, None, *why),
        };
        tracing::warn!(
            target: "audit",
            user = user.unwrap_or("unknown"),
            method = %request.method(),
            route = template.unwrap_or("none"),
            status,
            remote = %Remote(peer.map(|peer| peer.address)),
            request = id(request),
            why,
            left_out,
            "audit: not let in"
        );
    }

    /// Writes what another worker forwarded, in the name of whoever asked there; or, only so often, that a call was not taken.
    pub(super) fn called(&self, peer: Option<&Peer>, response: &mut Response) {
        let remote = Remote(peer.map(|peer| peer.address));
        if let Some(forwarded) = response.extensions_mut().remove::<Forwarded>() {
            let status = match forwarded.outcome {
                Ok(()) => "carried out".to_owned(),
                Err(None) => "not now".to_owned(),
                Err(Some(kind)) => format!("refused: {kind:?}"),
            };
            let connector: String = forwarded.connector.chars().take(NAME_CHARS_MAX).collect();
            tracing::info!(
                target: "audit",
                user = forwarded.user,
                worker = forwarded.from,
                command = forwarded.command,
                connector,
                status,
                %remote,
                request = forwarded.request,
                "audit: forwarded by another worker"
            );
        } else if let Some(Why(why)) = response.extensions_mut().remove::<Why>()
            && let Some(left_out) = self.turn()
        {
            tracing::warn!(
                target: "audit",
                status = 403,
                %remote,
                why,
                left_out,
                "audit: a call of another worker was not taken"
            );
        }
    }

    /// Whether a line may be written, and how many were not before it.
    fn turn(&self) -> Option<u32> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match &mut *window {
            Some((since, count)) if since.elapsed() < WINDOW => {
                *count = count.saturating_add(1);
                (*count <= LINES_MAX).then_some(0)
            }
            _ => {
                let before = window.replace((now, 1)).map_or(0, |(_, count)| count);
                Some(before.saturating_sub(LINES_MAX))
            }
        }
    }
}

/// The line of one request. It is written at the latest when the request is given up: what it asked for may be carried out even so.
pub(super) struct Entry {
    user: Arc<str>,
    role: Option<Role>,
    method: Method,
    route: Arc<str>,
    connector: Option<String>,
    subject: Subject,
    remote: Option<SocketAddr>,
    id: String,
    written: bool,
}

impl Entry {
    pub(super) fn new(
        request: &Request,
        route: &Arc<str>,
        peer: Option<&Peer>,
        identity: &Identity,
        subject: &Subject,
    ) -> Self {
        Self {
            user: Arc::clone(&identity.name),
            role: identity.role,
            method: request.method().clone(),
            route: Arc::clone(route),
            connector: connector(route, request.uri().path()),
            subject: subject.clone(),
            remote: peer.map(|peer| peer.address),
            id: id(request),
            written: false,
        }
    }
    /// Writes the line.
    pub(super) fn ends(&mut self, status: StatusCode) {
        self.write(status.as_str());
    }
    fn write(&mut self, status: &str) {
        self.written = true;
        let connector = self
            .connector
            .as_deref()
            .or(self.subject.0.get().map(String::as_str));
        let connector = connector.map(|name| name.chars().take(NAME_CHARS_MAX).collect::<String>());
        tracing::info!(
            target: "audit",
            user = &*self.user,
            role = self.role.map_or("none", Role::name),
            method = %self.method,
            route = &*self.route,
            connector,
            status,
            remote = %Remote(self.remote),
            request = self.id,
            "audit"
        );
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.written {
            self.write("given up");
        }
    }
}

/// The address of a caller.
struct Remote(Option<SocketAddr>);

impl std::fmt::Display for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("unknown"),
        }
    }
}

/// The connector of a path, as it stands there.
fn connector(route: &str, path: &str) -> Option<String> {
    route.starts_with("/connectors/{name}").then(|| {
        let name = path.split('/').nth(2).unwrap_or_default();
        percent_decode_str(name).decode_utf8_lossy().into_owned()
    })
}

/// The id that the caller or a proxy gave the request; else a new one.
fn id(request: &Request) -> String {
    let given = request
        .headers()
        .get("x-request-id")
        .map(HeaderValue::to_str);
    match given {
        Some(Ok(given)) if is_id(given) => given.to_owned(),
        _ => uuid::Uuid::new_v4().to_string(),
    }
}

fn is_id(text: &str) -> bool {
    let fine = |char: char| char.is_ascii_alphanumeric() || "-_.:".contains(char);
    !text.is_empty() && text.len() <= ID_CHARS_MAX && text.chars().all(fine)
}

#[cfg(test)]
mod tests {
    use super::connector;

    #[test]
    fn a_connector_is_named_as_the_api_reads_its_path() {
        let named = |path| connector("/connectors/{name}/pause", path);
        assert_eq!(named("/connectors/a+b%20c/pause").as_deref(), Some("a+b c"));
        assert_eq!(connector("/connector-plugins", "/connector-plugins"), None);
    }
}
