//! A client for one question to a cluster's controller or brokers.

use crate::{
    client::{ClientSettings, Properties, Role},
    errors, oauth,
};
use longshore_sdk::Result;
use rdkafka::{
    admin::AdminClient,
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use std::time::{Duration, Instant};

/// Short-lived: its log lines are drained by nobody. Its end takes a tenth of a second, for which nobody should wait.
pub(crate) struct Asked(Option<AdminClient<DefaultClientContext>>);

impl Asked {
    pub(crate) fn open(settings: &ClientSettings) -> Result<Self> {
        let mut resolved = settings.resolve(Role::Admin, &Properties::new())?;
        resolved.quick_to_connect();
        let config = resolved.config();
        let client: AdminClient<DefaultClientContext> = config
            .create()
            .map_err(|error| errors::from_client("open", error))?;
        oauth::arm(&config, client.inner().native_ptr());
        Ok(Self(Some(client)))
    }
    pub(crate) fn client(&self) -> &AdminClient<DefaultClientContext> {
        self.0.as_ref().expect("present until dropped")
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let client = self.0.take();
        let spawned = std::thread::Builder::new()
            .name("kafka drop".to_owned())
            .spawn(move || drop(client));
        drop(spawned);
    }
}

/// How long a question may take, over all attempts.
const ALL_MAX: Duration = Duration::from_secs(20);
/// How long the first attempt may take; each further one twice as long.
const FIRST_MAX: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);

/// The attempts of one question, each by a client of its own. A client that was told to ask a broker which has just died asks no other one, and tries to
/// connect to it without any pause, at the cost of a whole core (librdkafka 2.12.1), until its time is over; the next one is mostly told of another broker.
pub(crate) struct Attempts {
    started: Instant,
    slice: Duration,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            slice: FIRST_MAX,
        }
    }
    /// How long this attempt may take.
    pub(crate) fn max(&self) -> Duration {
        self.slice
    }
    /// Whether the question is to be asked again after `error`, now.
    pub(crate) async fn again(&mut self, error: &KafkaError) -> bool {
        let left = ALL_MAX.saturating_sub(self.started.elapsed());
        let passes = matches!(error, KafkaError::AdminOp(Code::OperationTimedOut));
        if !passes || left < FIRST_MAX {
            return false;
        }
        tracing::debug!(error = %error, "a question is asked again");
        self.slice = (self.slice * 2).min(left);
        tokio::time::sleep(PAUSE).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_timed_out_is_asked_again_and_for_longer() {
        let mut attempts = Attempts::new();
        let refused = KafkaError::AdminOp(Code::TopicAuthorizationFailed);
        assert!(!attempts.again(&refused).await);
        let late = KafkaError::AdminOp(Code::OperationTimedOut);
        let first = attempts.max();
        assert!(attempts.again(&late).await);
        assert_eq!(attempts.max(), first * 2);
        attempts.started = Instant::now().checked_sub(ALL_MAX).expect("a clock");
        assert!(!attempts.again(&late).await);
    }
}
