//! What comes of a file.

use crate::services::Provisions;
use longshore_sdk::{
    Error,
    erased::{DynSinkConnector, DynSourceConnector, TransformPlugin},
};
use std::{path::PathBuf, sync::Arc};

/// The world that a component is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads a system.
    Source,
    /// Writes a system.
    Sink,
    /// Changes records.
    Transform,
}

impl Kind {
    /// The world's name: `source`, `sink`, `transform`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Transform => "transform",
        }
    }
}

/// What the registry is given of a plugin.
#[derive(Clone)]
pub enum Registered {
    /// A source connector.
    Source(Arc<dyn DynSourceConnector>),
    /// A sink connector.
    Sink(Arc<dyn DynSinkConnector>),
    /// A transform.
    Transform(TransformPlugin),
}

/// A plugin that is ready for use.
#[derive(Clone)]
pub struct Loaded {
    /// What `connector.class` or a transform's `type` says.
    pub name: &'static str,
    /// Its semantic version.
    pub version: &'static str,
    /// Who made it, in its own words.
    pub vendor: String,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// The plugin itself.
    pub plugin: Registered,
    /// The JSON Schema of its config.
    pub schema: Arc<serde_json::Value>,
    /// What its tasks reach the world with.
    pub(crate) provisions: Arc<Provisions>,
}

/// A file that is no usable plugin.
#[derive(Debug)]
pub struct Broken {
    /// The file.
    pub path: PathBuf,
    /// Why: names the file and what to do.
    pub error: Error,
}
