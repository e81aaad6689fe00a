//! Reading a worker section whose values may stand elsewhere.

use super::{WorkerSettings, providers};
use crate::settings::{Located, Section};
use longshore_engine::worker::Placeholders;
use longshore_sdk::config::{Finding, Flat, holds_placeholder};

impl WorkerSettings {
    /// Resolves the section's placeholders and reads it, as a worker does. No finding holds a value that a placeholder stands for (I8).
    pub(crate) fn read_resolved(section: &Section) -> Result<(Self, Vec<Located>), Vec<Located>> {
        let placeholders = declared(section)?;
        let resolved = section.resolved(|text| value(&placeholders, text))?;
        hidden(section, Self::read(&resolved))
    }
    /// The same where nothing will run: a value that cannot be resolved here is noted and taken on trust.
    pub(crate) fn read_offline(section: &Section) -> Result<(Self, Vec<Located>), Vec<Located>> {
        let placeholders = declared(section)?;
        let mut known = section.clone();
        let mut unknown = Vec::new();
        known
            .config
            .retain(|key, text| match value(&placeholders, text) {
                Ok(_) => true,
                Err(problem) => {
                    unknown.push(section.locate(Finding::new(key, problem)));
                    false
                }
            });
        let resolved = known.resolved(|text| value(&placeholders, text))?;
        let (settings, mut notes) = hidden(section, Self::read(&resolved))?;
        notes.extend(unknown);
        Ok((settings, notes))
    }
}

fn declared(section: &Section) -> Result<Placeholders, Vec<Located>> {
    providers(&section.config).map_err(|found| {
        found
            .into_iter()
            .map(|finding| section.locate(finding))
            .collect()
    })
}

fn value(placeholders: &Placeholders, text: &str) -> Result<String, String> {
    let one = Flat::from([(String::new(), text.to_owned())]);
    let resolved = placeholders
        .resolve(&one)
        .map_err(|error| error.message().to_owned())?;
    Ok(resolved.into_values().next().unwrap_or_default())
}

/// Takes the problem's text from findings about resolved values: it may quote them.
fn hidden(
    section: &Section,
    outcome: Result<(WorkerSettings, Vec<Located>), Vec<Located>>,
) -> Result<(WorkerSettings, Vec<Located>), Vec<Located>> {
    let hide = |mut found: Vec<Located>| {
        for one in &mut found {
            if section
                .config
                .get(&one.finding.key)
                .is_some_and(|text| holds_placeholder(text))
            {
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
