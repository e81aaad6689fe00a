//! One distributed Kafka Connect worker, the peer of the benches.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use tempfile::TempDir;

use super::http::http_status;
use super::jars::kafka_jars;
use super::leash::{Leashed, Signal, command};
use super::port::{free_port, wait_until};

const LOG4J: &str = "status=error\nrootLogger.level=INFO\nrootLogger.appenderRef.o.ref=STDOUT\nappender.o.type=Console\nappender.o.name=STDOUT\n\
    appender.o.layout.type=PatternLayout\nappender.o.layout.pattern=[%d] %p %m (%c)%n\n";

/// How a worker is started; the default is Apache's own, apart from the quick plugin discovery.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// JVM heap flags.
    pub heap: Vec<String>,
    /// Worker settings that override the starter's own.
    pub settings: Vec<(String, String)>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            heap: vec!["-Xms256M".into(), "-Xmx2G".into()],
            settings: vec![("plugin.discovery".into(), "service_load".into())],
        }
    }
}

/// A running worker. Dropped, it is killed and its folder is deleted.
#[derive(Debug)]
pub struct Connect {
    // Order matters: the process goes before its folder.
    process: Leashed,
    port: u16,
    _dir: TempDir,
}

impl Connect {
    /// Starts a worker against the broker at `bootstrap`, and waits until `/health` answers 200.
    pub fn start(bootstrap: &str, options: &ConnectOptions) -> Result<Self> {
        let mut worker = Self::launch(bootstrap, options)?;
        worker.wait_ready("/health")?;
        Ok(worker)
    }

    /// Starts a worker and does not wait; the caller measures the start.
    pub fn launch(bootstrap: &str, options: &ConnectOptions) -> Result<Self> {
        let jars = kafka_jars()?;
        let dir = tempfile::Builder::new()
            .prefix("longshore-connect-")
            .tempdir()?;
        let port = free_port()?;
        std::fs::create_dir(dir.path().join("plugins"))?;
        std::fs::write(dir.path().join("log4j2.properties"), LOG4J)?;
        std::fs::write(
            dir.path().join("worker.properties"),
            settings(dir.path(), bootstrap, port, &options.settings),
        )?;
        // The collector flags are what Apache's own start script passes.
        let mut args = options.heap.clone();
        args.extend(
            [
                "-server",
                "-XX:+UseG1GC",
                "-XX:MaxGCPauseMillis=20",
                "-XX:InitiatingHeapOccupancyPercent=35",
                "-XX:+ExplicitGCInvokesConcurrent",
                "-Djava.awt.headless=true",
            ]
            .map(String::from),
        );
        args.extend([
            format!(
                "-Dlog4j2.configurationFile={}",
                dir.path().join("log4j2.properties").display()
            ),
            "-cp".into(),
            format!("{}/*", jars.display()),
            "org.apache.kafka.connect.cli.ConnectDistributed".into(),
            dir.path().join("worker.properties").display().to_string(),
        ]);
        let mut java = command("java", args);
        java.current_dir(dir.path());
        let process = Leashed::spawn(java, &dir.path().join("connect.log"))?;
        Ok(Self {
            process,
            port,
            _dir: dir,
        })
    }

    /// Waits until `GET path` answers 200, at most two minutes.
    pub fn wait_ready(&mut self, path: &str) -> Result<()> {
        let (process, port) = (&mut self.process, self.port);
        let ready = wait_until(Duration::from_secs(120), || {
            if process.exited()?.is_some() {
                bail!("Kafka Connect ended at start:\n{}", process.log_tail());
            }
            Ok(http_status(port, path) == Some(200))
        })?;
        if !ready {
            bail!(
                "Kafka Connect does not answer on port {port} after two minutes:\n{}",
                self.process.log_tail()
            );
        }
        Ok(())
    }

    /// The loopback port of its REST API.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the JVM.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Ends the worker in order.
    pub fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::Terminate)?;
        self.process.wait(Duration::from_secs(30))?;
        Ok(())
    }
}

fn settings(dir: &Path, bootstrap: &str, port: u16, more: &[(String, String)]) -> String {
    let group = format!("peer-{port}");
    let mut text = format!(
        "bootstrap.servers={bootstrap}\ngroup.id={group}\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\nvalue.converter=org.apache.kafka.connect.storage.StringConverter\n\
         offset.storage.topic={group}-offsets\nconfig.storage.topic={group}-configs\nstatus.storage.topic={group}-status\n\
         offset.storage.replication.factor=1\nconfig.storage.replication.factor=1\nstatus.storage.replication.factor=1\n\
         listeners=http://127.0.0.1:{port}\nrest.advertised.host.name=127.0.0.1\nplugin.path={}\noffset.flush.interval.ms=1000\n",
        dir.join("plugins").display()
    );
    for (key, value) in more {
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}
