//! A schema that a stranger wrote: judged before anything is made of it.

use super::{
    Definition, Flat, Key, KeyType, Shape, from_schema,
    shape::{boolean, choose, items, number, trimmed},
};
use serde_json::{Map, Value};

/// Keys of one plugin (I6).
const KEYS_MAX: usize = 500;
/// Characters of a key's name.
const NAME_MAX: usize = 200;
/// Levels of a schema with its references followed; what refers to itself has no end and is found so.
const DEPTH_MAX: usize = 24;
/// Values of a schema with its references followed.
const NODES_MAX: usize = 50_000;
/// Bytes of one text: a description, a default.
const TEXT_MAX: usize = 16 * 1024;

/// Keys that the framework reads of a connector's config: no plugin may have one of these.
const RESERVED: [&str; 22] = [
    "name",
    "connector.class",
    "connector.plugin.version",
    "tasks.max",
    "tasks.max.enforce",
    "topics",
    "topics.regex",
    "transforms",
    "predicates",
    "key.converter",
    "value.converter",
    "header.converter",
    "config.action.reload",
    "initial.state",
    "exactly.once.support",
    "transaction.boundary",
    "transaction.boundary.interval.ms",
    "offsets.storage.topic",
    "task.class",
    "plugin.version",
    "plugin.path",
    "plugin.discovery",
];
const RESERVED_BELOW: [&str; 11] = [
    "transforms.",
    "predicates.",
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "topic.creation.",
    "errors.",
    "producer.override.",
    "consumer.override.",
    "admin.override.",
    "longshore.",
];

/// Members of a schema that hold data, not schemas.
const DATA: [&str; 4] = ["default", "enum", "const", "examples"];

impl Definition {
    /// The definition of a JSON Schema (2020-12) of an object that a stranger wrote; keys are dotted, a name that ends with a dot is a group.
    /// `Err` says what is wrong with it: its sizes are bounded, references stay inside and end, names are not the framework's.
    pub fn from_schema(schema: &Value) -> Result<Self, String> {
        let Some(root) = schema.as_object() else {
            return Err("the schema is no JSON object".to_owned());
        };
        if root.get("type") != Some(&Value::from("object")) {
            return Err(
                "the schema does not describe an object: \"type\": \"object\" is missing"
                    .to_owned(),
            );
        }
        let properties = match root.get("properties") {
            None => &Map::new(),
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err("\"properties\" is no JSON object".to_owned()),
        };
        if properties.len() > KEYS_MAX {
            return Err(format!(
                "{} keys are more than {KEYS_MAX}",
                properties.len()
            ));
        }
        let mut walk = Walk {
            root: schema,
            nodes: 0,
        };
        for (name, property) in properties {
            check_name(name)?;
            walk.schema(property, 0)
                .map_err(|problem| format!("{name}: {problem}"))?;
        }
        check_required(root, properties)?;
        let keys = from_schema::keys(schema);
        for key in &keys {
            let structure = from_schema::structure(&properties[&key.name], schema);
            check_key(key, &structure).map_err(|problem| format!("{}: {problem}", key.name))?;
        }
        Ok(Self { keys })
    }

    /// The values of a config as typed JSON, by shape: numbers, booleans, lists, groups as objects. Unknown keys are left out, defaults are
    /// filled in; what does not read as its shape stays text, since it is for [`Definition::check`] to report.
    pub fn to_json(&self, flat: &Flat) -> Value {
        self.to_json_with(flat, |_, _| None)
    }

    /// The same; `other` may give another value for a key that is there, by its full name: a reference in place of a secret.
    pub fn to_json_with(
        &self,
        flat: &Flat,
        mut other: impl FnMut(&str, &Key) -> Option<Value>,
    ) -> Value {
        let mut object = Map::new();
        for key in &self.keys {
            if key.is_prefix() {
                let members = self.group(key, flat).map(|(name, text)| {
                    let value = other(name, key).unwrap_or_else(|| typed(text, &key.shape));
                    (name[key.name.len()..].to_owned(), value)
                });
                object.insert(key.name.clone(), members.collect::<Map<_, _>>().into());
            } else if let Some(text) = flat.get(&key.name).or(key.default.as_ref()) {
                let value = other(&key.name, key).unwrap_or_else(|| typed(text, &key.shape));
                object.insert(key.name.clone(), value);
            }
        }
        object.into()
    }
}

fn typed(text: &str, shape: &Shape) -> Value {
    let text = trimmed(text);
    let read = match shape {
        Shape::Bool => boolean(text).map(Value::from),
        Shape::Int { .. } => {
            let small = text.parse::<i64>().ok().map(Value::from);
            small.or_else(|| text.parse::<u64>().ok().map(Value::from))
        }
        Shape::Float { .. } => number(text).map(Value::from),
        Shape::List { item, .. } => Some(items(text).map(|part| typed(part, item)).collect()),
        Shape::Choice(names) => choose(text, names).cloned().map(Value::from),
        Shape::Text { .. } | Shape::Any => None,
    };
    read.unwrap_or_else(|| text.into())
}

/// Whether a name, or every name below a group's, is the framework's.
pub(super) fn is_framework(name: &str) -> bool {
    RESERVED.contains(&name)
        || RESERVED_BELOW.iter().any(|prefix| name.starts_with(prefix))
        || name.ends_with("plugin.version")
}

