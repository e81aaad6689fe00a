//! A build without a host for plugins in files.

use super::{Outcome, Pin, Unusable, Whose};
use crate::settings::WorkerSettings;
use longshore_engine::registry::Registry;
use std::path::PathBuf;

/// Takes none.
pub(super) fn load(
    files: &[(PathBuf, Option<Pin>)],
    _: &WorkerSettings,
    _: Whose,
    _: &mut Registry,
) -> Outcome {
    let unusable = files.iter().map(|(path, _)| Unusable {
        path: path.clone(),
        problem: "this build runs no WASM plugins".to_owned(),
    });
    Outcome {
        unusable: unusable.collect(),
        ..Outcome::default()
    }
}
