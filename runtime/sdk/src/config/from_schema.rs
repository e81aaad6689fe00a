//! From a struct's JSON schema to its keys.

use super::{Importance, Key, KeyType, Shape, Width};
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// The keys of an object schema, in the order of its properties.
pub(super) fn keys(root: &Value) -> Vec<Key> {
    let Some(properties) = root.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    let required: Vec<&str> = root
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let mut keys: Vec<Key> = properties
        .iter()
        .map(|(name, schema)| key(name, schema, required.contains(&name.as_str()), root))
        .collect();
    number(&mut keys);
    keys
}

fn key(name: &str, schema: &Value, required: bool, root: &Value) -> Key {
    let schema = settled(schema, root);
    let shape = shape(&schema, root);
    let mut key = Key::new(name);
    key.kind = text(&schema, "x-type")
        .and_then(named)
        .unwrap_or_else(|| kind(&schema, &shape));
    key.required = required && !key.is_prefix();
    key.documentation = text(&schema, "description")
        .map(unwrapped)
        .unwrap_or_default();
    key.default = schema.get("default").and_then(default);
    key.importance = text(&schema, "x-importance")
        .and_then(named)
        .unwrap_or(if key.required {
            Importance::High
        } else {
            Importance::Medium
        });
    key.group = text(&schema, "x-group").map(str::to_owned);
    key.width = text(&schema, "x-width")
        .and_then(named)
        .unwrap_or(Width::None);
    key.order = schema
        .get("x-order")
        .and_then(Value::as_i64)
        .and_then(|order| i32::try_from(order).ok())
        .unwrap_or(-1);
    if let Some(label) = text(&schema, "x-display-name").or_else(|| text(&schema, "title")) {
        label.clone_into(&mut key.display_name);
    }
    key.dependents = names(schema.get("x-dependents"));
    key.recommended = match (&shape, schema.get("x-recommended")) {
        (Shape::Choice(names), None) => names.clone(),
        (_, recommended) => names(recommended),
    };
    key.shape = shape;
    key
}

/// Keys of a group without an order of their own are numbered as they come.
fn number(keys: &mut [Key]) {
    for index in 0..keys.len() {
        if keys[index].order == -1 && keys[index].group.is_some() {
            let before = keys[..index]
                .iter()
                .filter(|key| key.group == keys[index].group);
            let last = before.map(|key| key.order).max().unwrap_or(0);
            keys[index].order = last + 1;
        }
    }
}

/// What a property is, as far as a flat config can hold it.
#[derive(Debug, PartialEq)]
pub(super) enum Structure {
    /// One value.
    One,
    /// Several values of one structure.
    List(Box<Structure>),
    /// An object.
    Group,
    /// Something else: why.
    Foreign(String),
}

/// The structure of a property whose references are known to end.
pub(super) fn structure(schema: &Value, root: &Value) -> Structure {
    let settled = settled(schema, root);
    if let Some(Value::Array(values)) = settled.get("enum") {
        let names = values.iter().filter(|value| value.is_string()).count();
        if names == 0 || names < values.iter().filter(|value| !value.is_null()).count() {
            return Structure::Foreign("an enum lists texts alone, at least one".to_owned());
        }
    }
    match json_type(&settled) {
        Some("string" | "boolean" | "integer" | "number") => Structure::One,
        Some("array") => {
            let items = settled.get("items").unwrap_or(&Value::Null);
            Structure::List(Box::new(structure(items, root)))
        }
        Some("object") => {
            let members = settled.get("additionalProperties").unwrap_or(&Value::Null);
            match structure(members, root) {
                Structure::One if settled.get("properties").is_none() => Structure::Group,
                Structure::Foreign(problem) => Structure::Foreign(problem),
                _ => Structure::Foreign(
                    "a group's values are texts, numbers or booleans, described by additionalProperties".to_owned(),
                ),
            }
        }
        Some(other) => Structure::Foreign(format!("there is no type {other:?}")),
        None if settled.contains_key("type") => {
            Structure::Foreign("its type is no name of a type".to_owned())
        }
        // An enum, a choice of several, or anything.
        None => Structure::One,
    }
}

/// How deep references and options are followed; a recursive type ends as `Any`.
const DEPTH_MAX: usize = 8;

/// A schema with its reference, and the one branch of an option, taken into it. What stands outside wins: it belongs to the field.
fn settled(schema: &Value, root: &Value) -> Object {
    let mut outer = schema.as_object().cloned().unwrap_or_default();
    for _ in 0..DEPTH_MAX {
        let inner = if let Some(Value::String(path)) = outer.remove("$ref") {
            path.strip_prefix('#').and_then(|path| root.pointer(path))
        } else {
            None
        };
        let inner = inner.cloned().or_else(|| only_branch(&mut outer));
        let Some(Value::Object(inner)) = inner else {
            break;
        };
        for (name, value) in inner {
            outer.entry(name).or_insert(value);
        }
    }
    outer
}

/// The branch of `anyOf [x, null]`, `oneOf [x, null]` or `allOf [x]`, taken out; a choice of several is left as it is.
fn only_branch(schema: &mut Object) -> Option<Value> {
    for name in ["anyOf", "oneOf", "allOf"] {
        let Some(branches) = schema.get(name).and_then(Value::as_array) else {
            continue;
        };
        let mut real = branches
            .iter()
            .filter(|branch| branch.get("type") != Some(&Value::from("null")));
        if let (Some(branch), None) = (real.next(), real.next()) {
            let branch = branch.clone();
            schema.shift_remove(name);
            return Some(branch);
        }
    }
    None
}

