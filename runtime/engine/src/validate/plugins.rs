//! Transforms, predicates and converters of a config.

use super::{Report, absent, stands_in};
use crate::{
    connector_config::{below, get, list},
    registry::{Missing, PluginKind, Registry, Requirement},
};
use longshore_sdk::{
    Plugin,
    config::{Definition, Finding, Flat, Key, KeyType},
};

/// Checks them all. What is to be shown with the config goes into the report's definition; what may be given besides is returned.
pub(super) fn check(
    config: &Flat,
    registry: &Registry,
    worker: &Flat,
    report: &mut Report,
) -> Definition {
    let predicates = list(config, "predicates");
    for alias in repeated(&list(config, "transforms")) {
        report.wrong(Finding::new(
            "transforms",
            format!("Duplicate alias provided: {alias}"),
        ));
    }
    for alias in list(config, "transforms") {
        transform(config, registry, alias, &predicates, report);
    }
    for alias in predicates {
        predicate(config, registry, alias, report);
    }
    let mut known = Definition::default();
    for (key, headers) in [
        ("key.converter", false),
        ("value.converter", false),
        ("header.converter", true),
    ] {
        known = known.and(converter(config, registry, worker, key, headers, report));
    }
    known
}

fn repeated<'a>(aliases: &[&'a str]) -> Vec<&'a str> {
    let seen_before = |at: usize| aliases[..at].contains(&aliases[at]);
    let places = 0..aliases.len();
    places
        .filter(|at| seen_before(*at))
        .map(|at| aliases[at])
        .collect()
}

fn transform(
    config: &Flat,
    registry: &Registry,
    alias: &str,
    predicates: &[&str],
    report: &mut Report,
) {
    let prefix = format!("transforms.{alias}.");
    let group = format!("Transforms: {alias}");
    let mut keys = vec![
        framework_key(
            &prefix,
            "type",
            KeyType::Class,
            &group,
            "The transform's class.",
        ),
        framework_key(
            &prefix,
            "predicate",
            KeyType::String,
            &group,
            "The alias of the predicate that chooses the records it sees.",
        ),
        framework_key(
            &prefix,
            "negate",
            KeyType::Boolean,
            &group,
            "Whether it sees the records that the predicate does not choose.",
        ),
    ];
    keys[2].default = Some("false".to_owned());
    keys.push(version_key(&prefix, &group));
    let (type_key, version_key) = (format!("{prefix}type"), keys[3].name.clone());
    let plugin = class(config, &type_key, report).and_then(|class| {
        let found = registry.transform_at(class, get(config, &version_key));
        let kind = PluginKind::Transformation;
        if let Err(missing) = &found {
            let class = (type_key.as_str(), class);
            report.wrong(absent(registry, kind, class, &version_key, missing));
        }
        let found = found.ok()?;
        let odd = stands_in(found.plugin, config, &version_key);
        report.warnings.extend(odd);
        Some((found.plugin, (found.definition)()))
    });
    if let Some(wanted) = get(config, &format!("{prefix}predicate"))
        && !predicates.contains(&wanted)
    {
        let finding = Finding::new(
            format!("{prefix}predicate"),
            format!("there is no predicate {wanted}"),
        );
        report.wrong(finding.suggest(format!("add {wanted} to predicates")));
    }
    if let Some(negate) = get(config, &format!("{prefix}negate"))
        && !["true", "false"].contains(&negate.to_ascii_lowercase().as_str())
    {
        report.wrong(Finding::new(
            format!("{prefix}negate"),
            "expected true or false",
        ));
    }
    let own = own_keys(
        config,
        &prefix,
        plugin,
        &["type", "predicate", "negate", "plugin.version"],
        report,
    );
    add(report, keys, own.below(&prefix), &group);
}

fn predicate(config: &Flat, registry: &Registry, alias: &str, report: &mut Report) {
    let prefix = format!("predicates.{alias}.");
    let group = format!("Predicates: {alias}");
    let type_key = format!("{prefix}type");
    let plugin = class(config, &type_key, report).and_then(|class| {
        let version_key = format!("{prefix}plugin.version");
        let found = registry.predicate(class).ok_or(Missing::Name);
        let found = found.and_then(|found| {
            readable(get(config, &version_key))?;
            Ok(found)
        });
        if let Err(missing) = &found {
            let (kind, class) = (PluginKind::Predicate, (type_key.as_str(), class));
            report.wrong(absent(registry, kind, class, &version_key, missing));
        }
        let found = found.ok()?;
        let odd = stands_in(found.plugin, config, &version_key);
        report.warnings.extend(odd);
        Some((found.plugin, (found.definition)()))
    });
    let framework = ["type", "plugin.version"];
    let own = own_keys(config, &prefix, plugin, &framework, report);
    let about = "The predicate's class.";
    let keys = vec![
        framework_key(&prefix, "type", KeyType::Class, &group, about),
        version_key(&prefix, &group),
    ];
    add(report, keys, own.below(&prefix), &group);
}

