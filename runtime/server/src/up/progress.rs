//! A line now and then about how far the connectors are: on a terminal while something is behind, in logs more rarely.

use crate::cli::status::progress;
use longshore_engine::control::Control;
use serde_json::Value;
use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

/// Shows progress.
pub(crate) struct Progress {
    control: Control,
    terminal: bool,
    shown: String,
}

impl Progress {
    /// Progress of all connectors of a worker.
    pub(crate) fn new(control: Control) -> Self {
        Self {
            control,
            terminal: std::io::stderr().is_terminal(),
            shown: String::new(),
        }
    }
    /// Waits for the next look, then shows what changed. Cancel safe.
    pub(crate) async fn tick(&mut self) {
        tokio::time::sleep(if self.terminal {
            Duration::from_secs(2)
        } else {
            Duration::from_secs(10)
        })
        .await;
        let text = self.text().await;
        if text.is_empty() || text == self.shown {
            return;
        }
        if self.terminal {
            // A closed terminal is nobody's problem here.
            let _ = writeln!(std::io::stderr(), "  {text}");
        } else {
            tracing::info!("{text}");
        }
        self.shown = text;
    }

    /// One line: each task that runs with what it has moved and its lag.
    async fn text(&self) -> String {
        let mut parts = Vec::new();
        for (name, status) in self.control.whole_statuses().await {
            for task in status.tasks {
                let words = progress(task.x.as_ref().unwrap_or(&Value::Null));
                if !words.is_empty() {
                    parts.push(format!("{name}-{}: {words}", task.id));
                }
            }
        }
        parts.join(" | ")
    }
}
