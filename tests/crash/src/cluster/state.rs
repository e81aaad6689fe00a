//! What outlives a run of the proof: its folder, and what earlier runs in it counted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A run's folder; a temporary one unless it was named.
pub(super) struct State {
    folder: PathBuf,
    kept: bool,
    runs: u64,
    group: String,
    seconds: u64,
    faults: u64,
    kills: u64,
    _temporary: Option<TempDir>,
}

const FILE: &str = "state.json";

impl State {
    /// Goes on with what `folder` holds, or begins.
    pub(super) fn open(folder: Option<&Path>, seed: u64) -> Result<Self> {
        let temporary = match folder {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("longshore-cluster-")
                    .tempdir()?,
            ),
        };
        let at = temporary.as_ref().map(TempDir::path).or(folder);
        let at = std::path::absolute(at.context("a folder")?)?;
        std::fs::create_dir_all(&at)?;
        let before: Value = match std::fs::read(at.join(FILE)) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| {
                format!("{} is no state of this proof", at.join(FILE).display())
            })?,
            Err(_) => Value::Null,
        };
        let number = |key: &str| before[key].as_u64().unwrap_or(0);
        // On a broker that many share, nobody else has this name.
        let fresh = || format!("cluster-{:x}-{}", seed & 0xffff, std::process::id());
        let group = before["group"].as_str().map_or_else(fresh, str::to_owned);
        let state = Self {
            folder: at,
            kept: folder.is_some(),
            runs: number("runs"),
            group,
            seconds: number("seconds"),
            faults: number("faults"),
            kills: number("kills"),
            _temporary: temporary,
        };
        // Written before anything is made: a run that fails is gone on with, too.
        state.write(state.runs + 1)?;
        Ok(state)
    }

    fn write(&self, runs: u64) -> Result<()> {
        let state = json!({
            "group": self.group, "runs": runs, "seconds": self.seconds, "faults": self.faults, "kills": self.kills,
        });
        std::fs::write(self.folder.join(FILE), format!("{state:#}\n"))
            .context("the state cannot be written")
    }

    /// Adds what a run counted, once it was good.
    pub(super) fn add(&mut self, time: Duration, faults: u32, kills: u32) -> Result<()> {
        self.seconds += time.as_secs();
        self.faults += u64::from(faults);
        self.kills += u64::from(kills);
        self.write(self.runs + 1)?;
        if self.kept {
            println!(
                "all runs in {}: {} s, {} faults hit running transfers, {} of them kills",
                self.folder.display(),
                self.seconds,
                self.faults,
                self.kills
            );
        }
        Ok(())
    }

    /// Where everything is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs before this one.
    pub(super) fn runs(&self) -> u64 {
        self.runs
    }

    /// The group of the workers, and part of every name on the broker.
    pub(super) fn group(&self) -> String {
        self.group.clone()
    }

    /// In words, for the first line of a report.
    pub(super) fn before(&self) -> String {
        match self.runs {
            0 => String::new(),
            runs => format!("; goes on after {runs} runs of {} s together", self.seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_with_the_names_and_counts_of_the_last() {
        let dir = tempfile::tempdir().expect("temp folder");
        let mut first = State::open(Some(dir.path()), 7).expect("begins");
        assert_eq!((first.runs(), first.before().as_str()), (0, ""));
        first.add(Duration::from_secs(9), 5, 3).expect("adds");
        let second = State::open(Some(dir.path()), 8).expect("goes on");
        assert_eq!(second.group(), first.group());
        assert_eq!(
            (second.runs(), second.seconds, second.faults, second.kills),
            (1, 9, 5, 3)
        );
    }
}
