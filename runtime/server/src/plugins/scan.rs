//! Which files are plugins.

use super::{Folder, Unusable, folder::Pin};
use crate::settings::WorkerSettings;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Files that are looked at (I6).
const FILES_MAX: usize = 1_000;
/// Folders of Java plugins that are named (I6).
const FOLDERS_MAX: usize = 100;

/// What the folders hold.
#[derive(Default)]
pub(crate) struct Found {
    /// Plugins, as far as their names tell, with what they must be; each once, in order of their folders and names.
    pub(crate) files: Vec<(PathBuf, Option<Pin>)>,
    /// What is not looked into, and why.
    pub(crate) unusable: Vec<Unusable>,
    /// Folders that hold Java plugins: a `plugin.path` as it is used with Kafka Connect is no error.
    pub(crate) java: Vec<PathBuf>,
}

/// The .wasm files of `plugin.path`: entries, files of folders that are entries, and files of folders in those, as Kafka Connect looks for its
/// plugins; then the installed ones. Where a pin stands beside a file, it is told with it: who loads the
/// file checks it, on the bytes that it loads.
pub(crate) fn scan(settings: &WorkerSettings) -> Found {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    let mut add = |files: Vec<PathBuf>, pinned: bool, found: &mut Found| {
        for path in files {
            // One file by two ways is one plugin.
            let same = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if !seen.insert(same) {
                continue;
            }
            if found.files.len() >= FILES_MAX {
                found.unusable.push(Unusable {
                    problem: format!("there are {FILES_MAX} plugins already: it is left out"),
                    path,
                });
                return;
            }
            match Folder::pin(&path, pinned) {
                Ok(pin) => found.files.push((path, pin)),
                Err(problem) => found.unusable.push(Unusable { path, problem }),
            }
        }
    };
    for entry in &settings.plugins().path {
        let path = Path::new(entry);
        if path.is_dir() {
            // Those have their files in `lib` of a folder of their own at times.
            note_java(path, 2, &mut found.java);
            add(in_folder(path, 1), false, &mut found);
        } else if !path.exists() {
            found.unusable.push(Unusable {
                path: path.to_owned(),
                problem: "plugin.path names it, and it is not there".to_owned(),
            });
        } else if is_plugin(path) {
            add(vec![path.to_owned()], false, &mut found);
        } else if is_java(path) {
            found.java.push(path.to_owned());
        }
    }
    add(
        in_folder(&settings.installed_plugins(), 0),
        true,
        &mut found,
    );
    found
}

/// What is in a folder, in order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .take(FILES_MAX * 10)
        .collect();
    paths.sort();
    paths
}

/// The plugins of a folder, and of its folders `below` levels down.
fn in_folder(folder: &Path, below: usize) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(folder) {
        if path.is_dir() {
            if below > 0 {
                files.extend(in_folder(&path, below - 1));
            }
        } else if is_plugin(&path) {
            files.push(path);
        }
    }
    files
}

/// Notes a folder, and those `below` levels down, that hold Java plugins.
fn note_java(folder: &Path, below: usize, java: &mut Vec<PathBuf>) {
    if java.len() >= FOLDERS_MAX {
        return;
    }
    let paths = entries(folder);
    if paths.iter().any(|path| is_java(path)) {
        java.push(folder.to_owned());
    }
    if below > 0 {
        for path in paths.iter().filter(|path| path.is_dir()) {
            note_java(path, below - 1, java);
        }
    }
}

fn is_java(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ext| ext == "jar" || ext == "zip")
}

/// By its name; what begins with a dot is being written.
fn is_plugin(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|ext| ext == "wasm")
}
