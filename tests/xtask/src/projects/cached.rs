//! Components in Python and JavaScript, kept by a hash of what they are made of: to build one takes a minute.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The most bytes of compiled plugins that are kept; three sets of them.
const COMPILED_MAX: u64 = 2 << 30;

/// Where a project's component is kept: `NAME-HASH.wasm` in `folder`. The hash is of the names and contents of the project's files, which say the
/// versions of its tools, too. To be asked before the project is built.
pub(super) fn place(folder: &Path, project: &Path, name: &str) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    for file in files(project)? {
        let content =
            std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        file.strip_prefix(project)?.hash(&mut hasher);
        content.hash(&mut hasher);
    }
    Ok(folder.join(format!("{name}-{:016x}.wasm", hasher.finish())))
}

/// Keeps a component in its place, and no other of its name.
pub(super) fn keep(component: &Path, place: &Path, name: &str) -> Result<()> {
    let folder = place.parent().context("a place has no folder")?;
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let other = entry?.file_name().to_string_lossy().into_owned();
        let hash = other
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".wasm"));
        if hash.is_some_and(|hash| hash.len() == 16) {
            std::fs::remove_file(folder.join(other))?;
        }
    }
    // At once, for one that is cut would be taken for whole.
    let part = place.with_extension(format!("part-{}", std::process::id()));
    std::fs::copy(component, &part).with_context(|| format!("cannot write {}", part.display()))?;
    std::fs::rename(&part, place).with_context(|| format!("cannot write {}", place.display()))
}

/// Forgets what a worker compiled in earlier runs when it has become too much: nobody says which of it is still asked for.
pub(super) fn limit_compiled(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let mut bytes = 0;
    for file in files(folder)? {
        bytes += file.metadata()?.len();
    }
    if bytes > COMPILED_MAX {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Every file below a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_found_again_until_a_file_changes() {
        let folder = std::env::temp_dir().join(format!("longshore-cached-{}", std::process::id()));
        let (project, kept) = (folder.join("project"), folder.join("kept"));
        std::fs::create_dir_all(project.join("wit")).expect("a folder");
        std::fs::write(project.join("wit/a"), "one").expect("written");
        let one = place(&kept, &project, "x").expect("a place");
        assert_eq!(place(&kept, &project, "x").expect("a place"), one);
        keep(&project.join("wit/a"), &one, "x").expect("kept");
        keep(
            &project.join("wit/a"),
            &kept.join("x-y-0123456789abcdef.wasm"),
            "x-y",
        )
        .expect("kept");

        std::fs::rename(project.join("wit/a"), project.join("wit/b")).expect("renamed");
        let two = place(&kept, &project, "x").expect("a place");
        assert_ne!(two, one);
        keep(&project.join("wit/b"), &two, "x").expect("kept");
        assert_eq!(std::fs::read(&two).expect("there"), b"one");
        assert_eq!(
            files(&kept).expect("files").len(),
            2,
            "the former one is gone, another name's is not"
        );
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