fn shape(schema: &Object, root: &Value) -> Shape {
    let choices = choices(schema);
    if !choices.is_empty() {
        return Shape::Choice(choices);
    }
    match json_type(schema) {
        Some("string") => Shape::Text {
            min: count(schema, "minLength").unwrap_or(0),
            max: count(schema, "maxLength").unwrap_or(usize::MAX),
        },
        Some("boolean") => Shape::Bool,
        Some("integer") => integer(schema),
        Some("number") => Shape::Float {
            min: float(schema, "minimum").unwrap_or(f64::MIN),
            max: float(schema, "maximum").unwrap_or(f64::MAX),
        },
        Some("array") => Shape::List {
            item: Box::new(inner(schema.get("items"), root)),
            min: count(schema, "minItems").unwrap_or(0),
            max: count(schema, "maxItems").unwrap_or(usize::MAX),
        },
        // A prefix group: the shape of each of its values.
        Some("object") => inner(schema.get("additionalProperties"), root),
        _ => Shape::Any,
    }
}

fn inner(schema: Option<&Value>, root: &Value) -> Shape {
    schema.map_or(Shape::Any, |schema| shape(&settled(schema, root), root))
}

/// The names of an enum of unit variants; empty for everything else.
fn choices(schema: &Object) -> Vec<String> {
    if let Some(Value::String(name)) = schema.get("const") {
        return vec![name.clone()];
    }
    let listed = names(schema.get("enum"));
    if !listed.is_empty() {
        return listed;
    }
    let Some(Value::Array(branches)) = schema.get("oneOf").or_else(|| schema.get("anyOf")) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for branch in branches.iter().filter_map(Value::as_object) {
        let of_branch = choices(branch);
        if of_branch.is_empty() && json_type(branch).is_some() {
            return Vec::new();
        }
        all.extend(of_branch);
    }
    all
}

fn integer(schema: &Object) -> Shape {
    let (least, greatest) = match text(schema, "format") {
        Some("int8") => (i8::MIN.into(), i8::MAX.into()),
        Some("int16") => (i16::MIN.into(), i16::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some("uint8") => (0, u8::MAX.into()),
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint64" | "uint") => (0, u64::MAX.into()),
        Some("int128") => (i128::MIN, i128::MAX),
        Some("uint128") => (0, i128::MAX),
        _ => (i64::MIN.into(), i64::MAX.into()),
    };
    Shape::Int {
        min: whole(schema, "minimum").unwrap_or(least).max(least),
        max: whole(schema, "maximum").unwrap_or(greatest).min(greatest),
    }
}

fn kind(schema: &Object, shape: &Shape) -> KeyType {
    let marked = |value: Option<&Value>| value == Some(&Value::Bool(true));
    let within = schema.get("additionalProperties");
    let marks = [
        schema.get("x-secret"),
        schema.get("writeOnly"),
        within.and_then(|schema| schema.get("x-secret")),
        within.and_then(|schema| schema.get("writeOnly")),
    ];
    if marks.into_iter().any(marked) {
        return KeyType::Password;
    }
    match shape {
        Shape::Text { .. } | Shape::Choice(_) | Shape::Any => KeyType::String,
        Shape::Bool => KeyType::Boolean,
        Shape::Float { .. } => KeyType::Double,
        Shape::List { .. } => KeyType::List,
        // An unsigned field is named by the ConfigDef type that people know its key by: ports and counts are INT.
        Shape::Int { .. } => match text(schema, "format") {
            Some("int8" | "int16" | "uint8") => KeyType::Short,
            Some("int32" | "uint16" | "uint32") => KeyType::Int,
            _ => KeyType::Long,
        },
    }
}

/// A default as text; null is no default.
fn default(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(default).collect();
            Some(items.join(","))
        }
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

fn json_type(schema: &Object) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => {
            let mut real = names
                .iter()
                .filter_map(Value::as_str)
                .filter(|name| *name != "null");
            real.next()
        }
        _ => None,
    }
}

fn text<'a>(schema: &'a Object, name: &str) -> Option<&'a str> {
    schema.get(name).and_then(Value::as_str)
}

fn names(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).map(Vec::as_slice);
    let items = items.unwrap_or_default().iter().filter_map(Value::as_str);
    items.map(str::to_owned).collect()
}

fn count(schema: &Object, name: &str) -> Option<usize> {
    let number = schema.get(name).and_then(Value::as_u64)?;
    usize::try_from(number).ok()
}

fn float(schema: &Object, name: &str) -> Option<f64> {
    schema.get(name).and_then(Value::as_f64)
}

fn whole(schema: &Object, name: &str) -> Option<i128> {
    let number = schema.get(name)?;
    let small = number.as_i64().map(i128::from);
    let large = number.as_u64().map(i128::from);
    // Macros of the schema may print a whole bound as a float.
    #[allow(clippy::cast_possible_truncation)]
    let printed = number.as_f64().map(|number| number as i128);
    small.or(large).or(printed)
}

fn named<T: serde::de::DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_value(Value::from(name)).ok()
}

/// A doc comment without the line breaks inside its paragraphs.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
        lines.join(" ")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
