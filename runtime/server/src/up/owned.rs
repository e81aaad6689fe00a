//! Which connectors `up` created: only those does it delete when they vanish from the files.

use anyhow::{Context, Result};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// The names of the connectors that `up` created for one group of workers, kept on disk.
pub(crate) struct Owned {
    path: PathBuf,
    names: BTreeSet<String>,
}

impl Owned {
    /// Reads the list of `group` in the data folder; a missing file is an empty list.
    pub(crate) fn open(data: &Path, group: &str) -> Result<Self> {
        let safe: String = group
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-._".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let path = data.join(format!("up-{safe}.json"));
        let names = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!(
                    "{} is not a JSON list of names: remove it if it is damaged",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("{} could not be read", path.display()));
            }
        };
        Ok(Self { path, names })
    }
    /// The names, sorted.
    pub(crate) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }
    /// Notes a name before its connector is created: a crash in between must not leave one that nobody owns.
    pub(crate) fn add(&mut self, name: &str) -> Result<()> {
        if self.names.insert(name.to_owned()) {
            self.save()
        } else {
            Ok(())
        }
    }
    /// Forgets a name after its connector is deleted.
    pub(crate) fn remove(&mut self, name: &str) -> Result<()> {
        if self.names.remove(name) {
            self.save()
        } else {
            Ok(())
        }
    }

    /// Writes beside, syncs, renames, syncs the folder: the list is old or new, never torn.
    fn save(&self) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            let fresh = self.path.with_extension("json.new");
            let mut file = File::create(&fresh)?;
            file.write_all(&serde_json::to_vec(&self.names)?)?;
            file.sync_data()?;
            fs::rename(&fresh, &self.path)?;
            File::open(folder)?.sync_all()
        };
        write().with_context(|| format!("{} could not be written", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::Owned;

    #[test]
    fn names_survive_and_groups_are_apart() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut a = Owned::open(dir.path(), "a").expect("opens");
        a.add("orders").expect("saved");
        a.add("users").expect("saved");
        a.remove("users").expect("saved");
        let again = Owned::open(dir.path(), "a").expect("opens");
        assert_eq!(again.names().iter().collect::<Vec<_>>(), ["orders"]);
        assert!(
            Owned::open(dir.path(), "b/../a")
                .expect("opens")
                .names()
                .is_empty()
        );
    }
}
