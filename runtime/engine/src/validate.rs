//! Checks a config against everything that will read it: the framework, the connector, its transforms, predicates and converters. Pure:
//! it asks no system, and knows nothing of REST.

mod build;
mod overrides;
mod plugins;
mod text;

use crate::{
    connector_config::{self, get, list, topic_creation_whole as whole},
    guarantee::{self, SourceSupport},
    providers::{Resolved, hide_inside},
    registry::{Connector, Missing, PluginKind, Registry, only},
};
pub(crate) use build::live;
pub use longshore_sdk::config::UnknownKeys;
use longshore_sdk::{
    Direction, Plugin,
    config::{Definition, Finding, Flat, Key, info::ConfigInfos},
};
pub use overrides::{ClientKeys, OverridePolicy, Overrides};

/// The outcome of a check.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is wrong: the config must not be used.
    pub findings: Vec<Finding>,
    /// What is odd.
    pub warnings: Vec<Finding>,
    /// The keys that may be given.
    definition: Definition,
    /// The values that placeholders stand for, for those of the findings that are about them.
    resolved: Flat,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }
    /// The findings in the words that tools know from Kafka Connect, where it has any.
    pub fn texts(&self, config: &Flat) -> Vec<String> {
        let findings = self.findings.iter();
        findings.map(|finding| self.text(finding, config)).collect()
    }
    /// The answer to `PUT /connector-plugins/x/config/validate`.
    pub fn infos(&self, name: &str, config: &Flat) -> ConfigInfos {
        let mut infos = self.definition.infos(name, config, &self.findings);
        for info in &mut infos.configs {
            let about = self.findings.iter();
            let about = about.filter(|finding| finding.key == info.value.name);
            info.value.errors = about.map(|finding| self.text(finding, config)).collect();
            let value = info.value.value.take();
            // I8: a URL is no password, and may hold one.
            info.value.value = value.map(|value| hide_inside(&value));
        }
        infos
    }
    /// Adds what is wrong with the values that placeholders stand for; `config` is the config as it was written. The findings show none of
    /// these values (I8).
    pub fn add_resolved(&mut self, config: &Flat, judged: Self, resolved: &Resolved) {
        for mut finding in judged.findings {
            let Some(text) = config.get(&finding.key) else {
                continue;
            };
            let Some(value) = resolved
                .config
                .get(&finding.key)
                .filter(|value| *value != text)
            else {
                continue;
            };
            let problem = finding.problem.split(", got ").next().unwrap_or_default();
            finding.problem = format!(
                "what its placeholder stands for does not fit: {}",
                resolved.secrets.hide_text(problem)
            );
            finding.suggestion = resolved.secrets.hide_text(&finding.suggestion);
            self.resolved.insert(finding.key.clone(), value.clone());
            self.wrong(finding);
        }
    }
    fn text(&self, finding: &Finding, config: &Flat) -> String {
        match self.resolved.get(&finding.key) {
            Some(value) => text::of_hidden(finding, &self.definition, value),
            None => text::of(finding, &self.definition, config),
        }
    }
    fn wrong_unless_told(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            if !is_told(&finding, &self.findings) {
                self.findings.push(finding);
            }
        }
    }
    fn wrong(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

/// Checks a connector's config as it was written: values with placeholders are taken on trust. `worker` holds the worker's converters.
/// `overrides` says which client settings it may override, `exactly_once` what the worker gives its sources.
pub fn check(
    config: &Flat,
    registry: &Registry,
    worker: &Flat,
    unknown: UnknownKeys,
    overrides: &Overrides,
    exactly_once: SourceSupport,
) -> Report {
    let (mut report, known) = judge(config, registry, worker, overrides);
    if let Ok(connector) = registry.connector_of(config) {
        let refused = guarantee::refused(connector, config, exactly_once);
        report.wrong_unless_told(refused.into_iter().collect());
    }
    if let Some(known) = known {
        check_unknown(config, &known, unknown, &mut report);
    }
    report
}

/// Every key that a config may have, by which its secrets are told; none where its class is not known.
pub fn definition(config: &Flat, registry: &Registry) -> Definition {
    // A version that is not here: the newest one knows best what is secret (I8).
    let newest = || registry.connector(get(config, "connector.class")?);
    let Some(connector) = registry.connector_of(config).ok().or_else(newest) else {
        return Definition::default();
    };
    let mut report = Report {
        definition: framework(connector.direction()),
        ..Report::default()
    };
    let known = plugins::check(config, registry, &Flat::new(), &mut report);
    report.definition.and(connector.definition()).and(known)
}

/// The findings about values, and the keys that may be given if the connector's class is known.
fn judge(
    config: &Flat,
    registry: &Registry,
    worker: &Flat,
    overrides: &Overrides,
) -> (Report, Option<Definition>) {
    let mut report = Report::default();
    let connector = match get(config, "connector.class") {
        None => {
            report.wrong(Finding::new("connector.class", "required, but missing"));
            None
        }
        Some(class) => {
            let found = registry.connector_of(config);
            let version = "connector.plugin.version";
            match &found {
                Err(missing) => {
                    let (kind, key) = (PluginKind::Source, "connector.class");
                    report.wrong(absent(registry, kind, (key, class), version, missing));
                }
                Ok(found) => {
                    let odd = stands_in(found.plugin(), config, version);
                    report.warnings.extend(odd);
                }
            }
            found.ok()
        }
    };
    check_name(config, &mut report);
    let Some(connector) = connector else {
        return (report, None);
    };
    let mut framework = framework(connector.direction());
    let own = connector.definition();
    report.wrong_unless_told(framework.check(config));
    let version = framework
        .keys
        .iter_mut()
        .find(|key| key.name == "connector.plugin.version");
    if let Some(key) = version {
        let versions = registry.versions(connector.plugin().name).into_iter();
        key.recommended = versions.map(str::to_owned).collect();
    }
    report.definition = framework;
    if connector.direction() == Direction::Sink {
        check_topics(config, &mut report);
    }
    refuse_unsupported(config, connector, &mut report);
    report.wrong_unless_told(overrides::check(config, overrides));
    let known = plugins::check(config, registry, worker, &mut report);
    build::check(config, registry, &mut report);
    report.wrong_unless_told(own.check(config));
    report.definition = std::mem::take(&mut report.definition).and(own);
    let known = report.definition.clone().and(known);
    (report, Some(known))
}

/// The framework's keys of a connector of this direction.
pub fn framework(direction: Direction) -> Definition {
    match direction {
        Direction::Source => connector_config::source(),
        Direction::Sink => connector_config::sink(),
    }
}

/// What is wrong with a connector's name; `None` = nothing. Names that could not be addressed by REST are refused.
pub fn bad_name(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return Some("Invalid value  for configuration name: String may not be empty".to_owned());
    }
    let control: Vec<String> = name
        .chars()
        .filter(|char| char.is_control())
        .map(|char| u32::from(char).to_string())
        .collect();
    if !control.is_empty() {
        let chars = control.join(", ");
        return Some(format!(
            "Invalid value {name} for configuration name: String may not contain control sequences but had the following ASCII chars: {chars}"
        ));
    }
    if name.contains(['/', '%', '\\']) {
        return Some(format!(
            "Invalid value {name} for configuration name: String may not contain '/', '%' or '\\': such a connector could not be addressed"
        ));
    }
    (name.len() > NAME_MAX).then(|| {
        format!(
            "Invalid value for configuration name: String may not be longer than {NAME_MAX} bytes"
        )
    })
}

