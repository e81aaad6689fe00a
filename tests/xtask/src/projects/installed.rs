//! Plugins as operators bring them: some by `longshore plugin install`, with a pin, the others by `plugin.path`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The components that are installed: sinks. The others are for `plugin.path`.
pub(super) fn parted(components: &[PathBuf]) -> (Vec<&PathBuf>, Vec<&PathBuf>) {
    components
        .iter()
        .partition(|component| name_of(component).ends_with("-sink"))
}

/// `longshore plugin install` and what comes of it. `settings`: the worker's file.
pub(super) struct Installed<'a> {
    longshore: &'a Path,
    settings: &'a Path,
    /// Name and file of each.
    plugins: Vec<(String, PathBuf)>,
}

impl<'a> Installed<'a> {
    /// Installs each component, and sees it listed with its pin.
    pub(super) fn new(
        longshore: &'a Path,
        settings: &'a Path,
        components: &[&PathBuf],
    ) -> Result<Self> {
        let mut installed = Self {
            longshore,
            settings,
            plugins: Vec::new(),
        };
        for component in components {
            let file = component.to_string_lossy();
            let done = installed.json(&["install", &file])?;
            let name = name_of(component);
            ensure!(
                done["name"] == *name,
                "install of {name} says it is {}",
                done["name"]
            );
            let place = done["file"].as_str().context("it names no file")?;
            installed.plugins.push((name, PathBuf::from(place)));
        }
        let listed = installed.listed()?;
        for (name, place) in &installed.plugins {
            let pin = std::fs::read_to_string(place.with_extension("wasm.sha256"))
                .with_context(|| format!("{} has no pin", place.display()))?;
            let of = |one: &&Value| one["file"] == *place.to_string_lossy();
            let found = listed.iter().find(of);
            let shown = found.and_then(|one| one["sha256"].as_str());
            ensure!(
                shown.is_some_and(|shown| pin.contains(shown)),
                "plugin list shows {found:?} of {name}, whose pin is {pin}"
            );
        }
        Ok(installed)
    }
    /// Removes each, and sees that nothing of it stays.
    pub(super) fn remove(self) -> Result<()> {
        for (name, _) in &self.plugins {
            self.json(&["remove", name])?;
            let again = self.run(&["remove", name])?;
            ensure!(!again.status.success(), "{name} is removed twice");
        }
        let listed = self.listed()?;
        for (name, place) in &self.plugins {
            let known = listed.iter().find(|one| one["name"] == **name);
            ensure!(
                known.is_none() && !place.exists() && !place.with_extension("wasm.sha256").exists(),
                "{name} is removed, and still there: {known:?}"
            );
        }
        Ok(())
    }
    fn listed(&self) -> Result<Vec<Value>> {
        let list = self.json(&["list"])?;
        ensure!(
            list["broken"].as_array().is_some_and(Vec::is_empty),
            "plugin list finds broken files: {}",
            list["broken"]
        );
        list["plugins"]
            .as_array()
            .cloned()
            .context("plugin list shows no plugins")
    }
    fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.run(arguments)?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "longshore plugin {} ended with {}: {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&said)
            .with_context(|| format!("longshore plugin {} says {said}", arguments.join(" ")))
    }
    fn run(&self, arguments: &[&str]) -> Result<Output> {
        println!("== longshore plugin {}", arguments.join(" "));
        Command::new(self.longshore)
            .arg("plugin")
            .args(arguments)
            .args(["--json", "--worker"])
            .arg(self.settings)
            .stdin(Stdio::null())
            .output()
            .context("cannot run longshore")
    }
}

fn name_of(component: &Path) -> String {
    let name = component.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
