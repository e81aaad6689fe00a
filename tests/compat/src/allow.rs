//! Accepted differences.

use crate::corpus::Case;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One line of the list: a reason, and which cases it covers. A case is covered if everything that is given fits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Why the difference is accepted.
    pub reason: String,
    /// The case cannot be put here at all: the recording lost its input, no value here can hold it, or the output is a place in memory.
    #[serde(default)]
    pub(crate) void: bool,
    /// The class without its package.
    pub(crate) class: String,
    /// How the direction starts (`from`, `to`).
    dir: Option<String>,
    /// A part of the settings' JSON text.
    config: Option<String>,
    /// A part of the input's JSON text.
    input: Option<String>,
    /// A part of the output's JSON text.
    output: Option<String>,
}

impl Allowed {
    /// Reads a list, one JSON object a line.
    pub fn list(text: &str) -> Result<Vec<Self>> {
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.trim().is_empty());
        let list = lines.map(|(at, line)| {
            let allowed: Self = serde_json::from_str(line)
                .with_context(|| format!("line {} of the allow-list", at + 1))?;
            ensure!(
                !allowed.reason.is_empty(),
                "line {} gives no reason",
                at + 1
            );
            Ok(allowed)
        });
        list.collect()
    }
    /// Whether it is about this case.
    pub(crate) fn covers(&self, case: &Case) -> bool {
        let holds = |part: &Option<String>, name: &str| {
            part.as_ref()
                .is_none_or(|part| case.line[name].to_string().contains(part))
        };
        let starts = self.dir.as_ref().is_none_or(|dir| {
            let direction = case.line["dir"].as_str();
            direction.is_some_and(|direction| direction.starts_with(dir))
        });
        self.class == case.class
            && starts
            && holds(&self.config, "config")
            && holds(&self.input, "input")
            && holds(&self.output, "output")
    }
}
