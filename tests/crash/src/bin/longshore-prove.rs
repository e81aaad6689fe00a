//! The long, counted proofs. `cargo xtask prove` builds the release binary and runs this.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use longshore_crash_tests::{binary, files, points, postgres, quickstart};

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
    /// Kafka into Postgres under kills, and back; or one of the other modes. Starts an Apache Kafka unless KAFKA_BOOTSTRAP names one.
    Postgres {
        /// Rows through the topic.
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
        /// Kills of a running transfer, for insert and for upsert each.
        #[arg(long, default_value_t = 30)]
        kills: u32,
        /// Instead: writers whose transactions commit late and out of order, read by the source.
        #[arg(long, group = "mode")]
        late_commits: bool,
        /// Instead: a worker frozen in the middle of a flush, another that takes over.
        #[arg(long, group = "mode")]
        zombie: bool,
        /// Instead: Postgres restarted, and unreachable for a minute.
        #[arg(long, group = "mode")]
        outage: bool,
        /// Repeats a run's random choices.
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
        Proof::Postgres {
            rows,
            kills,
            late_commits,
            zombie,
            outage,
            seed,
        } => {
            let seed = seed.unwrap_or_else(rand::random);
            if late_commits {
                postgres::late_commits::prove(&postgres::late_commits::Plan::long(seed)).map(drop)
            } else if zombie {
                postgres::zombie::prove(&postgres::zombie::Plan::long(seed))
            } else if outage {
                postgres::outage::prove(&postgres::outage::Plan::long())
            } else {
                let plan = postgres::rows::Plan {
                    rows,
                    kills,
                    step: 10_000,
                    seed,
                    apache: true,
                };
                postgres::rows::prove(&plan).map(drop)
            }
        }
        Proof::Build => {
            println!("{}", binary::build()?.display());
            Ok(())
        }
    }
}
