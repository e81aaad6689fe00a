//! Calls to other workers of the group.

use super::Member;
use bytes::Bytes;
use longshore_sdk::{Error, Result, erased::Boxed};

/// Sends requests to other workers.
pub trait Peers: Send + Sync {
    /// Sends `body` to the worker `to`, signed with `key` (HMAC-SHA256), and returns the body of its answer.
    /// Err (Transient): no connection, or no answer in time: it may have been carried out. Err (Auth): the other side refuses the signature.
    fn ask<'a>(&'a self, to: &'a Member, key: &'a [u8], body: Bytes) -> Boxed<'a, Result<Bytes>>;
}

/// A worker that knows no others.
pub struct NoPeers;

impl Peers for NoPeers {
    fn ask<'a>(&'a self, to: &'a Member, _: &'a [u8], _: Bytes) -> Boxed<'a, Result<Bytes>> {
        let text = format!("this worker cannot call the worker {}", to.worker_id);
        Box::pin(std::future::ready(Err(Error::transient("ask", text))))
    }
}
