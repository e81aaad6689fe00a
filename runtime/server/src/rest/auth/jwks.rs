//! The keys that tokens are signed with: a JSON Web Key Set, of a URL or of a file.

use super::Refusal;
use crate::{file_bytes::read_at_most, settings::RestKeys, trust, watch::Watch};
use anyhow::{Context, Result, anyhow, bail};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, Jwk, PublicKeyUse},
};
use reqwest::{Client, redirect::Policy};
use serde::Deserialize;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    sync::{Mutex, OnceCell, OwnedMutexGuard},
    time::{Instant, sleep},
};

/// How large a key set may be, and how many keys of it are taken (I6).
const SET_BYTES_MAX: usize = 256 * 1024;
const KEYS_MAX: usize = 100;
const FETCH_WAIT_MAX: Duration = Duration::from_secs(10);
/// After a fetch that failed; longer each time.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// An unknown key makes us look, but no more often than this: anybody can send tokens with made-up keys.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Keys that could not be confirmed for this long are not trusted any more: a revoked one would be for ever.
const STALE_AFTER: Duration = Duration::from_secs(24 * 3600);
const FILE_LOOK_EVERY: Duration = Duration::from_secs(1);

/// The key set and where it comes from.
pub(super) struct Jwks {
    source: Source,
    refresh: Duration,
    look_again_after: Duration,
    set: RwLock<Set>,
    /// When it was last asked for. Held while asking: callers wait for one answer.
    asked: Arc<Mutex<Option<Instant>>>,
    client: OnceCell<Client>,
}

enum Source {
    Url { url: String, ca: Option<PathBuf> },
    File(PathBuf),
}

#[derive(Clone, Default)]
struct Set {
    keys: Arc<[Key]>,
    /// When it was last confirmed; `None`: never.
    at: Option<Instant>,
}

struct Key {
    id: Option<String>,
    /// What it signs, where it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

impl Key {
    fn fits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        let known = self.algorithm.is_none_or(|known| known == algorithm);
        // The family keeps a public key from being taken for the secret of a symmetric one, whatever the token says.
        known
            && self.key.family() == algorithm.family()
            && (id.is_none() || self.id.as_deref() == id)
    }
}

impl Jwks {
    /// The key set that the settings name. A file is read at once: one that cannot be used is an error.
    pub(super) fn of(keys: &RestKeys) -> Result<Self> {
        let source = match (&keys.jwks_url, &keys.jwks_file) {
            (Some(url), _) => Source::Url {
                url: url.clone(),
                ca: keys.jwks_ca_file.clone(),
            },
            (None, Some(file)) => Source::File(file.clone()),
            (None, None) => bail!("longshore.rest.auth.jwks.url is missing"),
        };
        let refresh = Duration::from_millis(keys.jwks_refresh_ms);
        let jwks = Self::at(source, refresh, LOOK_AGAIN_AFTER);
        if let Source::File(file) = &jwks.source {
            let set = read(file).context("the worker key longshore.rest.auth.jwks.file")?;
            jwks.store(set);
        }
        Ok(jwks)
    }
    fn at(source: Source, refresh: Duration, look_again_after: Duration) -> Self {
        Self {
            source,
            refresh,
            look_again_after,
            set: RwLock::default(),
            asked: Arc::default(),
            client: OnceCell::new(),
        }
    }
    #[cfg(test)]
    pub(super) fn of_url(url: &str, look_again_after: Duration) -> Self {
        let source = Source::Url {
            url: url.to_owned(),
            ca: None,
        };
        Self::at(source, Duration::from_secs(3600), look_again_after)
    }

    /// Asks for the set now and again; reads the file again whenever it changes.
    pub(super) async fn keep_fresh(self: &Arc<Self>) {
        if let Source::File(file) = &self.source {
            let mut watch = Watch::new(vec![file.clone()], FILE_LOOK_EVERY);
            loop {
                watch.changed().await;
                match read(file) {
                    Ok(keys) => self.store(keys),
                    Err(error) => {
                        let error = format!("{error:#}");
                        tracing::error!(
                            error,
                            "the changed key set is not used, the former one holds"
                        );
                    }
                }
            }
        }
        let mut retry = RETRY_AFTER;
        loop {
            if self.ask(Duration::ZERO).await {
                retry = RETRY_AFTER;
                sleep(self.refresh).await;
            } else {
                sleep(retry).await;
                retry = (2 * retry).min(RETRY_AFTER_MAX);
            }
        }
    }

