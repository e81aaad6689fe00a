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
    erased::{Define, TransformPlugin},
};
use tokio::time::Instant;

/// Builds, and throws away, every transform, predicate and converter of a config whose keys are each in order.
pub(super) fn check(config: &Flat, registry: &Registry, report: &mut Report) {
    for alias in list(config, "transforms") {
        let prefix = format!("transforms.{alias}.");
        if let Some(plugin) = transform(config, registry, &prefix) {
            one(
                config,
                &prefix,
                &OF_TRANSFORMS,
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

/// The framework's keys of a transform; the class comes first.
const OF_TRANSFORMS: [&str; 4] = ["type", "predicate", "negate", "plugin.version"];

/// The plugin that the keys below `prefix` name.
fn transform<'a>(
    config: &Flat,
    registry: &'a Registry,
    prefix: &str,
) -> Option<&'a TransformPlugin> {
    let class = get(config, &format!("{prefix}type"))?;
    let version = get(config, &format!("{prefix}plugin.version"));
    registry.transform_at(class, version).ok()
}

/// What the transforms of a config find when they look at what they need, one after the other, until then; `config` has no placeholders.
pub(crate) async fn live(config: &Flat, registry: &Registry, until: Instant) -> Vec<Finding> {
    let connector = get(config, "name").unwrap_or_default();
    let mut all = Vec::new();
    for alias in list(config, "transforms") {
        let prefix = format!("transforms.{alias}.");
        let Some(plugin) = transform(config, registry, &prefix) else {
            continue;
        };
        let mut keys = below(config, &prefix);
        keys.retain(|key, _| !OF_TRANSFORMS.contains(&key.as_str()));
        // What building tells was told.
        let Ok(mut built) = (plugin.build)(&keys) else {
            continue;
        };
        let Ok(found) = tokio::time::timeout_at(until, built.check(connector)).await else {
            let problem = "its check took too long, with the checks of those before it";
            all.push(Finding::new("type", problem).below(&prefix));
            break;
        };
        all.extend(found.into_iter().map(|mut found| {
            if found.key.is_empty() {
                "type".clone_into(&mut found.key);
            }
            found.below(&prefix)
        }));
    }
    all
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
