//! A run of the binary: waited for, asked by REST, frozen, killed.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use longshore_kit::servers::{Answer, Leashed, Signal, http, http_status, wait_until};
use serde_json::Value;

/// A worker that answers nothing for this long is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `longshore`; it is killed when this value is dropped.
#[derive(Debug)]
pub struct Worker {
    pub(crate) process: Leashed,
    pub(crate) rest: u16,
    pub(crate) started: Instant,
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

    /// A REST call that must succeed, once the worker has read its topics; its JSON answer.
    pub fn rest(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let since = Instant::now();
        let answer = loop {
            let answer = http(self.rest, method, path, body)?;
            let starts = answer.status == 503 && answer.body.contains("still starting up");
            if !starts || since.elapsed() > PATIENCE {
                break answer;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
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

    /// Whether it stands still, frozen by us or by itself at a named point.
    pub fn is_frozen(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.pid()));
        // The state stands behind the name, which is in brackets.
        stat.is_ok_and(|stat| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// What it answers to a REST call, whatever the status. Errors: it cannot be reached.
    pub fn answer(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        http(self.rest, method, path, body)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// How it ended; `None` while it runs.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.process.exited()
    }

    /// SIGTERM, without waiting for what follows.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.signal(Signal::Terminate)
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
