//! A broker in a process of its own, to be killed: the test binary runs itself again with a role.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use longshore_broker::{Broker, Config};

use crate::kafka::{Kafka, PATIENCE};

/// The role of such a process: "host:port folder".
const ROLE: &str = "LONGSHORE_TEST_BROKER";

/// In a process that was started as a broker: serves until it is killed, and never returns.
pub(crate) fn serve_if_asked() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let (listen, dir) = role
        .split_once(' ')
        .expect("a role is an address and a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config {
        listen: listen.into(),
        data_dir: Some(dir.into()),
        log_check_interval: Duration::from_millis(200),
        ..Default::default()
    };
    let _broker = runtime
        .block_on(Broker::start(config))
        .expect("the broker starts");
    loop {
        std::thread::park();
    }
}

/// A broker process; killed when dropped.
pub(crate) struct Child {
    test: &'static str,
    listen: String,
    dir: PathBuf,
    process: Option<std::process::Child>,
}

impl Child {
    /// Runs `test` of this binary in the role of a broker; the test calls [`serve_if_asked`] first.
    pub(crate) fn start(test: &'static str, dir: &Path) -> Result<Child> {
        // Free now, and the same after every restart, so that clients find the broker again.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut child = Child {
            test,
            listen,
            dir: dir.join("data"),
            process: None,
        };
        child.restart()?;
        Ok(child)
    }

    pub(crate) fn kafka(&self) -> Kafka {
        Kafka::at(self.listen.clone())
    }

    /// SIGKILL: no handler runs, nothing is flushed by the process.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().ok_or_else(|| anyhow!("not running"))?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    pub(crate) fn restart(&mut self) -> Result<()> {
        let process = Command::new(std::env::current_exe()?)
            .args(["--exact", self.test, "--nocapture"])
            .env(ROLE, format!("{} {}", self.listen, self.dir.display()))
            .stdout(Stdio::null())
            .spawn()?;
        self.process = Some(process);
        let begun = Instant::now();
        while TcpStream::connect(&self.listen).is_err() {
            ensure!(begun.elapsed() < PATIENCE, "the broker does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.process.is_some() {
            let _ = self.kill();
        }
    }
}

/// The active segment of every partition.
fn active_segments(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for topic in fs::read_dir(dir.join("data/topics"))? {
        for partition in fs::read_dir(topic?.path())? {
            let segments = fs::read_dir(partition?.path())?
                .map(|e| Ok(e?.path()))
                .collect::<Result<Vec<_>>>()?;
            all.extend(
                segments
                    .into_iter()
                    .filter(|p| p.extension().is_some_and(|e| e == "log"))
                    .max(),
            );
        }
    }
    Ok(all)
}

/// What a write that was cut short leaves behind: bytes that are no batch, at every segment and at the journal.
pub(crate) fn append_garbage(dir: &Path) -> Result<()> {
    let mut files = active_segments(dir)?;
    files.push(dir.join("data/journal"));
    for path in files {
        let garbage: Vec<u8> = (0..rand::random_range(1..300))
            .map(|_| rand::random())
            .collect();
        OpenOptions::new()
            .append(true)
            .open(path)?
            .write_all(&garbage)?;
    }
    Ok(())
}

/// Cuts bytes from every active segment that has some.
pub(crate) fn cut_tail(dir: &Path, bytes: u64) -> Result<()> {
    for path in active_segments(dir)? {
        let file = OpenOptions::new().write(true).open(path)?;
        let size = file.metadata()?.len();
        if size > bytes {
            file.set_len(size - bytes)?;
        }
    }
    Ok(())
}
