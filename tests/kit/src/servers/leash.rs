//! A child process that cannot outlive this one, not even when this one is killed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Starts "$@" and says its process id; kills it when standard input ends, which is when the process that holds the other end
/// is gone. Standard input cannot be inherited by a third process by accident: the holder's end is close-on-exec.
const WATCHDOG: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- >>"$LEASH_LOG" 2>&1 & child=$!
echo "$child"; exec >/dev/null
(read -r _; kill -9 "$child") <&3 2>/dev/null & watch=$!
wait "$child"; code=$?
kill "$watch" 2>/dev/null
exit "$code"
"#;

/// What [`Leashed::signal`] sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end in order.
    Terminate,
    /// SIGINT: what Ctrl-C sends.
    Interrupt,
    /// SIGKILL.
    Kill,
    /// SIGSTOP: freeze.
    Stop,
    /// SIGCONT: thaw.
    Continue,
}

/// A program that runs in its own process group, writes to a log file, and is killed when this value is dropped or this process dies.
#[derive(Debug)]
pub struct Leashed {
    watchdog: Child,
    pid: u32,
    log: PathBuf,
}

/// `program` with `args`, for [`Leashed::spawn`]; environment and working directory are added with the methods of [`Command`].
pub fn command(
    program: impl AsRef<Path>,
    args: impl IntoIterator<Item = impl AsRef<str>>,
) -> Command {
    let mut command = Command::new("sh");
    // dash ignores SIGINT in background children unless told otherwise; the program installs its own handler or dies by default.
    command
        .args(["-c", WATCHDOG, "leash"])
        .arg(program.as_ref());
    for arg in args {
        command.arg(arg.as_ref());
    }
    command
}

impl Leashed {
    /// Runs what [`command`] built; its output is appended to `log`. Errors: no shell, or the log cannot be written.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write the log {}", log.display()))?;
        command
            .env("LEASH_LOG", log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut watchdog = command.spawn().context("cannot start sh")?;
        let said = watchdog
            .stdout
            .take()
            .context("the watchdog has no output")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let pid = line
            .trim()
            .parse()
            .with_context(|| format!("the watchdog said {line:?} instead of a process id"))?;
        Ok(Self {
            watchdog,
            pid,
            log: log.to_path_buf(),
        })
    }

    /// The program's process id, the one that /proc knows.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where the program's output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Sends a signal to the program. An ended program is no error.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.watchdog.try_wait()?.is_some() {
            return Ok(());
        }
        let name = match signal {
            Signal::Terminate => "TERM",
            Signal::Interrupt => "INT",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.pid)])
            .stderr(Stdio::null())
            .status()?;
        if !sent.success()
            && self.exited()?.is_none()
            && Path::new(&format!("/proc/{}", self.pid)).exists()
        {
            bail!("cannot send SIG{name} to process {}", self.pid);
        }
        Ok(())
    }

    /// How the program ended; `None` while it runs. A signal shows as exit code 128 + its number.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.watchdog.try_wait()?)
    }

    /// Waits for the end of the program; `None` when it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                return Ok(Some(status));
            }
            if start.elapsed() >= limit {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL, then waits until the process is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::Kill)?;
        self.wait(Duration::from_secs(10))?
            .with_context(|| format!("process {} survives SIGKILL", self.pid))?;
        Ok(())
    }

    /// The last lines of the log, for error messages.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // The watchdog kills the program now; reaping keeps the process table clean. Nothing is left to report to.
        drop(self.wait(Duration::from_secs(10)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn an_ended_leash_kills_and_a_signal_shows_as_exit_code() {
        let dir = tempfile::tempdir().expect("temp folder");
        let log = dir.path().join("log");
        let mut one = Leashed::spawn(command("sh", ["-c", "echo started; exec sleep 600"]), &log)
            .expect("starts");
        let pid = one.pid();
        assert!(alive(pid));
        let said =
            crate::servers::wait_until(Duration::from_secs(20), || Ok(one.log_tail() == "started"));
        assert!(said.expect("a log"), "it never said that it started");
        one.signal(Signal::Terminate).expect("sends");
        let ended = one
            .wait(Duration::from_secs(20))
            .expect("waits")
            .expect("ends on SIGTERM");
        assert_eq!(ended.code(), Some(128 + 15));

        let two = Leashed::spawn(command("sleep", ["600"]), &log).expect("starts");
        let pid = two.pid();
        assert!(alive(pid));
        // Closes the pipe, which is all that the death of this process would do.
        drop(two);
        assert!(!alive(pid));
    }
}
