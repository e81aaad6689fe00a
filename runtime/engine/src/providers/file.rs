//! Values of properties files: `${file:/run/secrets/db.properties:password}`.

use super::{Provider, Roots, properties};
use longshore_sdk::{Error, Result, config::Flat};
use std::collections::BTreeSet;

/// A file is the path, one of its entries the key. Kafka's FileConfigProvider.
pub struct FileProvider {
    roots: Roots,
}

impl FileProvider {
    /// Reads files beneath these.
    pub fn new(roots: Roots) -> Self {
        Self { roots }
    }
}

impl Provider for FileProvider {
    fn read(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Flat> {
        let Some(text) = self.roots.read(path)? else {
            return Err(Error::config(
                "config",
                format!("the file {path} does not exist"),
            ));
        };
        let mut found = Flat::new();
        for line in properties::entries(&text) {
            // The problem's text would quote the file.
            let entry = line.map_err(|bad| {
                let text = format!(
                    "line {} of the file {path} holds a malformed \\u escape",
                    bad.line
                );
                Error::config("config", text)
            })?;
            if keys.contains(entry.key.as_str()) {
                found.insert(entry.key, entry.value);
            }
        }
        Ok(found)
    }
    fn place(&self, path: &str, key: &str) -> String {
        format!("the file {path} has no key {key}")
    }
}