/// A converter's own keys, if the config names it; the worker's converter keeps the worker's keys.
fn converter(
    config: &Flat,
    registry: &Registry,
    worker: &Flat,
    key: &str,
    headers: bool,
    report: &mut Report,
) -> Definition {
    let prefix = format!("{key}.");
    let Some(class) = get(config, key) else {
        for name in below(config, &prefix).into_keys() {
            let own = get(worker, key).unwrap_or("the worker's converter");
            let finding = Finding::new(
                format!("{prefix}{name}"),
                format!("has no effect without {key}"),
            );
            report.warnings.push(finding.suggest(format!(
                "{own} is used as the worker configures it: set {key}, too"
            )));
        }
        return open(&prefix);
    };
    let version_key = format!("{prefix}plugin.version");
    let found = registry.converter(class, headers).ok_or(Missing::Name);
    let found = found.and_then(|found| {
        readable(get(config, &version_key))?;
        Ok(found)
    });
    let found = match found {
        Ok(found) => found,
        Err(missing) => {
            let kind = if headers {
                PluginKind::HeaderConverter
            } else {
                PluginKind::Converter
            };
            report.wrong(absent(registry, kind, (key, class), &version_key, &missing));
            return open(&prefix);
        }
    };
    let odd = stands_in(found.plugin, config, &version_key);
    report.warnings.extend(odd);
    own_keys(
        config,
        &prefix,
        Some((found.plugin, (found.definition)())),
        &["plugin.version"],
        report,
    )
    .and(Definition {
        keys: vec![Key::new("plugin.version")],
    })
    .below(&prefix)
}

/// Predicates and converters are all bundled: what is asked for has to be a version, and no more.
fn readable(version: Option<&str>) -> Result<(), Missing> {
    let read = Requirement::read(version);
    read.map(drop).map_err(Missing::Requirement)
}

/// A plugin's definition, after its keys were checked; if the plugin is not known, anything may stand there.
fn own_keys(
    config: &Flat,
    prefix: &str,
    plugin: Option<(Plugin, Definition)>,
    framework: &[&str],
    report: &mut Report,
) -> Definition {
    let Some((plugin, definition)) = plugin else {
        return open("");
    };
    let mut own = below(config, prefix);
    own.retain(|key, _| !framework.contains(&key.as_str()));
    let unsupported = plugin
        .unsupported
        .iter()
        .filter(|key| own.contains_key(**key));
    for key in unsupported {
        report.wrong(
            Finding::new(*key, "not supported")
                .suggest("remove it")
                .below(prefix),
        );
    }
    let findings = definition.check(&own).into_iter();
    report
        .findings
        .extend(findings.map(|finding| finding.below(prefix)));
    definition
}

/// Every key below a prefix, which may be put in front later.
fn open(prefix: &str) -> Definition {
    Definition {
        keys: vec![Key::new(prefix)],
    }
}

fn class<'a>(config: &'a Flat, key: &str, report: &mut Report) -> Option<&'a str> {
    let class = get(config, key);
    if class.is_none() {
        report.wrong(Finding::new(key, "required, but missing").suggest("name the plugin's class"));
    }
    class
}

fn framework_key(prefix: &str, name: &str, kind: KeyType, group: &str, documentation: &str) -> Key {
    let mut key = Key::new(format!("{prefix}{name}"));
    key.kind = kind;
    key.required = name == "type";
    key.group = Some(group.to_owned());
    key.documentation = documentation.to_owned();
    key
}

fn version_key(prefix: &str, group: &str) -> Key {
    let about = "The version that is used, or a range of versions such as [1.0,2.0); without it the newest.";
    framework_key(prefix, "plugin.version", KeyType::String, group, about)
}

fn add(report: &mut Report, framework: Vec<Key>, mut own: Definition, group: &str) {
    for key in &mut own.keys {
        key.group = Some(group.to_owned());
    }
    let mut keys = framework;
    keys.extend(own.keys);
    for (order, key) in (1..).zip(&mut keys) {
        key.order = order;
    }
    report.definition = std::mem::take(&mut report.definition).and(Definition { keys });
}
