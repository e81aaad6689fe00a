//! A build without a host for plugins in files.

use super::{Outcome, Unusable};
use crate::settings::WorkerSettings;
use longshore_engine::registry::Registry;
use std::path::PathBuf;

/// Takes none.
pub(super) fn load(files: &[PathBuf], _: &WorkerSettings, _: &mut Registry) -> Outcome {
    let unusable = files.iter().map(|path| Unusable {
        path: path.clone(),
        problem: "this build runs no WASM plugins".to_owned(),
    });
    Outcome {
        unusable: unusable.collect(),
        ..Outcome::default()
    }
}
