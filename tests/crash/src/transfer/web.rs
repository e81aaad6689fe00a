//! An HTTP server with numbers to read, page by page, and a place to send records to, which heeds idempotency keys.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::feed::Mouth;
use crate::ids::Ids;

/// Records of a full page.
pub(super) const PAGE: u64 = 100;

/// The folder of the plugins that the repository holds. Errors: nobody has built them.
pub fn plugins() -> Result<PathBuf> {
    let folder = std::env::var_os("LONGSHORE_GUESTS").filter(|folder| !folder.is_empty());
    let folder = folder.context(
        "LONGSHORE_GUESTS is not set: run cargo xtask guests, and set it to the folder that is printed",
    )?;
    Ok(PathBuf::from(folder))
}

/// The server. Dropped, it is gone.
pub(crate) struct Web {
    numbers: Arc<Numbers>,
    port: u16,
    _runtime: Runtime,
}

#[derive(Default)]
struct Numbers {
    fed: AtomicU64,
    sent: Mutex<Sent>,
}

/// What was sent to it.
#[derive(Default)]
pub(super) struct Sent {
    keys: HashSet<String>,
    /// The ids of requests whose key was new.
    pub(super) ids: Ids,
    /// The last offset of each partition, and how many requests with new keys did not go beyond it.
    last: Vec<Option<u64>>,
    pub(super) out_of_order: u64,
    /// Requests whose key was known.
    pub(super) repeated: u64,
    counts: Vec<u64>,
}

impl Web {
    /// Starts it on a free loopback port.
    pub(crate) fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let numbers = Arc::new(Numbers::default());
        let router = Router::new()
            .route("/numbers", get(page).post(take))
            .with_state(numbers.clone());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let port = listener.local_addr()?.port();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            numbers,
            port,
            _runtime: runtime,
        })
    }

    /// `host:port`, as a grant names it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where the numbers are, and where records go.
    pub(super) fn url(&self) -> String {
        format!("http://{}/numbers", self.address())
    }

    /// Feeds it.
    pub(super) fn mouth(&self) -> Growing {
        Growing(self.numbers.clone())
    }

    /// What was sent to it so far.
    pub(super) fn sent(&self) -> MutexGuard<'_, Sent> {
        self.numbers.sent()
    }
}

impl Numbers {
    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    /// How many records of each partition came.
    pub(super) fn counts(&self, partitions: u32) -> Vec<u64> {
        let mut counts = self.counts.clone();
        counts.resize(partitions as usize, 0);
        counts
    }

    /// `key` ends with the partition and the offset of the record.
    fn take(&mut self, key: &str, body: &str) -> Result<()> {
        if self.keys.contains(key) {
            self.repeated += 1;
            return Ok(());
        }
        let mut parts = key.rsplitn(3, '-');
        let offset: u64 = parts.next().context("no offset in the key")?.parse()?;
        let partition: usize = parts.next().context("no partition in the key")?.parse()?;
        self.ids.add_json(body.as_bytes())?;
        if self.last.len() <= partition {
            self.last.resize(partition + 1, None);
            self.counts.resize(partition + 1, 0);
        }
        self.out_of_order += u64::from(self.last[partition] >= Some(offset));
        self.last[partition] = Some(offset);
        self.counts[partition] += 1;
        self.keys.insert(key.to_owned());
        Ok(())
    }
}

/// Makes numbers visible.
pub(super) struct Growing(Arc<Numbers>);

impl Mouth for Growing {
    fn take(&mut self, numbers: Range<u64>) -> Result<()> {
        self.0.fed.store(numbers.end, Ordering::Relaxed);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Page 1 has the ids 1 to 100; the last page has fewer, and none that is beyond it has any.
async fn page(
    State(numbers): State<Arc<Numbers>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<String, StatusCode> {
    let page = query.iter().find(|(name, _)| name == "page");
    let page: Option<u64> = page.and_then(|(_, page)| page.parse().ok());
    let page = page
        .filter(|page| *page > 0)
        .ok_or(StatusCode::BAD_REQUEST)?;
    let fed = numbers.fed.load(Ordering::Relaxed);
    let ids = (page - 1) * PAGE + 1..=(page * PAGE).min(fed);
    let records: Vec<Value> = ids.map(|id| serde_json::json!({ "id": id })).collect();
    Ok(Value::from(records).to_string())
}

async fn take(
    State(numbers): State<Arc<Numbers>>,
    headers: HeaderMap,
    body: String,
) -> Result<(), (StatusCode, String)> {
    let refused = |problem: String| (StatusCode::BAD_REQUEST, problem);
    let key = headers.get("Idempotency-Key");
    let key = key.and_then(|key| key.to_str().ok());
    let key = key.ok_or_else(|| refused("no Idempotency-Key".to_owned()))?;
    let taken = numbers.sent().take(key, &body);
    taken.map_err(|error| refused(format!("{error:#}")))
}
