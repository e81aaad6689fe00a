//! One Apache Kafka broker, KRaft combined mode, in a temp folder.

use std::path::{Path, PathBuf};
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
    /// Listeners beside the plain one.
    pub listeners: Vec<Listener>,
    /// Users for SCRAM, made when the storage is formatted: name and password. Both hash functions are set up.
    pub scram: Vec<(String, String)>,
    /// System properties of the JVM (`-D`).
    pub system: Vec<(String, String)>,
    /// A folder that outlives the broker: one that is started on it later has the same data and the same plain port. It takes no `listeners`.
    pub keep: Option<PathBuf>,
    /// The controller's port of another one ([`Kafka::controller`]): this broker joins that one's cluster, as its second. It takes no `listeners`.
    pub beside: Option<u16>,
}

/// A further listener, on a free loopback port of its own.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name, upper case.
    pub name: String,
    /// `SSL`, `SASL_SSL` or `SASL_PLAINTEXT`.
    pub protocol: &'static str,
    /// Settings behind `listener.name.<name>.`, or behind a mechanism's name after that.
    pub settings: Vec<(String, String)>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            heap: "512m".into(),
            settings: Vec::new(),
            listeners: Vec::new(),
            scram: Vec::new(),
            system: Vec::new(),
            keep: None,
            beside: None,
        }
    }
}

/// A running broker. Dropped, it is killed, and its data is deleted unless it was to be kept.
#[derive(Debug)]
pub struct Kafka {
    // Order matters: the process goes before its folder.
    process: Leashed,
    port: u16,
    options: KafkaOptions,
    /// The further listeners, in the order of the options.
    ports: Vec<u16>,
    dir: Folder,
}

#[derive(Debug)]
enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }
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
        let dir = match &options.keep {
            Some(folder) => {
                std::fs::create_dir_all(folder)?;
                Folder::Kept(std::path::absolute(folder)?)
            }
            None => Folder::Temporary(
                tempfile::Builder::new()
                    .prefix("longshore-kafka-")
                    .tempdir()?,
            ),
        };
        let file = dir.path().join("server.properties");
        let kept = std::fs::read_to_string(&file).ok();
        let port = match kept.as_deref().and_then(plain_port) {
            Some(port) => port,
            None => free_port()?,
        };
        let ports = options.listeners.iter().map(|_| free_port());
        let ports = ports.collect::<Result<Vec<u16>>>()?;
        if kept.is_none() {
            let text = settings(dir.path(), port, free_port()?, options, &ports);
            std::fs::write(&file, text)?;
            std::fs::write(dir.path().join("log4j2.properties"), LOG4J)?;
            format(dir.path(), &options.scram)?;
        }
        let process = launch(dir.path(), options)?;
        let mut kafka = Self {
            process,
            port,
            options: options.clone(),
            ports,
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

    /// `host:port` of a further listener. Panics: there is none of that name.
    pub fn bootstrap_of(&self, listener: &str) -> String {
        let mut listeners = self.options.listeners.iter().zip(&self.ports);
        let found = listeners.find(|(at, _)| at.name == listener);
        let (_, port) = found.unwrap_or_else(|| panic!("no listener {listener}"));
        format!("127.0.0.1:{port}")
    }

    /// The port of its controller, for a second broker.
    pub fn controller(&self) -> Result<u16> {
        let text = std::fs::read_to_string(self.dir().join("server.properties"))?;
        let voters = text.split_once("controller.quorum.voters=1@127.0.0.1:");
        let port = voters.and_then(|(_, rest)| rest.lines().next());
        port.context("no controller")?.parse().context("no port")
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
        self.process = launch(self.dir.path(), &self.options)?;
        self.wait_ready()
    }
}

/// The port of the plain listener in the settings of a broker that was here before.
fn plain_port(settings: &str) -> Option<u16> {
    let (_, rest) = settings.split_once("listeners=PLAINTEXT://127.0.0.1:")?;
    rest.split(',').next()?.parse().ok()
}

