//! The SDKs in Python and JavaScript, and the host stood in for: neither is a crate.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A suite, and its runner's words.
struct Sdk {
    title: &'static str,
    program: &'static str,
    needs: &'static str,
    arguments: &'static [&'static str],
    /// The folder whose tests are named one by one.
    files: Option<&'static str>,
    counts: fn(&str) -> Option<(u64, u64)>,
}

const SDKS: [Sdk; 2] = [
    Sdk {
        title: "plugins/guest/python",
        program: "python3",
        needs: "Python 3.10 or later",
        arguments: &[
            "-m",
            "unittest",
            "discover",
            "-s",
            "plugins/guest/python/tests",
        ],
        files: None,
        counts: of_unittest,
    },
    Sdk {
        title: "plugins/guest/js",
        program: "node",
        needs: "Node 20 or later",
        arguments: &["--test", "--test-reporter=tap"],
        files: Some("plugins/guest/js/tests"),
        counts: of_tap,
    },
];

/// Runs each; `book` takes its title, and how many tests passed and failed. A suite that cannot run, or says nothing of its tests, is an error
/// of the answer; the others run all the same.
pub(super) fn run(mut book: impl FnMut(&str, u64, u64)) -> Vec<anyhow::Error> {
    let mut errors = Vec::new();
    for sdk in SDKS {
        match sdk.run() {
            Ok((passed, failed)) => book(sdk.title, passed, failed),
            Err(error) => errors.push(error),
        }
    }
    errors
}

impl Sdk {
    fn run(&self) -> Result<(u64, u64)> {
        println!("== {} in {}", self.program, self.title);
        let files = self.files.map(|folder| node_tests(Path::new(folder)));
        let output = Command::new(self.program)
            .args(self.arguments)
            .args(files.transpose()?.unwrap_or_default())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}: install {}", self.program, self.needs))?;
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        print!("{said}");
        match (self.counts)(&said) {
            Some((passed, failed)) if passed > 0 && output.status.success() == (failed == 0) => {
                Ok((passed, failed))
            }
            _ => bail!(
                "{} ended with {} and does not say how its tests went",
                self.title,
                output.status
            ),
        }
    }
}

/// The tests in a folder: what `node --test` takes a folder for differs between versions of Node.
pub(crate) fn node_tests(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut tests = Vec::new();
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            tests.push(path);
        }
    }
    tests.sort();
    Ok(tests)
}

/// `Ran 29 tests in 0.055s`, and behind it `OK` or `FAILED (failures=1, errors=2)`: how many passed and failed.
fn of_unittest(said: &str) -> Option<(u64, u64)> {
    let (_, rest) = said.rsplit_once("\nRan ")?;
    let ran: u64 = rest.split(' ').next()?.parse().ok()?;
    let failed = match rest.split_once("FAILED (") {
        None => 0,
        Some((_, bad)) => bad
            .split(')')
            .next()?
            .split(", ")
            .filter_map(|one| one.split_once('='))
            .filter(|(what, _)| ["failures", "errors"].contains(what))
            .filter_map(|(_, count)| count.parse::<u64>().ok())
            .sum(),
    };
    Some((ran.saturating_sub(failed), failed))
}

/// `# pass 23`, `# fail 1` and `# cancelled 0`.
fn of_tap(said: &str) -> Option<(u64, u64)> {
    let count = |word: &str| {
        said.lines()
            .rev()
            .find_map(|line| {
                line.strip_prefix("# ")?
                    .strip_prefix(word)?
                    .strip_prefix(' ')
            })
            .and_then(|count| count.trim().parse::<u64>().ok())
    };
    Some((count("pass")?, count("fail")? + count("cancelled")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_words_are_understood() {
        let good = "....\n-----\nRan 29 tests in 0.055s\n\nOK\n";
        assert_eq!(of_unittest(good), Some((29, 0)));
        let bad = "F\nRan 9 tests in 1s\n\nFAILED (failures=1, errors=2, skipped=1)\n";
        assert_eq!(of_unittest(bad), Some((6, 3)));
        assert_eq!(of_unittest("Traceback"), None);
        let tap = "ok 1 - # pass 7\n# tests 25\n# pass 23\n# fail 1\n# cancelled 1\n# skipped 0\n";
        assert_eq!(of_tap(tap), Some((23, 2)));
        assert_eq!(of_tap("SyntaxError"), None);
    }
}
