use super::{info::ConfigKeyInfo, *};
use crate::Secret;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Insert,
    Upsert,
    Update,
}

/// Each name with words of its own: schemars writes such an enum in another way.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
enum Level {
    /// Nothing.
    #[serde(rename = "none")]
    None,
    /// Everything.
    #[serde(rename = "all")]
    All,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Topic(String);

fn rows_max() -> u32 {
    2000
}

fn fields() -> Vec<String> {
    vec!["a".into(), "b".into()]
}

/// A connector's settings.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The topic
    /// to write. Created if need be.
    #[schemars(length(min = 1))]
    topic: Topic,
    /// Rows of a batch.
    #[serde(rename = "batch.size", default = "rows_max")]
    #[schemars(range(min = 1, max = 10_000), extend("x-importance" = "LOW", "x-group" = "Rows", "x-width" = "SHORT"))]
    rows_max: u32,
    #[serde(rename = "insert.mode", default)]
    #[schemars(extend("x-group" = "Rows", "x-display-name" = "Insert mode"))]
    mode: Mode,
    level: Option<Level>,
    #[serde(default = "fields")]
    fields: Vec<String>,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    ratio: f64,
    #[serde(default)]
    append: bool,
    #[serde(rename = "connection.password")]
    password: Option<Secret>,
    #[serde(rename = "secret.number", default)]
    #[schemars(extend("x-secret" = true))]
    pin: u8,
    since: Option<i64>,
    #[serde(rename = "source.cluster.bootstrap.servers", default)]
    bootstrap: String,
    #[serde(rename = "source.cluster.", default)]
    client: BTreeMap<String, String>,
    #[serde(rename = "weights.", default)]
    weights: BTreeMap<String, u8>,
}