/// The longest name of a connector (I6).
const NAME_MAX: usize = 1024;

fn check_name(config: &Flat, report: &mut Report) {
    match config.get("name") {
        // The framework's definition reports it.
        None => {}
        Some(name) => {
            if let Some(problem) = bad_name(name) {
                report.wrong(Finding::new("name", problem));
            }
        }
    }
}

fn is_told(finding: &Finding, told: &[Finding]) -> bool {
    told.iter().any(|other| other.key == finding.key)
}

/// The warning about a version that is not there, of a plugin that is bundled: it runs all the same.
pub(crate) fn stands_in(plugin: Plugin, config: &Flat, version_key: &str) -> Option<Finding> {
    let missing = only(plugin, get(config, version_key)).err()?;
    let here = plugin.version;
    let problem = format!("{missing}: {here}, which is part of Longshore, is used");
    Some(Finding::new(version_key, problem).suggest("remove it"))
}

/// The finding about a class, or about the key that asks for a version of it.
pub(super) fn absent(
    registry: &Registry,
    kind: PluginKind,
    (key, class): (&str, &str),
    version_key: &str,
    missing: &Missing,
) -> Finding {
    match missing {
        Missing::Name => {}
        Missing::Version { there, .. } => {
            return Finding::new(version_key, missing.to_string()).suggest(format!(
                "use {}, or remove it: the newest is taken",
                there.join(" or ")
            ));
        }
        Missing::Requirement(_) => {
            return Finding::new(version_key, missing.to_string())
                .suggest("write a version (1.2.0), a range ([1.0,2.0)) or latest");
        }
    }
    let finding = Finding::new(key, format!("there is no plugin named {class:?}"));
    if let Some(skipped) = registry.skipped(class) {
        return finding.suggest(skipped);
    }
    match registry.near(kind, class) {
        Some(near) => finding.suggest(format!("did you mean {near}?")),
        None => finding,
    }
}

