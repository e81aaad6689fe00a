//! SASL/OAUTHBEARER with the client credentials grant of OpenID Connect.
//!
//! One [`Source`] per login is shared by every client that logs in alike. A thread of its own asks the token endpoint, ahead of expiry, and hands
//! each new token to the clients: neither their threads nor the client library's ever wait for HTTP. This is done by hand rather than by the
//! library's refresh callback, which runs on the thread that serves a client and knows no SASL extensions.

mod endpoint;
mod login;
mod source;
mod token;

pub(crate) use login::{Login, TOKEN_URL, known_classes};
pub(crate) use source::Source;
pub(crate) use token::Token;

use longshore_sdk::{Error, Result};
use rdkafka::{config::ClientConfig, types::RDKafka};
use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU64, Ordering},
};

/// The library's free-form key, of which it makes no use itself: it carries the name of a client's source.
const SOURCE: &str = "sasl.oauthbearer.config";
/// Different logins at a time; each belongs to a client that lives.
const SOURCES_MAX: usize = 1000;

/// A client that logs in with tokens.
pub(crate) trait Bearer: Send + Sync + 'static {
    /// The library's client; valid while this value lives.
    fn native(&self) -> *mut RDKafka;
    /// There is no valid token, and time alone will not bring one.
    fn shut_out(&self, error: Error);
}

static SOURCES: Mutex<Vec<Weak<Source>>> = Mutex::new(Vec::new());

/// The source of a login: one for all that are equal. It ends with its last client.
pub(crate) fn source(login: Login) -> Result<Arc<Source>> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
    sources.retain(|source| source.strong_count() > 0);
    let mut alive = sources.iter().filter_map(Weak::upgrade);
    if let Some(source) = alive.find(|source| *source.login() == login) {
        return Ok(source);
    }
    drop(alive);
    if sources.len() >= SOURCES_MAX {
        return Err(Error::config(
            "open",
            format!("more than {SOURCES_MAX} different OAUTHBEARER logins are in use"),
        ));
    }
    let name = format!("longshore-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let source = Arc::new(Source::new(name, login)?);
    sources.push(Arc::downgrade(&source));
    Ok(source)
}

/// Tells a client's settings where its tokens come from.
pub(crate) fn name_source(config: &mut ClientConfig, source: &Source) {
    config.set(SOURCE, source.name());
}

/// Where a client's tokens come from, if its settings ask for tokens.
pub(crate) fn find(config: &ClientConfig) -> Option<Arc<Source>> {
    let name = config.get(SOURCE)?;
    let sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut alive = sources.iter().filter_map(Weak::upgrade);
    alive.find(|source| source.name() == name)
}

/// Keeps a client supplied with tokens for as long as it lives, if its settings ask for them.
pub(crate) fn attach<C: Bearer>(config: &ClientConfig, client: &Arc<C>) {
    if let Some(source) = find(config) {
        let client: Arc<C> = Arc::clone(client);
        let client: Arc<dyn Bearer> = client;
        source.attach(&client);
    }
}

/// Gives a short-lived client the token of the moment, if its settings ask for one and there is one.
pub(crate) fn arm(config: &ClientConfig, client: *mut RDKafka) {
    let token = find(config).and_then(|source| source.token());
    if let Some(token) = token {
        token.hand_to(client);
    }
}
