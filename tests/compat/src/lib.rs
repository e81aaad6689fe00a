//! Transforms, predicates and converters against recordings of a Kafka Connect worker.
//!
//! A corpus is a folder with `smt/*.jsonl` and `converters/*.jsonl` (or `.jsonl.zst`); README.md says what a line holds. [`run`] replays every
//! case, and judges what differs by the allow-list.

mod allow;
mod convert;
mod corpus;
mod report;
mod tree;
mod wire;

pub use allow::Allowed;
pub use corpus::{Case, Corpus};
pub use report::Report;

use std::future::Future;

/// Replays every case of a corpus.
pub fn run<'a>(corpus: &Corpus, allowed: &'a [Allowed]) -> Report<'a> {
    let mut report = Report::new(allowed);
    for case in &corpus.transforms {
        report.add("smt", case, convert::transform(case));
        if let Some(result) = convert::undecoded(case) {
            report.add("smt, as JSON text", case, result);
        }
    }
    for case in &corpus.converters {
        report.add("converters", case, wire::convert(case));
    }
    report
}

/// Transforms and converters wait for nothing.
fn now<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(future))
}
