//! What came out of the cases.

use longshore_sdk::Error;
use std::{future::Future, time::Duration};

/// A case that a connector does not pass, and why that is right.
#[derive(Clone, Copy, Debug)]
pub struct Waiver {
    /// The case's name.
    pub case: &'static str,
    /// Why it cannot pass.
    pub reason: &'static str,
}

/// Why a case did not pass.
#[derive(Debug)]
pub(super) enum Fail {
    /// The connector does something else.
    Broken(String),
    /// The case is about something that the connector does not declare, or the rig cannot do.
    Beside(&'static str),
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Broken(error.trace())
    }
}

/// What a case returns.
pub(super) type Outcome<T = ()> = Result<T, Fail>;

/// Fails the case unless the condition holds.
macro_rules! hold {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::behaviour::report::Fail::Broken(format!($($text)+)));
        }
    };
}
pub(super) use hold;

/// Longer than any honest call on a loaded machine: only a call that hangs gets here.
const CALL_MAX: Duration = Duration::from_secs(60);

/// Bounds a call of a connector.
pub(super) async fn bounded<T>(what: &str, call: impl Future<Output = T>) -> Outcome<T> {
    tokio::time::timeout(CALL_MAX, call)
        .await
        .map_err(|_| Fail::Broken(format!("{what} did not return within {CALL_MAX:?}")))
}

/// The results of a suite, a line per case.
pub(super) struct Report {
    suite: String,
    waivers: &'static [Waiver],
    cases: Vec<&'static str>,
    lines: Vec<String>,
    failed: bool,
}

impl Report {
    pub(super) fn new(suite: String, waivers: &'static [Waiver]) -> Self {
        Self {
            suite,
            waivers,
            cases: Vec::new(),
            lines: Vec::new(),
            failed: false,
        }
    }

    /// Notes how a case ended.
    pub(super) fn note(&mut self, case: &'static str, outcome: Outcome) {
        self.cases.push(case);
        let waiver = self.waivers.iter().find(|waiver| waiver.case == case);
        let (failed, line) = match (outcome, waiver) {
            (Ok(()), None) => (false, "passed".to_owned()),
            (Ok(()), Some(_)) => (true, "PASSED, BUT IS WAIVED: delete the waiver".to_owned()),
            (Err(Fail::Beside(why)), None) => (false, format!("does not apply: {why}")),
            (Err(Fail::Beside(why)), Some(_)) => (
                true,
                format!("DOES NOT APPLY ({why}), BUT IS WAIVED: delete the waiver"),
            ),
            (Err(Fail::Broken(why)), Some(waiver)) => {
                (false, format!("waived: {} ({why})", waiver.reason))
            }
            (Err(Fail::Broken(why)), None) => (true, format!("FAILED: {why}")),
        };
        self.failed |= failed;
        self.lines.push(format!("{case}: {line}"));
    }

    /// Prints every line; panics if a case failed or a waiver names none.
    pub(super) fn finish(mut self) {
        for waiver in self.waivers {
            if !self.cases.contains(&waiver.case) {
                self.failed = true;
                self.lines.push(format!(
                    "{}: WAIVED, BUT THERE IS NO SUCH CASE",
                    waiver.case
                ));
            }
        }
        let text = self.lines.join("\n  ");
        assert!(!self.failed, "behaviour of {}:\n  {text}", self.suite);
        println!("behaviour of {}:\n  {text}", self.suite);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    const WAIVED: &[Waiver] = &[Waiver {
        case: "odd",
        reason: "it is odd",
    }];

    fn passes(waivers: &'static [Waiver], outcome: Outcome) -> bool {
        let mut report = Report::new("a suite".to_owned(), waivers);
        report.note("odd", outcome);
        catch_unwind(move || report.finish()).is_ok()
    }

    #[test]
    fn a_suite_fails_for_a_broken_case_and_for_a_waiver_that_is_not_needed() {
        let broken = || Err(Fail::Broken("broken".to_owned()));
        assert!(passes(&[], Ok(())));
        assert!(passes(&[], Err(Fail::Beside("not declared"))));
        assert!(!passes(&[], broken()));
        assert!(passes(WAIVED, broken()));
        assert!(!passes(WAIVED, Ok(())));
        assert!(!passes(WAIVED, Err(Fail::Beside("not declared"))));
        let empty = Report::new("no case".to_owned(), WAIVED);
        assert!(catch_unwind(move || empty.finish()).is_err());
    }
}
