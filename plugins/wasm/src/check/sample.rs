//! Configs made up from a schema.

use longshore_sdk::{
    Datum, Header, Record,
    config::{Definition, Flat, Shape},
};

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

/// Configs that nobody means, each with a word for it. But for the empty one they fit the schema: the host gives a plugin no others.
pub(super) fn bad(definition: &Definition, good: &Flat) -> Vec<(&'static str, Flat)> {
    let with = |value: &str| {
        let mut config = good.clone();
        for key in definition.keys.iter().filter(|key| !key.is_prefix()) {
            config.insert(key.name.clone(), value.to_owned());
        }
        for finding in definition.check(&config) {
            match good.get(&finding.key) {
                Some(good) => config.insert(finding.key, good.clone()),
                None => config.remove(&finding.key),
            };
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

/// A tombstone, text, JSON, bytes that are no text, headers, and something large; `number` tells them from others of their kind.
pub(super) fn records(topic: &str, number: i64) -> Vec<Record> {
    let values = [
        Datum::Null,
        Datum::string("text \u{1F4A5}"),
        Datum::Json(format!("{{\"id\":{number},\"a\":[null,\"x\"]}}").into()),
        Datum::Bytes(vec![0, 0xff, 0xfe, 0x80].into()),
        Datum::string("x".repeat(100_000)),
        Datum::Json("[]".into()),
        Datum::string(""),
    ];
    let records = values.into_iter().zip(0_i64..).map(|(value, at)| {
        let mut record = Record::new(topic.into());
        record.timestamp = (at != 1).then_some(1_700_000_000_000 + at);
        record.key = if at == 2 {
            Datum::Null
        } else {
            Datum::string(format!("key {number} {at}"))
        };
        for value in [Datum::Null, Datum::string("h")] {
            record.headers.push(Header {
                key: "name".into(),
                value,
            });
        }
        record.value = value;
        record
    });
    records.collect()
}

/// Many small ones.
pub(super) fn many(topic: &str, count: usize) -> Vec<Record> {
    let record = |number: usize| {
        let mut record = Record::new(topic.into());
        record.key = Datum::string(format!("key {number}"));
        let pad = "x".repeat(200);
        record.value = Datum::Json(format!("{{\"id\":{number},\"pad\":\"{pad}\"}}").into());
        record
    };
    (0..count).map(record).collect()
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
