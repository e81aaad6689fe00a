//! The long, counted proofs. `cargo xtask prove` builds the release binary and runs this.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use longshore_crash_tests::{
    binary, cluster, departures, exactly_once, files, hostile, outages, points, postgres,
    quickstart, zombies,
};

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
    /// Plugins that do what no plugin may, beside a pair of connectors that copies lines.
    Hostile {
        /// How long they go on, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    #[command(flatten)]
    Group(Group),
    /// Builds the binary with its crash points and prints where it is.
    Build,
}

/// Proofs of several workers of one group.
#[derive(Subcommand)]
enum Group {
    /// Transfers under kills of the workers that run them, three of a group: once and in order where it is promised, none lost where it is not.
    /// Starts an Apache Kafka unless KAFKA_BOOTSTRAP names one.
    ExactlyOnce {
        /// Kills of a running transfer, for each pair.
        #[arg(long, default_value_t = 500)]
        kills: u32,
        /// Kills at each named point that the pair passes (a binary with the feature `crash-points`).
        #[arg(long, default_value_t = 0)]
        at_points: u32,
        /// Only these points.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Only these.
        #[arg(long, value_delimiter = ',', value_enum)]
        pairs: Vec<exactly_once::Pair>,
        /// Workers of the group.
        #[arg(long, default_value_t = 3)]
        workers: usize,
        /// Numbers a second.
        #[arg(long, default_value_t = 500)]
        rate: u64,
        /// Repeats a run's random choices.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Workers of a group frozen and thawed: the leader, a source's, a sink's in the middle of a flush.
    Zombies {
        /// How long each stands still, in seconds.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// Frozen at named points too (a binary with the feature `crash-points`).
        #[arg(long)]
        at_points: bool,
        /// How often each kind is frozen.
        #[arg(long, default_value_t = 1)]
        rounds: usize,
        /// Repeats a run's random choices.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Workers that are stopped in order while files run through Kafka into files: what moves hardly stands still. Starts an Apache Kafka unless
    /// KAFKA_BOOTSTRAP names one.
    Departures {
        /// How many are stopped.
        #[arg(long, default_value_t = 10)]
        stops: u32,
    },
    /// The broker, then Postgres away for a while under several workers.
    Outage {
        /// How long each is away, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Three workers under faults of every kind, for as long as asked, while connectors run and are changed. Starts an Apache Kafka, which is
    /// restarted too, unless KAFKA_BOOTSTRAP names one.
    Cluster {
        /// How long faults are injected at least.
        #[arg(long, default_value_t = 30)]
        minutes: u64,
        /// SIGKILLs that must hit a running transfer.
        #[arg(long, default_value_t = 200)]
        kills: u32,
        /// Repeats a run's random choices.
        #[arg(long)]
        seed: Option<u64>,
        /// A folder that keeps topics, files and counts: a later run goes on with them.
        #[arg(long)]
        state: Option<PathBuf>,
        /// Without rows into a Postgres.
        #[arg(long)]
        no_postgres: bool,
    },
    /// Clients that create, change and delete connectors through all of three workers while one is killed and comes back.
    RestStorm {
        #[arg(long, default_value_t = 120)]
        seconds: u64,
        #[arg(long, default_value_t = 100)]
        clients: u32,
        #[arg(long, default_value_t = 500)]
        connectors: u32,
        /// Repeats a run's random choices.
        #[arg(long)]
        seed: Option<u64>,
    },
}

impl Group {
    fn prove(self) -> Result<()> {
        match self {
            Group::ExactlyOnce {
                kills,
                at_points,
                only,
                pairs,
                workers,
                rate,
                seed,
            } => exactly_once::prove(&exactly_once::Plan {
                pairs: if pairs.is_empty() {
                    exactly_once::Pair::ALL.to_vec()
                } else {
                    pairs
                },
                workers,
                kills,
                at_points,
                only,
                rate,
                seed: seed.unwrap_or_else(rand::random),
                apache: true,
            })
            .map(drop),
            Group::Zombies {
                seconds,
                at_points,
                rounds,
                seed,
            } => zombies::prove(&zombies::Plan {
                freezes: zombies::Freeze::all(at_points).repeat(rounds),
                lasts: Duration::from_secs(seconds),
                rate: 300,
                seed: seed.unwrap_or_else(rand::random),
                apache: true,
            }),
            Group::Departures { stops } => {
                let apache = true;
                departures::prove(&departures::Plan { stops, apache }).map(drop)
            }
            Group::Outage { seconds } => outages::prove(&outages::Plan {
                lasts: Duration::from_secs(seconds),
                ..outages::Plan::long()
            }),
            Group::Cluster {
                minutes,
                kills,
                seed,
                state,
                no_postgres,
            } => cluster::prove(&cluster::Plan {
                time: Duration::from_secs(minutes * 60),
                kills,
                seed: seed.unwrap_or_else(rand::random),
                apache: true,
                state,
                postgres: !no_postgres,
            })
            .map(drop),
            Group::RestStorm {
                seconds,
                clients,
                connectors,
                seed,
            } => cluster::storm::prove(&cluster::storm::Plan {
                time: Duration::from_secs(seconds),
                clients,
                connectors,
                seed: seed.unwrap_or_else(rand::random),
                apache: true,
            })
            .map(drop),
        }
    }
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
        Proof::Hostile { seconds } => hostile::prove(&hostile::Plan::long(seconds)),
        Proof::Group(group) => group.prove(),
        Proof::Build => {
            println!("{}", binary::build()?.display());
            Ok(())
        }
    }
}
