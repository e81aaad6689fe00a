//! `cargo xtask simulate`: the seeded simulation, optimised, and built so that a seed repeats exactly.

use std::process::Command;

use anyhow::{Result, bail};

use crate::test::{Suite, build};

/// The package of the simulation.
pub(crate) const PACKAGE: &str = "longshore-cluster-tests";
/// Tokio draws lots in a select; only a build with this lets a test load them.
const FLAGS: &str = "build.rustflags=[\"--cfg\",\"tokio_unstable\"]";

/// Builds the simulation with optimisation.
pub(crate) fn suites(more: &[&str]) -> Result<Vec<Suite>> {
    let mut args = vec!["test", "--no-run", "--profile", "sim", "--config", FLAGS];
    args.extend(["--package", PACKAGE]);
    args.extend(more);
    build(&args)
}

pub(crate) fn simulate(world: Option<&str>, seeds: Option<u64>, seed: Option<u64>) -> Result<()> {
    for suite in suites(&["--test", "simulation"])? {
        let mut run = Command::new(&suite.executable);
        run.current_dir(&suite.folder).arg("--nocapture");
        if let Some(world) = world {
            run.arg(format!("{world}_"));
        }
        for (name, value) in [("LONGSHORE_SEEDS", seeds), ("LONGSHORE_SEED", seed)] {
            if let Some(value) = value {
                run.env(name, value.to_string());
            }
        }
        let status = run.status()?;
        if !status.success() {
            bail!("the simulation found something ({status})");
        }
    }
    Ok(())
}
