//! `longshore up`, and what its REST API says.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{ENRICH, web};

/// The worker's start (it may compile), the records' way, the worker's end.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(250);

/// Every connector's status.
pub(super) fn statuses(rest: &str) -> Result<Vec<Value>> {
    let all = web::get(rest, "/connectors?expand=status")?;
    let all = all.as_object().context("connectors are no object")?;
    Ok(all.values().map(|one| one["status"].clone()).collect())
}

/// A connector or a task that failed is an error with its trace.
pub(super) fn failed(rest: &str) -> Result<()> {
    for status in statuses(rest)? {
        let tasks = status["tasks"].as_array().into_iter().flatten();
        for one in tasks.chain([&status["connector"]]) {
            ensure!(
                one["state"] != "FAILED",
                "{}: {}",
                status["name"],
                one["trace"]
            );
        }
    }
    Ok(())
}

/// How many lines a sink has written; none before it has begun.
pub(super) fn lines_in(file: &Path) -> u64 {
    let text = std::fs::read(file).unwrap_or_default();
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A temporary folder for the worker; it stays when something fails, for its log.
pub(super) fn fresh(what: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("longshore-{what}-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// A worker alone, with what runs on it. `compiled`: where compiled plugins are kept; `plugins`: files, between commas; `service`: what the
/// plugin that asks one may reach.
pub(super) fn alone(
    folder: &Path,
    compiled: &Path,
    plugins: &str,
    service: SocketAddr,
    connectors: &Value,
) -> Value {
    json!({
        "worker": {
            "bootstrap.servers": "embedded",
            "listeners": "http://127.0.0.1:0",
            "longshore.broker.listen": "127.0.0.1:0",
            "longshore.data.dir": folder.join("data"),
            "longshore.wasm.cache.dir": compiled,
            "plugin.path": plugins,
            format!("longshore.wasm.grants.{ENRICH}.net"): service.to_string(),
        },
        "connectors": connectors,
    })
}

/// `longshore up`; killed when dropped.
pub(super) struct Worker {
    child: Child,
    pub(super) log: PathBuf,
}

impl Worker {
    pub(super) fn start(longshore: &Path, config: &Path, log: PathBuf) -> Result<Self> {
        println!("== longshore up {}", config.display());
        let out = File::create(&log)?;
        let child = Command::new(longshore)
            .arg("up")
            .arg(config)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            .spawn()
            .context("cannot run longshore")?;
        Ok(Self { child, log })
    }
    /// Where its REST API listens, once it has started: before it has read its topics it answers 503.
    pub(super) fn ready(&mut self) -> Result<String> {
        self.until("the worker to start", |worker| {
            let address = worker.address();
            Ok(address.filter(|rest| web::get(rest, "/connectors").is_ok()))
        })
    }
    /// Where its REST API listens, once it says so.
    fn address(&self) -> Option<String> {
        let said = std::fs::read_to_string(&self.log).ok()?;
        let (_, rest) = said.split_once(" rest=")?;
        let (address, _) = rest.split_once(char::is_whitespace)?;
        Some(address.to_owned())
    }
    /// Asks again and again while the worker runs.
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(ended) = self.child.try_wait()? {
                bail!("the worker ended with {ended}");
            }
            if let Some(seen) = look(self)? {
                return Ok(seen);
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "{PATIENCE:?} were not enough for {what}"
            );
            std::thread::sleep(PAUSE);
        }
    }
    /// Asks it to end, as an operator does, and waits. An end that is no success is an error.
    pub(super) fn stop(&mut self) -> Result<()> {
        let kill = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()?;
        ensure!(kill.success(), "the worker cannot be stopped");
        let start = Instant::now();
        loop {
            if let Some(ended) = self.child.try_wait()? {
                ensure!(
                    ended.success(),
                    "the worker ended with {ended}: see {}",
                    self.log.display()
                );
                return Ok(());
            }
            ensure!(start.elapsed() < PATIENCE, "the worker does not stop");
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
