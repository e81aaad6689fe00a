//! Connectors: they plan work and open tasks, and hold no data.

use crate::{Result, Sink, SinkContext, Source, SourceContext, config::Finding};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::{borrow::Cow, collections::BTreeMap, fmt::Debug, future::Future};

/// Which way data moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a system into topics.
    Source,
    /// From topics into a system.
    Sink,
}

/// A plugin's name tag: plain data.
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// The short name, such as `file-sink`.
    pub name: &'static str,
    /// Class names of the reference that it stands in for, fully qualified.
    pub aliases: &'static [&'static str],
    /// Its version.
    pub version: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Keys that the reference knows and this one does not support: always refused, by name.
    pub unsupported: &'static [&'static str],
    /// What the behaviour suite may expect.
    pub capabilities: Capabilities,
}

/// What a connector can do; the behaviour suite runs the cases that follow from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capabilities {
    /// The source ends by itself (error kind End).
    pub ends: bool,
    /// Writing the same records twice leaves the target as writing them once.
    pub idempotent: bool,
    /// The target keeps the offsets (`assigned` answers `Some`).
    pub keeps_offsets: bool,
    /// The sink can refuse single records.
    pub refuses: bool,
}

/// How often a record may arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Never lost, possibly repeated.
    AtLeastOnce,
    /// Repeated writes have no effect, by an id.
    EffectivelyOnce,
    /// Never lost, never repeated.
    ExactlyOnce,
}

impl Level {
    /// As people read it: `exactly-once`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at-least-once",
            Self::EffectivelyOnce => "effectively-once",
            Self::ExactlyOnce => "exactly-once",
        }
    }
}

/// What a connector can give with a config. A source is exactly-once if it reads the same records again in the same order after any offset that it
/// gave: the engine then puts records and offsets into one transaction. The engine lowers it by worker settings and broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantee {
    /// The level.
    pub level: Level,
    /// By which means, or why not more.
    pub method: Cow<'static, str>,
}

/// One task's part of the work: config entries that are laid over the connector's own. They are stored and shown: never a secret.
pub type Share = BTreeMap<String, String>;

/// A connector that reads a system.
pub trait SourceConnector: Send + Sync + 'static {
    /// Its name tag.
    const PLUGIN: Plugin;
    /// Its settings: one struct from which parsing, validation, docs and forms follow.
    type Config: DeserializeOwned + JsonSchema + Debug + Send + Sync;
    /// Its task.
    type Task: Source + 'static;
    /// What it can give with this config.
    fn guarantee(config: &Self::Config) -> Guarantee;
    /// Live validation: reaches out to the system, within seconds.
    fn check(config: &Self::Config) -> impl Future<Output = Vec<Finding>> + Send {
        let _ = config;
        async { Vec::new() }
    }
    /// Splits the work into at most `tasks_max` shares; an empty list means that there is nothing to do now.
    fn plan(
        config: &Self::Config,
        tasks_max: u32,
    ) -> impl Future<Output = Result<Vec<Share>>> + Send;
    /// Opens one task. Not called again for the same task until the former one is closed or dropped.
    fn open(
        config: Self::Config,
        share: Share,
        cx: SourceContext,
    ) -> impl Future<Output = Result<Self::Task>> + Send;
}

/// A connector that writes a system. Its shares are equal: partitions are spread by the consumer group.
pub trait SinkConnector: Send + Sync + 'static {
    /// Its name tag.
    const PLUGIN: Plugin;
    /// Its settings: one struct from which parsing, validation, docs and forms follow.
    type Config: DeserializeOwned + JsonSchema + Debug + Send + Sync;
    /// Its task.
    type Task: Sink + 'static;
    /// What it can give with this config.
    fn guarantee(config: &Self::Config) -> Guarantee;
    /// Live validation: reaches out to the system, within seconds.
    fn check(config: &Self::Config) -> impl Future<Output = Vec<Finding>> + Send {
        let _ = config;
        async { Vec::new() }
    }
    /// Splits the work into at most `tasks_max` shares; normally as many empty ones.
    fn plan(
        config: &Self::Config,
        tasks_max: u32,
    ) -> impl Future<Output = Result<Vec<Share>>> + Send {
        let _ = config;
        async move { Ok((0..tasks_max).map(|_| Share::new()).collect()) }
    }
    /// Opens one task. Not called again for the same task until the former one is closed or dropped.
    fn open(
        config: Self::Config,
        share: Share,
        cx: SinkContext,
    ) -> impl Future<Output = Result<Self::Task>> + Send;
}
