use super::*;
use serde_json::json;

fn good() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": { "type": "string", "minLength": 1, "description": "Where to\nread." },
            "page.size": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 100, "x-group": "Pages" },
            "ratio": { "type": "number" },
            "follow": { "type": "boolean", "default": true },
            "fields": { "type": "array", "items": { "$ref": "#/$defs/field" } },
            "ports": { "type": ["array", "null"], "items": { "type": "integer" } },
            "mode": { "enum": ["Full", "delta"], "default": "delta" },
            "token": { "type": "string", "x-secret": true },
            "password": { "anyOf": [{ "type": "string", "writeOnly": true }, { "type": "null" }] },
            "header.": { "type": "object", "additionalProperties": { "type": "string" } },
            "weight.": { "type": "object", "additionalProperties": { "type": "integer" } },
            "free": true
        },
        "$defs": { "field": { "type": "string" } }
    })
}

fn flat(entries: &[(&str, &str)]) -> Flat {
    let entries = entries.iter();
    entries
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_strangers_schema_is_a_definition_like_ours() {
    let definition = Definition::from_schema(&good()).expect("a good schema");
    let get = |name: &str| definition.get(name).expect(name);
    assert!(get("url").required);
    assert_eq!(get("url").documentation, "Where to read.");
    assert_eq!(get("page.size").default.as_deref(), Some("100"));
    assert_eq!(get("page.size").order, 1);
    assert_eq!(get("token").kind, KeyType::Password);
    assert_eq!(get("password").kind, KeyType::Password);
    assert_eq!(get("header.accept").name, "header.");
    let findings = definition.check(&flat(&[("page.size", "0"), ("weight.a", "x")]));
    let keys: Vec<&str> = findings
        .iter()
        .map(|finding| finding.key.as_str())
        .collect();
    assert_eq!(keys, ["page.size", "weight.a", "url"]);
    assert!(
        Definition::from_schema(&json!({ "type": "object" }))
            .expect("no keys are keys")
            .keys
            .is_empty()
    );
}

#[test]
fn a_config_becomes_typed_json() {
    let definition = Definition::from_schema(&good()).expect("a good schema");
    let config = flat(&[
        ("name", "not ours"),
        ("url", " http://x "),
        ("ratio", "0.5"),
        ("follow", "FALSE"),
        ("fields", "a, b,"),
        ("ports", "1,18446744073709551615"),
        ("mode", "FULL"),
        ("token", "s3cret"),
        ("header.accept", "text/plain"),
        ("header.converter", "not.Ours"),
        ("weight.a", "7"),
        ("weight.b", "${env:W}"),
        ("free", "12"),
    ]);
    assert_eq!(
        definition.to_json(&config),
        json!({
            "url": "http://x", "page.size": 100, "ratio": 0.5, "follow": false, "fields": ["a", "b"], "ports": [1, u64::MAX], "mode": "Full",
            "token": "s3cret", "header.": { "accept": "text/plain" }, "weight.": { "a": 7, "b": "${env:W}" }, "free": "12"
        })
    );
    let hidden = definition.to_json_with(&config, |name, key| {
        (key.kind == KeyType::Password).then(|| json!({ "secret": name }))
    });
    assert_eq!(hidden["token"], json!({ "secret": "token" }));
    assert_eq!(hidden["url"], "http://x");
    let empty = definition.to_json(&Flat::new());
    assert_eq!(
        empty,
        json!({ "page.size": 100, "follow": true, "mode": "delta", "header.": {}, "weight.": {} })
    );
}

/// What is wrong with a schema of one property.
fn refused(name: &str, property: Value) -> String {
    let schema = json!({
        "type": "object",
        "properties": { name: property },
        "$defs": {
            "loop": { "$ref": "#/$defs/loop" },
            "tree": { "type": "array", "items": { "$ref": "#/$defs/tree" } },
        },
    });
    Definition::from_schema(&schema).expect_err(name)
}

#[test]
fn what_a_flat_config_cannot_hold_is_refused_with_its_reason() {
    for (property, reason) in [
        (json!({ "type": "text" }), "there is no type \"text\""),
        (json!({ "type": 7 }), "no name of a type"),
        (
            json!({ "type": "object", "properties": {} }),
            "additionalProperties",
        ),
        (json!({ "type": "object" }), "ends with a dot"),
        (
            json!({ "type": "array", "items": { "type": "array" } }),
            "a list holds",
        ),
        (
            json!({ "type": "array", "items": { "type": "object" } }),
            "a list holds",
        ),
        (json!({ "enum": [1, 2] }), "texts alone"),
        (json!({ "enum": [] }), "texts alone"),
        (
            json!({ "type": "integer", "minimum": 2, "maximum": 1 }),
            "no value fits",
        ),
        (
            json!({ "type": "integer", "minimum": 2, "default": 1 }),
            "default does not fit",
        ),
        (
            json!({ "type": "string", "x-secret": true, "default": "p" }),
            "a secret has no default",
        ),
        (
            json!({ "type": "string", "description": "x".repeat(20_000) }),
            "longer than",
        ),
        (
            json!({ "type": "string", "title": "\u{1b}[2J" }),
            "control characters",
        ),
        (json!({ "$ref": "#/$defs/none" }), "leads nowhere"),
        (
            json!({ "$ref": "https://example.com/schema" }),
            "leads nowhere",
        ),
        (json!({ "$ref": "#/$defs/loop" }), "refers to itself"),
        (json!({ "$ref": "#/$defs/tree" }), "refers to itself"),
        (json!({ "$ref": "#" }), "refers to itself"),
        (
            json!({ "anyOf": [{ "$ref": "#/$defs/tree" }, { "type": "string" }] }),
            "refers to itself",
        ),
    ] {
        let problem = refused("key", property.clone());
        assert!(problem.contains(reason), "{property}: {problem}");
        assert!(problem.starts_with("key: "), "{problem}");
    }
    let problem = refused("keys.", json!({ "type": "string" }));
    assert!(problem.contains("must be object"), "{problem}");
}

#[test]
fn names_are_plain_and_not_the_frameworks() {
    for name in [
        "",
        " ",
        "a b",
        ".a",
        "a..b",
        "ä",
        "a\n",
        "a/b",
        "name",
        "connector.class",
        "connector.plugin.version",
        "tasks.max",
        "topics",
        "topics.regex",
        "transforms",
        "transforms.x",
        "transforms.",
        "predicates.p.type",
        "key.converter",
        "value.converter.schemas.enable",
        "errors.tolerance",
        "errors.",
        "longshore.x",
        "longshore.",
        "producer.override.x",
        "topic.creation.groups",
        "plugin.version",
    ] {
        let kind = if name.ends_with('.') {
            "object"
        } else {
            "string"
        };
        let problem = refused(name, json!({ "type": kind }));
        assert!(problem.contains("name"), "{name}: {problem}");
    }
    refused(&"k".repeat(300), json!({ "type": "string" }));
}

#[test]
fn a_schema_is_an_object_of_bounded_size() {
    let keys: Map<String, Value> = (0..501)
        .map(|n| (format!("k{n}"), json!({ "type": "string" })))
        .collect();
    let mut deep = json!({ "type": "string" });
    for _ in 0..100 {
        deep = json!({ "anyOf": [deep] });
    }
    // Each level names the next one twice: small as text, endless when followed.
    let mut bomb = Map::new();
    for n in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/b{}", n + 1) });
        bomb.insert(format!("b{n}"), json!({ "anyOf": [next.clone(), next] }));
    }
    bomb.insert("b40".into(), json!({ "type": "string" }));
    for schema in [
        json!(null),
        json!("object"),
        json!({}),
        json!({ "type": "array" }),
        json!({ "type": "object", "properties": [] }),
        json!({ "type": "object", "properties": keys }),
        json!({ "type": "object", "properties": { "a": deep } }),
        json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/b0" } }, "$defs": bomb }),
        json!({ "type": "object", "required": ["b"], "properties": { "a": true } }),
        json!({ "type": "object", "required": 1 }),
        json!({ "type": "object", "required": [1] }),
    ] {
        let problem = Definition::from_schema(&schema).expect_err("a bad schema");
        assert!(!problem.is_empty() && problem.len() < 600, "{problem}");
    }
}
