//! HTTP on loopback: a client of the worker's REST API, and the service that the example asks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

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

/// A service that knows everything as `{"path": its path}`, but is away for the first requests.
pub(super) struct Oracle {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<BTreeMap<String, u32>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Oracle {
    /// Listens on a free port; the first `away` requests are answered 503.
    pub(super) fn start(away: u32) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(BTreeMap::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (asked, stop) = (asked.clone(), stop.clone());
            move || {
                let mut left = away;
                for stream in listener.incoming() {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    // A client that goes away is its own loss.
                    let _ = stream.and_then(|stream| answer(stream, &asked, &mut left));
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
    /// How often each path was asked for.
    pub(super) fn asked(&self) -> BTreeMap<String, u32> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
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

/// Answers one request and closes.
fn answer(
    mut stream: TcpStream,
    asked: &Mutex<BTreeMap<String, u32>>,
    away: &mut u32,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(ANSWER))?;
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let status = if *away > 0 {
        *away -= 1;
        "503 Service Unavailable"
    } else {
        "200 OK"
    };
    let body = json!({ "path": path }).to_string();
    let mut all = asked.lock().unwrap_or_else(PoisonError::into_inner);
    *all.entry(path).or_default() += 1;
    drop(all);
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
