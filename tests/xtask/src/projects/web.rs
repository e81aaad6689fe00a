//! HTTP on loopback: a client of the worker's REST API, and the service that the example asks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Nobody here answers later.
const ANSWER: Duration = Duration::from_secs(60);

/// GET of a path at `http://host:port`, as JSON. An answer other than 200 is an error.
pub(super) fn get(origin: &str, path: &str) -> Result<Value> {
    let host = origin
        .strip_prefix("http://")
        .with_context(|| format!("{origin} is no http address"))?;
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(ANSWER))?;
    // 1.0: the answer ends with the connection and has no chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .with_context(|| format!("{path}: no HTTP answer"))?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("GET {path}: {status}: {body}");
    }
    serde_json::from_str(body).with_context(|| format!("GET {path} answers no JSON"))
}

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    /// When.
    pub(super) at: Instant,
    /// How many requests came for this path before.
    pub(super) before: u32,
}

/// What is answered.
pub(super) struct Answer {
    /// Code and reason.
    status: &'static str,
    /// Whole lines.
    headers: &'static str,
    body: String,
    after: Duration,
}

impl Answer {
    pub(super) fn json(body: &Value) -> Self {
        Self {
            body: body.to_string(),
            ..Self::empty("200 OK")
        }
    }
    pub(super) fn text(body: String) -> Self {
        Self {
            body,
            ..Self::empty("200 OK")
        }
    }
    pub(super) fn empty(status: &'static str) -> Self {
        Self {
            status,
            headers: "",
            body: String::new(),
            after: Duration::ZERO,
        }
    }
    /// With these lines of headers, each with its end.
    pub(super) fn with(mut self, headers: &'static str) -> Self {
        self.headers = headers;
        self
    }
    /// So much later.
    pub(super) fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

type Script = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A service that answers as a script says, each request on a thread of its own.
pub(super) struct Oracle {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Oracle {
    /// Listens on a free port.
    pub(super) fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let script: Arc<Script> = Arc::new(script);
        let thread = std::thread::spawn({
            let (asked, stop) = (asked.clone(), stop.clone());
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    let (asked, script) = (asked.clone(), script.clone());
                    // As many as the worker's plugins have requests under way. A client that goes away is its own loss.
                    std::thread::spawn(move || {
                        stream.and_then(|stream| answer(stream, &asked, &*script))
                    });
                }
            }
        });
        Ok(Self {
            address,
            asked,
            stop,
            thread: Some(thread),
        })
    }
    /// Every request, in the order in which they came.
    pub(super) fn requests(&self) -> Vec<Asked> {
        locked(&self.asked).clone()
    }
    /// How often each path was asked for.
    pub(super) fn asked(&self) -> BTreeMap<String, u32> {
        let mut paths = BTreeMap::new();
        for asked in self.requests() {
            *paths.entry(asked.path).or_default() += 1;
        }
        paths
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn locked(asked: &Mutex<Vec<Asked>>) -> MutexGuard<'_, Vec<Asked>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request and closes.
fn answer(
    mut stream: TcpStream,
    asked: &Mutex<Vec<Asked>>,
    script: &Script,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(ANSWER))?;
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut authorization = None;
    while let Some(line) = lines.next().transpose()?
        && !line.is_empty()
    {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = Some(value.trim().to_owned());
        }
    }
    let one = {
        let mut all = locked(asked);
        let before = all.iter().filter(|one| one.path == path).count();
        let one = Asked {
            path,
            authorization,
            at: Instant::now(),
            before: u32::try_from(before).unwrap_or(u32::MAX),
        };
        all.push(one.clone());
        one
    };
    let Answer {
        status,
        headers,
        body,
        after,
    } = script(&one);
    std::thread::sleep(after);
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
