//! Log lines: for people on a terminal, JSON by flag.

use crate::cli::{LogFormat, Logging};
use anyhow::{Context, Result};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging to standard error. Standard output is for what commands print.
pub(crate) fn start(logging: &Logging) -> Result<()> {
    // The client library's own wrapper calls the end of a consumer an error; it says nothing that our own lines do not.
    let quiet = "rdkafka::consumer=off";
    let filter = EnvFilter::try_new(format!("{quiet},{}", logging.log)).with_context(|| {
        format!(
            "--log {:?} is no filter: try info, or longshore_engine=debug,info",
            logging.log
        )
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    match logging.log_format {
        LogFormat::Json => registry
            .with(layer.json().flatten_event(true).with_current_span(true))
            .init(),
        LogFormat::Text => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            registry
                .with(layer.with_ansi(!plain && std::io::stderr().is_terminal()))
                .init();
        }
    }
    Ok(())
}
