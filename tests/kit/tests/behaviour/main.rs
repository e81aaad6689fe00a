//! The behaviour suite, checked: it passes connectors that keep the contract, and fails each that breaks it in one way.

mod memory_sink;
mod memory_source;

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs a suite in a runtime of its own, where waiting costs no time; `None` if it passed, else its report.
fn report(suite: impl Future<Output = ()>) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(suite))).err()?;
    let text = panic.downcast_ref::<String>().expect("the report is text");
    Some(text.clone())
}

/// The suite must fail, and the named case must be among those that do.
fn assert_caught(bug: &str, case: &str, report: Option<String>) {
    let report = report.unwrap_or_else(|| panic!("{bug}: the suite is green"));
    let caught = report
        .lines()
        .any(|line| line.trim_start().starts_with(&format!("{case}: FAILED")));
    assert!(caught, "{bug} is not caught by {case}:\n{report}");
}
