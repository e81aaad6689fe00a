//! Calls of the client library that block, off the runtime's threads and bounded.

use longshore_sdk::{Error, Result};
use std::time::Duration;

/// How long to wait for the call. The call itself goes on until the library gives up, which it does on its own timeouts.
#[derive(Clone, Copy)]
pub(crate) struct Bounded(pub(crate) Duration);

impl Bounded {
    pub(crate) fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

/// Runs `call` on a blocking thread. Err (Transient) when the bound has passed: its outcome is then unknown.
pub(crate) async fn run<T: Send + 'static>(
    op: &'static str,
    bound: Bounded,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let task = tokio::task::spawn_blocking(call);
    match tokio::time::timeout(bound.0, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(Error::bug(op, "the client's call ended abnormally").because(error)),
        Err(_) => Err(Error::transient(
            op,
            format!("no answer from Kafka within {} s", bound.0.as_secs()),
        )),
    }
}
