//! Config providers: what `${provider:path:key}` and `${provider:key}` stand for.
//!
//! Placeholders are resolved when a worker, a connector or a task starts, anew each time: a rotated secret is read by a restart. Configs, topics
//! and answers keep the placeholder; what it stands for goes to the plugin that needs it and nowhere else (I8).

mod beneath;
mod directory;
mod environment;
mod file;
mod hidden;
mod placeholder;
pub mod properties;

pub use beneath::Roots;
pub use directory::DirectoryProvider;
pub use environment::EnvironmentProvider;
pub use file::FileProvider;
pub use hidden::{Secrets, hide_inside, scrub, shown};
pub use placeholder::Placeholder;

use longshore_sdk::{
    Error, Result,
    config::{Finding, Flat},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// A config provider.
pub trait Provider: Send + Sync {
    /// The values of some keys at a path, which is empty where the placeholder has none. A key that is not there is left out; a path that
    /// cannot be read, or may not be, is an error that names it and none of its contents.
    fn read(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Flat>;
    /// Where a key was looked for, for people.
    fn place(&self, path: &str, key: &str) -> String;
}

/// The config providers of a worker by name.
#[derive(Clone, Default)]
pub struct Placeholders {
    providers: BTreeMap<String, Arc<dyn Provider>>,
}

impl fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.providers.keys()).finish()
    }
}

/// A config with its placeholders resolved.
pub struct Resolved {
    /// The config.
    pub config: Flat,
    /// What the placeholders stand for, to be kept out of texts.
    pub secrets: Secrets,
    /// Placeholders whose key is not where they say: those stay as text, as in Kafka Connect.
    pub missing: Vec<Finding>,
}

/// A config without placeholders is resolved without a look at a disk, and one with them reads at most so many different paths (I6).
const PATHS_MAX: usize = 256;

impl Placeholders {
    /// No provider: every text stays as it is. Providers are there only where an operator declares them.
    pub fn none() -> Self {
        Self::default()
    }
    /// Adds a provider; one of the same name is replaced.
    pub fn add(&mut self, name: &str, provider: Arc<dyn Provider>) {
        self.providers.insert(name.to_owned(), provider);
    }
    /// Resolves all values. A placeholder of an unknown provider stays as it is, as in Kafka Connect: it may be meant for the connector. Each
    /// path is read once, so that a user and a password that are rotated together are read together.
    ///
    /// Fails with the first path that cannot be read; `key` in the error's context is the config's key.
    pub fn resolve(&self, config: &Flat) -> Result<Resolved> {
        let values = self.read(config)?;
        let mut resolved = Resolved::plain(&Flat::new());
        for (key, text) in config {
            let value = placeholder::replace(text, |found| {
                let values = values.get(&(found.provider, found.path))?;
                match values.get(found.key) {
                    Some(value) => {
                        resolved.secrets.add(value);
                        Some(value.clone())
                    }
                    None => {
                        resolved.missing.push(self.missing(key, found));
                        None
                    }
                }
            });
            resolved.config.insert(key.clone(), value);
        }
        resolved.secrets.remember();
        Ok(resolved)
    }
    /// One finding for each value with a placeholder that names no provider: it stays as text, which is seldom meant.
    pub fn undeclared(&self, config: &Flat) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (key, text) in config {
            let unknown = placeholder::all(text)
                .into_iter()
                .find(|found| !found.provider.is_empty() && !self.knows(found.provider));
            if let Some(found) = unknown {
                let name = found.provider;
                let problem =
                    format!("${{{name}:..}} stays as text: there is no config provider {name}");
                let declared: Vec<&str> = self.providers.keys().map(String::as_str).collect();
                let advice = if declared.is_empty() {
                    "the worker's config.providers declares none".to_owned()
                } else {
                    format!(
                        "the worker's config.providers declares {}",
                        declared.join(", ")
                    )
                };
                findings.push(Finding::new(key, problem).suggest(advice));
            }
        }
        findings
    }
    /// Whether a provider is declared.
    pub fn knows(&self, name: &str) -> bool {
        self.providers.contains_key(name)
    }

    /// Everything that the config asks for, by provider and path.
    fn read<'a>(&self, config: &'a Flat) -> Result<BTreeMap<(&'a str, &'a str), Flat>> {
        let mut wanted: BTreeMap<(&str, &str), (&str, BTreeSet<&str>)> = BTreeMap::new();
        for (key, text) in config {
            for found in placeholder::all(text) {
                if self.knows(found.provider) {
                    let asked = wanted.entry((found.provider, found.path));
                    let (_, keys) = asked.or_insert_with(|| (key, BTreeSet::new()));
                    keys.insert(found.key);
                }
            }
        }
        if wanted.len() > PATHS_MAX {
            let text = format!(
                "placeholders name {} paths: at most {PATHS_MAX}",
                wanted.len()
            );
            return Err(Error::config("config", text));
        }
        let mut values = BTreeMap::new();
        for ((name, path), (key, keys)) in wanted {
            if let Some(provider) = self.providers.get(name) {
                let read = provider.read(path, &keys).map_err(|error| {
                    let text = format!("config provider {name}: {}", error.message());
                    Error::new(error.kind(), error.op(), text).with("key", key)
                });
                values.insert((name, path), read?);
            }
        }
        Ok(values)
    }

    fn missing(&self, key: &str, found: &Placeholder<'_>) -> Finding {
        let name = found.provider;
        let provider = self.providers.get(name);
        let place = provider.map(|provider| provider.place(found.path, found.key));
        let place = place.unwrap_or_default();
        let problem = format!("its placeholder stays as text: config provider {name}: {place}");
        Finding::new(key, problem)
    }
}

impl Resolved {
    /// A config without placeholders.
    pub fn plain(config: &Flat) -> Self {
        Self {
            config: config.clone(),
            secrets: Secrets::default(),
            missing: Vec::new(),
        }
    }
    /// An error without the secrets of this config, and with the placeholders that were left as text, for statuses, logs and answers (I8).
    pub fn about(&self, error: Error) -> Error {
        let error = self.secrets.hide(error);
        let missing = self.missing.iter().map(ToString::to_string);
        missing.fold(error, |error, missing| error.with("unresolved", missing))
    }
}

#[cfg(test)]
mod tests;
