//! Environment variables: `${env:PGPASSWORD}`.

use super::Provider;
use longshore_sdk::{Error, Result, config::Flat};
use std::{collections::BTreeSet, env::VarError};

/// A variable's name is the key; there is no path. Kafka's EnvVarConfigProvider.
pub struct EnvironmentProvider {
    allowed: fancy_regex::Regex,
}

impl EnvironmentProvider {
    /// Reads variables whose whole name matches the pattern. Err = it is not a regular expression.
    pub fn new(pattern: &str) -> Result<Self, fancy_regex::Error> {
        // Compiled alone first: an unbalanced bracket must not pair with ours.
        fancy_regex::Regex::new(pattern)?;
        let allowed = fancy_regex::Regex::new(&format!("^(?:{pattern})$"))?;
        Ok(Self { allowed })
    }
}

impl Provider for EnvironmentProvider {
    fn read(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Flat> {
        let wrong = |text: String| Err(Error::config("config", text));
        if !path.is_empty() {
            return wrong(format!(
                "an environment variable has no path, got {path}: write ${{env:NAME}}"
            ));
        }
        let mut found = Flat::new();
        for key in keys {
            if !self.allowed.is_match(key).unwrap_or(false) {
                return wrong(format!(
                    "the environment variable {key} is not allowed by param.allowlist.pattern"
                ));
            }
            match std::env::var(key) {
                Ok(value) => drop(found.insert((*key).to_owned(), value)),
                Err(VarError::NotPresent) => {}
                Err(VarError::NotUnicode(_)) => {
                    return wrong(format!("the environment variable {key} is not UTF-8 text"));
                }
            }
        }
        Ok(found)
    }
    fn place(&self, _: &str, key: &str) -> String {
        format!("the environment variable {key} is not set")
    }
}
