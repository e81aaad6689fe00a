//! Runs a command that prints as it goes, and ends one that has fallen silent.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result};

/// Feeds every line of output to `line`. `None` = it was killed, with all below it, because it said nothing for `silence_max`.
pub(crate) fn stream(
    mut command: Command,
    silence_max: Duration,
    mut line: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Option<ExitStatus>> {
    let (reader, writer) = std::io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    // The command holds the pipe's other end, and reading would never end.
    drop(command);
    // Bounded by the time between two looks of the guard: it holds one message per line, of no size.
    let (heard, listen) = channel();
    let pid = child.id();
    let guard = std::thread::spawn(move || {
        loop {
            match listen.recv_timeout(silence_max) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {
                    kill_tree(pid);
                    return true;
                }
            }
        }
    });
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    let mut result = Ok(());
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        // A guard that has fired listens no more.
        let _ = heard.send(());
        if result.is_ok() {
            result = line(&bytes);
        }
        bytes.clear();
    }
    drop(heard);
    let status = child.wait()?;
    let silent = guard.join().unwrap_or(false);
    result?;
    Ok((!silent).then_some(status))
}

/// Kills a process, then what it started: a shell that outlived its child would start the next one.
fn kill_tree(pid: u32) {
    let children =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    // One that has ended meanwhile needs no killing.
    drop(
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .stderr(Stdio::null())
            .status(),
    );
    for child in children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
    {
        kill_tree(child);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, silence_max: Duration) -> (Option<ExitStatus>, String) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut all = String::new();
        let status = stream(command, silence_max, |line| {
            all.push_str(&String::from_utf8_lossy(line));
            Ok(())
        });
        (status.expect("runs"), all)
    }

    #[test]
    fn both_streams_and_the_exit_code_come_through() {
        let (status, all) = shell("echo a; echo b >&2; exit 3", Duration::from_secs(60));
        assert_eq!(status.and_then(|status| status.code()), Some(3));
        assert_eq!(all, "a\nb\n");
    }

    #[test]
    fn a_silent_command_ends_with_its_children() {
        let (status, all) = shell(
            "echo a; sh -c 'sleep 600; true'; true",
            Duration::from_millis(300),
        );
        assert_eq!((status, all.as_str()), (None, "a\n"));
    }
}