fn flat(entries: &[(&str, &str)]) -> Flat {
    let entries = entries.iter();
    entries
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn with_topic(entries: &[(&str, &str)]) -> Flat {
    let mut flat = flat(entries);
    flat.insert("topic".into(), "t".into());
    flat
}

#[test]
fn text_becomes_what_the_fields_are() {
    let config: Config = read(&flat(&[
        ("name", "not ours"),
        ("topic", " orders\t"),
        ("batch.size", " 10 "),
        ("insert.mode", "UPSERT"),
        ("level", "all"),
        ("fields", " x , y,,"),
        ("ports", "1,65535"),
        ("ratio", "1.5"),
        ("append", "TRUE"),
        ("connection.password", "s3cret"),
        ("secret.number", "7"),
        ("since", "-9223372036854775808"),
        ("source.cluster.bootstrap.servers", "b:9092"),
        ("source.cluster.security.protocol", "SSL"),
        ("weights.a", "1"),
    ]))
    .expect("a good config");
    let expected = Config {
        topic: Topic("orders".into()),
        rows_max: 10,
        mode: Mode::Upsert,
        level: Some(Level::All),
        fields: vec!["x".into(), "y".into()],
        ports: vec![1, 65535],
        ratio: 1.5,
        append: true,
        password: Some(Secret::new("s3cret")),
        pin: 7,
        since: Some(i64::MIN),
        bootstrap: "b:9092".into(),
        client: [("security.protocol".into(), "SSL".into())].into(),
        weights: [("a".into(), 1)].into(),
    };
    assert_eq!(config, expected);
}

#[test]
fn missing_optional_keys_get_their_defaults() {
    let config: Config = read(&with_topic(&[])).expect("only the topic is required");
    assert_eq!(config.rows_max, 2000);
    assert_eq!(config.mode, Mode::Insert);
    assert_eq!(config.fields, fields());
    assert_eq!(config.password, None);
    assert!(config.client.is_empty());
    let config: Config =
        read(&with_topic(&[("fields", "")])).expect("an empty string is an empty list");
    assert!(config.fields.is_empty());
}

#[test]
fn every_problem_is_named_with_its_key() {
    for (key, value, finding) in [
        (
            "batch.size",
            "abc",
            "batch.size: expected an integer, got a string of 3 characters: abc",
        ),
        (
            "batch.size",
            "",
            "batch.size: expected an integer, got an empty string",
        ),
        (
            "batch.size",
            "0",
            "batch.size: out of range: expected 1 to 10000, got a string of 1 character: 0",
        ),
        (
            "batch.size",
            "99999999999999999999999999999999999999999",
            "batch.size: expected an integer, got a string of 41 characters: 99999999999999999999999999999999999999999",
        ),
        (
            "insert.mode",
            "upsrt",
            "insert.mode: expected one of its names, got a string of 5 characters: upsrt (use upsert, insert, update)",
        ),
        (
            "level",
            "most",
            "level: expected one of its names, got a string of 4 characters: most (use none, all)",
        ),
        (
            "ports",
            "1,65536",
            "ports: out of range: expected 0 to 65535, got a string of 5 characters: 65536",
        ),
        (
            "ratio",
            "inf",
            "ratio: expected a number, got a string of 3 characters: inf",
        ),
        (
            "append",
            "yes",
            "append: expected true or false, got a string of 3 characters: yes",
        ),
        (
            "secret.number",
            "hunter2",
            "secret.number: expected an integer, got a string of 7 characters",
        ),
        (
            "weights.a",
            "256",
            "weights.a: out of range: expected 0 to 255, got a string of 3 characters: 256",
        ),
        (
            "topic",
            "",
            "topic: expected at least 1 character, got an empty string",
        ),
    ] {
        let mut config = with_topic(&[]);
        config.insert(key.into(), value.into());
        let findings = read::<Config>(&config).expect_err(key);
        let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [finding]);
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let config = flat(&[("batch.size", "x"), ("append", "maybe"), ("weights.b", "-")]);
    let findings = read::<Config>(&config).expect_err("four problems");
    let keys: Vec<&str> = findings
        .iter()
        .map(|finding| finding.key.as_str())
        .collect();
    assert_eq!(keys, ["batch.size", "append", "weights.b", "topic"]);
    assert_eq!(
        findings[3].to_string(),
        "topic: required, but missing (The topic to write)"
    );
}

#[test]
fn i8_secrets_stay_out_of_findings_of_the_fields_own_code() {
    fn even<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let text = String::deserialize(from)?;
        Err(serde::de::Error::custom(format!("odd: {text}")))
    }
    #[derive(Debug, Deserialize, JsonSchema)]
    #[allow(dead_code)]
    struct Odd {
        #[serde(deserialize_with = "even")]
        #[schemars(extend("x-secret" = true))]
        hidden: String,
    }
    #[derive(Debug, Deserialize, JsonSchema)]
    #[allow(dead_code)]
    struct Open {
        #[serde(deserialize_with = "even")]
        shown: String,
    }
    let findings = read::<Odd>(&flat(&[("hidden", "hunter2")])).expect_err("odd");
    assert_eq!(findings[0].to_string(), "hidden: its value cannot be used");
    let findings = read::<Open>(&flat(&[("shown", "x")])).expect_err("odd");
    assert_eq!(findings[0].to_string(), "shown: odd: x");
}

#[test]
fn flattened_structs_and_untagged_fields_are_read_by_their_schema() {
    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Pool {
        #[serde(rename = "pool.size")]
        size: u32,
        #[serde(rename = "pool.eager", default)]
        eager: bool,
    }
    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Outer {
        url: String,
        #[serde(flatten)]
        pool: Pool,
    }
    let outer: Outer = read(&flat(&[
        ("url", "u"),
        ("pool.size", "3"),
        ("pool.eager", "true"),
    ]))
    .expect("flattened");
    assert_eq!((outer.pool.size, outer.pool.eager), (3, true));
}

