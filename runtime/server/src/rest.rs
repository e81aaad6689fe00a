//! The REST API, compatible with the Apache Kafka Connect REST API. Handlers translate between HTTP and [`Control`], nothing more.

mod access;
mod answer;
mod audit;
mod auth;
mod browser;
mod caller;
mod connectors;
mod cors;
mod gate;
mod internal;
mod mask;
mod offsets;
mod plugins;
mod request;
mod routes;
mod serve;
mod signature;
mod stall;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use access::Role;
pub(crate) use auth::{Auth, hash, is_user_name};
pub(crate) use browser::Browsers;
pub(crate) use cors::Cors;
pub(crate) use internal::{COMMAND, WORKER};
pub(crate) use plugins::COMMIT;
pub(crate) use routes::routes;
pub(crate) use serve::{bind, serve};
pub(crate) use signature::{ALGORITHM, ANSWER, AUTHORIZATION as SIGNATURE, HMAC_SHA_256, Signer};
pub(crate) use tls::Tls;

use answer::Failure;
use axum::{extract::FromRef, http::StatusCode};
use longshore_engine::{control::Control, metrics::Metrics, ports::Member};
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// What handlers share. The API answers from the first moment; control comes once the worker has read its topics.
#[derive(Clone)]
pub(crate) struct Door {
    control: Arc<OnceLock<Control>>,
    me: Arc<OnceLock<Member>>,
    /// Commands of other workers that are read at once.
    commands: Arc<Semaphore>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Door {
    /// A door that is not open yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            control: Arc::default(),
            me: Arc::default(),
            commands: Arc::new(Semaphore::new(internal::READ_AT_ONCE)),
            metrics,
        }
    }
    /// Says which worker this is: before it joins its group, since others, and itself, may ask then.
    pub(crate) fn is(&self, me: Member) {
        if self.me.set(me).is_err() {
            tracing::error!("the worker was named twice");
        }
    }
    /// Which worker this is, or 503 before it knows.
    fn me(&self) -> Result<&Member, Failure> {
        self.me.get().ok_or_else(starting)
    }
    /// Opens it, once.
    pub(crate) fn open(&self, control: Control) {
        if self.control.set(control).is_err() {
            tracing::error!("the door was opened twice");
        }
    }
    /// The control behind it, or 503 while the worker starts.
    fn control(&self) -> Result<&Control, Failure> {
        self.control.get().ok_or_else(starting)
    }
    /// The control, if the door is open.
    fn opened(&self) -> Option<&Control> {
        self.control.get()
    }
}

fn starting() -> Failure {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Worker is still starting up: it is reading its internal topics.",
    )
}

impl FromRef<Door> for Arc<Metrics> {
    fn from_ref(door: &Door) -> Self {
        Self::clone(&door.metrics)
    }
}
