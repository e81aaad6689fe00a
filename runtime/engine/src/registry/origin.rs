//! Plugins that came in files, beside those of the binary.

use super::{Connector, Missing, PluginKind, Registry};
use longshore_sdk::{Plugin, erased::TransformPlugin};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where a plugin comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The worker's own binary.
    #[default]
    Bundled,
    /// A file.
    File(PluginFile),
}

/// The file of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginFile {
    /// Its name, without its folder.
    pub file: String,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// What the operator grants it, as it is to be shown; null = nothing.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub grants: serde_json::Value,
}

/// A file that holds no usable plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenFile {
    /// Its name, without its folder.
    pub file: String,
    /// Why, and what to do.
    pub problem: String,
}

/// What a file holds.
#[derive(Clone)]
pub enum Installed {
    /// A connector.
    Connector(Connector),
    /// A transform.
    Transform(TransformPlugin),
}

impl Installed {
    fn tag(&self) -> Plugin {
        match self {
            Self::Connector(connector) => connector.plugin(),
            Self::Transform(transform) => transform.plugin,
        }
    }
    fn kind(&self) -> PluginKind {
        match self {
            Self::Connector(connector) => connector.kind(),
            Self::Transform(_) => PluginKind::Transformation,
        }
    }
}

/// Keys below `transforms.<alias>.` that the framework reads.
const OF_TRANSFORMS: [&str; 4] = ["type", "predicate", "negate", "plugin.version"];

/// Plugins from files (I6).
const INSTALLED_MAX: usize = 1_000;

impl Registry {
    /// Adds a plugin from a file, beside other versions of it. `Err` says why it cannot be: a bundled plugin keeps its names, and so does a
    /// plugin of another kind that was here before.
    pub fn install(&mut self, plugin: Installed, from: PluginFile) -> Result<(), String> {
        let (tag, kind) = (plugin.tag(), plugin.kind());
        if self.origins.len() >= INSTALLED_MAX {
            return Err(format!("there are {INSTALLED_MAX} plugins already"));
        }
        for (known_kind, known) in self.plugins() {
            let origin = self.origin(known);
            let Origin::File(other) = origin else {
                if super::is_called(known, known_kind, tag.name) {
                    return Err(format!(
                        "its name {} is that of a plugin that is part of Longshore: give it another one",
                        tag.name
                    ));
                }
                continue;
            };
            if known.name != tag.name {
                continue;
            }
            if known_kind != kind {
                return Err(format!(
                    "its name {} is that of another kind of plugin, in {}",
                    tag.name, other.file
                ));
            }
            if super::order(known.version, tag.version).is_eq() {
                return Err(format!(
                    "version {} of {} is there already, in {}",
                    tag.version, tag.name, other.file
                ));
            }
        }
        if let Installed::Transform(transform) = &plugin {
            let definition = (transform.definition)();
            let taken = definition
                .keys
                .iter()
                .find(|key| OF_TRANSFORMS.contains(&key.name.as_str()));
            if let Some(key) = taken {
                return Err(format!(
                    "its key {} is the framework's: give it another name",
                    key.name
                ));
            }
        }
        self.origins.insert((tag.name, tag.version), Arc::new(from));
        match plugin {
            Installed::Connector(connector) => self.connectors.push(connector),
            Installed::Transform(transform) => self.transforms.push(transform),
        }
        Ok(())
    }
    /// What was found; where only the version is missing and all there are are bundled, the newest of those.
    pub(super) fn or_bundled<'a, P>(
        &self,
        found: Result<&'a P, Missing>,
        newest: impl FnOnce() -> Result<&'a P, Missing>,
        tag: impl Fn(&P) -> Plugin,
    ) -> Result<&'a P, Missing> {
        let Err(Missing::Version { there, .. }) = &found else {
            return found;
        };
        let newest = newest()?;
        let name = tag(newest).name;
        let mut there = there.iter();
        if there.any(|version| self.origins.contains_key(&(name, *version))) {
            return found;
        }
        Ok(newest)
    }
    /// Notes a file that was skipped, for those who ask why its plugin is not there.
    pub fn note_broken(&mut self, file: &str, problem: &str) {
        tracing::warn!(file, problem, "a plugin's file is skipped");
        if self.broken.len() < INSTALLED_MAX {
            self.broken.push(BrokenFile {
                file: file.to_owned(),
                problem: problem.to_owned(),
            });
        }
    }
    /// Of a plugin that is not there: the file that would hold it by its name, and why that was skipped.
    pub fn skipped(&self, class: &str) -> Option<String> {
        let is = |broken: &&BrokenFile| {
            let rest = broken.file.strip_prefix(class.trim());
            rest.is_some_and(|rest| rest == ".wasm" || rest.starts_with('-'))
        };
        let broken = self.broken.iter().find(is)?;
        Some(format!(
            "the file {} was skipped: {}",
            broken.file, broken.problem
        ))
    }
    /// The files that were skipped.
    pub fn broken(&self) -> &[BrokenFile] {
        &self.broken
    }
    /// Where a plugin comes from.
    pub fn origin(&self, plugin: Plugin) -> Origin {
        match self.origins.get(&(plugin.name, plugin.version)) {
            Some(from) => Origin::File(PluginFile::clone(from)),
            None => Origin::Bundled,
        }
    }
}
