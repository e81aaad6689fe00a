//! Whether a producer was let in. The library goes on trying to log in until a record's or a call's time is over, and then says only that time
//! is over: that is not why it failed.

use crate::{
    errors,
    oauth::{self, Source},
};
use longshore_sdk::{Error, ErrorKind, Result};
use rdkafka::{
    config::ClientConfig,
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// What waits for a login for this long waits in vain: brokers that restart know their users again by then.
pub(crate) const REFUSED_MAX: Duration = Duration::from_secs(10);

/// The last refusal since a record was written.
#[derive(Default)]
pub(crate) struct Refusal {
    /// So that the way of a record that was written takes no lock.
    is: AtomicBool,
    last: Mutex<String>,
    /// Where the client's OAUTHBEARER tokens come from.
    tokens: Option<Arc<Source>>,
}

impl Refusal {
    /// For a client with these settings.
    pub(crate) fn of(config: &ClientConfig) -> Self {
        Self {
            tokens: oauth::find(config),
            ..Self::default()
        }
    }
    fn is_excused(&self) -> bool {
        self.tokens.as_ref().is_some_and(|tokens| tokens.excuses())
    }
    fn last(&self) -> MutexGuard<'_, String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The library told of an error.
    pub(crate) fn note(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        match errors::refusal(code, reason) {
            Some(code) if errors::is_login(code) && self.is_excused() => {}
            Some(code) => self.shut_out(errors::coded("login", code, reason).message()),
            // Whatever was said before, it is the network now.
            None if matches!(code, Code::BrokerTransportFailure | Code::Resolve) => self.over(),
            None => {}
        }
    }
    /// There is no way in; `reason` says why.
    pub(crate) fn shut_out(&self, reason: &str) {
        *self.last() = reason.to_owned();
        self.is.store(true, Ordering::Release);
    }
    /// A record was written, or something else is the matter.
    pub(crate) fn over(&self) {
        if self.is() {
            self.is.store(false, Ordering::Release);
        }
    }
    /// The last thing that a broker said was that it does not let us in.
    pub(crate) fn is(&self) -> bool {
        self.is.load(Ordering::Acquire)
    }
    /// The refusal as an error of `op`.
    pub(crate) fn error(&self, op: &'static str) -> Option<Error> {
        self.is()
            .then(|| Error::new(ErrorKind::Auth, op, self.last().as_str()))
    }
    /// `call`, or the refusal once it has lasted: the library would wait for the whole of the call's time.
    pub(crate) async fn or_refused<T>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let refused = async {
            let mut since = None;
            loop {
                tokio::time::sleep(REFUSED_MAX / 20).await;
                match self.error(op) {
                    None => since = None,
                    Some(error) => {
                        let since = since.get_or_insert_with(Instant::now);
                        if since.elapsed() > REFUSED_MAX {
                            return error;
                        }
                    }
                }
            }
        };
        tokio::select! {
            result = call => result,
            error = refused => Err(error),
        }
    }
    /// A time-out that followed a refusal is the refusal.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Transient => self.error(error.op()).unwrap_or(error),
            _ => error,
        }
    }
}
