//! `cargo xtask prove`: the long proofs, with the release binary.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{cargo, guests, step, system};

/// Proofs that start an Apache Kafka or a Postgres.
const SYSTEMS: [&str; 6] = [
    "postgres",
    "exactly-once",
    "zombies",
    "outage",
    "cluster",
    "rest-storm",
];

pub(crate) fn prove(args: &[String]) -> Result<()> {
    if SYSTEMS.contains(&args[0].as_str()) {
        system::ready()?;
    } else {
        system::ready_to_build()?;
    }
    // Named points exist in a build of their own, which the proof makes.
    let named_points = args[0] == "points" || args.iter().any(|arg| arg.starts_with("--at-points"));
    let binary = if named_points {
        PathBuf::new()
    } else {
        release_binary()?
    };
    let mut run = cargo([
        "run",
        "--quiet",
        "--release",
        "--package",
        "longshore-crash-tests",
        "--bin",
        "longshore-prove",
        "--",
    ]);
    run.args(args).env("LONGSHORE_BIN", binary);
    if ["exactly-once", "hostile"].contains(&args[0].as_str()) {
        run.env("LONGSHORE_GUESTS", guests::built()?);
    }
    step(&format!("prove {}", args.join(" ")), run)
}

/// Builds what people run, and says where it is.
pub(crate) fn release_binary() -> Result<PathBuf> {
    println!("== cargo build --release --package longshore");
    let mut build = cargo([
        "build",
        "--release",
        "--package",
        "longshore",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let output = build
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the release binary does not build");
    }
    let messages = String::from_utf8(output.stdout)?;
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back();
    executable.context("cargo names no binary")
}