#[test]
fn the_definition_follows_from_the_struct() {
    let infos = Definition::of::<Config>().key_infos();
    let one = |name: &str| {
        let info: &ConfigKeyInfo = infos
            .iter()
            .find(|info| info.name == name)
            .unwrap_or_else(|| panic!("{name} is a key"));
        serde_json::to_value(info).expect("plain data")
    };
    assert_eq!(
        one("topic"),
        json!({"name": "topic", "type": "STRING", "required": true, "default_value": null, "importance": "HIGH",
            "documentation": "The topic to write. Created if need be.", "group": null, "width": "NONE", "display_name": "topic",
            "dependents": [], "order": -1})
    );
    assert_eq!(
        one("batch.size"),
        json!({"name": "batch.size", "type": "INT", "required": false, "default_value": "2000", "importance": "LOW",
            "documentation": "Rows of a batch.", "group": "Rows", "width": "SHORT", "display_name": "batch.size",
            "dependents": [], "order": 1})
    );
    assert_eq!(one("insert.mode")["order"], 2);
    assert_eq!(one("insert.mode")["display_name"], "Insert mode");
    for (name, kind, default) in [
        ("insert.mode", "STRING", json!("insert")),
        ("level", "STRING", json!(null)),
        ("fields", "LIST", json!("a,b")),
        ("ports", "LIST", json!("")),
        ("ratio", "DOUBLE", json!("0.0")),
        ("append", "BOOLEAN", json!("false")),
        ("connection.password", "PASSWORD", json!(null)),
        ("secret.number", "PASSWORD", json!("[hidden]")),
        ("since", "LONG", json!(null)),
    ] {
        assert_eq!(
            (&one(name)["type"], &one(name)["default_value"]),
            (&json!(kind), &default),
            "{name}"
        );
    }
    assert!(infos.iter().all(|info| !info.name.ends_with('.')));
    let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names[..3], ["topic", "batch.size", "insert.mode"]);
}

#[test]
fn keys_are_known_by_name_or_by_prefix() {
    let definition = Definition::of::<Config>();
    for (name, known, secret) in [
        ("topic", true, false),
        ("source.cluster.bootstrap.servers", true, false),
        ("source.cluster.sasl.password", true, true),
        ("source.cluster.", false, false),
        ("connection.password", true, true),
        ("connection.pasword", false, false),
        ("other.api_key", false, true),
    ] {
        assert_eq!(definition.knows(name), known, "{name}");
        assert_eq!(definition.is_secret(name), secret, "{name}");
    }
    assert_eq!(
        definition.nearest("connection.pasword"),
        Some("connection.password")
    );
    assert_eq!(definition.nearest("nothing.like.it"), None);
    let unknown = definition.unknown(&with_topic(&[("batchsize", "1")]));
    assert_eq!(
        unknown[0].to_string(),
        "batchsize: unknown key (did you mean batch.size?)"
    );
    assert_eq!(unknown.len(), 1);
}

#[test]
fn placeholders_pass_the_check_but_are_not_read() {
    let config = with_topic(&[("batch.size", "${env:ROWS}"), ("append", "${topic}")]);
    let definition = Definition::of::<Config>();
    let keys: Vec<String> = definition
        .check(&config)
        .into_iter()
        .map(|finding| finding.key)
        .collect();
    assert_eq!(keys, ["append"]);
    assert_eq!(read::<Config>(&config).expect_err("both").len(), 2);
    for (text, holds) in [
        ("${env:X}", true),
        ("a${file:/p:k}b", true),
        ("${topic}-${timestamp}", false),
        ("${:x}", false),
        ("${env:", false),
        ("", false),
    ] {
        assert_eq!(holds_placeholder(text), holds, "{text}");
    }
}

#[test]
fn definitions_are_laid_together() {
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Common {
        name: String,
        topic: Option<String>,
    }
    let both = Definition::of::<Config>().and(Definition::of::<Common>());
    assert!(both.knows("name"));
    assert!(
        both.get("topic").expect("known").required,
        "the first definition of a key holds"
    );
    let below = Definition::of::<Common>().below("transforms.mask.");
    assert!(below.knows("transforms.mask.name") && !below.knows("name"));
}

