//! The systems behind the plugins: an HTTP server with records to read and places to write to, which can be broken.

use hyper::{
    Request, Response, StatusCode,
    body::{Body, Incoming},
    header::{AUTHORIZATION, ETAG, IF_NONE_MATCH, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use longshore_kit::behaviour::Fault;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// The credential that every request must carry.
pub(crate) const TOKEN: &str = "a-token-that-nobody-shows";
/// Records of a full page.
pub(crate) const PAGE: u64 = 6;

/// What the server holds.
#[derive(Default)]
pub(crate) struct Held {
    /// How many records there are to read.
    pub(crate) seeded: u64,
    /// The ids that were written, in their order.
    pub(crate) ids: Vec<u64>,
    pub(crate) fault: Option<Fault>,
    /// The idempotency keys of what was written.
    keys: HashSet<String>,
    /// The last claim, and the offsets beside the ids.
    owner: u64,
    offsets: BTreeMap<(String, i64), i64>,
    asked: u64,
}

/// A server on loopback. Dropped, it takes no more connections.
pub(crate) struct Web {
    held: Arc<Mutex<Held>>,
    port: u16,
    accepting: JoinHandle<()>,
}

/// A request as a whole.
struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    /// `If-None-Match`, `Idempotency-Key`.
    etag: String,
    key: String,
    body: Vec<u8>,
}

/// An answer; `None` = the connection ends without one.
type Answer = Option<Response<String>>;

impl Web {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let held = Arc::<Mutex<Held>>::default();
        let shared = held.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let held = shared.clone();
                let service = service_fn(move |request| {
                    let held = held.clone();
                    async move {
                        let answer = match asked(request).await {
                            Some(asked) => lock(&held).answer(&asked),
                            None => Some(status(StatusCode::UNAUTHORIZED, "")),
                        };
                        answer.ok_or("the connection ends here")
                    }
                });
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(serving);
            }
        });
        Self {
            held,
            port,
            accepting,
        }
    }
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` without the credential.
async fn asked(request: Request<Incoming>) -> Option<Asked> {
    let (head, body) = request.into_parts();
    let header = |name: &str| {
        let value = head.headers.get(name);
        let value = value.and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    if header(AUTHORIZATION.as_str()) != format!("Bearer {TOKEN}") {
        return None;
    }
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    let query = head.uri.query().unwrap_or_default().split('&');
    let query = query.filter_map(|pair| pair.split_once('='));
    Some(Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: query
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        etag: header(IF_NONE_MATCH.as_str()),
        key: header("idempotency-key"),
        body: bytes,
    })
}

fn status(status: StatusCode, body: impl Into<String>) -> Response<String> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer
}

impl Held {
    fn answer(&mut self, asked: &Asked) -> Answer {
        self.asked += 1;
        if self.fault == Some(Fault::Unavailable) {
            // Every way to be away has its turn.
            return match self.asked % 3 {
                0 => None,
                1 => Some(status(StatusCode::INTERNAL_SERVER_ERROR, "away")),
                _ => {
                    let mut answer = status(StatusCode::SERVICE_UNAVAILABLE, "busy");
                    answer.headers_mut().insert(RETRY_AFTER, 0.into());
                    Some(answer)
                }
            };
        }
        let answer = match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/pages") => self.page(asked),
            ("GET", "/list") => Some(self.list(asked)),
            ("POST", "/one") => Some(self.take(asked, false)),
            ("POST", "/many") => Some(self.take(asked, true)),
            ("POST", "/claim") => Some(self.claim()),
            ("POST", "/flush") => Some(self.flush(asked)),
            _ => Some(status(StatusCode::NOT_FOUND, "")),
        };
        let written = matches!(asked.path.as_str(), "/one" | "/many" | "/flush");
        if written && self.fault == Some(Fault::AnswerLost) {
            self.fault = None;
            return None;
        }
        answer
    }
    fn records(&self, from: u64) -> Vec<Value> {
        let upto = self.seeded.min(from + PAGE);
        (from..upto).map(|id| json!({ "id": id })).collect()
    }
    /// Pages, counted from 1 on.
    fn page(&self, asked: &Asked) -> Answer {
        let page = asked.query.get("page").and_then(|page| page.parse().ok());
        let page: u64 = page.filter(|page| *page > 0)?;
        let records = self.records((page - 1) * PAGE);
        let etag = format!("\"{page}-{}\"", records.len());
        if asked.etag == etag {
            return Some(status(StatusCode::NOT_MODIFIED, ""));
        }
        let mut answer = status(StatusCode::OK, Value::from(records).to_string());
        let etag = etag.parse().expect("a header's value");
        answer.headers_mut().insert(ETAG, etag);
        Some(answer)
    }
    /// A list whose end has no cursor yet.
    fn list(&self, asked: &Asked) -> Response<String> {
        let from = asked.query.get("cursor").map_or("0", String::as_str);
        let Ok(from) = from.parse::<u64>() else {
            return status(StatusCode::BAD_REQUEST, "");
        };
        let records = self.records(from);
        let next = (records.len() as u64 == PAGE).then(|| (from + PAGE).to_string());
        let body = json!({ "items": records, "meta": { "next": next } });
        status(StatusCode::OK, body.to_string())
    }
    /// Records without an id are refused, and a request whose key is known changes nothing.
    fn take(&mut self, asked: &Asked, many: bool) -> Response<String> {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let id = |record: &Value| record["id"].as_u64();
        let ids: Option<Vec<u64>> = match (&body, many) {
            (Value::Array(records), true) => records.iter().map(id).collect(),
            (record, false) => id(record).map(|id| vec![id]),
            _ => None,
        };
        let Some(ids) = ids else {
            return status(StatusCode::UNPROCESSABLE_ENTITY, "");
        };
        if asked.key.is_empty() {
            return status(StatusCode::BAD_REQUEST, "");
        }
        if self.keys.insert(asked.key.clone()) {
            self.ids.extend(ids);
        }
        status(StatusCode::OK, "")
    }
    fn claim(&mut self) -> Response<String> {
        self.owner += 1;
        let offsets = self.offsets.iter().map(|((topic, partition), offset)| {
            json!({ "topic": topic, "partition": partition, "offset": offset })
        });
        let offsets: Vec<Value> = offsets.collect();
        let body = json!({ "owner": self.owner, "offsets": offsets });
        status(StatusCode::OK, body.to_string())
    }
    fn flush(&mut self, asked: &Asked) -> Response<String> {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        if body["owner"] != self.owner {
            return status(StatusCode::CONFLICT, "");
        }
        let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        self.ids
            .extend(list("ids").iter().filter_map(Value::as_u64));
        for place in list("offsets") {
            let topic = place["topic"].as_str().unwrap_or_default().to_owned();
            let partition = place["partition"].as_i64().unwrap_or_default();
            let offset = place["offset"].as_i64().unwrap_or_default();
            self.offsets.insert((topic, partition), offset);
        }
        status(StatusCode::OK, "")
    }
}
