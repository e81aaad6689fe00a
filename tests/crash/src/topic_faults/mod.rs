//! Faults of topics, the internal ones above all: deleted under running workers, or with fewer replicas than min.insync.replicas wants;
//! and of how a group is set up.

pub mod astray;
pub mod few_replicas;
pub mod gone;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::executor::block_on;
use longshore_kit::servers::wait_until;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use serde_json::{Value, json};

use crate::{Broker, Fleet, Home};

/// How long anything may take: a loaded machine is no failure.
const PATIENCE: Duration = Duration::from_secs(90);

type Admin = AdminClient<DefaultClientContext>;

fn admin(bootstrap: &str) -> Result<Admin> {
    let mut config = ClientConfig::new();
    Ok(config.set("bootstrap.servers", bootstrap).create()?)
}

/// Brokers finish a deletion some time after they have answered.
fn create(
    admin: &Admin,
    topic: &str,
    (partitions, replicas): (i32, i32),
    config: &[(&str, &str)],
) -> Result<()> {
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
    for (key, value) in config {
        new = new.set(key, value);
    }
    let mut last = String::new();
    let created = wait_until(PATIENCE, || {
        let made = block_on(admin.create_topics([&new], &AdminOptions::new()))?;
        last = format!("{made:?}");
        Ok(made.iter().all(Result::is_ok))
    })?;
    ensure!(created, "{topic} is not created: {last}");
    Ok(())
}

fn configure(admin: &Admin, topic: &str, config: &[(&str, &str)]) -> Result<()> {
    let mut alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
    for (key, value) in config {
        alter = alter.set(key, value);
    }
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(10)));
    let mut last = String::new();
    // The broker that is asked may be the one that has just died.
    let altered = wait_until(PATIENCE, || {
        let altered = block_on(admin.alter_configs([&alter], &options));
        last = format!("{altered:?}");
        Ok(altered.is_ok_and(|results| results.iter().all(Result::is_ok)))
    })?;
    ensure!(altered, "{topic} is not altered: {last}");
    Ok(())
}

/// A group of workers that moves the lines of a file through a topic into another file.
struct Stage {
    fleet: Fleet,
    admin: Admin,
    /// Order matters: the broker goes after the workers.
    _broker: Option<Broker>,
    topic: String,
    fed: usize,
}

impl Stage {
    fn start(broker: Broker, workers: usize, keys: &[(&str, &str)]) -> Result<Self> {
        let bootstrap = broker.bootstrap();
        let mut stage = Self::at(&bootstrap, workers, keys)?;
        stage._broker = Some(broker);
        Ok(stage)
    }

    fn at(bootstrap: &str, workers: usize, keys: &[(&str, &str)]) -> Result<Self> {
        let home = Home::cluster("topics", bootstrap.to_owned(), workers, keys)?;
        Self::of(bootstrap, home)
    }

    fn of(bootstrap: &str, home: Home) -> Result<Self> {
        Ok(Self {
            topic: format!("{}-lines", home.group()),
            fleet: Fleet::start(home)?,
            admin: admin(bootstrap)?,
            _broker: None,
            fed: 0,
        })
    }

    /// The name of an internal topic.
    fn internal(&self, what: &str) -> String {
        format!("{}-{what}", self.fleet.home().group())
    }

    fn delete(&self, topic: &str) -> Result<()> {
        let deleted = block_on(self.admin.delete_topics(&[topic], &AdminOptions::new()))?;
        for result in deleted {
            result.map_err(|(topic, code)| anyhow::anyhow!("{topic} is not deleted: {code}"))?;
        }
        Ok(())
    }

    /// Sets all of a topic's own configs.
    fn configure(&self, topic: &str, config: &[(&str, &str)]) -> Result<()> {
        // A client of its own: one that has known a dead broker may ask that one.
        configure(&admin(&self.fleet.home().bootstrap())?, topic, config)
    }

    fn input(&self) -> PathBuf {
        self.fleet.home().path().join("in.txt")
    }

    /// `more` is laid over the source's config.
    fn source(&self, more: &[(&str, &str)]) -> Value {
        let mut config = json!({
            "connector.class": "FileStreamSource", "file": "in.txt", "topic": self.topic,
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        });
        for (key, value) in more {
            config[*key] = (*value).into();
        }
        config
    }

    fn sink(&self) -> Value {
        json!({
            "connector.class": "FileStreamSink", "file": "out.txt", "topics": self.topic,
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        })
    }

