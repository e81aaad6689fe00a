//! Transforms and predicates against recordings of a Kafka Connect 4.1.0 worker (tests/data).

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use longshore_sdk::{
    Datum, Decimal, Field, Header, Kind, Record, Schema, Value, Verdict,
    config::Flat,
    json::{Style, decimal_from_text, parse, print},
    schema::logical,
};
use serde_json::Value as Json;
use std::sync::Arc;

struct Corpus {
    trees: Vec<Json>,
    records: Vec<Json>,
    cases: Vec<Json>,
}

fn corpus() -> Corpus {
    let mut corpus = Corpus {
        trees: Vec::new(),
        records: Vec::new(),
        cases: Vec::new(),
    };
    for line in include_str!("data/smt.jsonl").lines() {
        let mut line: Json = serde_json::from_str(line).expect("a line of JSON");
        let object = line.as_object_mut().expect("an object");
        if let Some(tree) = object.remove("tree") {
            corpus.trees.push(tree);
        } else if let Some(record) = object.remove("record") {
            corpus.records.push(record);
        } else {
            corpus.cases.push(line);
        }
    }
    corpus
}

impl Corpus {
    fn tree(&self, index: &Json) -> &Json {
        &self.trees[index.as_u64().expect("an index") as usize]
    }
    fn record(&self, index: &Json) -> Record {
        let parts = &self.records[index.as_u64().expect("an index") as usize];
        let datum = |at: usize| datum(self.tree(&parts[at]), self.tree(&parts[at + 1]));
        let headers = self.tree(&parts[7]).as_array().expect("headers");
        Record {
            topic: parts[0].as_str().expect("a topic").into(),
            partition: parts[1].as_i64().map(|partition| partition as i32),
            timestamp: parts[2].as_i64(),
            offset: None,
            key: datum(3),
            value: datum(5),
            headers: headers
                .iter()
                .map(|header| Header {
                    key: header["key"].as_str().expect("a name").into(),
                    value: self::datum(&header["schema"], &header["value"]),
                })
                .collect(),
        }
    }
    fn config(&self, case: &Json) -> Flat {
        let config = self.tree(&case["config"]).as_object().expect("a config");
        config
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().expect("a string").to_owned()))
            .collect()
    }
}

fn datum(schema_json: &Json, tree: &Json) -> Datum {
    let schema = schema(schema_json);
    match (value(tree, schema.as_deref()), schema) {
        (Value::Null, None) => Datum::Null,
        (value, schema) => Datum::Value(value, schema),
    }
}

fn schema(json: &Json) -> Option<Arc<Schema>> {
    if json.is_null() {
        return None;
    }
    let part = |name: &str| schema(&json[name]).expect("a part");
    let kind = match json["type"].as_str().expect("a type") {
        "boolean" => Kind::Bool,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float" => Kind::Float32,
        "double" => Kind::Float64,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "array" => Kind::Array(part("items")),
        "map" => Kind::Map(part("keys"), part("values")),
        _ => Kind::Struct(
            json["fields"]
                .as_array()
                .expect("fields")
                .iter()
                .map(|field| Field {
                    name: field["field"].as_str().expect("a name").into(),
                    schema: schema(field).expect("a schema"),
                })
                .collect(),
        ),
    };
    let text = |name: &str| json[name].as_str().map(Arc::from);
    let mut parameters = Vec::new();
    if let Some(entries) = json["parameters"].as_object() {
        parameters.extend(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned())),
        );
    }
    let default = match (&kind, &json["default"]) {
        (_, Json::Null) => None,
        (Kind::Int32, number) => Some(Value::Int32(number.as_i64().expect("a number") as i32)),
        (Kind::Int64, number) => Some(Value::Int64(number.as_i64().expect("a number"))),
        (Kind::Float64, number) => Some(Value::Float64(number.as_f64().expect("a number"))),
        (Kind::Bool, flag) => Some(Value::Bool(flag.as_bool().expect("a boolean"))),
        (_, text) => Some(Value::String(text.as_str().expect("a text").to_owned())),
    };
    Some(Arc::new(Schema {
        kind,
        optional: json["optional"] == true,
        default,
        name: text("name"),
        version: json["version"].as_i64().map(|version| version as i32),
        doc: text("doc"),
        parameters,
    }))
}

