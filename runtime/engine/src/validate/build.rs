//! What only building a plugin tells: a pattern that does not compile, keys that exclude one another.

use super::Report;
use crate::{
    connector_config::{below, get, list},
    registry::Registry,
};
use longshore_sdk::{
    Error, Result,
    config::{Definition, Finding, Flat, holds_placeholder},
    converter::Part,
    erased::Define,
};

/// Builds, and throws away, every transform, predicate and converter of a config whose keys are each in order.
pub(super) fn check(config: &Flat, registry: &Registry, report: &mut Report) {
    for alias in list(config, "transforms") {
        let prefix = format!("transforms.{alias}.");
        let plugin = get(config, &format!("{prefix}type")).and_then(|class| {
            let version = get(config, &format!("{prefix}plugin.version"));
            registry.transform_at(class, version).ok()
        });
        if let Some(plugin) = plugin {
            let own = ["type", "predicate", "negate", "plugin.version"];
            one(
                config,
                &prefix,
                &own,
                &plugin.definition,
                |keys| (plugin.build)(keys).map(drop),
                report,
            );
        }
    }
    for alias in list(config, "predicates") {
        let prefix = format!("predicates.{alias}.");
        let plugin =
            get(config, &format!("{prefix}type")).and_then(|class| registry.predicate(class));
        if let Some(plugin) = plugin {
            one(
                config,
                &prefix,
                &["type", "plugin.version"],
                &plugin.definition,
                |keys| (plugin.build)(keys).map(drop),
                report,
            );
        }
    }
    for (key, part) in [
        ("key.converter", Part::Key),
        ("value.converter", Part::Value),
        ("header.converter", Part::Headers),
    ] {
        let headers = matches!(part, Part::Headers);
        let plugin = get(config, key).and_then(|class| registry.converter(class, headers));
        if let Some(plugin) = plugin {
            let prefix = format!("{key}.");
            one(
                config,
                &prefix,
                &["plugin.version"],
                &plugin.definition,
                |keys| (plugin.build)(keys, part).map(drop),
                report,
            );
        }
    }
}

fn one(
    config: &Flat,
    prefix: &str,
    framework: &[&str],
    definition: &Define,
    build: impl Fn(&Flat) -> Result<()>,
    report: &mut Report,
) {
    let mut keys = below(config, prefix);
    keys.retain(|key, _| !framework.contains(&key.as_str()));
    let told = report
        .findings
        .iter()
        .any(|finding| finding.key.starts_with(prefix));
    if told || keys.values().any(|value| holds_placeholder(value)) {
        return;
    }
    if let Err(error) = build(&keys) {
        let class = framework.first().copied().filter(|key| *key == "type");
        report.wrong(finding(&error, &definition(), class).below(prefix));
    }
}

/// Plugins say `key: problem`; what names no key of theirs is about the plugin as a whole.
fn finding(error: &Error, definition: &Definition, class: Option<&str>) -> Finding {
    let known = error
        .message()
        .split_once(": ")
        .filter(|(key, _)| definition.get(key).is_some());
    match known {
        Some((key, problem)) => Finding::new(key, problem),
        None => {
            let first = definition.keys.first().map(|key| key.name.as_str());
            Finding::new(class.or(first).unwrap_or_default(), error.message())
        }
    }
}
