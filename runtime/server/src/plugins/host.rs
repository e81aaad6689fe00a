//! Loading WASM components into the registry.

use super::{InFile, Outcome, Unusable, file_name};
use crate::settings::WorkerSettings;
use anyhow::{Result, anyhow};
use longshore_engine::registry::{Connector, Installed, PluginFile, Registry};
use longshore_wasm::{Broken, Loaded, Registered, services::Provisions};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Once},
};

/// Loads files into a registry that holds what is bundled.
pub(super) fn load(
    files: &[PathBuf],
    settings: &WorkerSettings,
    registry: &mut Registry,
) -> Outcome {
    let mut outcome = Outcome::default();
    let keys = settings.plugins();
    let provisions = match Provisions::new(keys.services()) {
        Ok(provisions) => provisions,
        Err(error) => {
            outcome.unusable = files
                .iter()
                .map(|path| Unusable {
                    path: path.clone(),
                    problem: error.message().to_owned(),
                })
                .collect();
            return outcome;
        }
    };
    tell_unkept(settings);
    let ceilings = keys.ceilings();
    let begun = std::time::Instant::now();
    let (loaded, broken) = longshore_wasm::load(files, &settings.wasm(), &provisions, &ceilings);
    for loaded in loaded {
        let grants = ceilings.of(loaded.name).describe();
        match install(&loaded, &grants, registry) {
            Ok(in_use) => outcome.files.push(in_use),
            Err(problem) => outcome.unusable.push(Unusable {
                path: loaded.path,
                problem,
            }),
        }
    }
    outcome.unusable.extend(broken.into_iter().map(unusable));
    tracing::info!(
        plugins = outcome.files.len(),
        broken = outcome.unusable.len(),
        ms = begun.elapsed().as_millis(),
        "plugins loaded"
    );
    let without = ceilings.plugins().filter(|name| {
        let used = outcome.files.iter().any(|file| file.name == *name);
        !used
    });
    for plugin in without {
        tracing::warn!(
            plugin,
            "longshore.wasm.grants names a plugin that is not there"
        );
    }
    let metrics = provisions.metrics().clone();
    outcome.metrics = Some(Box::new(move || Box::new(metrics.clone())));
    outcome
}

/// Once, on standard error: only tools keep nothing, and those do not log.
fn tell_unkept(settings: &WorkerSettings) {
    static TOLD: Once = Once::new();
    if let Some(why) = &settings.plugins().unkept {
        TOLD.call_once(|| eprintln!("warning: {why}"));
    }
}

fn unusable(broken: Broken) -> Unusable {
    let text = broken.error.message();
    // The file is named beside it.
    let named = format!("{}: ", broken.path.display());
    Unusable {
        problem: text.strip_prefix(&named).unwrap_or(text).to_owned(),
        path: broken.path,
    }
}

fn install(
    loaded: &Loaded,
    grants: &serde_json::Value,
    registry: &mut Registry,
) -> Result<InFile, String> {
    let installed = match &loaded.plugin {
        Registered::Source(source) => Installed::Connector(Connector::Source(Arc::clone(source))),
        Registered::Sink(sink) => Installed::Connector(Connector::Sink(Arc::clone(sink))),
        Registered::Transform(transform) => Installed::Transform(transform.clone()),
    };
    let from = PluginFile {
        file: file_name(&loaded.path),
        sha256: loaded.sha256.clone(),
        grants: grants.clone(),
    };
    registry.install(installed, from)?;
    Ok(InFile {
        name: loaded.name.to_owned(),
        version: loaded.version.to_owned(),
        kind: loaded.kind.name(),
        sha256: loaded.sha256.clone(),
        path: loaded.path.clone(),
        grants: grants.clone(),
    })
}

/// A plugin looked at alone.
pub(crate) struct Judged {
    pub(crate) file: InFile,
    pub(crate) loaded: Loaded,
}

/// Loads one file and says whether a worker with these settings would take it, beside what it has: `others` are left out of that.
pub(crate) fn judge(
    path: &Path,
    settings: &WorkerSettings,
    registry: &mut Registry,
) -> Result<Judged> {
    let keys = settings.plugins();
    let provisions =
        Provisions::new(keys.services()).map_err(|error| anyhow!("{}", error.message()))?;
    tell_unkept(settings);
    let files = [path.to_owned()];
    let ceilings = keys.ceilings();
    let (mut loaded, mut broken) =
        longshore_wasm::load(&files, &settings.wasm(), &provisions, &ceilings);
    if let Some(broken) = broken.pop() {
        return Err(anyhow!("{}", unusable(broken).problem));
    }
    let loaded = loaded.pop().ok_or_else(|| anyhow!("it is no plugin"))?;
    let grants = ceilings.of(loaded.name).describe();
    let file = install(&loaded, &grants, registry).map_err(|problem| anyhow!(problem))?;
    Ok(Judged { file, loaded })
}
