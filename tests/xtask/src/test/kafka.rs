//! An Apache Kafka for the length of a test run.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo;

/// A broker; it ends when this value is dropped or this process dies, because its standard input ends then.
pub(super) struct Running {
    pub(super) bootstrap: String,
    starter: Child,
    leash: Option<ChildStdin>,
}

impl Running {
    /// Fetches the jars if need be, starts the broker, waits until it answers.
    pub(super) fn start() -> Result<Self> {
        let mut command = cargo([
            "run",
            "--quiet",
            "--package",
            "longshore-kit",
            "--bin",
            "apache-kafka",
        ]);
        let mut starter = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run cargo")?;
        let leash = starter.stdin.take();
        let said = starter.stdout.take().context("the starter has no output")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let Some(bootstrap) = line.trim().strip_prefix("KAFKA_BOOTSTRAP=") else {
            drop(leash);
            bail!("Apache Kafka does not start ({})", starter.wait()?);
        };
        Ok(Self {
            bootstrap: bootstrap.to_owned(),
            starter,
            leash,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.leash.take());
        // The starter ends the broker and then itself; how it ended changes no result.
        drop(self.starter.wait());
    }
}
