//! Names and passwords.

use super::{
    super::access::{Identity, Peer},
    Refusal,
    attempts::Attempts,
    credentials::{User, Users},
};
use crate::watch::{Watch, warn_if_readable_by_all};
use anyhow::Result;
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

/// Passwords that are hashed at once: each takes a core and the memory that its hash says (I6).
const HASHES_MAX: usize = 2;
/// How long a login waits for its turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long credentials that were good stay known after their last use. A change of the file forgets all of them at once.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// How many are known.
const KNOWN_MAX: usize = 1024;
/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The users of a credentials file.
pub(crate) struct Basic {
    file: PathBuf,
    users: RwLock<Arc<Users>>,
    known: Mutex<HashMap<[u8; 32], Known>>,
    /// Keys the table above: what stands there is of no use outside this process.
    key: hmac::Key,
    seats: Arc<Semaphore>,
    attempts: Attempts,
}

/// Credentials that were good a moment ago.
struct Known {
    identity: Identity,
    used: Instant,
}

impl Basic {
    /// Reads the file.
    pub(super) fn open(file: &Path) -> Result<Self> {
        let users = Users::read(file)?;
        warn_if_readable_by_all(file, "the credentials file");
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("there is no randomness"))?;
        Ok(Self {
            file: file.to_owned(),
            users: RwLock::new(Arc::new(users)),
            known: Mutex::default(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            seats: Arc::new(Semaphore::new(HASHES_MAX)),
            attempts: Attempts::default(),
        })
    }

    /// Reads the file again whenever it changes. One that cannot be used changes nothing.
    pub(super) async fn keep_fresh(&self) {
        let mut watch = Watch::new(vec![self.file.clone()], LOOK_EVERY);
        loop {
            watch.changed().await;
            self.reload();
        }
    }

    pub(super) fn reload(&self) {
        match Users::read(&self.file) {
            Ok(users) => {
                tracing::info!(users = users.len(), "credentials file read again");
                // Under the lock of what is known: a password that is being checked against the former file is not noted afterwards.
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                *self.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
                known.clear();
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "the changed credentials file is not used, the former one holds"
                );
            }
        }
    }

    /// Who it is. A wrong password and an unknown name take the same time and get the same answer.
    pub(super) async fn identify(
        &self,
        encoded: &str,
        peer: Option<&Peer>,
    ) -> Result<Identity, Refusal> {
        let malformed = || Refusal::wrong("the credentials are malformed");
        let decoded = STANDARD.decode(encoded).map_err(|_| malformed())?;
        let at = decoded
            .iter()
            .position(|byte| *byte == b':')
            .ok_or_else(malformed)?;
        let (name, password) = (&decoded[..at], &decoded[at + 1..]);
        let name = std::str::from_utf8(name).map_err(|_| malformed())?;
        let tag = self.tag(&decoded);
        if let Some(identity) = self.known(&tag) {
            return Ok(identity);
        }
        let address = peer.map(|peer| peer.address.ip());
        if let Some(retry_after) = self.attempts.wait(address) {
            return Err(Refusal::TooMany { retry_after });
        }
        let users = Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner));
        let user = users.get(name).cloned();
        if self
            .is_right(&users, user.clone(), password.to_vec())
            .await?
            && let Some(user) = user
        {
            let identity = Identity {
                name: user.name,
                role: Some(user.role),
            };
            self.note(&users, tag, identity.clone());
            return Ok(identity);
        }
        self.attempts.wrong(address);
        Err(Refusal::Wrong {
            user: user.map(|user| user.name),
            why: "unknown name or wrong password",
        })
    }

    /// Hashes on a thread of its own kind, a few at a time: a flood of logins must not take the worker's threads from its tasks.
    async fn is_right(
        &self,
        users: &Users,
        user: Option<User>,
        password: Vec<u8>,
    ) -> Result<bool, Refusal> {
        let busy = Refusal::Unavailable {
            why: "too many logins are being checked",
        };
        let turn = Arc::clone(&self.seats).acquire_owned();
        let Ok(Ok(seat)) = tokio::time::timeout(TURN_WAIT_MAX, turn).await else {
            return Err(busy);
        };
        let exists = user.is_some();
        let Some(user) = user.or_else(|| users.decoy().cloned()) else {
            return Ok(false);
        };
        let checked = tokio::task::spawn_blocking(move || {
            let right = user.has(&password);
            // Held by the work, not by the caller: who hangs up does not make room for more.
            drop(seat);
            right
        });
        Ok(checked.await.map_err(|_| busy)? && exists)
    }

    fn tag(&self, credentials: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        tag.copy_from_slice(hmac::sign(&self.key, credentials).as_ref());
        tag
    }

    fn known(&self, tag: &[u8; 32]) -> Option<Identity> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get_mut(tag)?;
        if entry.used.elapsed() >= KNOWN_FOR {
            known.remove(tag);
            return None;
        }
        entry.used = Instant::now();
        Some(entry.identity.clone())
    }

    fn note(&self, users: &Arc<Users>, tag: [u8; 32], identity: Identity) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.users.read().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&now, users) {
            return;
        }
        if known.len() >= KNOWN_MAX {
            known.retain(|_, entry| entry.used.elapsed() < KNOWN_FOR);
            let oldest = known.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest
                .map(|(tag, _)| *tag)
                .filter(|_| known.len() >= KNOWN_MAX)
            {
                known.remove(&oldest);
            }
        }
        let used = Instant::now();
        known.insert(tag, Known { identity, used });
    }

    #[cfg(test)]
    pub(super) fn count_known(&self) -> usize {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::credentials::quick_hash, Basic, HASHES_MAX, Refusal, STANDARD};
    use base64::Engine;

    #[tokio::test(start_paused = true)]
    async fn i6_only_so_many_passwords_are_hashed_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("users");
        std::fs::write(&file, format!("ann:{}:admin\n", quick_hash("a"))).expect("written");
        let basic = Basic::open(&file).expect("opened");
        let good = STANDARD.encode("ann:a");
        basic.identify(&good, None).await.expect("there is room");
        let all = u32::try_from(HASHES_MAX).expect("few");
        let busy = basic.seats.acquire_many(all).await.expect("open");
        for late in ["ann:b", "nobody:a"] {
            let refused = basic.identify(&STANDARD.encode(late), None).await;
            assert!(
                matches!(refused, Err(Refusal::Unavailable { .. })),
                "{refused:?}"
            );
        }
        basic
            .identify(&good, None)
            .await
            .expect("what is known needs no hash");
        drop(busy);
        let wrong = basic.identify(&STANDARD.encode("ann:b"), None).await;
        assert!(matches!(wrong, Err(Refusal::Wrong { .. })), "{wrong:?}");
    }
}
