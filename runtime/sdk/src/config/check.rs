//! Judging a connector's config against the plugins there are, without reaching out to any system: for files and for REST's validate.

use super::{
    Catalogue, Definition, Finding, Flat, Key, KeyType, Role, Shape, UnknownKeys, nearest, trimmed,
};
use crate::{Direction, converter::Part};

/// What came of a check.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// What makes the config impossible.
    pub errors: Vec<Finding>,
    /// What is worth saying and no error.
    pub warnings: Vec<Finding>,
    /// All keys that this config may have: of every connector, of its class, and of its transforms, predicates and converters.
    pub definition: Definition,
    /// The class's direction; `None` if there is no such class.
    pub direction: Option<Direction>,
}

/// Checks one connector's config without reaching out to any system. Placeholders may be in it.
pub fn check(catalogue: &dyn Catalogue, config: &Flat, unknown: UnknownKeys) -> Checked {
    let mut checking = Checking {
        catalogue,
        config,
        unsupported: Vec::new(),
        unjudged: Vec::new(),
        checked: Checked::default(),
    };
    if checking.connector() {
        checking.converters();
        let predicates = checking.predicates();
        checking.transforms(&predicates);
        checking.keys(unknown);
    }
    checking.checked
}

struct Checking<'a> {
    catalogue: &'a dyn Catalogue,
    config: &'a Flat,
    /// Unsupported keys with their full names.
    unsupported: Vec<String>,
    /// Prefixes of plugins that were not found: nothing can be said about the keys below.
    unjudged: Vec<String>,
    checked: Checked,
}