fn check_topics(config: &Flat, report: &mut Report) {
    let topics = list(config, "topics");
    let regex = get(config, "topics.regex");
    let mut both = |problem: &str| {
        for key in ["topics", "topics.regex"] {
            report.wrong(Finding::new(key, problem));
        }
    };
    match (topics.is_empty(), regex) {
        (true, None) => both("Must configure one of topics or topics.regex"),
        (false, Some(_)) => {
            both("topics and topics.regex are mutually exclusive options, but both are set.")
        }
        _ => {}
    }
    let dead_letters = get(config, "errors.deadletterqueue.topic.name");
    if let Some(topic) = dead_letters.filter(|topic| topics.contains(topic)) {
        let listed = topics.join(", ");
        report.wrong(Finding::new("topics", format!(
            "The DLQ topic '{topic}' may not be included in the list of topics ('topics=[{listed}]') consumed by the connector"
        )));
    }
    let Some(regex) = regex.filter(|regex| !longshore_sdk::config::holds_placeholder(regex)) else {
        return;
    };
    match whole(regex) {
        Err(error) => report.wrong(Finding::new(
            "topics.regex",
            format!("Invalid value {regex} for configuration topics.regex: Invalid regex: {error}"),
        )),
        Ok(pattern) => {
            if let Some(topic) =
                dead_letters.filter(|topic| pattern.is_match(topic).unwrap_or(false))
            {
                report.wrong(Finding::new("topics.regex", format!(
                    "The DLQ topic '{topic}' may not be matched by the regex for the topics ('topics.regex={regex}') consumed by the connector"
                )));
            }
        }
    }
}

/// A meaning is never ignored: what the reference knows and this worker does not do is refused, by name.
fn refuse_unsupported(config: &Flat, connector: &Connector, report: &mut Report) {
    let mut refuse = |key: &str, suggestion: &str| {
        report.wrong(Finding::new(key, "not supported").suggest(suggestion));
    };
    for key in connector.plugin().unsupported {
        if key.ends_with('.') {
            let below = config.keys().filter(|name| name.starts_with(key));
            below.for_each(|name| refuse(name, "remove it"));
        } else if config.contains_key(*key) {
            refuse(key, "remove it");
        }
    }
    let source = connector.direction() == Direction::Source;
    if source && get(config, "offsets.storage.topic").is_some() {
        refuse(
            "offsets.storage.topic",
            "offsets stand in the worker's offset.storage.topic: remove it",
        );
    }
    if source
        && get(config, "transaction.boundary")
            .is_some_and(|value| value.eq_ignore_ascii_case("connector"))
    {
        refuse(
            "transaction.boundary",
            "no connector of this worker ends its transactions itself: set it to poll or interval",
        );
    }
}

fn check_unknown(config: &Flat, known: &Definition, unknown: UnknownKeys, report: &mut Report) {
    let mut open = Definition::default();
    let groups = [
        "producer.override.",
        "consumer.override.",
        "admin.override.",
        "topic.creation.",
    ];
    open.keys = groups.into_iter().map(Key::new).collect();
    open.keys
        .extend(["longshore.exactly.once", "tasks.max.enforce"].map(Key::new));
    let known = known.clone().and(open);
    let findings = known.unknown(config).into_iter();
    let findings = findings.filter(|finding| !is_told(finding, &report.findings));
    let findings: Vec<Finding> = findings.collect();
    match unknown {
        UnknownKeys::Refuse => report.findings.extend(findings),
        UnknownKeys::Warn => report.warnings.extend(findings),
    }
}

#[cfg(test)]
mod tests;