fn check_name(name: &str) -> Result<(), String> {
    let length = name.chars().count();
    if name.is_empty() {
        return Err("a key has an empty name".to_owned());
    }
    if length > NAME_MAX {
        return Err(format!(
            "a key's name has {length} characters: at most {NAME_MAX} are allowed"
        ));
    }
    let plain = |char: char| char.is_ascii_alphanumeric() || ".-_".contains(char);
    if !name.chars().all(plain) || name.starts_with('.') || name.contains("..") {
        return Err(format!(
            "{name:?} is no name of a key: use letters, digits, '-', '_', and '.' between parts"
        ));
    }
    if is_framework(name) {
        return Err(format!(
            "{name}: the name is the framework's, give the key another one"
        ));
    }
    Ok(())
}

fn check_required(
    root: &Map<String, Value>,
    properties: &Map<String, Value>,
) -> Result<(), String> {
    let names = match root.get("required") {
        None => return Ok(()),
        Some(Value::Array(names)) => names,
        Some(_) => return Err("\"required\" is no list".to_owned()),
    };
    for name in names {
        match name.as_str() {
            Some(name) if properties.contains_key(name) => {}
            Some(name) if name.chars().count() <= NAME_MAX => {
                return Err(format!(
                    "\"required\" lists {name:?}, which is not among the properties"
                ));
            }
            _ => return Err("\"required\" lists what is no name of a property".to_owned()),
        }
    }
    Ok(())
}

/// A schema as far as a flat config can hold it.
fn check_key(key: &Key, structure: &from_schema::Structure) -> Result<(), String> {
    use from_schema::Structure::{Foreign, Group, List, One};
    match structure {
        One if key.is_prefix() => {
            return Err(
                "a name that ends with a dot is a group: its type must be object".to_owned(),
            );
        }
        Group if !key.is_prefix() => {
            return Err(
                "an object needs a name that ends with a dot, or keys of their own for its members"
                    .to_owned(),
            );
        }
        List(item) if **item != One => {
            return Err("a list holds texts, numbers or booleans".to_owned());
        }
        Foreign(problem) => return Err(problem.clone()),
        One | Group | List(_) => {}
    }
    check_bounds(&key.shape)?;
    let given = key.default.as_ref().is_some_and(|text| !text.is_empty());
    if key.kind == KeyType::Password && given {
        return Err("a secret has no default".to_owned());
    }
    if let Some(default) = &key.default {
        key.shape
            .check("default", default, false)
            .map_err(|finding| format!("its default does not fit: {}", finding.problem))?;
    }
    Ok(())
}

fn check_bounds(shape: &Shape) -> Result<(), String> {
    let empty = match shape {
        Shape::Text { min, max } => min > max,
        Shape::Int { min, max } => min > max,
        Shape::Float { min, max } => min > max,
        Shape::List { item, min, max } => {
            check_bounds(item)?;
            min > max
        }
        Shape::Choice(_) | Shape::Bool | Shape::Any => false,
    };
    if empty {
        return Err("no value fits: the least is above the greatest".to_owned());
    }
    Ok(())
}

/// Looks at a schema as those who read it will, references followed.
struct Walk<'a> {
    root: &'a Value,
    nodes: usize,
}

impl Walk<'_> {
    fn schema(&mut self, schema: &Value, depth: usize) -> Result<(), String> {
        self.count(depth)?;
        match schema {
            Value::Object(members) => {
                for (name, value) in members {
                    self.text(name)?;
                    if name == "$ref" {
                        let to = self.target(value)?.clone();
                        self.schema(&to, depth + 1)?;
                    } else if DATA.contains(&name.as_str()) {
                        self.data(value, depth + 1)?;
                    } else {
                        self.schema(value, depth + 1)?;
                    }
                }
                Ok(())
            }
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.schema(item, depth + 1)),
            Value::String(text) => self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }
    fn data(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        self.count(depth)?;
        match value {
            Value::Object(members) => members.iter().try_for_each(|(name, value)| {
                self.text(name)?;
                self.data(value, depth + 1)
            }),
            Value::Array(items) => items.iter().try_for_each(|item| self.data(item, depth + 1)),
            Value::String(text) => self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }
    fn count(&mut self, depth: usize) -> Result<(), String> {
        self.nodes += 1;
        if depth > DEPTH_MAX {
            return Err(format!(
                "the schema is deeper than {DEPTH_MAX} levels, or refers to itself"
            ));
        }
        if self.nodes > NODES_MAX {
            return Err(format!("the schema has more than {NODES_MAX} values"));
        }
        Ok(())
    }
    /// Texts are shown in terminals, too.
    fn text(&self, text: &str) -> Result<(), String> {
        if text.len() > TEXT_MAX {
            return Err(format!(
                "a text of {} bytes is longer than {TEXT_MAX}",
                text.len()
            ));
        }
        if text
            .chars()
            .any(|char| char.is_control() && char != '\n' && char != '\t')
        {
            return Err("a text holds control characters".to_owned());
        }
        Ok(())
    }
    fn target(&self, to: &Value) -> Result<&Value, String> {
        let path = to.as_str().and_then(|text| text.strip_prefix('#'));
        let found = path.and_then(|path| self.root.pointer(path));
        found.ok_or_else(|| {
            format!(
                "\"$ref\" leads nowhere: {}; only references into the schema itself (#/$defs/..) are followed",
                to.to_string().chars().take(NAME_MAX).collect::<String>()
            )
        })
    }
}

#[cfg(test)]
mod tests;