    /// The keys that may have signed a token. One that is not in the set is looked for, now and then; 503 while there is no set at all.
    pub(super) async fn find(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<DecodingKey>, Refusal> {
        let found = self.fitting(id, algorithm);
        if !matches!(&found, Ok(keys) if !keys.is_empty())
            && matches!(self.source, Source::Url { .. })
        {
            self.ask(self.look_again_after).await;
            return self.fitting(id, algorithm);
        }
        found
    }

    fn fitting(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<DecodingKey>, Refusal> {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        let of_file = matches!(self.source, Source::File(_));
        let fresh = |at: Instant| of_file || at.elapsed() < STALE_AFTER.max(2 * self.refresh);
        if !set.at.is_some_and(fresh) {
            return Err(Refusal::Unavailable {
                why: "the signing keys of tokens are not known",
            });
        }
        let fitting = set.keys.iter().filter(|key| key.fits(id, algorithm));
        Ok(fitting.map(|key| key.key.clone()).collect())
    }

    /// Fetches the set unless that was done within `not_within`. True if the set is fresh.
    async fn ask(self: &Arc<Self>, not_within: Duration) -> bool {
        let asked = Arc::clone(&self.asked).lock_owned().await;
        if asked.is_some_and(|at| at.elapsed() < not_within) {
            return true;
        }
        // On its own: a caller who hangs up neither ends the question for the others nor makes room for another one.
        let this = Arc::clone(self);
        let fetched = tokio::spawn(async move { this.ask_now(asked).await });
        fetched.await.unwrap_or(false)
    }

    async fn ask_now(&self, mut asked: OwnedMutexGuard<Option<Instant>>) -> bool {
        let fetched = tokio::time::timeout(FETCH_WAIT_MAX, self.fetch()).await;
        *asked = Some(Instant::now());
        match fetched.unwrap_or_else(|_| Err(anyhow!("no answer within {FETCH_WAIT_MAX:?}"))) {
            Ok(keys) => {
                self.store(keys);
                true
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "the signing keys of longshore.rest.auth.jwks.url cannot be fetched"
                );
                false
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>> {
        let Source::Url { url, ca } = &self.source else {
            bail!("the key set is a file");
        };
        let client = self
            .client
            .get_or_try_init(|| client(url, ca.clone()))
            .await?;
        let mut answer = client.get(url).send().await?;
        if answer.status() != reqwest::StatusCode::OK {
            bail!("it answers {}", answer.status());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if bytes.len() + chunk.len() > SET_BYTES_MAX {
                bail!("it is larger than {SET_BYTES_MAX} bytes");
            }
            bytes.extend_from_slice(&chunk);
        }
        parse(&bytes)
    }

    fn store(&self, keys: Vec<Key>) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        let ids = |keys: &[Key]| keys.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
        if ids(&set.keys) != ids(&keys) {
            tracing::info!(keys = keys.len(), "signing keys of tokens are known");
        }
        *set = Set {
            keys: keys.into(),
            at: Some(Instant::now()),
        };
    }
}

/// Redirects are not followed: the keys come from where the settings say, or not at all.
async fn client(url: &str, ca: Option<PathBuf>) -> Result<Client> {
    let https = url.starts_with("https:");
    // Reading the system's certificates takes a while, and blocks.
    let tls = tokio::task::spawn_blocking(move || trust::client(https, ca.as_deref(), None));
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls.await??)
        .redirect(Policy::none())
        .timeout(FETCH_WAIT_MAX);
    if !https {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .context("the HTTP client could not be built")
}

fn read(file: &Path) -> Result<Vec<Key>> {
    let at = || format!("{} cannot be used", file.display());
    let bytes = read_at_most(file, SET_BYTES_MAX as u64).with_context(at)?;
    parse(&bytes).with_context(at)
}

/// The public signing keys of a set. Keys of other kinds and uses are left out; a set without any is an error.
fn parse(bytes: &[u8]) -> Result<Vec<Key>> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<Value>,
    }
    let set: KeySet = serde_json::from_slice(bytes)
        .map_err(|_| anyhow!("it is no JSON Web Key Set: {{\"keys\": [..]}}"))?;
    let keys: Vec<Key> = set
        .keys
        .into_iter()
        .take(KEYS_MAX)
        .filter_map(|key| signing(&serde_json::from_value(key).ok()?))
        .collect();
    if keys.is_empty() {
        bail!("it has no public signing key of a kind that is known");
    }
    Ok(keys)
}

fn signing(jwk: &Jwk) -> Option<Key> {
    let of_public = matches!(
        jwk.algorithm,
        AlgorithmParameters::RSA(_)
            | AlgorithmParameters::EllipticCurve(_)
            | AlgorithmParameters::OctetKeyPair(_)
    );
    let signs = matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    );
    if !of_public || !signs {
        return None;
    }
    let algorithm = match jwk.common.key_algorithm {
        // One that is named must be known, or the key could be used for what it is not meant for.
        Some(named) => Some(named.try_into().ok()?),
        None => None,
    };
    Some(Key {
        id: jwk.common.key_id.clone(),
        algorithm,
        key: DecodingKey::from_jwk(jwk).ok()?,
    })
}
