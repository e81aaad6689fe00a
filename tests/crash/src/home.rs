//! A home folder of the binary: settings, data, and the runs that work there.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use longshore_kit::servers::{Leashed, command, free_port};
use tempfile::TempDir;

use crate::Worker;
use crate::binary::binary;

/// A folder with settings and data, which outlives the processes that work in it: one worker, or several of one group.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
    /// The REST port of each worker. The first one's settings are `worker.yaml`, those of the others `worker-1.yaml`, `worker-2.yaml`, ..
    seats: Vec<u16>,
    broker: u16,
    outside: Option<String>,
    group: String,
    more: Vec<(String, String)>,
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
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut home = Self {
            dir,
            seats: Vec::new(),
            broker: free_port()?,
            outside,
            group,
            more: more.iter().map(own).collect(),
        };
        home.add_worker(&[])?;
        Ok(home)
    }

    /// The same for several workers of one group on one broker.
    pub fn cluster(
        name: &str,
        bootstrap: String,
        workers: usize,
        more: &[(&str, &str)],
    ) -> Result<Self> {
        let mut home = Self::with(name, Some(bootstrap), more)?;
        while home.workers() < workers {
            home.add_worker(&[])?;
        }
        Ok(home)
    }

    /// Settings for one more worker of the group, with a REST port of its own and keys that override the group's; its number.
    /// Errors: the broker is embedded, which serves its own worker alone.
    pub fn add_worker(&mut self, more: &[(&str, &str)]) -> Result<usize> {
        ensure!(
            self.seats.is_empty() || self.outside.is_some(),
            "several workers need a broker of their own"
        );
        let (number, port) = (self.seats.len(), free_port()?);
        let mut keys = vec![
            ("listeners".to_owned(), format!("http://127.0.0.1:{port}")),
            ("group.id".to_owned(), self.group.clone()),
        ];
        let mut set = |key: &str, value: &str| {
            keys.retain(|(known, _)| known != key);
            // Without a value: the worker's own default, instead of what suits a suite.
            if !value.is_empty() {
                keys.push((key.to_owned(), value.to_owned()));
            }
        };
        match &self.outside {
            Some(outside) => {
                set("bootstrap.servers", outside);
                // An outside broker notices a killed member by its session alone.
                set("session.timeout.ms", "500");
                set("consumer.session.timeout.ms", "1000");
            }
            None => {
                set("bootstrap.servers", "embedded");
                set(
                    "longshore.broker.listen",
                    &format!("127.0.0.1:{}", self.broker),
                );
            }
        }
        let group = self
            .more
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in group.chain(more.iter().copied()) {
            set(key, value);
        }
        let mut text = String::from("worker:\n");
        for (key, value) in keys {
            text.push_str(&format!("  {key}: {value}\n"));
        }
        self.seats.push(port);
        self.write(&settings_file(number), &text)?;
        Ok(number)
    }

    /// How many workers this home has settings for.
    pub fn workers(&self) -> usize {
        self.seats.len()
    }

    /// What status answers call a worker of this home: host and port of its REST API.
    pub fn worker_id(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.seats[number])
    }

    /// The port of its REST API.
    pub fn port(&self, number: usize) -> u16 {
        self.seats[number]
    }

    /// The `group.id` of its workers.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Where the output of a worker goes, of all its runs.
    pub fn log(&self, number: usize) -> PathBuf {
        self.path().join(match number {
            0 => "longshore.log".into(),
            _ => format!("longshore-{number}.log"),
        })
    }

    /// Starts `longshore worker` with the settings of the worker `number`; `crash_at` is what LONGSHORE_CRASH_AT says.
    pub fn start_worker(&self, number: usize, crash_at: Option<&str>) -> Result<Worker> {
        self.start_at(number, &["worker", &settings_file(number)], crash_at)
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

    /// Where the REST API of the first worker of this home is.
    pub fn url(&self) -> String {
        format!("http://{}", self.worker_id(0))
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

    /// Starts `longshore ARGS` here, as the first worker; `crash_at` is what LONGSHORE_CRASH_AT says.
    pub fn start(&self, args: &[&str], crash_at: Option<&str>) -> Result<Worker> {
        self.start_at(0, args, crash_at)
    }

    fn start_at(&self, number: usize, args: &[&str], crash_at: Option<&str>) -> Result<Worker> {
        let mut longshore = command(binary()?, args);
        longshore
            .current_dir(self.path())
            .env_remove("LONGSHORE_CRASH_AT")
            .env("LONGSHORE_LOG_FORMAT", "text");
        if let Some(at) = crash_at {
            longshore.env("LONGSHORE_CRASH_AT", at);
        }
        let process = Leashed::spawn(longshore, &self.log(number))?;
        Ok(Worker {
            process,
            rest: self.seats[number],
            started: Instant::now(),
        })
    }
}

fn settings_file(number: usize) -> String {
    match number {
        0 => "worker.yaml".into(),
        _ => format!("worker-{number}.yaml"),
    }
}
