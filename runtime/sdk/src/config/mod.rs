//! Settings: Kafka Connect's flat map of strings, read into one typed struct.
//!
//! One struct is the config (D5). From its derives come parsing ([`read`]), validation ([`Definition::check`]) and the REST
//! definition ([`info`]):
//!
//! * `#[serde(rename = "batch.size")]` gives a field its dotted key; a `default` makes it optional, so does `Option`.
//! * The doc comment is the documentation; `#[schemars(range(min = 1, max = 9))]` and `length(min = 1)` are checked.
//! * A field whose key ends with a dot (`source.cluster.`), normally a `BTreeMap<String, String>`, takes every key with that prefix that
//!   is no field of its own, prefix taken off. It is never missing: no keys are an empty map.
//! * `#[schemars(extend("x-importance" = "LOW"))]` says what the types cannot: `x-importance`, `x-group`, `x-order`, `x-width`,
//!   `x-display-name`, `x-type`, `x-dependents`, `x-recommended`, `x-secret`.

mod definition;
mod flat;
mod foreign;
mod from_schema;
pub mod info;
mod nearest;
mod shape;

pub use definition::{Definition, Importance, Key, KeyType, Width, looks_secret};
pub use nearest::nearest;
pub use shape::{Shape, holds_placeholder, trimmed};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt};

/// A connector's config as REST and the config topic have it.
pub type Flat = BTreeMap<String, String>;

/// What becomes of keys that nobody knows: `longshore.unknown.keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownKeys {
    /// They are errors.
    Refuse,
    /// They are warnings, as in Kafka Connect.
    Warn,
}

/// One thing that is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key, dotted.
    pub key: String,
    /// What is wrong with its value: names the value's shape, never a secret.
    pub problem: String,
    /// What to do; empty if that is plain.
    pub suggestion: String,
}

impl Finding {
    /// A finding without a suggestion.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            problem: problem.into(),
            suggestion: String::new(),
        }
    }
    /// The same, with advice.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = suggestion.into();
        self
    }
    /// The same finding about the key below a prefix (`transforms.mask.`).
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        self.key.insert_str(0, prefix);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.problem)?;
        } else {
            write!(f, "{}: {}", self.key, self.problem)?;
        }
        if self.suggestion.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.suggestion)
        }
    }
}

/// Reads a config struct out of a flat map; keys that the struct does not have are ignored: they are the caller's to judge.
///
/// Placeholders must be resolved before. Every key is checked against its own shape first, so that all problems are reported, not the
/// first one; a problem that only the struct's own code can see (a pattern that does not compile) is reported alone.
pub fn read<T: DeserializeOwned + JsonSchema>(flat: &Flat) -> Result<T, Vec<Finding>> {
    let definition = Definition::of::<T>();
    let findings = definition.check_resolved(flat);
    if findings.is_empty() {
        flat::deserialize(flat, &definition).map_err(|finding| vec![finding])
    } else {
        Err(findings)
    }
}

#[cfg(test)]
mod tests;
