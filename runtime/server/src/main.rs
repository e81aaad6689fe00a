//! The longshore binary: command line, settings, REST API, and what holds the parts together.

mod bundle;
mod cli;
mod exposition;
mod file_bytes;
mod logging;
mod node;
mod plugins;
mod rest;
mod settings;
mod trust;
mod up;
mod watch;

use anyhow::{Result, bail};
use clap::Parser;
use cli::{Cli, Command};
use longshore_engine::providers::scrub;
use node::{Node, until_signal};
use settings::Settings;
use std::{path::Path, process::ExitCode, time::Duration};

/// `lint` found something, or a command failed.
const FAILED: u8 = 1;
/// `plan` would change something.
const WOULD_CHANGE: u8 = 2;

/// How long calls that block a thread are waited for at the very end.
const LEFT_BEHIND_MAX: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    longshore_kafka::cap_heap_arenas();
    let cli = Cli::parse();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::new)
        .and_then(|runtime| {
            let result = runtime.block_on(run(cli));
            // Everything was drained or given up by now: a call that still blocks a thread must not hold up the end (I6).
            runtime.shutdown_timeout(LEFT_BEHIND_MAX);
            result
        });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // I8: it may quote what was sent.
            eprintln!("error: {}", scrub(&format!("{error:#}")));
            ExitCode::from(FAILED)
        }
    }
}

async fn run(cli: Cli) -> Result<u8> {
    match cli.command {
        Command::Up { files } => {
            logging::start(&cli.logging)?;
            up::run(files).await?;
        }
        Command::Worker { file } => {
            logging::start(&cli.logging)?;
            worker(file.as_deref()).await?;
        }
        Command::Broker { listen, data } => {
            logging::start(&cli.logging)?;
            node::serve_broker(&listen, &data).await?;
        }
        Command::Lint { files, json } => {
            return Ok(if cli::lint::run(&files, json) {
                0
            } else {
                FAILED
            });
        }
        Command::Plan { files, remote } => {
            return Ok(if cli::apply::plan(&files, &remote).await? {
                WOULD_CHANGE
            } else {
                0
            });
        }
        Command::Apply { files, remote } => cli::apply::apply(&files, &remote).await?,
        Command::Connectors { action } => cli::connectors::run(action).await?,
        Command::Status { name, remote } => cli::status::run(name.as_deref(), &remote).await?,
        Command::Auth { action } => cli::auth::run(action)?,
        Command::Plugin { action } => {
            let fine = tokio::task::spawn_blocking(|| cli::plugin::run(action)).await??;
            return Ok(if fine { 0 } else { FAILED });
        }
        Command::Plugins {
            connectors_only,
            remote,
        } => cli::connectors::plugins(connectors_only, &remote).await?,
    }
    Ok(0)
}

/// `longshore worker`: connectors come by REST.
async fn worker(file: Option<&Path>) -> Result<()> {
    let settings = match file.map(|file| Settings::read(&[file])).transpose() {
        Ok(settings) => settings.unwrap_or_default(),
        Err(problems) => {
            cli::lint::print(&problems, false);
            bail!("the settings cannot be used");
        }
    };
    if !settings.connectors.is_empty() {
        bail!(
            "the file has connectors: `longshore up` runs those, or `longshore apply` sends them to a worker"
        );
    }
    for note in &settings.notes {
        tracing::warn!("{note}");
    }
    let node = Node::start(settings.worker.as_ref()).await?;
    until_signal().await;
    node.shutdown().await;
    Ok(())
}
