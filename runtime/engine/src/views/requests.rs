//! Which requests have written what: one that is sent again after an ambiguous answer finds its own work here.

use crate::ports::{Entry, Version};
use bytes::Bytes;
use std::collections::VecDeque;

/// How many requests are remembered of a topic. A request is sent again within half a minute or so: this is far more than a leader can write in that time (I6).
const REMEMBERED_MAX: usize = 4096;
/// The longest id that is remembered; ours have 36 bytes.
const ID_BYTES_MAX: usize = 64;

/// What a request has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where its last record stands.
    pub version: Version,
    /// Whether it made a connector that was not there.
    pub created: bool,
}

/// The last requests, oldest first.
#[derive(Default)]
pub(super) struct Requests(VecDeque<(Bytes, Written)>);

impl Requests {
    /// Notes an entry. The entries of one request stand together in their partition: they are one transaction.
    pub(super) fn note(&mut self, entry: &Entry, created: bool) {
        let Some(id) = entry.request.as_ref().filter(|id| id.len() <= ID_BYTES_MAX) else {
            return;
        };
        let version = entry.version;
        if let Some((_, written)) = self.0.back_mut().filter(|(last, _)| last == id) {
            written.version = version;
            written.created |= created;
            return;
        }
        if self.0.len() >= REMEMBERED_MAX {
            self.0.pop_front();
        }
        // Copied: as a slice it would keep all that was read together with it (I6).
        let id = Bytes::copy_from_slice(id);
        self.0.push_back((id, Written { version, created }));
    }
    /// What a request has written; `None` = nothing, or it was long ago.
    pub(super) fn find(&self, id: &[u8]) -> Option<Written> {
        let mut latest = self.0.iter().rev();
        latest
            .find(|(known, _)| known == id)
            .map(|(_, written)| *written)
    }
}
