//! Loading WASM components into the registry.

use super::{InFile, Outcome, Pin, Unusable, Whose, file_name};
use crate::settings::WorkerSettings;
use anyhow::{Result, anyhow};
use longshore_engine::registry::{Connector, Installed, PluginFile, Registry};
use longshore_wasm::{Broken, Candidate, Loaded, Registered, services::Provisions};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Once},
    time::Duration,
};

/// Loads files into a registry that holds what is bundled.
pub(super) fn load(
    files: &[(PathBuf, Option<Pin>)],
    settings: &WorkerSettings,
    whose: Whose,
    registry: &mut Registry,
) -> Outcome {
    let mut outcome = Outcome::default();
    let keys = settings.plugins();
    let provisions = match Provisions::new(keys.services()) {
        Ok(provisions) => provisions,
        Err(error) => {
            outcome.unusable = files
                .iter()
                .map(|(path, _)| Unusable {
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
    let candidates: Vec<Candidate> = files.iter().cloned().map(candidate).collect();
    // Every plugin of the worker is looked for: what else is in the cache is nobody's.
    let settings = longshore_wasm::Settings {
        starting: whose == Whose::Worker,
        ..settings.wasm()
    };
    let (loaded, broken) = longshore_wasm::load(&candidates, &settings, &provisions, &ceilings);
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

fn candidate((path, pin): (PathBuf, Option<Pin>)) -> Candidate {
    let pin = pin.map(|Pin { sha256, written }| longshore_wasm::Pin { sha256, written });
    Candidate { path, pin }
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

/// How long a tool compiles one plugin, at least.
const TOOL_COMPILES: Duration = Duration::from_secs(600);

/// A plugin looked at alone.
pub(crate) struct Judged {
    pub(crate) file: InFile,
    pub(crate) loaded: Loaded,
}

/// Loads one file and says whether a worker with these settings would take it, beside what it has: `others` are left out of that. With a pin
/// it must be that very file.
pub(crate) fn judge(
    path: &Path,
    pin: Option<Pin>,
    settings: &WorkerSettings,
    registry: &mut Registry,
) -> Result<Judged> {
    let keys = settings.plugins();
    let provisions =
        Provisions::new(keys.services()).map_err(|error| anyhow!("{}", error.message()))?;
    tell_unkept(settings);
    let files = [candidate((path.to_owned(), pin))];
    let ceilings = keys.ceilings();
    let mut settings = settings.wasm();
    // Nobody but the one who asks for it waits.
    settings.limits.compile_timeout = settings.limits.compile_timeout.max(TOOL_COMPILES);
    let (mut loaded, mut broken) = longshore_wasm::load(&files, &settings, &provisions, &ceilings);
    if let Some(broken) = broken.pop() {
        return Err(anyhow!("{}", unusable(broken).problem));
    }
    let loaded = loaded.pop().ok_or_else(|| anyhow!("it is no plugin"))?;
    let grants = ceilings.of(loaded.name).describe();
    let file = install(&loaded, &grants, registry).map_err(|problem| anyhow!(problem))?;
    Ok(Judged { file, loaded })
}
