//! The settings of both connectors.

use longshore_sdk::{Error, Result, config::Finding};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Reads a file line by line and follows it while it grows.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct SourceConfig {
    /// The file to read; it may appear later. Standard input is not supported.
    #[serde(default)]
    #[schemars(extend("x-importance" = "HIGH"))]
    pub file: Option<String>,
    /// The topic to publish data to.
    #[schemars(length(min = 1), extend("x-importance" = "HIGH"))]
    pub topic: String,
    /// The maximum number of records that the task reads from the file each time it is polled; more than 5000 count as 5000.
    #[serde(default = "batch_size", rename = "batch.size")]
    #[schemars(range(min = 1, max = 2_147_483_647), extend("x-importance" = "LOW"))]
    pub batch_size: u32,
    /// The task fails at a line that is longer than this many bytes; it never skips one.
    #[serde(default = "line_bytes_max", rename = "longshore.line.bytes.max")]
    #[schemars(range(min = 1, max = 268_435_456), extend("x-importance" = "LOW"))]
    pub line_bytes_max: u32,
}

/// Appends records to a file, a line each.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct SinkConfig {
    /// The file to append to; missing directories are made. Standard output is not supported.
    #[serde(default)]
    #[schemars(extend("x-importance" = "HIGH"))]
    pub file: Option<String>,
    /// `lines` writes strings and bytes as they are, `ndjson` makes every line one JSON value. Structured data is JSON in both.
    #[serde(default, rename = "longshore.format")]
    pub format: Format,
}

/// What a line of the sink's file looks like.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Strings and bytes as they are, everything else as JSON.
    #[default]
    Lines,
    /// One JSON value per line: strings are quoted, bytes are base64.
    Ndjson,
}

fn batch_size() -> u32 {
    2000
}

fn line_bytes_max() -> u32 {
    10 * 1024 * 1024
}

/// The file of a config, or what is wrong with it.
pub(crate) fn file(file: Option<&String>, stream: &str) -> Result<PathBuf, Finding> {
    let missing = |problem: String| {
        Finding::new("file", problem).suggest("set file to the path of a regular file")
    };
    match file {
        None => Err(missing(format!(
            "it is not set, and {stream} is not supported: a worker serves many connectors"
        ))),
        Some(path) if path.is_empty() => Err(missing("it is empty".to_owned())),
        Some(path) if path.contains('\0') => Err(missing("it contains a NUL byte".to_owned())),
        Some(path) => Ok(Path::new(path).to_owned()),
    }
}

/// A finding as the error of kind Config that it is for a task.
pub(crate) fn refused(finding: &Finding) -> Error {
    Error::config("config", finding.to_string())
}
