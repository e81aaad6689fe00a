//! Reading a worker section whose values may stand elsewhere.

use super::{
    WorkerSettings,
    providers::{declares, providers},
};
use crate::settings::{Located, Section};
use longshore_engine::providers::{Placeholders, Resolved, Secrets};
use longshore_sdk::config::{Finding, Flat, holds_placeholder};

impl WorkerSettings {
    /// Resolves the section's placeholders and reads it, as a worker does. No finding holds a value that a placeholder stands for (I8), and no
    /// text of this process any of the section's secrets.
    pub(crate) fn read_resolved(section: &Section) -> Result<(Self, Vec<Located>), Vec<Located>> {
        remember(&section.config);
        let (placeholders, asked) = declared(section)?;
        let mut problems = Vec::new();
        // A literal placeholder as a password would be sent to the broker as it is.
        for finding in placeholders.undeclared(&asked) {
            problems.push(section.locate(finding));
        }
        let mut known = section.clone();
        for (key, text) in &asked {
            match value(&placeholders, key, text) {
                Ok(text) => drop(known.config.insert(key.clone(), text)),
                Err(finding) => problems.push(section.locate(finding)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        remember(&known.config);
        hidden(section, Self::read(&known))
    }
    /// The same where nothing will run: a value that cannot be resolved here is noted and taken on trust.
    pub(crate) fn read_offline(section: &Section) -> Result<(Self, Vec<Located>), Vec<Located>> {
        let (placeholders, asked) = declared(section)?;
        let undeclared = placeholders.undeclared(&asked).into_iter();
        let undeclared: Vec<Located> = undeclared.map(|finding| section.locate(finding)).collect();
        if !undeclared.is_empty() {
            return Err(undeclared);
        }
        let mut known = section.clone();
        let mut unknown = Vec::new();
        for (key, text) in &asked {
            match value(&placeholders, key, text) {
                Ok(text) => drop(known.config.insert(key.clone(), text)),
                Err(finding) => {
                    known.config.remove(key);
                    unknown.push(section.locate(finding));
                }
            }
        }
        let (settings, mut notes) = hidden(section, Self::read(&known))?;
        notes.extend(unknown);
        Ok((settings, notes))
    }
}

/// The section's providers, and its values that hold placeholders.
fn declared(section: &Section) -> Result<(Placeholders, Flat), Vec<Located>> {
    let placeholders = providers(&section.config).map_err(|found| {
        let found = found.into_iter();
        found
            .map(|finding| section.locate(finding))
            .collect::<Vec<_>>()
    })?;
    let asked = section.config.iter();
    let asked = asked.filter(|(key, text)| !declares(key) && holds_placeholder(text));
    let asked = asked
        .map(|(key, text)| (key.clone(), text.clone()))
        .collect();
    Ok((placeholders, asked))
}

fn value(placeholders: &Placeholders, key: &str, text: &str) -> Result<String, Finding> {
    let one = Flat::from([(key.to_owned(), text.to_owned())]);
    let Resolved {
        mut config,
        mut missing,
        ..
    } = placeholders
        .resolve(&one)
        .map_err(|error| Finding::new(key, error.message()))?;
    match missing.pop() {
        Some(missing) => Err(missing),
        None => Ok(config.remove(key).unwrap_or_default()),
    }
}

/// I8: from here on no log line, status or answer holds them, whoever writes it.
fn remember(config: &Flat) {
    let definition = WorkerSettings::definition();
    let mut secrets = Secrets::default();
    secrets.add_config(config, |key| definition.is_secret(key));
    secrets.remember();
}

/// Takes the problem's text from findings about resolved values: it may quote them.
fn hidden(
    section: &Section,
    outcome: Result<(WorkerSettings, Vec<Located>), Vec<Located>>,
) -> Result<(WorkerSettings, Vec<Located>), Vec<Located>> {
    let hide = |mut found: Vec<Located>| {
        for one in &mut found {
            let text = section.config.get(&one.finding.key);
            if text.is_some_and(|text| holds_placeholder(text)) {
                "what its placeholder stands for is not a value that this key takes"
                    .clone_into(&mut one.finding.problem);
                one.finding.suggestion.clear();
            }
        }
        found
    };
    outcome
        .map(|(settings, notes)| (settings, hide(notes)))
        .map_err(hide)
}