    /// Creates both connectors, and waits for the first lines.
    fn connect(&mut self, more: &[(&str, &str)]) -> Result<()> {
        self.feed(100)?;
        let (source, sink) = (self.source(more), self.sink());
        self.fleet.put("in", &source)?;
        self.fleet.put("out", &sink)?;
        self.arrives()
    }

    /// Appends numbered lines.
    fn feed(&mut self, lines: usize) -> Result<()> {
        let mut text = String::new();
        for number in self.fed..self.fed + lines {
            text.push_str(&format!("line {number}\n"));
        }
        self.fed += lines;
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.append(true).create(true).open(self.input())?;
        file.write_all(text.as_bytes()).context("in.txt")
    }

    fn output(&self) -> String {
        let path = self.fleet.home().path().join("out.txt");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// Waits for all that was fed: each line once, in order, none cut.
    fn arrives(&mut self) -> Result<()> {
        let (path, fed) = (self.fleet.home().path().join("out.txt"), self.fed);
        let mut there = 0;
        let arrived = self.fleet.within(PATIENCE, "all lines to arrive", |_| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            there = text.lines().count();
            // The last line may be half there.
            Ok(there >= fed && text.ends_with('\n'))
        });
        arrived.with_context(|| format!("{there} of {fed} lines"))?;
        let input = std::fs::read_to_string(self.input())?;
        let output = self.output();
        ensure!(
            output == input,
            "I1: {} lines instead of {fed}, or others",
            output.lines().count()
        );
        Ok(())
    }

    /// Waits until what a worker says of its health is an error that holds all of `parts`.
    fn ails(&mut self, number: usize, parts: &[&str]) -> Result<()> {
        let mut last = String::new();
        let ails = self
            .fleet
            .within(PATIENCE, "the health to tell of it", |fleet| {
                let answer = fleet.answer(number, "GET", "/health", None)?;
                last = format!("{} {}", answer.status, answer.body);
                Ok(answer.status == 500 && parts.iter().all(|part| last.contains(part)))
            });
        ails.with_context(|| format!("worker {number} without {parts:?}: {last}"))
    }

    /// Waits until a worker's word on a connector's task holds all of `parts`.
    fn shows(&mut self, connector: &str, parts: &[&str]) -> Result<()> {
        let mut last = String::new();
        let shows = self
            .fleet
            .within(PATIENCE, "the status to tell of it", |fleet| {
                last = match fleet.status(connector) {
                    // Its topic is a new one, and nobody has written yet.
                    Err(error) if error.to_string().contains(": 404 ") => return Ok(false),
                    status => status?["tasks"].to_string(),
                };
                Ok(parts.iter().all(|part| last.contains(part)))
            });
        shows.with_context(|| format!("{connector} without {parts:?}: {last}"))
    }

    /// The same, with lines to write again and again: brokers learn of a topic's new config some time after they have taken it.
    fn shows_once_fed(&mut self, connector: &str, parts: &[&str]) -> Result<()> {
        let start = Instant::now();
        loop {
            self.feed(10)?;
            let status = self.fleet.status(connector)?["tasks"].to_string();
            if parts.iter().all(|part| status.contains(part)) {
                return Ok(());
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "{connector} without {parts:?}: {status}\n{}",
                self.fleet.log_tails()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What a worker has logged in all its runs.
    fn log(&self, number: usize) -> String {
        std::fs::read_to_string(self.fleet.home().log(number)).unwrap_or_default()
    }

    /// A fault that lasts is told, not shouted: I6.
    fn is_quiet(&self, about: &str) -> Result<()> {
        for number in 0..self.fleet.len() {
            let log = self.log(number);
            let lines = log.lines().filter(|line| line.contains(about)).count();
            ensure!(
                lines < 100,
                "worker {number} wrote {lines} lines about {about}"
            );
        }
        Ok(())
    }

    /// Starts each worker anew, all of them stopped in between.
    fn restart(&mut self) -> Result<()> {
        let all = 0..self.fleet.len();
        all.clone()
            .try_for_each(|number| self.fleet.stop_one(number))?;
        all.clone()
            .try_for_each(|number| self.fleet.raise(number, None))?;
        self.fleet
            .within(PATIENCE, "every worker to be healthy", |fleet| {
                Ok(all.clone().all(|number| fleet.healthy(number)))
            })
    }
}
