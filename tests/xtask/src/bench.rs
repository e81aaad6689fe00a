//! `cargo xtask bench`: workloads of the release binary, beside Kafka Connect.

use anyhow::Result;

use crate::prove::release_binary;
use crate::{cargo, guests, step, system};

pub(crate) fn bench(args: &[String]) -> Result<()> {
    system::ready()?;
    let binary = release_binary()?;
    let mut run = cargo([
        "run",
        "--quiet",
        "--release",
        "--package",
        "longshore-bench",
        "--",
    ]);
    run.args(args).env("LONGSHORE_BIN", binary);
    if args.iter().any(|arg| arg == "W10") {
        run.env("LONGSHORE_GUESTS", guests::built()?);
    }
    step(&format!("bench {}", args.join(" ")), run)
}
