//! Repository commands: `cargo xtask COMMAND`.

mod bench;
mod connector;
mod docs;
mod guests;
mod lint;
mod mutants;
mod projects;
mod prove;
mod simulate;
mod source;
mod system;
mod test;
mod tidy;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Repository commands of Longshore")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Formatting, clippy, tidy, licences and advisories.
    Lint,
    /// The rules that no compiler holds: file sizes, names, crate dependencies, banned crates.
    Tidy,
    /// Every suite, on the embedded broker and on a real Apache Kafka; installs what is missing where it may.
    Test,
    /// The simulation alone: `simulate`, `simulate cluster --seeds 100000`, `simulate cluster --seed 7` (with LONGSHORE_SAY=1 it tells its story).
    Simulate {
        /// Only this world: source, sink or cluster.
        world: Option<String>,
        /// How many seeds of each world.
        #[arg(long)]
        seeds: Option<u64>,
        /// Replays this seed and no other.
        #[arg(long, conflicts_with = "seeds")]
        seed: Option<u64>,
    },
    /// The long, counted proofs: `prove quickstart --kills 20`, `prove files --bytes 1000000000`, `prove postgres --rows 1000000 --kills 30`
    /// (or `--late-commits`, `--zombie`, `--outage`), `prove cluster --minutes 30 --kills 200`, `prove rest-storm`,
    /// `prove exactly-once --kills 500 --at-points 10`, `prove zombies --seconds 30`, `prove outage --seconds 60`, `prove hostile --seconds 60`.
    Prove {
        /// What to prove, and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<String>,
    },
    /// Workloads beside Kafka Connect: `bench W1 W2 W2b W5 W5s W9 W11 start idle`, and a cluster of workers that are killed and restarted:
    /// `bench failover`.
    Bench {
        /// Workloads and options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<String>,
    },
    /// Builds every planted bug and fails when the suites stay green.
    Mutants {
        /// Only the mutants whose name holds this text.
        only: Option<String>,
    },
    /// Builds every WASM plugin of the repository and prints the folder of the components, which tests take as LONGSHORE_GUESTS; fetches the
    /// toolchain that it takes where it may.
    Guests,
    /// Makes, builds, checks and runs what `longshore plugin new` makes, in each language, and the examples that are no Rust crates: `projects`,
    /// `projects rust`.
    Projects {
        /// Only these: rust, python, js.
        languages: Vec<String>,
    },
    /// The reference documentation; a broken link is an error.
    Docs,
    /// Begins a new part of the repository.
    New {
        #[command(subcommand)]
        part: New,
    },
}

#[derive(Subcommand)]
enum New {
    /// The folder of a connector, with its fixed files.
    Connector {
        /// The system's name in lower case: `redis`.
        name: String,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    std::env::set_current_dir(root()?)?;
    match task {
        Task::Lint => lint::lint(),
        Task::Tidy => tidy::tidy(),
        Task::Test => test::test(),
        Task::Simulate { world, seeds, seed } => simulate::simulate(world.as_deref(), seeds, seed),
        Task::Prove { args } => prove::prove(&args),
        Task::Bench { args } => bench::bench(&args),
        Task::Mutants { only } => mutants::mutants(only.as_deref()),
        Task::Guests => guests::guests(),
        Task::Projects { languages } => projects::projects(&languages),
        Task::Docs => docs::docs(),
        Task::New {
            part: New::Connector { name },
        } => connector::new_connector(&name),
    }
}

/// The folder of the workspace, asked of cargo, so that a moved checkout never meets a path from its build.
fn root() -> Result<PathBuf> {
    let output = cargo(["locate-project", "--workspace", "--message-format", "plain"]).output()?;
    if !output.status.success() {
        bail!(
            "not inside the workspace: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let manifest = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    Ok(manifest
        .parent()
        .context("the workspace manifest has no folder")?
        .to_path_buf())
}

/// A cargo command, of the cargo that runs this program.
fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` tells this program about its own package would mislead a cargo below.
    for name in [
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_PKG_NAME",
        "CARGO_PKG_VERSION",
        "CARGO_PRIMARY_PACKAGE",
    ] {
        command.env_remove(name);
    }
    command.args(args);
    command
}

/// Says what runs, runs it, and fails when it fails.
fn step(what: &str, mut command: Command) -> Result<()> {
    println!("== {what}");
    let status = command
        .status()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}
