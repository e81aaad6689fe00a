//! `cargo xtask guests`: every plugin of the repository as a component, in one folder.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cargo;

/// Folders that are a guest crate or workspace, or hold some.
const ROOMS: [&str; 2] = ["plugins/examples", "plugins/wasm/guests"];
/// Finds or fetches the Rust toolchain for guests; users build with it, too.
const BUILD: &str = "plugins/guest/build.sh";

/// Builds every guest and prints the folder of the components.
pub(crate) fn guests() -> Result<()> {
    println!("{}", built()?.display());
    Ok(())
}

/// The folder of the components, `<target directory>/guests`: one file for each guest crate, named after it, and no other.
/// Quick when nothing changed. Two runs at once wait for one another.
pub(crate) fn built() -> Result<PathBuf> {
    let folder = target_directory()?.join("guests");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let mut names = BTreeSet::new();
    for workspace in workspaces()? {
        for artifact in build(&workspace)? {
            let name = component_name(&artifact)?;
            place(&artifact, &folder.join(&name))?;
            if !names.insert(name.clone()) {
                bail!("two guests are called {name}");
            }
        }
    }
    // What is no guest any more must not be tested any more.
    for entry in std::fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".wasm") && !names.contains(&name) {
            std::fs::remove_file(folder.join(name))?;
        }
    }
    Ok(folder)
}

/// A cargo command on a guest workspace for this machine, not for WASM: lints and unit tests.
pub(crate) fn native(command: &str, manifest: &str) -> Result<Command> {
    let mut native = cargo([command, "--manifest-path", manifest]);
    native.env("CARGO_TARGET_DIR", build_directory()?);
    Ok(native)
}

/// The manifests of the guest SDK and of every guest workspace.
pub(crate) fn manifests() -> Result<Vec<String>> {
    let folders = [PathBuf::from("plugins/guest")]
        .into_iter()
        .chain(workspaces()?);
    let manifests = folders.map(|folder| folder.join("Cargo.toml").to_string_lossy().into_owned());
    Ok(manifests.collect())
}

/// The folders where cargo is run: a room with a manifest, else its folders that have one.
fn workspaces() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for room in ROOMS.iter().map(Path::new) {
        if room.join("Cargo.toml").is_file() {
            found.push(room.to_path_buf());
        } else if room.is_dir() {
            for entry in std::fs::read_dir(room)? {
                let folder = entry?.path();
                if folder.join("Cargo.toml").is_file() {
                    found.push(folder);
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Builds a workspace and says which components cargo made.
fn build(workspace: &Path) -> Result<Vec<PathBuf>> {
    println!("== {BUILD} in {}", workspace.display());
    let mut child = Command::new(std::path::absolute(BUILD)?)
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", build_directory()?)
        .env("LONGSHORE_GUEST_TOOLCHAIN", toolchain_directory()?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {BUILD}"))?;
    let messages = child.stdout.take().context("cargo has no output")?;
    let mut components = Vec::new();
    for line in BufReader::new(messages).lines() {
        if let Ok(message) = serde_json::from_str::<Value>(&line?) {
            components.extend(component(&message));
        }
    }
    if !child.wait()?.success() {
        bail!("the guests in {} do not build", workspace.display());
    }
    Ok(components)
}

fn component(message: &Value) -> Option<PathBuf> {
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let mut files = message["filenames"].as_array()?.iter();
    files
        .find_map(|file| file.as_str().filter(|file| file.ends_with(".wasm")))
        .map(PathBuf::from)
}

/// `http_source.wasm`, as cargo calls it, is `http-source.wasm`, as its crate is called.
fn component_name(artifact: &Path) -> Result<String> {
    let name = artifact
        .file_name()
        .context("an artifact has no file name")?;
    Ok(name.to_string_lossy().replace('_', "-"))
}

/// Puts a component into its place at once; one that did not change keeps its time of change.
fn place(artifact: &Path, to: &Path) -> Result<()> {
    let fresh =
        std::fs::read(artifact).with_context(|| format!("cannot read {}", artifact.display()))?;
    if std::fs::read(to).is_ok_and(|old| old == fresh) {
        return Ok(());
    }
    let temporary = to.with_extension(format!("part-{}", std::process::id()));
    std::fs::write(&temporary, fresh)
        .with_context(|| format!("cannot write {}", temporary.display()))?;
    std::fs::rename(&temporary, to).with_context(|| format!("cannot write {}", to.display()))
}

pub(crate) fn target_directory() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(std::path::absolute(target)?)
}

/// Where guests are built: one folder for all, so that what they share is built once; not the main one, whose lock a test run may hold.
pub(crate) fn build_directory() -> Result<PathBuf> {
    Ok(target_directory()?.join("guests-build"))
}

/// Beside the other things that tests fetch.
pub(crate) fn toolchain_directory() -> Result<PathBuf> {
    Ok(cache()?.join("servers").join("guest-toolchain"))
}

/// Components that take long to build, by a hash of what they are made of.
pub(crate) fn kept_directory() -> Result<PathBuf> {
    Ok(cache()?.join("guest-components"))
}

/// Below CARGO_TARGET_DIR, or in the user's cache, where things survive a fresh clone.
fn cache() -> Result<PathBuf> {
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        Ok(std::path::absolute(target)?)
    } else {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let base = set("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
        Ok(base
            .context("no cache folder: set CARGO_TARGET_DIR or HOME")?
            .join("longshore"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn components_are_found_among_cargos_messages_and_named_after_their_crates() {
        let made = json!({"reason": "compiler-artifact", "filenames": ["/t/libx.rlib", "/t/http_source.wasm"]});
        let path = component(&made).expect("a component");
        assert_eq!(component_name(&path).expect("a name"), "http-source.wasm");
        let library = json!({"reason": "compiler-artifact", "filenames": ["/t/libserde.rlib"]});
        assert_eq!(component(&library), None);
        assert_eq!(
            component(&json!({"reason": "build-finished", "success": true})),
            None
        );
    }

    #[test]
    fn a_component_that_did_not_change_keeps_its_time() {
        let folder = std::env::temp_dir().join(format!("longshore-guests-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (from, to) = (folder.join("a_b.wasm"), folder.join("a-b.wasm"));
        std::fs::write(&from, b"one").expect("written");
        place(&from, &to).expect("placed");
        let before = std::fs::metadata(&to).expect("there").modified().ok();
        place(&from, &to).expect("placed again");
        assert_eq!(
            std::fs::metadata(&to).expect("there").modified().ok(),
            before
        );
        std::fs::write(&from, b"two").expect("written");
        place(&from, &to).expect("replaced");
        assert_eq!(std::fs::read(&to).expect("there"), b"two");
        assert_eq!(
            std::fs::read_dir(&folder).expect("a folder").count(),
            2,
            "nothing temporary stays"
        );
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