/// Writes the storage's metadata, and the users of SCRAM with it.
fn format(dir: &Path, scram: &[(String, String)]) -> Result<()> {
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg(log4j(dir))
        .args(["-cp", &format!("{}/*", kafka_jars()?.display())])
        .args(["kafka.tools.StorageTool", "format"])
        .args(["-t", "bG9uZ3Nob3JlLXRlc3QtMQ", "-c"])
        .arg(dir.join("server.properties"));
    for (name, password) in scram {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            java.arg("--add-scram");
            java.arg(format!("{mechanism}=[name={name},password={password}]"));
        }
    }
    let formatted = java.output().context("cannot run java")?;
    if !formatted.status.success() {
        bail!(
            "Apache Kafka could not format its storage:\n{}{}",
            String::from_utf8_lossy(&formatted.stdout),
            String::from_utf8_lossy(&formatted.stderr)
        );
    }
    Ok(())
}

fn log4j(dir: &Path) -> String {
    let file = dir.join("log4j2.properties");
    format!("-Dlog4j2.configurationFile={}", file.display())
}

fn launch(dir: &Path, options: &KafkaOptions) -> Result<Leashed> {
    let jars = kafka_jars()?;
    let mut args = vec![
        format!("-Xmx{}", options.heap),
        "-XX:+UseG1GC".into(),
        "-XX:MaxGCPauseMillis=20".into(),
        "-Djava.awt.headless=true".into(),
        log4j(dir),
    ];
    let system = options.system.iter();
    args.extend(system.map(|(key, value)| format!("-D{key}={value}")));
    args.extend([
        "-cp".into(),
        format!("{}/*", jars.display()),
        "kafka.Kafka".into(),
        dir.join("server.properties").display().to_string(),
    ]);
    let mut java = command("java", args);
    java.current_dir(dir);
    Leashed::spawn(java, &dir.join("kafka.log"))
}

fn settings(
    dir: &Path,
    port: u16,
    controller: u16,
    options: &KafkaOptions,
    ports: &[u16],
) -> String {
    let (mut places, mut protocols) = (String::new(), String::new());
    for (listener, port) in options.listeners.iter().zip(ports) {
        let name = &listener.name;
        places.push_str(&format!(",{name}://127.0.0.1:{port}"));
        protocols.push_str(&format!(",{name}:{}", listener.protocol));
    }
    let mut text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{places}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}{places}\ncontroller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=5\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=5\n\
         share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
         default.replication.factor=1\nnum.partitions=1\nauto.create.topics.enable=true\n\
         group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=500\n\
         log.retention.check.interval.ms=1000\nlog.cleaner.backoff.ms=500\nlog.cleaner.min.cleanable.ratio=0.01\nlog.initial.task.delay.ms=500\n",
        dir.join("data").display()
    );
    for listener in &options.listeners {
        let name = listener.name.to_lowercase();
        for (key, value) in &listener.settings {
            text.push_str(&format!("listener.name.{name}.{key}={value}\n"));
        }
    }
    if let Some(controller) = options.beside {
        text.push_str(&format!(
            "process.roles=broker\nnode.id=2\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port}\nadvertised.listeners=PLAINTEXT://127.0.0.1:{port}\n"
        ));
    }
    for (key, value) in &options.settings {
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_settings_override_the_starters_own() {
        let options = KafkaOptions {
            settings: vec![("num.partitions".into(), "7".into())],
            listeners: vec![Listener {
                name: "TLS".into(),
                protocol: "SSL",
                settings: vec![("ssl.client.auth".into(), "required".into())],
            }],
            ..KafkaOptions::default()
        };
        let text = settings(Path::new("x"), 1, 2, &options, &[3]);
        assert_eq!(plain_port(&text), Some(1));
        let last = text
            .lines()
            .rfind(|line| line.starts_with("num.partitions="));
        assert_eq!(last, Some("num.partitions=7"));
        for line in [
            "advertised.listeners=PLAINTEXT://127.0.0.1:1,TLS://127.0.0.1:3",
            "listener.name.tls.ssl.client.auth=required",
        ] {
            assert!(text.lines().any(|at| at == line), "{line}");
        }
    }
}
