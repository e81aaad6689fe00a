//! Shows what the suites print, and counts their results.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Suite;
use super::stream::stream;

/// A suite that prints nothing for so long hangs. Cargo is silent while it links, and a simulation between its reports.
const SILENCE_MAX: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

struct Row {
    suite: String,
    broker: &'static str,
    counts: Counts,
}

/// The results of a run, a row per suite.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    breaches: Vec<String>,
}

impl Report {
    /// Runs a `cargo test` and books a row for every executable that cargo names.
    pub(super) fn run(
        &mut self,
        broker: &'static str,
        command: Command,
        suites: &[Suite],
    ) -> Result<()> {
        let mut suite = "tests".to_owned();
        self.watch(broker, command, |line| {
            if let Some(name) = running(line, suites) {
                suite = name;
            }
            suite.clone()
        })
    }

    /// Runs one test executable.
    pub(super) fn run_one(
        &mut self,
        broker: &'static str,
        command: Command,
        suite: &Suite,
    ) -> Result<()> {
        let name = suite.title();
        self.watch(broker, command, |_| name.clone())
    }

    /// The results of a suite that is no cargo's.
    pub(super) fn book(&mut self, suite: &str, passed: u64, failed: u64) {
        self.rows.push(Row {
            suite: suite.to_owned(),
            broker: "none",
            counts: Counts {
                passed,
                failed,
                ignored: 0,
            },
        });
    }

    /// Something that fails the run though no test failed.
    pub(super) fn breach(&mut self, what: String) {
        self.breaches.push(what);
    }

    fn watch(
        &mut self,
        broker: &'static str,
        command: Command,
        mut suite_of: impl FnMut(&str) -> String,
    ) -> Result<()> {
        let before = self.failed();
        let rows = &mut self.rows;
        let status = stream(command, SILENCE_MAX, |bytes| {
            std::io::stdout().write_all(bytes)?;
            let line = String::from_utf8_lossy(bytes);
            let suite = suite_of(line.trim());
            if let Some(counts) = counts(line.trim()) {
                rows.push(Row {
                    suite,
                    broker,
                    counts,
                });
            }
            Ok(())
        })?;
        match status {
            None => self.breaches.push(format!(
                "{} said nothing for {SILENCE_MAX:?} and was killed",
                suite_of("")
            )),
            Some(status) if !status.success() && self.failed() == before => self
                .breaches
                .push(format!("{} ended with {status}", suite_of(""))),
            Some(_) => {}
        }
        Ok(())
    }

    fn failed(&self) -> u64 {
        self.rows.iter().map(|row| row.counts.failed).sum()
    }

    /// Prints a line per suite and the sum in the words of cargo; fails when anything did.
    pub(super) fn close(self, took: Duration) -> Result<()> {
        println!("\n== summary");
        let mut sum = Counts::default();
        for Row {
            suite,
            broker,
            counts,
        } in &self.rows
        {
            sum = Counts {
                passed: sum.passed + counts.passed,
                failed: sum.failed + counts.failed,
                ignored: sum.ignored + counts.ignored,
            };
            if *counts != Counts::default() {
                println!(
                    "{suite:<48} {broker:<16} {:>5} passed {:>3} failed {:>3} ignored",
                    counts.passed, counts.failed, counts.ignored
                );
            }
        }
        for breach in &self.breaches {
            println!("error: {breach}");
        }
        let good = sum.failed == 0 && sum.passed > 0 && self.breaches.is_empty();
        let word = if good { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {word}. {} passed; {} failed; {} ignored; 0 measured; 0 filtered out; finished in {:.2}s",
            sum.passed,
            sum.failed,
            sum.ignored,
            took.as_secs_f64()
        );
        if !good {
            bail!(
                "{} tests failed; {} suites broke",
                sum.failed,
                self.breaches.len()
            );
        }
        Ok(())
    }
}

/// `Running tests/x.rs (target/debug/deps/x-0123)` and `Doc-tests x` begin a suite.
fn running(line: &str, suites: &[Suite]) -> Option<String> {
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} docs"));
    }
    let (_, path) = line
        .strip_prefix("Running ")?
        .strip_suffix(')')?
        .rsplit_once('(')?;
    let file = path.rsplit('/').next()?;
    let suite = suites.iter().find(|suite| {
        suite
            .executable
            .file_name()
            .is_some_and(|name| name == file)
    });
    Some(suite.map_or_else(|| file.to_owned(), Suite::title))
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; ..`
fn counts(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in numbers.split(';') {
        match part.trim().split_once(' ') {
            Some((number, "passed")) => counts.passed = number.parse().ok()?,
            Some((number, "failed")) => counts.failed = number.parse().ok()?,
            Some((number, "ignored")) => counts.ignored = number.parse().ok()?,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_words_are_understood() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(
            counts(line),
            Some(Counts {
                passed: 12,
                failed: 2,
                ignored: 1
            })
        );
        assert_eq!(counts("test result of mine"), None);
        let suites = [Suite {
            package: "p".into(),
            target: "t".into(),
            integration: true,
            executable: "a/t-01".into(),
            folder: "a".into(),
        }];
        assert_eq!(
            running("Running tests/t.rs (target/debug/deps/t-01)", &suites).as_deref(),
            Some("p t")
        );
    }
}
