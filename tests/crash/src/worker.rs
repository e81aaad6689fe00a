//! A home folder of the binary, and a run of it there.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use longshore_kit::servers::{Leashed, Signal, command, free_port, http, http_status, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::binary;

/// A worker that answers nothing for this long is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with settings and data, which outlives the processes that work in it.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
    rest: u16,
    broker: u16,
    outside: Option<String>,
    group: String,
}

impl Home {
    /// A fresh folder with a `worker.yaml`: free ports, the embedded broker, or the one that KAFKA_BOOTSTRAP names.
    pub fn new(name: &str) -> Result<Self> {
        Self::with_keys(name, &[])
    }

    /// The same with further worker keys.
    pub fn with_keys(name: &str, more: &[(&str, &str)]) -> Result<Self> {
        let outside = std::env::var("KAFKA_BOOTSTRAP").ok();
        Self::with(name, outside.filter(|outside| !outside.is_empty()), more)
    }

    /// The same on the broker `outside`; `None` = embedded, whatever KAFKA_BOOTSTRAP says.
    pub fn with(name: &str, outside: Option<String>, more: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("longshore-crash-")
            .tempdir()?;
        let group = format!(
            "{name}-{}",
            dir.path()
                .file_name()
                .and_then(|n| n.to_str())
                .and_then(|n| n.rsplit('-').next())
                .unwrap_or("x")
                .to_lowercase()
        );
        let home = Self {
            dir,
            rest: free_port()?,
            broker: free_port()?,
            outside,
            group,
        };
        let mut text = format!(
            "worker:\n  listeners: http://127.0.0.1:{}\n  group.id: {}\n",
            home.rest, home.group
        );
        match &home.outside {
            // An outside broker notices a killed member by its session alone.
            Some(outside) => text.push_str(&format!(
                "  bootstrap.servers: {outside}\n  session.timeout.ms: 500\n  consumer.session.timeout.ms: 1000\n"
            )),
            None => text.push_str(&format!("  bootstrap.servers: embedded\n  longshore.broker.listen: 127.0.0.1:{}\n", home.broker)),
        }
        for (key, value) in more {
            text.push_str(&format!("  {key}: {value}\n"));
        }
        home.write("worker.yaml", &text)?;
        Ok(home)
    }

    /// The folder: the working directory of every process started here.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A name that nobody else uses on a broker that tests share.
    pub fn unique(&self, name: &str) -> String {
        if self.outside.is_some() {
            format!("{name}-{}", self.group)
        } else {
            name.to_owned()
        }
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.path().join(name), text).with_context(|| format!("cannot write {name}"))
    }

    /// `host:port` of the broker, while it runs.
    pub fn bootstrap(&self) -> String {
        self.outside
            .clone()
            .unwrap_or_else(|| format!("127.0.0.1:{}", self.broker))
    }

    /// Where the REST API of a worker of this home is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rest)
    }

    /// Whether the broker is one that outlives this folder.
    pub fn is_outside(&self) -> bool {
        self.outside.is_some()
    }

    /// In words, for reports.
    pub fn broker_name(&self) -> &'static str {
        if self.outside.is_some() {
            "outside broker (KAFKA_BOOTSTRAP)"
        } else {
            "embedded broker"
        }
    }

    /// Starts `longshore ARGS` here; `crash_at` is what LONGSHORE_CRASH_AT says.
    pub fn start(&self, args: &[&str], crash_at: Option<&str>) -> Result<Worker> {
        let mut longshore = command(binary()?, args);
        longshore
            .current_dir(self.path())
            .env_remove("LONGSHORE_CRASH_AT")
            .env("LONGSHORE_LOG_FORMAT", "text");
        if let Some(at) = crash_at {
            longshore.env("LONGSHORE_CRASH_AT", at);
        }
        let process = Leashed::spawn(longshore, &self.path().join("longshore.log"))?;
        Ok(Worker {
            process,
            rest: self.rest,
            started: Instant::now(),
        })
    }
}

/// A running `longshore`; it is killed when this value is dropped.
#[derive(Debug)]
pub struct Worker {
    process: Leashed,
    rest: u16,
    started: Instant,
}

impl Worker {
    /// Waits until REST answers `GET /` with 200; the time since the start.
    pub fn ready(&mut self) -> Result<Duration> {
        let rest = self.rest;
        self.until("REST to answer", || Ok(http_status(rest, "/") == Some(200)))?;
        Ok(self.started.elapsed())
    }

    /// Waits for a condition; fails with the end of the log when the process ends first or a minute passes.
    pub fn until(&mut self, what: &str, ready: impl FnMut() -> Result<bool>) -> Result<()> {
        self.within(PATIENCE, what, ready)
    }

    /// Waits for a condition, at most for `limit`.
    pub fn within(
        &mut self,
        limit: Duration,
        what: &str,
        mut ready: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let process = &mut self.process;
        let good = wait_until(limit, || {
            if let Some(status) = process.exited()? {
                bail!(
                    "longshore ended ({status}) while the proof waited for {what}:\n{}",
                    process.log_tail()
                );
            }
            ready()
        })?;
        ensure!(
            good,
            "waited {limit:?} for {what}, in vain:\n{}",
            self.process.log_tail()
        );
        Ok(())
    }

    /// A REST call that must succeed; its JSON answer.
    pub fn rest(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = http(self.rest, method, path, body)?;
        ensure!(
            (200..300).contains(&answer.status),
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        answer.json()
    }

    /// The names of the connectors of a type, `source` or `sink`.
    pub fn connectors(&self, kind: &str) -> Result<Vec<String>> {
        let all = self.rest("GET", "/connectors?expand=status", None)?;
        let connectors = all
            .as_object()
            .context("GET /connectors answers no object")?;
        Ok(connectors
            .iter()
            .filter(|(_, connector)| connector["status"]["type"] == kind)
            .map(|(name, _)| name.clone())
            .collect())
    }

    /// SIGKILL, and the process is gone. An error when it was gone before: that kill hit nothing.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(status) = self.process.exited()? {
            bail!(
                "longshore had ended by itself ({status}):\n{}",
                self.process.log_tail()
            );
        }
        self.process.kill()
    }

    /// SIGSTOP: it stands still, and its connections stay open.
    pub fn freeze(&mut self) -> Result<()> {
        self.process.signal(Signal::Stop)
    }

    /// SIGCONT: it goes on as if no time had passed.
    pub fn thaw(&mut self) -> Result<()> {
        self.process.signal(Signal::Continue)
    }

    /// SIGTERM, and an end in order: within a minute, with exit code 0.
    pub fn stop(self) -> Result<()> {
        self.end(Signal::Terminate)
    }

    /// What Ctrl-C does, and an end in order.
    pub fn interrupt(self) -> Result<()> {
        self.end(Signal::Interrupt)
    }

    fn end(mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)?;
        let status = self.process.wait(PATIENCE)?.with_context(|| {
            format!("longshore ignores {signal:?}:\n{}", self.process.log_tail())
        })?;
        ensure!(
            status.success(),
            "after {signal:?} longshore ends with {status}:\n{}",
            self.process.log_tail()
        );
        Ok(())
    }

    /// How it ended, waiting at most `limit`; `None` when it still runs.
    pub fn ended(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        self.process.wait(limit)
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// A figure of /proc/PID/status in kB, such as `VmHWM`.
    pub fn memory_kb(&self, key: &str) -> Result<u64> {
        let path = PathBuf::from(format!("/proc/{}/status", self.process.pid()));
        let text = std::fs::read_to_string(path)?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .with_context(|| format!("no {key}"))?;
        line.split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("{key} is no number: {line}"))
    }
}
