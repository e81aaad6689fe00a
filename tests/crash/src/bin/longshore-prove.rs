//! The long, counted proofs. `cargo xtask prove` builds the release binary and runs this.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use longshore_crash_tests::{binary, files, points, quickstart};

#[derive(Parser)]
#[command(name = "cargo xtask prove")]
struct Cli {
    #[command(subcommand)]
    proof: Proof,
}

#[derive(Subcommand)]
enum Proof {
    /// The quick start, killed at random; then a plain worker goes on without the YAML.
    Quickstart {
        #[arg(long, default_value_t = 20)]
        kills: u32,
        /// Repeats a run's random choices.
        #[arg(long)]
        seed: Option<u64>,
        /// The file that is started.
        #[arg(long, default_value = "configs/quickstart.yaml")]
        file: PathBuf,
    },
    /// A file through Kafka into a file.
    Files {
        #[arg(long, default_value_t = 1_000_000_000)]
        bytes: u64,
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Kills at named points of the code (a binary with the feature `crash-points`).
    Points {
        /// Only these points.
        #[arg(long, value_delimiter = ',')]
        at: Vec<String>,
        /// Kills per point.
        #[arg(long, default_value_t = 30)]
        rounds: u32,
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Builds the binary with its crash points and prints where it is.
    Build,
}

fn main() -> Result<()> {
    match Cli::parse().proof {
        Proof::Quickstart { kills, seed, file } => {
            let yaml = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let output = PathBuf::from("longshore-data/quickstart.ndjson");
            let plan = quickstart::Plan {
                kills,
                seed: seed.unwrap_or_else(rand::random),
                yaml,
                output,
                topic: "orders".into(),
                run_max: Duration::from_secs(2),
            };
            quickstart::prove(&plan).map(drop)
        }
        Proof::Files { bytes, seed } => files::prove(&files::Plan {
            bytes,
            seed: seed.unwrap_or_else(rand::random),
            memory_kb_max: 100_000,
        }),
        Proof::Points { at, rounds, seed } => {
            let points = if at.is_empty() { points::all() } else { at };
            points::prove(&points::Plan {
                points,
                rounds,
                seed: seed.unwrap_or_else(rand::random),
            })
            .map(drop)
        }
        Proof::Build => {
            println!("{}", binary::build()?.display());
            Ok(())
        }
    }
}