fn value(tree: &Json, schema: Option<&Schema>) -> Value {
    let v = &tree["v"];
    let number = || v.as_i64().expect("an integer");
    let bits = || u64::from_str_radix(tree["bits"].as_str().expect("bits"), 16).expect("hex");
    let list = || v.as_array().expect("a list").iter();
    match tree["t"].as_str().expect("a type") {
        "null" => Value::Null,
        "boolean" => Value::Bool(v.as_bool().expect("a boolean")),
        "int8" => Value::Int8(number() as i8),
        "int16" => Value::Int16(number() as i16),
        "int32" => Value::Int32(number() as i32),
        "int64" => Value::Int64(number()),
        "float32" => Value::Float32(f32::from_bits(bits() as u32)),
        "float64" => Value::Float64(f64::from_bits(bits())),
        "string" => Value::String(v.as_str().expect("a text").to_owned()),
        "bytes" => Value::Bytes(Bytes::from(
            STANDARD
                .decode(tree["b64"].as_str().expect("base64"))
                .expect("base64"),
        )),
        "array" => {
            let items = match schema.map(|schema| &schema.kind) {
                Some(Kind::Array(items)) => Some(items.as_ref()),
                _ => None,
            };
            Value::Array(list().map(|item| value(item, items)).collect())
        }
        "map" => {
            let (keys, values) = match schema.map(|schema| &schema.kind) {
                Some(Kind::Map(keys, values)) => (Some(keys.as_ref()), Some(values.as_ref())),
                _ => (None, None),
            };
            Value::Map(
                list()
                    .map(|pair| (value(&pair[0], keys), value(&pair[1], values)))
                    .collect(),
            )
        }
        "struct" => {
            let fields = schema.expect("a struct's schema").fields();
            Value::Struct(
                list()
                    .zip(fields)
                    .map(|(pair, field)| value(&pair[1], Some(&field.schema)))
                    .collect(),
            )
        }
        "java.util.Date" => {
            let ms = tree["ms"].as_i64().expect("ms");
            match schema.and_then(|schema| schema.name.as_deref()) {
                Some(logical::DATE) => Value::Date(ms),
                Some(logical::TIME) => Value::Time(ms),
                _ => Value::Timestamp(ms),
            }
        }
        "java.math.BigDecimal" => {
            let unscaled =
                decimal_from_text(tree["unscaled"].as_str().expect("digits")).expect("digits");
            let scale = tree["scale"].as_i64().expect("a scale") as i32;
            Value::Decimal(Decimal {
                unscaled: unscaled.unscaled,
                scale,
            })
        }
        other => panic!("unknown tree {other}"),
    }
}

/// Brings maps into one order and floats into one form that compares.
fn normal(value: &Value) -> Value {
    match value {
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| (normal(key), normal(value)))
                .collect();
            entries.sort_by_key(|(key, _)| format!("{key:?}"));
            Value::Map(entries)
        }
        Value::Array(items) => Value::Array(items.iter().map(normal).collect()),
        Value::Struct(items) => Value::Struct(items.iter().map(normal).collect()),
        Value::Float64(number) if number.is_nan() => Value::String("a NaN".into()),
        other => other.clone(),
    }
}

fn same(left: &Record, right: &Record) -> bool {
    let part = |datum: &Datum| match datum {
        Datum::Value(value, schema) => (normal(value), schema.clone()),
        Datum::Json(text) => (normal(&parse(text).expect("valid JSON")), None),
        Datum::Null => (Value::Null, None),
        other => panic!("{other:?}"),
    };
    part(&left.key) == part(&right.key)
        && part(&left.value) == part(&right.value)
        && (&left.topic, left.partition, left.timestamp)
            == (&right.topic, right.partition, right.timestamp)
        && left.headers == right.headers
}

fn run(transform: &mut dyn longshore_sdk::erased::DynTransform, record: Record) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut verdicts = runtime.block_on(transform.apply(vec![record]));
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0)
}

