//! A broker that is no part of any worker under test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use longshore_kit::servers::{
    Kafka, KafkaOptions, Leashed, Signal, command, free_port, wait_until,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use crate::binary::binary;

const PATIENCE: Duration = Duration::from_secs(60);

/// Where workers meet: a broker that somebody else runs, or one that is gone when this value is dropped.
pub struct Broker {
    kind: Kind,
}

enum Kind {
    Outside(String),
    Apache(Kafka),
    Own(Own),
}

/// `longshore broker`.
struct Own {
    address: String,
    // Order matters: the process goes before its folder.
    process: Leashed,
    dir: TempDir,
}

impl Broker {
    /// The one that KAFKA_BOOTSTRAP names, an Apache Kafka of its own, or `longshore broker`.
    pub fn start(apache: bool) -> Result<Self> {
        let outside = std::env::var("KAFKA_BOOTSTRAP").ok();
        if let Some(outside) = outside.filter(|outside| !outside.is_empty()) {
            return Ok(Self {
                kind: Kind::Outside(outside),
            });
        }
        Self::start_own(apache, &[])
    }

    /// Never the one that KAFKA_BOOTSTRAP names, which nobody may stop; `settings` are an Apache Kafka's alone.
    pub fn start_own(apache: bool, settings: &[(&str, &str)]) -> Result<Self> {
        if apache {
            let options = KafkaOptions {
                settings: settings
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                ..KafkaOptions::default()
            };
            let kafka = Kafka::start_with(&options)?;
            return Ok(Self {
                kind: Kind::Apache(kafka),
            });
        }
        let dir = tempfile::Builder::new()
            .prefix("longshore-crash-")
            .tempdir()?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let own = Own {
            process: launch(&address, dir.path())?,
            address,
            dir,
        };
        Ok(Self {
            kind: Kind::Own(own),
        })
    }

    /// An Apache Kafka whose data `folder` keeps, for a later one.
    pub fn keep(folder: PathBuf) -> Result<Self> {
        let kafka = Kafka::start_with(&KafkaOptions {
            keep: Some(folder),
            ..KafkaOptions::default()
        })?;
        Ok(Self {
            kind: Kind::Apache(kafka),
        })
    }

    /// Whether it may be stopped.
    pub fn is_own(&self) -> bool {
        !matches!(self.kind, Kind::Outside(_))
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        match &self.kind {
            Kind::Outside(address) => address.clone(),
            Kind::Own(own) => own.address.clone(),
            Kind::Apache(kafka) => kafka.bootstrap(),
        }
    }

    /// In words, for reports.
    pub fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Outside(_) => "outside broker (KAFKA_BOOTSTRAP)",
            Kind::Apache(_) => "Apache Kafka",
            Kind::Own(_) => "longshore broker",
        }
    }

    /// Lets it stand still, its connections open, until [`Broker::thaw`]. Errors: it is not ours.
    pub fn freeze(&mut self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// It goes on as if no time had passed.
    pub fn thaw(&mut self) -> Result<()> {
        self.signal(Signal::Continue)?;
        self.wait_ready()
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        match &mut self.kind {
            Kind::Outside(address) => bail!("{address} is not ours to stop"),
            Kind::Apache(kafka) => kafka.signal(signal),
            Kind::Own(own) => own.process.signal(signal),
        }
    }

    /// Kills it: connections are reset, new ones refused, until [`Broker::come_back`]. Errors: it is not ours.
    pub fn go_away(&mut self) -> Result<()> {
        self.signal(Signal::Kill)
    }

    /// Starts it again on its address and data, and waits until it answers.
    pub fn come_back(&mut self) -> Result<()> {
        match &mut self.kind {
            Kind::Outside(_) => {}
            Kind::Apache(kafka) => kafka.restart()?,
            Kind::Own(own) => own.process = launch(&own.address, own.dir.path())?,
        }
        self.wait_ready()
    }

    fn wait_ready(&self) -> Result<()> {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .create()?;
        let ready = wait_until(PATIENCE, || {
            Ok(client.fetch_metadata(None, Duration::from_secs(1)).is_ok())
        })?;
        ensure!(ready, "the broker does not come back within {PATIENCE:?}");
        Ok(())
    }
}

fn launch(address: &str, dir: &Path) -> Result<Leashed> {
    let data = dir.join("data").display().to_string();
    let args = ["broker", "--listen", address, "--data", &data];
    Leashed::spawn(command(binary()?, args), &dir.join("broker.log"))
        .context("longshore broker does not start")
}
