//! `longshore plugin new`: a project that builds into a plugin, made of files that this program carries.

mod files;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use files::File;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Rust,
    Python,
    Js,
}

/// What a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PluginKind {
    Source,
    Sink,
    Transform,
}

impl PluginKind {
    fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Transform => "transform",
        }
    }
}

/// The longest name of a plugin.
const NAME_MAX: usize = 64;

/// Makes the folder `NAME` in `parent` with a project that builds, and returns it. Errors: the name is no plugin's name, the folder exists,
/// it cannot be written; then nothing is left of it.
pub(crate) fn new(
    language: Language,
    kind: PluginKind,
    name: &str,
    parent: &Path,
) -> Result<PathBuf> {
    judge(name)?;
    let folder = parent.join(name);
    if let Err(error) = fs::create_dir(&folder) {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            bail!("{} exists: choose another name or folder", folder.display());
        }
        return Err(error).with_context(|| format!("cannot create {}", folder.display()));
    }
    for file in files::of(language, kind) {
        if let Err(error) = write(&folder, &file, language, kind, name) {
            // It was not there before.
            let _ = fs::remove_dir_all(&folder);
            return Err(error);
        }
    }
    Ok(folder)
}

/// The name is the crate's, the file's and what configs say.
fn judge(name: &str) -> Result<()> {
    let good = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-')
        && !name.ends_with('-')
        && !name.contains("--");
    if !good || name.len() > NAME_MAX {
        bail!(
            "`{name}` is no name for a plugin: lower case letters, digits and single hyphens, a letter first, at most {NAME_MAX} characters"
        );
    }
    if RESERVED.contains(&name) {
        bail!("`{name}` cannot be the name of a crate or module: choose another");
    }
    Ok(())
}

/// Names that cargo or a language keeps for itself.
const RESERVED: [&str; 12] = [
    "test",
    "core",
    "std",
    "alloc",
    "proc-macro",
    "longshore",
    "longshore-guest",
    "serde",
    "schemars",
    "serde-json",
    "build",
    "self",
];

fn write(
    folder: &Path,
    file: &File,
    language: Language,
    kind: PluginKind,
    name: &str,
) -> Result<()> {
    let path = folder.join(file.path);
    let text = if file.filled {
        filled(file.text, language, kind, name)
    } else {
        file.text.to_owned()
    };
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&path, text))
        .and_then(|()| runnable(&path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// The text with the project's own words in their places.
fn filled(text: &str, language: Language, kind: PluginKind, name: &str) -> String {
    let (class, class_version) = match kind {
        PluginKind::Source | PluginKind::Sink => ("connector.class", "connector.plugin.version"),
        PluginKind::Transform => ("transforms.X.type", "transforms.X.plugin.version"),
    };
    let (shown, file) = match language {
        Language::Rust => ("Rust", "src/lib.rs"),
        Language::Python => ("Python", "app.py"),
        Language::Js => ("JavaScript", "app.js"),
    };
    text.replace("{name}", name)
        .replace("{crate}", &name.replace('-', "_"))
        .replace("{kind}", kind.name())
        .replace("{class}", class)
        .replace("{class_version}", class_version)
        .replace("{language}", shown)
        .replace("{file}", file)
}

#[cfg(unix)]
fn runnable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if path.extension().is_some_and(|extension| extension == "sh") {
        let mut rights = fs::metadata(path)?.permissions();
        // Whoever may read it may run it.
        rights.set_mode(rights.mode() | ((rights.mode() & 0o444) >> 2));
        fs::set_permissions(path, rights)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn runnable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
