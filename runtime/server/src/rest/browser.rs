//! What keeps web pages from calling a worker with a person's browser as the messenger.
//!
//! A page may send requests to any address that the browser reaches. `Origin` tells a page of another place (cross-site requests); a name of
//! its own that leads to the loopback shows as a foreign `Host` (DNS rebinding).

use super::{Cors, answer::Failure};
use crate::settings::is_loopback;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// What requests of browsers are judged by.
#[derive(Clone)]
pub(crate) struct Browsers {
    origins: Cors,
    /// The names of this worker, lower case; `None` where any Host will do.
    names: Option<Arc<[String]>>,
}

impl Browsers {
    /// `names`: where nothing but its address protects a worker, the names by which it may be called besides loopback addresses.
    pub(crate) fn new(origins: Cors, names: Option<Vec<String>>) -> Self {
        let lower =
            |names: Vec<String>| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self {
            origins,
            names: names.map(lower),
        }
    }

    fn judge(&self, request: &Request) -> Result<(), Failure> {
        let host = host(request);
        if let (Some(names), Some(host)) = (&self.names, &host)
            && !is_this_machine(host.host(), names)
        {
            let message = format!(
                "The Host {host:?} is not a name of this worker, which listens on the loopback without authentication: call it as 127.0.0.1 or localhost, or set rest.advertised.host.name to the name that a proxy passes on.",
                host = host.host(),
            );
            return Err(Failure::new(StatusCode::FORBIDDEN, message));
        }
        let reads = matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        if reads || !self.is_foreign(request.headers(), host.as_ref()) {
            return Ok(());
        }
        let message = "Pages of other origins may not change anything here: list theirs in the worker key access.control.allow.origin.";
        Err(Failure::new(StatusCode::FORBIDDEN, message))
    }

    /// Whether a page of another place sent this. Requests that come from no page have neither header.
    fn is_foreign(&self, headers: &HeaderMap, host: Option<&Authority>) -> bool {
        if self.origins.allows(headers) {
            return false;
        }
        let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
        if matches!(site, Some(site) if site != b"same-origin" && site != b"none") {
            return true;
        }
        let Some(origin) = headers.get(header::ORIGIN) else {
            return false;
        };
        let own = origin.to_str().ok().and_then(|origin| {
            let (_, authority) = origin.split_once("://")?;
            authority.parse::<Authority>().ok()
        });
        // The scheme may differ: a proxy may do the TLS.
        match (own, host) {
            (Some(own), Some(host)) => {
                !own.host().eq_ignore_ascii_case(host.host()) || own.port_u16() != host.port_u16()
            }
            _ => true,
        }
    }
}

/// Whom the request is for: its Host, or the target's where that is a whole URL. One that is malformed is nobody's.
fn host(request: &Request) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let value = request.headers().get(header::HOST)?;
    let parsed = value.to_str().ok().and_then(|host| host.parse().ok());
    Some(parsed.unwrap_or_else(|| Authority::from_static("malformed.invalid")))
}

fn is_this_machine(host: &str, names: &[String]) -> bool {
    let bare = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_ascii_lowercase();
    is_loopback(&bare) || names.contains(&bare)
}

/// Refuses what a page of another place has sent.
pub(crate) async fn browsers(
    State(browsers): State<Browsers>,
    request: Request,
    next: Next,
) -> Response {
    match browsers.judge(&request) {
        Ok(()) => next.run(request).await,
        Err(failure) => {
            tracing::warn!(method = %request.method(), path = request.uri().path(), "a browser's request was refused");
            failure.into_response()
        }
    }
}
