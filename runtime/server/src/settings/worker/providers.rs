//! Config providers: what `${name:path:key}` may read, in the worker's settings and in connectors' configs.
//!
//! None is there unless `config.providers` names it, and none reads more than its parameters allow: a connector's config comes by REST, and
//! must not read whatever the worker can.

use longshore_engine::providers::{
    DirectoryProvider, EnvironmentProvider, FileProvider, Placeholders, Provider, Roots,
};
use longshore_sdk::config::{Finding, Flat, nearest};
use std::sync::Arc;

const LIST: &str = "config.providers";

/// What a provider reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    Environment,
    File,
}

/// Short names and the classes of Kafka.
const KINDS: [(&str, &str, Kind); 3] = [
    (
        "directory",
        "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
        Kind::Directory,
    ),
    (
        "env",
        "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
        Kind::Environment,
    ),
    (
        "file",
        "org.apache.kafka.common.config.provider.FileConfigProvider",
        Kind::File,
    ),
];

impl Kind {
    /// The kind of a class: its short name, Kafka's simple name or full name.
    fn named(class: &str) -> Option<Self> {
        let found = KINDS.iter().find(|(short, full, _)| {
            class == *short || class == *full || full.rsplit('.').next() == Some(class)
        });
        found.map(|(_, _, kind)| *kind)
    }
    /// The parameter that says what it may read.
    fn param(self) -> &'static str {
        match self {
            Self::Directory | Self::File => "allowed.paths",
            Self::Environment => "allowlist.pattern",
        }
    }
    fn example(self) -> &'static str {
        match self {
            Self::Directory | Self::File => "/run/secrets, or / for every file",
            Self::Environment => "PG_.*, or .* for every variable",
        }
    }
    fn provider(self, value: &str) -> Result<Arc<dyn Provider>, String> {
        Ok(match self {
            Self::Directory => Arc::new(DirectoryProvider::new(Roots::parse(value)?)),
            Self::File => Arc::new(FileProvider::new(Roots::parse(value)?)),
            Self::Environment => {
                let provider = EnvironmentProvider::new(value)
                    .map_err(|error| format!("{value} is not a regular expression: {error}"))?;
                Arc::new(provider)
            }
        })
    }
}

/// Whether a key says which providers there are: no placeholder of theirs is resolved in it.
pub(super) fn declares(key: &str) -> bool {
    key.strip_prefix(LIST)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The providers that a worker section declares.
pub(super) fn providers(config: &Flat) -> Result<Placeholders, Vec<Finding>> {
    let mut all = Placeholders::none();
    let mut findings = Vec::new();
    for name in names(config) {
        match declared(name, config) {
            Ok(provider) => all.add(name, provider),
            Err(finding) => findings.push(finding),
        }
    }
    if findings.is_empty() {
        Ok(all)
    } else {
        Err(findings)
    }
}

/// Findings about what is declared and does nothing: parameters that are not known, providers that are not listed, folders that are not there.
pub(super) fn notes(config: &Flat) -> Vec<Finding> {
    let mut notes = Vec::new();
    let prefix = format!("{LIST}.");
    for (key, value) in config {
        let Some(rest) = key.strip_prefix(&prefix) else {
            continue;
        };
        let own = names(config)
            .filter_map(|name| Some((name, rest.strip_prefix(name)?.strip_prefix('.')?)))
            .max_by_key(|(name, _)| name.len());
        let Some((name, rest)) = own else {
            let first = rest.split('.').next().unwrap_or_default();
            let note = Finding::new(key, "has no effect: config.providers does not list it");
            notes.push(match nearest(first, names(config)) {
                Some(near) => note.suggest(format!("did you mean {prefix}{near}.?")),
                None => note.suggest(format!("set {LIST}={first}")),
            });
            continue;
        };
        let Some(kind) = kind_of(name, config) else {
            continue;
        };
        let param = format!("param.{}", kind.param());
        if rest == param && kind != Kind::Environment {
            let absent = Roots::parse(value).map(|roots| {
                let absent = roots.absent().into_iter();
                absent
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>()
            });
            for path in absent.unwrap_or_default() {
                notes.push(Finding::new(key, format!("{path} does not exist")));
            }
        } else if rest != "class" && rest != param {
            let note = Finding::new(key, "has no effect: the provider has no such parameter");
            notes.push(note.suggest(format!("it has {param}")));
        }
    }
    notes
}

fn names(config: &Flat) -> impl Iterator<Item = &str> {
    let names = config.get(LIST).map_or("", String::as_str).split(',');
    names.map(str::trim).filter(|name| !name.is_empty())
}

fn given<'a>(config: &'a Flat, key: &str) -> Option<&'a str> {
    let value = config.get(key).map(|value| value.trim());
    value.filter(|value| !value.is_empty())
}

/// By its class; by its own name where that says it.
fn kind_of(name: &str, config: &Flat) -> Option<Kind> {
    match given(config, &format!("{LIST}.{name}.class")) {
        Some(class) => Kind::named(class),
        None => KINDS
            .iter()
            .find(|(short, ..)| *short == name)
            .map(|(_, _, kind)| *kind),
    }
}

fn declared(name: &str, config: &Flat) -> Result<Arc<dyn Provider>, Finding> {
    let key = format!("{LIST}.{name}.class");
    let Some(kind) = kind_of(name, config) else {
        let shorts = || KINDS.iter().map(|(short, ..)| *short);
        let known = shorts().chain(KINDS.iter().map(|(_, full, _)| *full));
        let Some(class) = given(config, &key) else {
            let finding = Finding::new(key, "required, but missing");
            let all: Vec<&str> = shorts().collect();
            return Err(finding.suggest(format!("use {}", all.join(", "))));
        };
        let finding = Finding::new(key, format!("there is no config provider {class}"));
        return Err(match nearest(class, known.clone()) {
            Some(near) => finding.suggest(format!("did you mean {near}?")),
            None => finding.suggest(format!(
                "there are {}",
                known.collect::<Vec<_>>().join(", ")
            )),
        });
    };
    let key = format!("{LIST}.{name}.param.{}", kind.param());
    let Some(value) = given(config, &key) else {
        let finding = Finding::new(
            &key,
            "required, but missing: a provider reads only what it is allowed to",
        );
        return Err(finding.suggest(format!("set it, for example {}", kind.example())));
    };
    kind.provider(value).map_err(|why| Finding::new(key, why))
}
