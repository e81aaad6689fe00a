//! An answer's body that is read bit by bit.

use super::{exchange::Started, failure};
use crate::{
    bindings::host::longshore::connector::types::Error, grants::Target, services::Stopping,
};
use bytes::Bytes;
use reqwest::Response;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The most that one read gives, in bytes.
const READ_MAX: usize = 1024 * 1024;

/// An answer's body that is read bit by bit.
pub struct Body {
    target: Target,
    response: Response,
    /// What came and was not asked for yet; one frame at most, which the connection's buffers bound.
    left: Bytes,
    /// What may still come.
    most: u64,
    timeout: Duration,
}

impl Body {
    pub(super) fn new(started: Started, most: u64, timeout: Duration) -> Self {
        Self {
            target: started.target,
            response: started.response,
            left: Bytes::new(),
            most,
            timeout,
        }
    }
    /// How long one read may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
    /// At most `max` bytes, at least one; none = the end. Err (transient): nothing came in time, or the task is to stop; nothing is lost.
    pub(super) async fn read(
        &mut self,
        max: u32,
        until: Instant,
        stopping: Stopping,
    ) -> Result<Vec<u8>, Error> {
        let max = (max as usize).clamp(1, READ_MAX);
        while self.left.is_empty() {
            let next = async {
                tokio::select! {
                    biased;
                    chunk = self.response.chunk() => Some(chunk),
                    () = stopping.wait() => None,
                }
            };
            let waited = timeout_at(until, next).await;
            let chunk = waited.map_err(|_| self.nothing("nothing came from it in time"))?;
            let chunk = chunk.ok_or_else(|| self.nothing("the task is being stopped"))?;
            let Some(chunk) = chunk.map_err(|error| failure::unreachable(&self.target, error))?
            else {
                return Ok(Vec::new());
            };
            let Some(most) = self.most.checked_sub(chunk.len() as u64) else {
                return Err(failure::config(format!(
                    "the body from {} has more bytes than the request's max-response-bytes",
                    self.target
                )));
            };
            self.most = most;
            self.left = chunk;
        }
        let now = self.left.split_to(max.min(self.left.len()));
        Ok(now.into())
    }
    fn nothing(&self, why: &str) -> Error {
        failure::transient(format!(
            "the body from {} is not at its end: {why}",
            self.target
        ))
    }
}
