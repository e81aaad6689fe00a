//! How callers prove who they are: not at all, by name and password, or by a signed token.

mod attempts;
mod basic;
mod bearer;
mod credentials;
mod jwks;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use credentials::quick_hash;
pub(crate) use credentials::{hash, is_user_name};

use super::access::{Identity, Peer, Role};
use crate::settings::{AuthMethod, RestKeys};
use anyhow::{Context, Result, bail};
use axum::http::{HeaderMap, header};
use basic::Basic;
use bearer::Bearer;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The longest Authorization header that is looked at.
const AUTHORIZATION_BYTES_MAX: usize = 16 * 1024;

/// The way callers prove who they are.
pub(crate) enum Auth {
    /// Whoever reaches the API may do everything.
    Open,
    Basic(Box<Basic>),
    Bearer(Box<Bearer>),
}

/// Why a caller is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No credentials came.
    Missing,
    /// They are wrong. `user` is given only where it is known: a name that is not may be a password in the wrong field.
    Wrong {
        user: Option<Arc<str>>,
        why: &'static str,
    },
    /// Too many wrong ones came from there.
    TooMany { retry_after: Duration },
    /// They cannot be judged now.
    Unavailable { why: &'static str },
}

impl Refusal {
    fn wrong(why: &'static str) -> Self {
        Self::Wrong { user: None, why }
    }
}

impl Auth {
    /// Reads what the method needs. A credentials file that cannot be used is an error: nobody could log in, or the wrong ones could.
    pub(crate) fn open(keys: &RestKeys) -> Result<Arc<Self>> {
        let auth = match keys.auth {
            AuthMethod::None => Self::Open,
            AuthMethod::Basic => {
                let Some(file) = &keys.credentials_file else {
                    bail!("longshore.rest.auth.credentials.file is missing");
                };
                let basic = Basic::open(file)
                    .context("the worker key longshore.rest.auth.credentials.file")?;
                Self::Basic(Box::new(basic))
            }
            AuthMethod::Bearer => Self::Bearer(Box::new(Bearer::open(keys)?)),
        };
        Ok(Arc::new(auth))
    }
    /// Whether callers must prove anything.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
    /// Keeps files and keys fresh until `stop`.
    pub(crate) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let fresh = async {
            match &*self {
                Self::Open => std::future::pending().await,
                Self::Basic(basic) => basic.keep_fresh().await,
                Self::Bearer(bearer) => bearer.keep_fresh().await,
            }
        };
        tokio::select! {
            () = fresh => {}
            () = stop.cancelled() => {}
        }
    }
    /// Who calls. Fails closed: what cannot be judged is refused.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Identity, Refusal> {
        match self {
            Self::Open => Ok(anybody(peer)),
            Self::Basic(basic) => {
                let credentials = credentials(headers, "Basic")?;
                basic.identify(credentials, peer).await
            }
            Self::Bearer(bearer) => bearer.identify(credentials(headers, "Bearer")?).await,
        }
    }
    /// The challenge of a 401.
    pub(crate) fn challenge(&self, refusal: &Refusal) -> &'static str {
        match (self, refusal) {
            (Self::Bearer(_), Refusal::Wrong { .. }) => {
                "Bearer realm=\"longshore\", error=\"invalid_token\""
            }
            (Self::Bearer(_), _) => "Bearer realm=\"longshore\"",
            _ => "Basic realm=\"longshore\", charset=\"UTF-8\"",
        }
    }
}

/// Who it is where nothing is asked: the certificate, if there is one.
pub(super) fn anybody(peer: Option<&Peer>) -> Identity {
    let certificate = peer.and_then(|peer| peer.certificate.as_ref());
    Identity {
        name: certificate.map_or_else(
            || Arc::from("anonymous"),
            |start| Arc::from(format!("certificate:{start}")),
        ),
        role: Some(Role::Admin),
    }
}

/// What stands after the scheme. Two headers, or one of another scheme, are no credentials.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Result<&'a str, Refusal> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (all.next().ok_or(Refusal::Missing)?, all.next());
    if more.is_some() {
        return Err(Refusal::wrong("there are several Authorization headers"));
    }
    if value.len() > AUTHORIZATION_BYTES_MAX {
        return Err(Refusal::wrong("the Authorization header is too long"));
    }
    let malformed = || Refusal::wrong("the Authorization header is malformed");
    let text = value.to_str().map_err(|_| malformed())?;
    let (given, rest) = text.trim().split_once(' ').ok_or_else(malformed)?;
    if !given.eq_ignore_ascii_case(scheme) {
        return Err(Refusal::wrong(
            "the Authorization header has another scheme",
        ));
    }
    Ok(rest.trim())
}
