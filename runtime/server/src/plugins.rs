//! Plugins that come in files: where they are found, and what becomes of them. The registry of a worker is made here.

#[cfg_attr(
    not(feature = "wasm"),
    allow(dead_code, reason = "such a build installs nothing")
)]
mod folder;
#[cfg_attr(not(feature = "wasm"), path = "plugins/hostless.rs")]
mod host;
pub(crate) mod owner;
mod scan;

pub(crate) use folder::{Folder, Pin};
pub(crate) use scan::{Found, scan};

use crate::{bundle, settings::WorkerSettings};
use longshore_engine::registry::Registry;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Who needs plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A worker that starts: it must not wait for ever, and it tidies up what is compiled.
    Worker,
    /// Somebody at a terminal.
    Tool,
}

/// What a worker has.
pub(crate) struct Plugins {
    /// What can be used.
    pub(crate) registry: Arc<Registry>,
    /// Every file that holds a plugin.
    pub(crate) files: Vec<InFile>,
    /// What counts and shows for plugins, to be registered with the worker's metrics.
    pub(crate) metrics: Option<Collectors>,
}

/// Makes what a registry of metrics is given.
type Collectors = Box<dyn Fn() -> Box<dyn prometheus::core::Collector> + Send + Sync>;

/// What became of files.
#[derive(Default)]
struct Outcome {
    files: Vec<InFile>,
    unusable: Vec<Unusable>,
    metrics: Option<Collectors>,
}

/// A plugin that came in a file and is in use.
#[derive(Clone, Debug)]
pub(crate) struct InFile {
    pub(crate) name: String,
    pub(crate) version: String,
    /// source, sink or transform.
    pub(crate) kind: &'static str,
    pub(crate) sha256: String,
    pub(crate) path: PathBuf,
    pub(crate) grants: serde_json::Value,
}

/// A file that is no usable plugin.
#[derive(Clone, Debug)]
pub(crate) struct Unusable {
    pub(crate) path: PathBuf,
    /// Why, and what to do.
    pub(crate) problem: String,
}

/// What the worker's settings lead to: what is bundled, and the plugins of `plugin.path` and of the folder of installed ones. It blocks: what
/// was not compiled before is compiled. The same settings are answered with the same registry as long as the process lives: a plugin that is
/// installed meanwhile counts from the next start on.
pub(crate) fn of(settings: &WorkerSettings, whose: Whose) -> Arc<Plugins> {
    type Kept = Option<(String, Arc<Plugins>)>;
    static KEPT: Mutex<Kept> = Mutex::new(None);
    let key = format!("{:?} {:?}", settings.data_dir, settings.plugins());
    // Held while plugins are compiled: who asks at the same time waits, and does not compile them again.
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    match &*kept {
        Some((of, plugins)) if *of == key => Arc::clone(plugins),
        _ => {
            let plugins = Arc::new(gather(settings, whose));
            *kept = Some((key, Arc::clone(&plugins)));
            plugins
        }
    }
}

/// What is bundled, alone.
pub(crate) fn bundled() -> Arc<Registry> {
    Arc::new(bundle::registry())
}

fn gather(settings: &WorkerSettings, whose: Whose) -> Plugins {
    let Found {
        files,
        unusable,
        java,
    } = scan(settings);
    for folder in &java {
        tracing::warn!(
            folder = %folder.display(),
            "plugin.path leads to Java plugins (.jar, .zip): they are not loaded, .wasm files only"
        );
    }
    let mut registry = bundle::registry();
    let mut loaded = Outcome::default();
    if !files.is_empty() {
        loaded = host::load(&files, settings, whose, &mut registry);
    }
    let mut broken: Vec<&Unusable> = unusable.iter().chain(&loaded.unusable).collect();
    broken.sort_by_key(|unusable| file_name(&unusable.path));
    for unusable in broken {
        registry.note_broken(&file_name(&unusable.path), &unusable.problem);
    }
    Plugins {
        registry: Arc::new(registry),
        files: loaded.files,
        metrics: loaded.metrics,
    }
}

/// A file's name, for answers that everybody sees.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(feature = "wasm")]
pub(crate) use host::judge;

#[cfg(test)]
mod tests;