/// Runs a case with its records made over by `form`; `None`: it does not apply. The error says what differs.
fn check(
    corpus: &Corpus,
    case: &Json,
    form: impl Fn(Record) -> Option<Record>,
) -> Result<bool, String> {
    let class = case["smt"].as_str().expect("a class");
    let config = corpus.config(case);
    let out = &case["out"];
    if let Some(plugin) = longshore_transforms::predicates()
        .into_iter()
        .find(|plugin| class.contains(plugin.plugin.name))
    {
        return match (plugin.build)(&config) {
            Err(_) if out == "config error" => Ok(true),
            Err(error) => Err(error.to_string()),
            Ok(_) if out == "config error" => Err("a config error is missing".into()),
            Ok(predicate) => {
                let result = predicate.test(&corpus.record(&case["in"]));
                if out.as_bool() == Some(result) {
                    Ok(true)
                } else {
                    Err(format!("{result}"))
                }
            }
        };
    }
    let plugin = longshore_transforms::all()
        .into_iter()
        .find(|plugin| plugin.plugin.name == class)
        .expect("the plugin");
    let mut transform = match (plugin.build)(&config) {
        Err(_) if out == "config error" => return Ok(true),
        Err(error) => return Err(error.to_string()),
        Ok(_) if out == "config error" => return Err("a config error is missing".into()),
        Ok(transform) => transform,
    };
    let Some(mut record) = form(corpus.record(&case["in"])) else {
        return Ok(false);
    };
    // The recorded sink records stood at offset 42; source records have no offset, and are refused where one is asked for.
    if config.contains_key("offset.field") && out != "error" {
        record.offset = Some(42);
    }
    match (run(transform.as_mut(), record), out) {
        (Verdict::Drop, out) if out == "dropped" => Ok(true),
        (Verdict::Refuse(_), out) if out == "error" => Ok(true),
        (Verdict::Keep(record), out) if out.is_u64() => {
            let Some(expected) = form(corpus.record(out)) else {
                return Ok(false);
            };
            if same(&record, &expected) {
                Ok(true)
            } else {
                Err(format!("\n  got  {record:?}\n  want {expected:?}"))
            }
        }
        (verdict, _) => Err(format!("{verdict:?}, want {out}")),
    }
}

fn check_all(form: impl Fn(Record) -> Option<Record> + Copy, at_least: usize) {
    let corpus = corpus();
    let (mut done, mut differing) = (0, Vec::new());
    for case in &corpus.cases {
        let class = case["smt"].as_str().expect("a class");
        let config = corpus.config(case);
        let result = check(&corpus, case, form);
        match result {
            Ok(done_now) => done += usize::from(done_now),
            Err(difference) => differing.push(format!(
                "{class} {config:?} in {}: {difference}",
                case["in"]
            )),
        }
    }
    let shown: Vec<&String> = differing.iter().take(6).collect();
    assert!(
        differing.is_empty(),
        "{} differ, {done} agree: {shown:#?}",
        differing.len()
    );
    assert!(done >= at_least, "only {done} cases ran");
}

#[test]
fn decoded_records_come_out_as_recorded() {
    check_all(Some, 1600);
}

/// The same record with its maps as JSON text. Only what JSON can tell apart applies.
fn as_json(mut record: Record) -> Option<Record> {
    for datum in [&mut record.key, &mut record.value] {
        match datum {
            Datum::Value(value, None) if plain(value) => {
                let mut text = BytesMut::new();
                print(value, None, Style::default(), &mut text).ok()?;
                *datum = Datum::Json(text.freeze());
            }
            Datum::Value(_, None) => return None,
            _ => {}
        }
    }
    Some(record)
}

fn plain(value: &Value) -> bool {
    match value {
        Value::Map(entries) => entries.iter().all(|(_, value)| plain(value)),
        Value::Array(items) => items.iter().all(plain),
        Value::Bytes(_)
        | Value::Decimal(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Timestamp(_) => false,
        _ => true,
    }
}

#[test]
fn undecoded_json_comes_out_the_same() {
    check_all(as_json, 700);
}
