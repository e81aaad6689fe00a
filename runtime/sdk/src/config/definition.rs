//! The keys of a config struct, as Kafka's ConfigDef has them.

use super::{
    Finding, Flat, Shape, foreign::is_framework, from_schema, nearest, shape::holds_placeholder,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of a config struct.
#[derive(Clone, Debug, Default)]
pub struct Definition {
    /// The keys in the order of the struct's fields.
    pub keys: Vec<Key>,
}

/// One key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Key {
    /// The dotted name; a name that ends with a dot is a group of keys with that prefix.
    pub name: String,
    /// ConfigDef's type.
    pub kind: KeyType,
    /// What the text must look like; bounds and names are in it.
    pub shape: Shape,
    /// Whether it must be given.
    pub required: bool,
    /// What stands in for a missing value, as text.
    pub default: Option<String>,
    /// One or more sentences.
    pub documentation: String,
    /// How much a reader must care.
    pub importance: Importance,
    /// The section of a form that it stands in.
    pub group: Option<String>,
    /// Its place in the group, from 1; -1 without a group.
    pub order: i32,
    /// The width of its input field.
    pub width: Width,
    /// Its label; the name unless another is given.
    pub display_name: String,
    /// Values worth offering; the names of an enum.
    pub recommended: Vec<String>,
    /// Keys whose validity depends on this one.
    pub dependents: Vec<String>,
}

/// ConfigDef's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum KeyType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

/// ConfigDef's importances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// ConfigDef's widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Width {
    None,
    Short,
    Medium,
    Long,
}

impl Key {
    /// An optional text key without a default.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            display_name: name.clone(),
            name,
            kind: KeyType::String,
            shape: Shape::TEXT,
            required: false,
            default: None,
            documentation: String::new(),
            importance: Importance::Medium,
            group: None,
            order: -1,
            width: Width::None,
            recommended: Vec::new(),
            dependents: Vec::new(),
        }
    }
    /// Whether it is a group of keys with a common prefix.
    pub fn is_prefix(&self) -> bool {
        self.name.ends_with('.')
    }
    /// The least and the greatest number, as text; `None` where there is no bound of its own.
    pub fn bounds(&self) -> (Option<String>, Option<String>) {
        match &self.shape {
            Shape::Int { min, max } => (Some(min.to_string()), Some(max.to_string())),
            Shape::Float { min, max } => (
                (*min != f64::MIN).then(|| min.to_string()),
                (*max != f64::MAX).then(|| max.to_string()),
            ),
            _ => (None, None),
        }
    }
}

impl Definition {
    /// The definition of a config struct.
    pub fn of<T: JsonSchema>() -> Self {
        let settings = schemars::generate::SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<T>();
        Self {
            keys: from_schema::keys(schema.as_value()),
        }
    }
    /// These keys, then those of `other` that are not among them.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for key in other.keys {
            if !self.keys.iter().any(|known| known.name == key.name) {
                self.keys.push(key);
            }
        }
        self
    }
    /// The same keys below a prefix (`transforms.mask.`).
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        for key in &mut self.keys {
            if key.display_name == key.name {
                key.display_name.insert_str(0, prefix);
            }
            key.name.insert_str(0, prefix);
            for dependent in &mut key.dependents {
                dependent.insert_str(0, prefix);
            }
        }
        self
    }
    /// The key that a name falls under: its own, else the group with the longest prefix.
    pub fn get(&self, name: &str) -> Option<&Key> {
        let own = self
            .keys
            .iter()
            .find(|key| key.name == name && !key.is_prefix());
        own.or_else(|| {
            let groups = self.keys.iter().filter(|key| {
                key.is_prefix()
                    && name.len() > key.name.len()
                    && name.starts_with(&key.name)
                    // A group `header.` does not take the framework's header.converter.
                    && (!is_framework(name) || is_framework(&key.name))
            });
            groups.max_by_key(|key| key.name.len())
        })
    }
    /// Whether a key is known, by its own name or by a group's prefix.
    pub fn knows(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
    /// Whether a key's value must never be shown (I8): a password, or a key without a type of its own whose name says so.
    pub fn is_secret(&self, name: &str) -> bool {
        match self.get(name) {
            Some(key) if key.is_prefix() => key.kind == KeyType::Password || looks_secret(name),
            Some(key) => key.kind == KeyType::Password,
            None => looks_secret(name),
        }
    }
    /// The known key that an unknown one was most likely meant to be.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.keys.iter().map(|key| key.name.as_str()))
    }
    /// One finding for each key that the definition does not have.
    pub fn unknown(&self, flat: &Flat) -> Vec<Finding> {
        let unknown = flat.keys().filter(|name| !self.knows(name));
        let findings = unknown.map(|name| {
            let finding = Finding::new(name, "unknown key");
            match self.nearest(name) {
                Some(near) => finding.suggest(format!("did you mean {near}?")),
                None => finding,
            }
        });
        findings.collect()
    }
    /// Checks a config as people write it: required keys, types, ranges and names, in the order of the keys. A value with a placeholder
    /// passes: its text is known only when a task starts. Unknown keys are not reported.
    pub fn check(&self, flat: &Flat) -> Vec<Finding> {
        self.findings(flat, |value| !holds_placeholder(value))
    }
    /// The same for a config whose placeholders are resolved.
    pub(super) fn check_resolved(&self, flat: &Flat) -> Vec<Finding> {
        self.findings(flat, |_| true)
    }

    fn findings(&self, flat: &Flat, judged: impl Fn(&str) -> bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut check = |shape: &Shape, name: &str, value: &str| {
            if judged(value) {
                findings.extend(shape.check(name, value, self.is_secret(name)).err());
            }
        };
        for key in &self.keys {
            if key.is_prefix() {
                for (name, value) in self.group(key, flat) {
                    check(&key.shape, name, value);
                }
            } else if let Some(value) = flat.get(&key.name) {
                check(&key.shape, &key.name, value);
            }
        }
        let missing = self
            .keys
            .iter()
            .filter(|key| key.required && !key.is_prefix() && !flat.contains_key(&key.name));
        findings.extend(missing.map(|key| {
            let first = key.documentation.split(". ").next().unwrap_or_default();
            Finding::new(&key.name, "required, but missing").suggest(first.trim_end_matches('.'))
        }));
        findings
    }
    /// The entries of a flat map that fall under a prefix group, with their full names.
    pub(super) fn group<'a>(
        &'a self,
        group: &'a Key,
        flat: &'a Flat,
    ) -> impl Iterator<Item = (&'a String, &'a String)> {
        flat.range(group.name.clone()..)
            .take_while(|(name, _)| name.starts_with(&group.name))
            .filter(|(name, _)| self.get(name).is_some_and(|key| key.name == group.name))
    }
}

/// Whether a key's name says that its value is a credential; for keys that have no type.
pub fn looks_secret(name: &str) -> bool {
    // A URL of a connection may hold its password.
    const MARKS: [&str; 15] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "credential",
        "private.key",
        "keystore.key",
        "api.key",
        "apikey",
        "access.key",
        "jaas.config",
        "authorization",
        "connection.url",
        "connection.uri",
    ];
    let name = name.to_lowercase().replace(['_', '-'], ".");
    MARKS.iter().any(|mark| name.contains(mark))
}
