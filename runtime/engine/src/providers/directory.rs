//! Values that are whole files, as Kubernetes mounts secrets: `${directory:/run/secrets/db:password}`.

use super::{Provider, Roots};
use longshore_sdk::{Error, Result, config::Flat};
use std::{collections::BTreeSet, path::Path};

/// A folder is the path, the name of a file in it the key. Kafka's DirectoryConfigProvider.
pub struct DirectoryProvider {
    roots: Roots,
}

impl DirectoryProvider {
    /// Reads files beneath these.
    pub fn new(roots: Roots) -> Self {
        Self { roots }
    }
}

impl Provider for DirectoryProvider {
    fn read(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Flat> {
        if path.is_empty() {
            let text = "a placeholder of a directory names the folder and the file: ${directory:/folder:file}";
            return Err(Error::config("config", text));
        }
        let mut found = Flat::new();
        for key in keys {
            if key.is_empty() || key.contains(['/', '\\']) || [".", ".."].contains(key) {
                return Err(Error::config(
                    "config",
                    format!("{key:?} is not the name of a file in {path}"),
                ));
            }
            let file = Path::new(path).join(key);
            let file = file.to_str().unwrap_or_default();
            if let Some(text) = self.roots.read(file)? {
                found.insert((*key).to_owned(), text);
            }
        }
        Ok(found)
    }
    fn place(&self, path: &str, key: &str) -> String {
        format!("the folder {path} has no file {key}")
    }
}