impl Checking<'_> {
    fn error(&mut self, finding: Finding) {
        self.checked.errors.push(finding);
    }
    fn extend(&mut self, definition: Definition) {
        self.checked.definition = std::mem::take(&mut self.checked.definition).and(definition);
    }
    fn value(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(|value| trimmed(value))
    }

    /// The class and what follows from its direction; false if there is none, and nothing more can be said.
    fn connector(&mut self) -> bool {
        let Some(class) = self
            .value("connector.class")
            .filter(|class| !class.is_empty())
        else {
            let finding = Finding::new("connector.class", "required, but missing");
            self.error(finding.suggest(self.known(Role::Connector)));
            return false;
        };
        let Some(found) = self.catalogue.find(Role::Connector, class) else {
            self.error(self.no_such(Role::Connector, "connector.class", class));
            return false;
        };
        let direction = found.direction.unwrap_or(Direction::Source);
        self.checked.direction = Some(direction);
        self.unsupported
            .extend(found.unsupported.iter().map(|key| (*key).to_owned()));
        self.extend(self.catalogue.connector_keys(direction));
        self.extend(unlisted(direction));
        self.extend(found.definition);
        self.name();
        match direction {
            Direction::Source => self.topic_creation(),
            Direction::Sink => self.topics(),
        }
        true
    }

    /// A name that no URL could address is refused: its connector could never be deleted.
    fn name(&mut self) {
        let bad = |char: char| matches!(char, '/' | '\\' | '%') || char.is_control();
        if self.value("name").is_some_and(|name| name.contains(bad)) {
            let problem = "a name cannot hold /, \\, % or control characters";
            self.error(Finding::new("name", problem));
        }
    }

    /// Who says anything about the topics to create says what holds for all of them.
    fn topic_creation(&mut self) {
        let given = |(key, value): (&String, &String)| {
            key.starts_with("topic.creation.") && !trimmed(value).is_empty()
        };
        if !self.config.iter().any(given) {
            return;
        }
        for key in ["replication.factor", "partitions"] {
            let mut key = Key::new(format!("topic.creation.default.{key}"));
            key.required = true;
            key.kind = KeyType::Int;
            key.shape = Shape::Int {
                min: -1,
                max: i32::MAX.into(),
            };
            self.extend(Definition { keys: vec![key] });
        }
    }

    fn topics(&mut self) {
        let given = |key| self.value(key).is_some_and(|value| !value.is_empty());
        let (topics, regex) = (given("topics"), given("topics.regex"));
        if !topics && !regex {
            let finding = Finding::new("topics", "required, but missing");
            self.error(finding.suggest("give topics or topics.regex"));
        } else if topics && regex {
            let problem = "topics and topics.regex are both given";
            self.error(Finding::new("topics.regex", problem).suggest("take one of them out"));
        }
    }

    fn converters(&mut self) {
        for (part, key) in [
            (Part::Key, "key.converter"),
            (Part::Value, "value.converter"),
            (Part::Headers, "header.converter"),
        ] {
            let prefix = format!("{key}.");
            let Some(class) = self.value(key).map(str::to_owned) else {
                self.warn_of_lost_settings(key, &prefix);
                continue;
            };
            self.plugin(Role::Converter(part), key, &class, &prefix);
        }
    }

    /// Without a class of its own a connector has the worker's converter with the worker's settings, and its own have no effect.
    fn warn_of_lost_settings(&mut self, key: &str, prefix: &str) {
        let below = |name: &&String| name.starts_with(prefix) && !name.ends_with(".plugin.version");
        let lost: Vec<&String> = self.config.keys().filter(below).collect();
        for name in lost {
            let finding = Finding::new(name, format!("has no effect without {key}"));
            let advice = format!("give {key} too, or set it for the worker");
            self.checked.warnings.push(finding.suggest(advice));
        }
        self.unjudged.push(prefix.to_owned());
    }

    /// Takes in a plugin's definition, or says that there is none.
    fn plugin(&mut self, role: Role, key: &str, class: &str, prefix: &str) {
        if let Some(found) = self.catalogue.find(role, class) {
            let names = found
                .unsupported
                .iter()
                .map(|name| format!("{prefix}{name}"));
            self.unsupported.extend(names);
            self.extend(found.definition.below(prefix));
        } else {
            self.error(self.no_such(role, key, class));
            self.unjudged.push(prefix.to_owned());
        }
    }

    fn predicates(&mut self) -> Vec<String> {
        let aliases = self.aliases("predicates");
        for alias in &aliases {
            self.aliased(Role::Predicate, &format!("predicates.{alias}."), &[]);
        }
        aliases
    }

    fn transforms(&mut self, predicates: &[String]) {
        for alias in self.aliases("transforms") {
            let prefix = format!("transforms.{alias}.");
            self.aliased(Role::Transform, &prefix, &["predicate", "negate"]);
            let key = format!("{prefix}predicate");
            let Some(predicate) = self.value(&key).filter(|alias| !alias.is_empty()) else {
                continue;
            };
            if !predicates.iter().any(|alias| alias == predicate) {
                let finding = Finding::new(&key, format!("{predicate} is not in predicates"));
                let near = nearest(predicate, predicates.iter().map(String::as_str));
                self.error(match near {
                    Some(near) => finding.suggest(format!("did you mean {near}?")),
                    None => {
                        finding.suggest(format!("define predicates.{predicate}.type, and list it"))
                    }
                });
            }
        }
    }

    /// The aliases that a key lists; one that is listed twice is an error, as in Kafka Connect.
    fn aliases(&mut self, key: &str) -> Vec<String> {
        let mut aliases: Vec<String> = Vec::new();
        let listed = self.value(key).unwrap_or_default().to_owned();
        for alias in listed
            .split(',')
            .map(trimmed)
            .filter(|alias| !alias.is_empty())
        {
            if aliases.iter().any(|known| known == alias) {
                self.error(Finding::new(key, format!("{alias} is listed twice")));
            } else {
                aliases.push(alias.to_owned());
            }
        }
        let below = format!("{key}.");
        for name in self.config.keys() {
            let Some(rest) = name.strip_prefix(&below) else {
                continue;
            };
            let of_alias = |alias: &String| {
                rest.strip_prefix(alias.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
            };
            if !aliases.iter().any(of_alias) && rest.ends_with(".type") {
                let alias = rest.trim_end_matches(".type");
                let finding = Finding::new(name, format!("has no effect: {alias} is not in {key}"));
                self.checked
                    .warnings
                    .push(finding.suggest(format!("list it: {key}={alias},..")));
                self.unjudged.push(format!("{below}{alias}."));
            }
        }
        aliases
    }

    fn aliased(&mut self, role: Role, prefix: &str, more: &[&str]) {
        let key = format!("{prefix}type");
        let mut keys = vec![required(&key), Key::new(format!("{prefix}plugin.version"))];
        keys.extend(more.iter().map(|name| Key::new(format!("{prefix}{name}"))));
        self.extend(Definition { keys });
        match self
            .value(&key)
            .filter(|class| !class.is_empty())
            .map(str::to_owned)
        {
            Some(class) => self.plugin(role, &key, &class, prefix),
            None => self.unjudged.push(prefix.to_owned()),
        }
    }

    /// Every key, now that all definitions are there: unsupported, unknown, missing, of the wrong shape.
    fn keys(&mut self, unknown: UnknownKeys) {
        let definition = &self.checked.definition;
        let mut errors = Vec::new();
        for name in self.config.keys() {
            if self.unsupported.iter().any(|key| falls_under(name, key)) {
                let problem = "the reference's key is not supported here";
                errors.push(
                    Finding::new(name, problem)
                        .suggest("take it out if the connector may do without"),
                );
            }
        }
        let mut mistyped = definition.unknown(self.config);
        mistyped.retain(|finding| {
            let refused = errors
                .iter()
                .any(|error: &Finding| error.key == finding.key);
            let unjudged = self
                .unjudged
                .iter()
                .any(|prefix| finding.key.starts_with(prefix.as_str()));
            !refused && !unjudged
        });
        let mut wrong = definition.check(self.config);
        // Said already, with advice.
        wrong.retain(|finding| {
            !self
                .checked
                .errors
                .iter()
                .any(|error| error.key == finding.key)
        });
        match unknown {
            UnknownKeys::Refuse => errors.extend(mistyped),
            UnknownKeys::Warn => self.checked.warnings.extend(mistyped),
        }
        self.checked.errors.extend(errors);
        self.checked.errors.extend(wrong);
    }

    fn no_such(&self, role: Role, key: &str, class: &str) -> Finding {
        let what = match role {
            Role::Connector => "connector class",
            Role::Transform => "transform",
            Role::Predicate => "predicate",
            Role::Converter(_) => "converter",
        };
        let names = self.catalogue.names(role);
        let simple = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
        let near = nearest(class, names.iter().map(String::as_str)).map(str::to_owned);
        let near = near.or_else(|| {
            let simples: Vec<String> = names.iter().map(|name| simple(name)).collect();
            nearest(&simple(class), simples.iter().map(String::as_str)).map(str::to_owned)
        });
        let finding = Finding::new(key, format!("there is no {what} {class}"));
        match near {
            Some(near) => finding.suggest(format!("did you mean {near}?")),
            None => finding.suggest(self.known(role)),
        }
    }

    /// The short names of a role: those without a package.
    fn known(&self, role: Role) -> String {
        let names = self.catalogue.names(role);
        let short: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !name.contains('.'))
            .collect();
        let listed = if short.is_empty() {
            names.iter().map(String::as_str).collect()
        } else {
            short
        };
        format!("there are {}", listed.join(", "))
    }
}

/// Keys that every connector may have beside those that are listed: groups, versions of plugins, Longshore's own.
fn unlisted(direction: Direction) -> Definition {
    let mut keys: Vec<Key> = [
        "connector.plugin.version",
        "key.converter.plugin.version",
        "value.converter.plugin.version",
        "header.converter.plugin.version",
        "producer.override.",
        "consumer.override.",
        "admin.override.",
    ]
    .map(Key::new)
    .into();
    if direction == Direction::Source {
        keys.push(Key::new("topic.creation."));
    }
    let mut exactly_once = Key::new("longshore.exactly.once");
    exactly_once.kind = KeyType::Boolean;
    exactly_once.shape = Shape::Bool;
    keys.push(exactly_once);
    Definition { keys }
}

fn required(name: &str) -> Key {
    let mut key = Key::new(name);
    key.required = true;
    key
}

fn falls_under(name: &str, key: &str) -> bool {
    name == key || (key.ends_with('.') && name.starts_with(key))
}
