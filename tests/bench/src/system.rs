//! The two systems under test, steered by the same REST calls.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use longshore_kit::servers::{
    Answer, Connect, ConnectOptions, Leashed, Signal, command, free_port, http, http_status,
    wait_until,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A worker process with a REST API.
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    port: u16,
    process: Process,
}

enum Process {
    Longshore(Longshore),
    Connect(Connect),
}

/// A run of the binary in a folder of its own.
pub(crate) struct Longshore {
    // Order matters: the process goes before its folder.
    process: Leashed,
    pub(crate) port: u16,
    _dir: Option<TempDir>,
}

impl Longshore {
    /// Starts `longshore worker` in a fresh folder against `bootstrap`.
    pub(crate) fn fresh(bootstrap: &str) -> Result<Self> {
        Self::fresh_with(bootstrap, &[])
    }

    /// The same with further worker keys.
    pub(crate) fn fresh_with(bootstrap: &str, more: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("longshore-bench-")
            .tempdir()?;
        let group = format!("bench-{}", free_port()?);
        let mut longshore = Self::launch_with(dir.path(), bootstrap, &group, more)?;
        longshore._dir = Some(dir);
        longshore.ready("/health", Instant::now())?;
        Ok(longshore)
    }

    /// Starts `longshore worker` in `dir` and does not wait. `bootstrap` = `embedded` brings its own broker.
    pub(crate) fn launch(dir: &Path, bootstrap: &str, group: &str) -> Result<Self> {
        Self::launch_with(dir, bootstrap, group, &[])
    }

    fn launch_with(
        dir: &Path,
        bootstrap: &str,
        group: &str,
        more: &[(&str, &str)],
    ) -> Result<Self> {
        let binary = std::env::var_os("LONGSHORE_BIN")
            .context("LONGSHORE_BIN names no binary; cargo xtask bench sets it")?;
        let port = free_port()?;
        let mut yaml = format!(
            "worker:\n  bootstrap.servers: {bootstrap}\n  group.id: {group}\n  listeners: http://127.0.0.1:{port}\n"
        );
        if bootstrap == "embedded" {
            yaml.push_str(&format!(
                "  longshore.broker.listen: 127.0.0.1:{}\n",
                free_port()?
            ));
        }
        for (key, value) in more {
            yaml.push_str(&format!("  {key}: {value}\n"));
        }
        std::fs::write(dir.join("worker.yaml"), yaml)?;
        let mut command = command(binary, ["worker", "worker.yaml"]);
        command.current_dir(dir);
        let process = Leashed::spawn(command, &dir.join("longshore.log"))?;
        Ok(Self {
            process,
            port,
            _dir: None,
        })
    }