#[test]
fn i8_validation_shows_values_but_no_secrets() {
    let config = with_topic(&[
        ("batch.size", "abc"),
        ("insert.mode", "bogus"),
        ("connection.password", "hunter2"),
        ("source.cluster.sasl.jaas.config", "hunter2"),
        ("source.cluster.client.id", "me"),
    ]);
    let definition = Definition::of::<Config>();
    let infos = definition.infos("x.Y", &config, &definition.check(&config));
    assert_eq!(
        (infos.error_count, infos.groups.as_slice()),
        (2, ["Rows".to_owned()].as_slice())
    );
    let value = |name: &str| {
        let mut all = infos.configs.iter();
        let info = all.find(|info| info.value.name == name);
        info.unwrap_or_else(|| panic!("{name} is shown"))
            .value
            .clone()
    };
    assert_eq!(value("batch.size").value, None);
    assert_eq!(value("batch.size").errors.len(), 1);
    assert_eq!(value("insert.mode").value.as_deref(), Some("bogus"));
    assert_eq!(value("topic").value.as_deref(), Some("t"));
    assert_eq!(
        value("insert.mode").recommended_values,
        ["insert", "upsert", "update"]
    );
    assert_eq!(value("append").value.as_deref(), Some("false"));
    assert_eq!(
        value("source.cluster.client.id").value.as_deref(),
        Some("me")
    );
    let printed = serde_json::to_string(&infos).expect("plain data");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert_eq!(
        value("connection.password").value.as_deref(),
        Some("[hidden]")
    );
}

/// The struct's values as a person would write them.
fn written(config: &Config) -> Flat {
    let mut flat = flat(&[
        ("topic", &config.topic.0),
        ("batch.size", &config.rows_max.to_string()),
        (
            "insert.mode",
            ["insert", "upsert", "update"][config.mode as usize],
        ),
        ("fields", &config.fields.join(" , ")),
        ("ratio", &config.ratio.to_string()),
        ("append", &config.append.to_string()),
        ("secret.number", &config.pin.to_string()),
    ]);
    let ports: Vec<String> = config.ports.iter().map(ToString::to_string).collect();
    flat.insert("ports".into(), ports.join(","));
    if let Some(since) = config.since {
        flat.insert("since".into(), since.to_string());
    }
    for (key, value) in &config.client {
        flat.insert(format!("source.cluster.{key}"), value.clone());
    }
    for (key, value) in &config.weights {
        flat.insert(format!("weights.{key}"), value.to_string());
    }
    flat
}

prop_compose! {
    fn configs()(
        topic in "[a-z][a-z0-9 ._-]{0,9}[a-z]",
        rows_max in 1..=10_000_u32,
        mode in prop_oneof![Just(Mode::Insert), Just(Mode::Upsert), Just(Mode::Update)],
        fields in prop::collection::vec("[^,\\x00-\\x20]{1,5}", 0..4),
        ports in prop::collection::vec(any::<u16>(), 0..4),
        ratio in any::<f64>().prop_filter("finite", |ratio| ratio.is_finite()),
        (append, pin) in any::<(bool, u8)>(),
        since in any::<Option<i64>>(),
        client in prop::collection::btree_map("[a-z]{1,4}(\\.[a-z]{1,4})?", "[!-~]{0,8}", 0..4),
        weights in prop::collection::btree_map("[a-z.]{1,6}", any::<u8>(), 0..4),
    ) -> Config {
        Config {
            topic: Topic(topic), rows_max, mode, level: None, fields, ports, ratio, append, password: None, pin, since,
            bootstrap: String::new(), client, weights,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read(config in configs()) {
        let flat = written(&config);
        prop_assert_eq!(read::<Config>(&flat), Ok(config));
    }

    #[test]
    fn no_map_makes_it_panic(
        entries in prop::collection::btree_map(
            prop_oneof![
                "\\PC{0,12}",
                prop::sample::select(vec![
                    "topic", "batch.size", "insert.mode", "level", "fields", "ports", "ratio", "append", "since",
                    "source.cluster.", "source.cluster", "weights.", "weights.x", ".", "",
                ]).prop_map(str::to_owned),
            ],
            prop_oneof!["\\PC{0,12}", "[-+0-9.eE,]{0,45}", any::<String>()],
            0..12,
        ),
    ) {
        let definition = Definition::of::<Config>();
        let findings = definition.check(&entries);
        let unknown = definition.unknown(&entries);
        prop_assert_eq!(read::<Config>(&entries).is_ok(), definition.check_resolved(&entries).is_empty());
        let infos = definition.infos("x", &entries, &findings);
        prop_assert_eq!(infos.error_count, findings.len());
        prop_assert_eq!(unknown.len(), entries.keys().filter(|key| !definition.knows(key)).count());
    }
}
