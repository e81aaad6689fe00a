//! Log lines: for people on a terminal, JSON by flag.

use crate::cli::{LogFormat, Logging};
use anyhow::{Context, Result};
use longshore_engine::providers::scrub;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal, Write},
};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging to standard error. Standard output is for what commands print.
pub(crate) fn start(logging: &Logging) -> Result<()> {
    // The client library's own wrapper calls the end of a consumer an error; it says nothing that our own lines do not.
    let quiet = "rdkafka::consumer=off";
    // The audit log stays, however little else is wanted; audit=off turns it off.
    let filter =
        EnvFilter::try_new(format!("{quiet},audit=info,{}", logging.log)).with_context(|| {
            format!(
                "--log {:?} is no filter: try info, or longshore_engine=debug,info",
                logging.log
            )
        })?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(|| Scrubbed).with_target(false);
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
    // A panic may quote what it stumbled over.
    std::panic::set_hook(Box::new(|panic| {
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| format!("\n{trace}"));
        let line = format!("{panic}{}\n", trace.unwrap_or_default());
        // There is nobody left to tell.
        let _ = Scrubbed.write_all(line.as_bytes());
    }));
    Ok(())
}

/// Standard error without the secrets that this process knows (I8): a client library logs what it likes.
struct Scrubbed;

impl Write for Scrubbed {
    /// Takes it all: a line comes as a whole, so that no secret comes in two pieces.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        io::stderr().lock().write_all(scrub(&line).as_bytes())?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
