//! One Apache Kafka broker, KRaft combined mode, in a temp folder.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::jars::kafka_jars;
use super::leash::{Leashed, Signal, command};
use super::port::{free_port, kafka_answers, wait_until};

const LOG4J: &str = "status=error\nrootLogger.level=WARN\nrootLogger.appenderRef.o.ref=STDOUT\nappender.o.type=Console\nappender.o.name=STDOUT\n\
    appender.o.layout.type=PatternLayout\nappender.o.layout.pattern=[%d] %p %m (%c)%n\n";

/// How a broker is started; the default suits tests.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// The JVM's largest heap, as `-Xmx` takes it.
    pub heap: String,
    /// Broker settings that override the starter's own.
    pub settings: Vec<(String, String)>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            heap: "512m".into(),
            settings: Vec::new(),
        }
    }
}

/// A running broker. Dropped, it is killed and its data is deleted.
#[derive(Debug)]
pub struct Kafka {
    // Order matters: the process goes before its folder.
    process: Leashed,
    port: u16,
    heap: String,
    dir: TempDir,
}

impl Kafka {
    /// Starts a broker with the settings for tests, and waits until it answers.
    pub fn start() -> Result<Self> {
        Self::start_with(&KafkaOptions::default())
    }

    /// Starts a broker. Errors: Java or Maven missing, jars not to be had, no start within two minutes (the error carries the end of its log).
    pub fn start_with(options: &KafkaOptions) -> Result<Self> {
        let mut last = None;
        // Another process may take the chosen port before the broker does.
        for _ in 0..3 {
            match Self::start_once(options) {
                Ok(kafka) => return Ok(kafka),
                Err(error) if format!("{error:#}").contains("Address already in use") => {
                    last = Some(error)
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.context("no start was tried")?)
    }

    fn start_once(options: &KafkaOptions) -> Result<Self> {
        let jars = kafka_jars()?;
        let dir = tempfile::Builder::new()
            .prefix("longshore-kafka-")
            .tempdir()?;
        let (port, controller) = (free_port()?, free_port()?);
        let properties = dir.path().join("server.properties");
        std::fs::write(
            &properties,
            settings(dir.path(), port, controller, &options.settings),
        )?;
        std::fs::write(dir.path().join("log4j2.properties"), LOG4J)?;
        let formatted = Command::new("java")
            .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
            .arg(format!(
                "-Dlog4j2.configurationFile={}",
                dir.path().join("log4j2.properties").display()
            ))
            .args([
                "-cp",
                &format!("{}/*", jars.display()),
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "bG9uZ3Nob3JlLXRlc3QtMQ",
                "-c",
            ])
            .arg(&properties)
            .output()
            .context("cannot run java")?;
        if !formatted.status.success() {
            bail!(
                "Apache Kafka could not format its storage:\n{}{}",
                String::from_utf8_lossy(&formatted.stdout),
                String::from_utf8_lossy(&formatted.stderr)
            );
        }
        let process = launch(dir.path(), &options.heap)?;
        let mut kafka = Self {
            process,
            port,
            heap: options.heap.clone(),
            dir,
        };
        kafka.wait_ready()?;
        Ok(kafka)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let (process, port) = (&mut self.process, self.port);
        let ready = wait_until(Duration::from_secs(120), || {
            if process.exited()?.is_some() {
                bail!("Apache Kafka ended at start:\n{}", process.log_tail());
            }
            Ok(kafka_answers(port))
        })?;
        if !ready {
            bail!(
                "Apache Kafka does not answer on port {port} after two minutes:\n{}",
                self.process.log_tail()
            );
        }
        Ok(())
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process id of the JVM.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The folder that holds the log configuration, `kafka.log` and the data.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Freezes, thaws or ends the broker; [`Kafka::restart`] brings an ended one back.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Ends the broker if it still runs (SIGKILL), and starts it again on the same port and data.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = launch(self.dir.path(), &self.heap)?;
        self.wait_ready()
    }
}

fn launch(dir: &Path, heap: &str) -> Result<Leashed> {
    let jars = kafka_jars()?;
    let args = [
        format!("-Xmx{heap}"),
        "-XX:+UseG1GC".into(),
        "-XX:MaxGCPauseMillis=20".into(),
        "-Djava.awt.headless=true".into(),
        format!(
            "-Dlog4j2.configurationFile={}",
            dir.join("log4j2.properties").display()
        ),
        "-cp".into(),
        format!("{}/*", jars.display()),
        "kafka.Kafka".into(),
        dir.join("server.properties").display().to_string(),
    ];
    let mut java = command("java", args);
    java.current_dir(dir);
    Leashed::spawn(java, &dir.join("kafka.log"))
}

fn settings(dir: &Path, port: u16, controller: u16, more: &[(String, String)]) -> String {
    let mut text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\nadvertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=5\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=5\n\
         share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
         default.replication.factor=1\nnum.partitions=1\nauto.create.topics.enable=true\n\
         group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=500\n\
         log.retention.check.interval.ms=1000\nlog.cleaner.backoff.ms=500\nlog.cleaner.min.cleanable.ratio=0.01\nlog.initial.task.delay.ms=500\n",
        dir.join("data").display()
    );
    for (key, value) in more {
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_settings_override_the_starters_own() {
        let text = settings(
            Path::new("x"),
            1,
            2,
            &[("num.partitions".into(), "7".into())],
        );
        let last = text
            .lines()
            .rfind(|line| line.starts_with("num.partitions="));
        assert_eq!(last, Some("num.partitions=7"));
    }
}
