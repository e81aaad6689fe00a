//! The key that workers sign their calls to each other with: the record `session-key`.

use super::parse;
use crate::ports::Entry;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a key is still accepted after another one has taken its place: until then not every worker has read the new one.
const FORMER_FOR: Duration = Duration::from_secs(60);
/// The length of the keys that we write, in bytes.
const KEY_BYTES: usize = 32;
/// The lengths of the keys that are taken.
const KEY_BYTES_TAKEN: std::ops::RangeInclusive<usize> = 16..=1024;

/// A session key. It has no Display and no Serialize, and its Debug does not show it (I8).
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey {
    bytes: Arc<[u8]>,
    /// By the clock of the leader that made it, in milliseconds since the Unix epoch.
    created_ms: i64,
}

impl SessionKey {
    /// A new one. `now_ms` is the wall clock.
    pub fn generate(now_ms: i64) -> Self {
        Self {
            bytes: Arc::from(rand::random::<[u8; KEY_BYTES]>()),
            created_ms: now_ms,
        }
    }
    /// The key itself, for the signature and nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
    /// Its record, as Kafka Connect writes it.
    pub fn record(&self) -> super::records::Pair {
        let value = format!(
            "{{\"key\":\"{}\",\"algorithm\":\"HmacSHA256\",\"creation-timestamp\":{}}}",
            STANDARD.encode(&self.bytes),
            self.created_ms
        );
        (Bytes::from_static(KEY), Some(Bytes::from(value)))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey([hidden])")
    }
}

/// The key of the record.
pub(super) const KEY: &[u8] = b"session-key";

#[derive(Deserialize)]
struct Value {
    key: String,
    algorithm: String,
    #[serde(rename = "creation-timestamp")]
    created_ms: i64,
}

/// The keys that hold now.
#[derive(Default)]
pub(super) struct SessionKeys {
    now: Option<(SessionKey, Instant)>,
    former: Option<(SessionKey, Instant)>,
}

impl SessionKeys {
    pub(super) fn apply(&mut self, entry: &Entry) {
        let Some(value) = parse::<Value>(entry) else {
            return;
        };
        let bytes = STANDARD.decode(&value.key).unwrap_or_default();
        if value.algorithm != "HmacSHA256" || !KEY_BYTES_TAKEN.contains(&bytes.len()) {
            tracing::warn!(
                algorithm = value.algorithm,
                bytes = bytes.len(),
                "a session key of another kind is left out: a new one will be written"
            );
            return;
        }
        let key = SessionKey {
            bytes: Arc::from(bytes),
            created_ms: value.created_ms,
        };
        let seen = Instant::now();
        let before = self.now.replace((key, seen));
        self.former = before.map(|(key, _)| (key, seen));
    }
    /// The key to sign with.
    pub(super) fn current(&self) -> Option<&SessionKey> {
        self.now.as_ref().map(|(key, _)| key)
    }
    /// The keys that a signature may be of.
    pub(super) fn accepted(&self) -> Vec<SessionKey> {
        let former = self.former.as_ref();
        let former = former.filter(|(_, replaced)| replaced.elapsed() < FORMER_FOR);
        let all = self.now.iter().chain(former);
        all.map(|(key, _)| key.clone()).collect()
    }
    /// How long the key lasts; `None` = there is none, or it is old. Clocks of workers may differ: a key is old by the wall clock, or by the time
    /// since it was read.
    pub(super) fn lasts(&self, now_ms: i64, ttl: Duration) -> Option<Duration> {
        let (key, seen) = self.now.as_ref()?;
        let age = u64::try_from(now_ms.saturating_sub(key.created_ms)).unwrap_or(0);
        let age = Duration::from_millis(age).max(seen.elapsed());
        ttl.checked_sub(age).filter(|left| !left.is_zero())
    }
}
