//! `longshore lint`: settings files checked offline.

use super::screen;
use crate::{
    plugins,
    settings::{self, Located, Section, Settings, WorkerSettings},
};
use longshore_engine::{
    guarantee::SourceSupport,
    providers::{Placeholders, scrub},
    validate::{self, Overrides},
};
use longshore_sdk::config::{Flat, UnknownKeys};
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

/// Checks files. True if nothing is wrong.
pub(crate) fn run(files: &[PathBuf], json: bool) -> bool {
    let (errors, warnings) = match Settings::read(files) {
        Ok(settings) => check(&settings),
        Err(errors) => (errors, Vec::new()),
    };
    if json {
        let listed = |found: &[Located], level: &str| {
            found
                .iter()
                .map(|one| as_json(one, level))
                .collect::<Vec<Value>>()
        };
        screen::json(&Value::Array(
            [listed(&errors, "error"), listed(&warnings, "warning")].concat(),
        ));
    } else {
        print(&warnings, true);
        print(&errors, false);
        if errors.is_empty() {
            screen::line("nothing is wrong");
        }
    }
    errors.is_empty()
}

/// Errors and warnings of everything in the files, at their places.
pub(crate) fn check(settings: &Settings) -> (Vec<Located>, Vec<Located>) {
    let empty = Section::empty();
    let section = settings.worker.as_ref().unwrap_or(&empty);
    let (mut errors, mut warnings) = (Vec::new(), settings.notes.clone());
    let mut converters = Flat::new();
    let mut unknown = UnknownKeys::Refuse;
    let mut overrides = Overrides::default();
    let mut placeholders = Placeholders::none();
    let mut support = SourceSupport::Possible;
    let mut registry = None;
    match WorkerSettings::read_offline(section) {
        Ok((mut worker, notes)) => {
            worker.leave_to_its_user();
            warnings.extend(notes);
            overrides = worker.overrides();
            placeholders = worker.placeholders.clone();
            converters = worker.converters();
            unknown = worker.unknown_keys();
            support = worker.source_support();
            registry = Some(Arc::clone(
                &plugins::of(&worker, plugins::Whose::Tool).registry,
            ));
        }
        Err(problems) => errors.extend(problems),
    }
    let registry = registry.unwrap_or_else(plugins::bundled);
    let judge = |config: &Flat| {
        let report = validate::check(config, &registry, &converters, unknown, &overrides, support);
        let mut warnings = report.warnings;
        warnings.extend(placeholders.undeclared(config));
        (report.findings, warnings)
    };
    let (wrong, odd) = settings::lint(settings.connectors.values(), judge);
    errors.extend(wrong);
    warnings.extend(odd);
    (errors, warnings)
}

/// Prints findings to standard error, a line each.
pub(crate) fn print(found: &[Located], warnings: bool) {
    for one in found {
        // I8: not that one should hold a secret.
        let one = one.to_string();
        let one = scrub(&one);
        if warnings {
            eprintln!("warning: {one}");
        } else {
            eprintln!("error: {one}");
        }
    }
}

fn as_json(found: &Located, level: &str) -> Value {
    json!({
        "level": level,
        "file": &*found.place.file,
        "line": found.place.line,
        "column": found.place.column,
        "key": found.finding.key,
        "problem": found.finding.problem,
        "suggestion": found.finding.suggestion,
    })
}
