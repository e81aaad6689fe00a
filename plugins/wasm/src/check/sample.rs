//! Configs made up from a schema.

use longshore_sdk::config::{Definition, Flat, Shape};

/// The least that fits: every required key, with the smallest value of its shape.
pub(super) fn config(definition: &Definition) -> Flat {
    let required = definition.keys.iter().filter(|key| key.required);
    let entries = required.filter_map(|key| {
        let value = match (key.default.clone(), key.recommended.first()) {
            (Some(default), _) => default,
            (None, Some(first)) => first.clone(),
            (None, None) => value(&key.shape)?,
        };
        Some((key.name.clone(), value))
    });
    entries.collect()
}

/// Configs that nobody means, each with a word for it. They fit the schema no better than the plugin's keys demand.
pub(super) fn bad(definition: &Definition, good: &Flat) -> Vec<(&'static str, Flat)> {
    let with = |value: &str| {
        let mut config = good.clone();
        for key in definition.keys.iter().filter(|key| !key.is_prefix()) {
            config.insert(key.name.clone(), value.to_owned());
        }
        config
    };
    vec![
        ("an empty config", Flat::new()),
        ("empty values", with("")),
        ("a line break in each value", with("\n\u{1F4A5}\r\n")),
        ("JSON in each value", with("{\"a\":[1,{}]}")),
        ("64 KiB in each value", with(&"x".repeat(64 * 1024))),
        ("-1 in each value", with("-1")),
    ]
}

fn value(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Text { min, max } => {
            let length = (*min).max(1).min(*max);
            (length <= 100_000).then(|| "x".repeat(length))
        }
        Shape::Choice(names) => names.first().cloned(),
        Shape::Int { min, max } => Some(1.clamp(*min, *max).to_string()),
        Shape::Float { min, max } => Some(1_f64.clamp(*min, *max).to_string()),
        Shape::Bool => Some("false".to_owned()),
        Shape::List { item, min, .. } => {
            let one = value(item)?;
            Some(vec![one; (*min).clamp(1, 1_000)].join(","))
        }
        Shape::Any => Some("x".to_owned()),
    }
}