    /// Ends it in order, so that the next one of its group need not wait for its session.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::Terminate)?;
        ensure!(
            self.process.wait(Duration::from_secs(30))?.is_some(),
            "longshore ignores SIGTERM:\n{}",
            self.process.log_tail()
        );
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until `GET path` answers 200; the time since `start`.
    pub(crate) fn ready(&mut self, path: &str, start: Instant) -> Result<Duration> {
        while http_status(self.port, path) != Some(200) {
            if let Some(status) = self.process.exited()? {
                bail!(
                    "longshore ended at start ({status}):\n{}",
                    self.process.log_tail()
                );
            }
            ensure!(
                start.elapsed() < Duration::from_secs(60),
                "longshore does not answer:\n{}",
                self.process.log_tail()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(start.elapsed())
    }
}

impl System {
    pub(crate) fn longshore(bootstrap: &str) -> Result<Self> {
        Self::longshore_with(bootstrap, &[])
    }

    /// The same with further worker keys.
    pub(crate) fn longshore_with(bootstrap: &str, more: &[(&str, &str)]) -> Result<Self> {
        let process = Longshore::fresh_with(bootstrap, more)?;
        Ok(Self {
            name: "longshore",
            pid: process.pid(),
            port: process.port,
            process: Process::Longshore(process),
        })
    }

    /// A Connect worker with Apache's own connectors, and those of the folder `plugins`.
    pub(crate) fn connect(bootstrap: &str, plugins: Option<&PathBuf>) -> Result<Self> {
        Self::connect_with(bootstrap, plugins, &[])
    }

    /// The same with further worker keys.
    pub(crate) fn connect_with(
        bootstrap: &str,
        plugins: Option<&PathBuf>,
        more: &[(&str, &str)],
    ) -> Result<Self> {
        let mut options = ConnectOptions::default();
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        options.settings.extend(more.iter().map(own));
        options
            .settings
            .extend(plugins.map(|folder| ("plugin.path".to_owned(), folder.display().to_string())));
        let process = Connect::start(bootstrap, &options)?;
        Ok(Self {
            name: "kafka connect",
            pid: process.pid(),
            port: process.port(),
            process: Process::Connect(process),
        })
    }

    pub(crate) fn is_longshore(&self) -> bool {
        matches!(self.process, Process::Longshore(_))
    }

    /// Creates a connector that does not run yet.
    pub(crate) fn create_stopped(&self, name: &str, config: &Value) -> Result<()> {
        let body = json!({ "name": name, "config": config, "initial_state": "STOPPED" });
        self.call("POST", "/connectors", Some(&body))?;
        self.wait(name, |state, _| state == "STOPPED")
    }

    /// Creates a connector that runs at once.
    pub(crate) fn create(&self, name: &str, config: &Value) -> Result<()> {
        let body = json!({ "name": name, "config": config });
        self.call("POST", "/connectors", Some(&body))
    }

    /// Waits until there are `count` connectors, with at least one task each, and all run.
    pub(crate) fn all_running(&self, count: usize) -> Result<()> {
        let mut running = 0;
        let reached = wait_until(Duration::from_secs(120), || {
            let all = http(self.port, "GET", "/connectors?expand=status", None)?.json()?;
            let runs = |connector: &&Value| {
                let tasks = connector["status"]["tasks"].as_array();
                let tasks = tasks.map_or(&[][..], Vec::as_slice);
                !tasks.is_empty() && tasks.iter().all(|task| task["state"] == "RUNNING")
            };
            let all = all
                .as_object()
                .context("GET /connectors answers no object")?;
            running = all.values().filter(runs).count();
            Ok(running >= count)
        })?;
        ensure!(
            reached,
            "{running} of {count} connectors run on {}\n{}",
            self.name,
            self.log_tail()
        );
        Ok(())
    }

    /// Lets it run; work begins.
    pub(crate) fn resume(&self, name: &str) -> Result<()> {
        self.call("PUT", &format!("/connectors/{name}/resume"), None)
    }

    /// Fails with the trace when the connector or a task has failed.
    pub(crate) fn check_alive(&self, name: &str) -> Result<()> {
        let status = self.status(name)?;
        let failed = status.to_string().contains("\"FAILED\"");
        ensure!(!failed, "{} on {} failed: {status}", name, self.name);
        Ok(())
    }

    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        self.call("DELETE", &format!("/connectors/{name}"), None)?;
        let path = format!("/connectors/{name}");
        let gone = wait_until(Duration::from_secs(30), || {
            Ok(http(self.port, "GET", &path, None)?.status == 404)
        })?;
        ensure!(gone, "{name} on {} is not deleted", self.name);
        Ok(())
    }

    fn status(&self, name: &str) -> Result<Value> {
        http(
            self.port,
            "GET",
            &format!("/connectors/{name}/status"),
            None,
        )?
        .json()
    }

    fn wait(&self, name: &str, good: impl Fn(&str, &Value) -> bool) -> Result<()> {
        let reached = wait_until(Duration::from_secs(30), || {
            let status = self.status(name)?;
            Ok(good(
                status["connector"]["state"].as_str().unwrap_or_default(),
                &status,
            ))
        })?;
        ensure!(reached, "{name} on {}: {}", self.name, self.status(name)?);
        Ok(())
    }

    /// A call that must succeed; a conflict (Connect answers 409 while it rebalances) is tried again.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<()> {
        let mut last = Answer {
            status: 0,
            body: String::new(),
        };
        let good = wait_until(Duration::from_secs(60), || {
            last = http(self.port, method, path, body)?;
            Ok(!matches!(last.status, 404 | 409 | 500))
        })?;
        ensure!(
            good && last.status < 300,
            "{} answers {method} {path} with {} {}\n{}",
            self.name,
            last.status,
            last.body,
            self.log_tail()
        );
        Ok(())
    }

    pub(crate) fn log_tail(&self) -> String {
        match &self.process {
            Process::Longshore(longshore) => longshore.process.log_tail(),
            Process::Connect(connect) => connect.log_tail(),
        }
    }
}
