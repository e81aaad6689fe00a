use super::{texts, yaml};
use crate::settings::lint;
use longshore_sdk::{
    Direction, Secret,
    config::{Catalogue, Definition, Flat, Found, Role, UnknownKeys, check},
    converter::Part,
};
use schemars::JsonSchema;

#[derive(JsonSchema)]
#[allow(dead_code)]
struct FileSink {
    /// The file to write.
    file: String,
    #[serde(rename = "batch.size", default)]
    batch_size: u32,
    #[serde(rename = "connection.password")]
    password: Option<Secret>,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct MaskField {
    /// The fields to mask.
    #[schemars(length(min = 1))]
    fields: Vec<String>,
    replacement: Option<String>,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct Pattern {
    pattern: String,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct Json {
    #[serde(rename = "schemas.enable", default)]
    schemas: bool,
}

/// What every connector has, in short.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct Every {
    name: String,
    #[serde(rename = "connector.class")]
    class: String,
    #[serde(rename = "tasks.max")]
    #[schemars(range(min = 1))]
    tasks_max: Option<i32>,
    #[serde(rename = "value.converter")]
    value_converter: Option<String>,
    #[serde(default)]
    transforms: Vec<String>,
    #[serde(default)]
    predicates: Vec<String>,
    #[serde(rename = "errors.tolerance")]
    tolerance: Option<Tolerance>,
    #[serde(rename = "errors.deadletterqueue.topic.name")]
    dead_letter_topic: Option<String>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum Tolerance {
    None,
    All,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct Topics {
    #[serde(default)]
    topics: Vec<String>,
    #[serde(rename = "topics.regex")]
    regex: Option<String>,
}

struct Plugins;

const NAMES: [(Role, &str, &str); 5] = [
    (
        Role::Connector,
        "file-sink",
        "org.apache.kafka.connect.file.FileStreamSinkConnector",
    ),
    (Role::Connector, "datagen", ""),
    (
        Role::Transform,
        "",
        "org.apache.kafka.connect.transforms.MaskField$Value",
    ),
    (
        Role::Predicate,
        "",
        "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
    ),
    (
        Role::Converter(Part::Value),
        "",
        "org.apache.kafka.connect.json.JsonConverter",
    ),
];

impl Catalogue for Plugins {
    fn find(&self, role: Role, class: &str) -> Option<Found> {
        let known = |(of, short, long): &(Role, &str, &str)| {
            *of == role && (*short == class || *long == class)
        };
        let (_, short, _) = NAMES
            .iter()
            .find(|name| known(name))
            .filter(|_| !class.is_empty())?;
        let (direction, definition, unsupported): (_, _, &'static [&'static str]) = match role {
            Role::Connector if *short == "datagen" => {
                (Some(Direction::Source), Definition::default(), &[])
            }
            Role::Connector => (
                Some(Direction::Sink),
                Definition::of::<FileSink>(),
                &["upsert.mode.enabled", "legacy."],
            ),
            Role::Transform => (None, Definition::of::<MaskField>(), &["whitelist"]),
            Role::Predicate => (None, Definition::of::<Pattern>(), &[]),
            Role::Converter(_) => (None, Definition::of::<Json>(), &[]),
        };
        Some(Found {
            direction,
            definition,
            unsupported,
        })
    }
    fn connector_keys(&self, direction: Direction) -> Definition {
        match direction {
            Direction::Source => Definition::of::<Every>(),
            Direction::Sink => Definition::of::<Every>().and(Definition::of::<Topics>()),
        }
    }
    fn names(&self, role: Role) -> Vec<String> {
        let of_role = NAMES.iter().filter(|(of, ..)| *of == role);
        of_role
            .flat_map(|(_, short, long)| [*short, *long])
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// A good file sink whose connector's lines start at line 3, and more lines below.
fn with(lines: &str) -> (Vec<String>, Vec<String>) {
    let text = format!(
        "connectors:\n  c:\n    connector.class: file-sink\n    topics: [a]\n    file: f\n{lines}"
    );
    let settings = yaml(&text);
    let (errors, warnings) = lint(settings.connectors.values(), |config| {
        let checked = check(&Plugins, config, UnknownKeys::Refuse);
        (checked.errors, checked.warnings)
    });
    (texts(errors), texts(warnings))
}

#[test]
fn a_good_connector_passes() {
    let lines = "    tasks.max: 2
    errors: {tolerance: ALL, deadletterqueue.topic.name: dead}
    value.converter: org.apache.kafka.connect.json.JsonConverter
    value.converter.schemas.enable: false
    consumer.override.max.poll.records: 5
    connection.password: ${env:PASSWORD}
    batch.size: ${file:/x:rows}
    predicates:
      orders: {type: org.apache.kafka.connect.transforms.predicates.TopicNameMatches, pattern: orders.*}
    transforms:
      mask: {type: org.apache.kafka.connect.transforms.MaskField$Value, fields: [email], predicate: orders, negate: true}
";
    assert_eq!(with(lines), (vec![], vec![]));
}

#[test]
fn each_kind_of_mistake_has_its_place() {
    for (lines, expected) in [
        (
            "    batchsize: 5\n",
            "f.yaml:6:5: batchsize: unknown key (did you mean batch.size?)",
        ),
        ("    qqq: 5\n", "f.yaml:6:5: qqq: unknown key"),
        (
            "    tasks:\n      maxx: 5\n",
            "f.yaml:7:7: tasks.maxx: unknown key (did you mean tasks.max?)",
        ),
        (
            "    tasks.max: 0\n",
            "f.yaml:6:5: tasks.max: out of range: expected 1 to 2147483647, got a string of 1 character: 0",
        ),
        (
            "    batch.size: many\n",
            "f.yaml:6:5: batch.size: expected an integer, got a string of 4 characters: many",
        ),
        (
            "    errors.tolerance: some\n",
            "f.yaml:6:5: errors.tolerance: expected one of its names, got a string of 4 characters: some (use none, all)",
        ),
        (
            "    upsert.mode.enabled: true\n",
            "f.yaml:6:5: upsert.mode.enabled: the reference's key is not supported here (take it out if the connector may do without)",
        ),
        (
            "    legacy.mode: true\n",
            "f.yaml:6:5: legacy.mode: the reference's key is not supported here (take it out if the connector may do without)",
        ),
        (
            "    topics.regex: a.*\n",
            "f.yaml:6:5: topics.regex: topics and topics.regex are both given (take one of them out)",
        ),
        (
            "    transforms: {m: {type: MaskFeild$Value, fields: [a]}}\n",
            "f.yaml:6:22: transforms.m.type: there is no transform MaskFeild$Value (did you mean MaskField$Value?)",
        ),
        (
            "    transforms: {m: {fields: [a]}}\n",
            "f.yaml:6:18: transforms.m.type: required, but missing",
        ),
        (
            "    transforms: {m: {type: org.apache.kafka.connect.transforms.MaskField$Value}}\n",
            "f.yaml:6:18: transforms.m.fields: required, but missing (The fields to mask)",
        ),
        (
            "    transforms: {m: {type: org.apache.kafka.connect.transforms.MaskField$Value, fields: []}}\n",
            "f.yaml:6:81: transforms.m.fields: expected at least 1 item, got an empty string",
        ),
        (
            "    transforms: {m: {type: org.apache.kafka.connect.transforms.MaskField$Value, feilds: [a], fields: [a]}}\n",
            "f.yaml:6:81: transforms.m.feilds: unknown key (did you mean transforms.m.fields?)",
        ),
        (
            "    transforms: {m: {type: org.apache.kafka.connect.transforms.MaskField$Value, whitelist: [a], fields: [a]}}\n",
            "f.yaml:6:81: transforms.m.whitelist: the reference's key is not supported here (take it out if the connector may do without)",
        ),
        (
            "    transforms: {m: {type: org.apache.kafka.connect.transforms.MaskField$Value, fields: [a], predicate: p}}\n",
            "f.yaml:6:94: transforms.m.predicate: p is not in predicates (define predicates.p.type, and list it)",
        ),
        (
            "    transforms: 'a,a'\n    transforms.a: {type: org.apache.kafka.connect.transforms.MaskField$Value, fields: [a]}\n",
            "f.yaml:6:5: transforms: a is listed twice",
        ),
        (
            "    value.converter: AvroConverter\n",
            "f.yaml:6:5: value.converter: there is no converter AvroConverter (there are org.apache.kafka.connect.json.JsonConverter)",
        ),
    ] {
        let (errors, warnings) = with(lines);
        assert_eq!(errors, [expected], "{lines}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn what_would_be_lost_without_a_word_is_said() {
    for (lines, expected) in [
        (
            "    value.converter.schemas.enable: false\n",
            "f.yaml:6:5: value.converter.schemas.enable: has no effect without value.converter (give value.converter too, or set it for the worker)",
        ),
        (
            "    transforms.m: {type: X, fields: [a]}\n",
            "f.yaml:6:20: transforms.m.type: has no effect: m is not in transforms (list it: transforms=m,..)",
        ),
    ] {
        let (errors, warnings) = with(lines);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(warnings, [expected]);
    }
}

fn of(entries: &[(&str, &str)]) -> Flat {
    let entries = entries.iter();
    entries
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn classes_are_told_apart() {
    for (class, expected) in [
        (
            "file-snk",
            "connector.class: there is no connector class file-snk (did you mean file-sink?)",
        ),
        (
            "FileStreamSnkConnector",
            "connector.class: there is no connector class FileStreamSnkConnector (did you mean FileStreamSinkConnector?)",
        ),
        (
            "io.example.Other",
            "connector.class: there is no connector class io.example.Other (there are file-sink, datagen)",
        ),
        (
            " ",
            "connector.class: required, but missing (there are file-sink, datagen)",
        ),
    ] {
        let checked = check(
            &Plugins,
            &of(&[("connector.class", class)]),
            UnknownKeys::Refuse,
        );
        let errors: Vec<String> = checked.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, [expected]);
        assert_eq!(checked.direction, None);
    }
}

#[test]
fn what_would_fail_at_run_time_is_refused_at_once() {
    for (key, value, expected) in [
        (
            "name",
            "a/b",
            "name: a name cannot hold /, \\, % or control characters",
        ),
        (
            "topic.creation.default.partitions",
            "3",
            "topic.creation.default.replication.factor: required, but missing",
        ),
    ] {
        let mut config = of(&[("connector.class", "datagen"), ("name", "x")]);
        config.insert(key.to_owned(), value.to_owned());
        let checked = check(&Plugins, &config, UnknownKeys::Refuse);
        let errors: Vec<String> = checked.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, [expected]);
    }
    let good = of(&[
        ("connector.class", "datagen"),
        ("name", "größe;?#+ .."),
        ("topic.creation.default.replication.factor", "-1"),
        ("topic.creation.default.partitions", "3"),
        ("topic.creation.default.cleanup.policy", "compact"),
    ]);
    let checked = check(&Plugins, &good, UnknownKeys::Refuse);
    assert!(checked.errors.is_empty(), "{:?}", checked.errors);
}

#[test]
fn rest_warns_where_files_refuse() {
    let config = of(&[
        ("connector.class", "datagen"),
        ("name", "x"),
        ("nobody.knows", "1"),
    ]);
    let strict = check(&Plugins, &config, UnknownKeys::Refuse);
    assert_eq!((strict.errors.len(), strict.warnings.len()), (1, 0));
    let lenient = check(&Plugins, &config, UnknownKeys::Warn);
    assert_eq!((lenient.errors.len(), lenient.warnings.len()), (0, 1));
    assert_eq!(lenient.direction, Some(Direction::Source));
}
