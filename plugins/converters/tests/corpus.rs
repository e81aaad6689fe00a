//! Converters against recordings of a Kafka Connect 4.1.0 worker (tests/data).

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use longshore_sdk::{
    Datum, Decimal, Field, Header, Kind, Record, Schema, Value,
    config::Flat,
    converter::Part,
    json::{decimal_from_text, parse},
    schema::logical,
};
use serde_json::Value as Json;
use std::sync::Arc;

struct Corpus {
    trees: Vec<Json>,
    cases: Vec<Json>,
}

fn corpus() -> Corpus {
    let mut corpus = Corpus {
        trees: Vec::new(),
        cases: Vec::new(),
    };
    for line in include_str!("data/converters.jsonl").lines() {
        let mut line: Json = serde_json::from_str(line).expect("a line of JSON");
        match line.as_object_mut().expect("an object").remove("tree") {
            Some(tree) => corpus.trees.push(tree),
            None => corpus.cases.push(line),
        }
    }
    corpus
}

/// What differs on purpose, with the reason.
fn allowed(case: &Json, corpus: &Corpus) -> Option<&'static str> {
    let class = case["class"].as_str().expect("a class");
    let config = corpus.tree(&case["config"]).to_string();
    let data = ["in", "out"].map(|side| {
        case[side]
            .get(1)
            .map(|tree| corpus.tree(tree).to_string())
            .unwrap_or_default()
    });
    let any = |text: &str| data.iter().any(|data| data.contains(text));
    if any("java:java.lang") || any("java.math.BigInteger") {
        return Some("no such type of value exists here");
    }
    if any("00800000") || any("44b52d02c7e14af6") {
        return Some(
            "JDK 17 prints more digits than needed; ours are the shortest, as in JDK 19 and later",
        );
    }
    if any(r#""a?b""#) && class == "JsonConverter" {
        return Some("the recording holds half a surrogate pair, which no string here can");
    }
    if class == "StringConverter" {
        if config.contains("converter.encoding") {
            return Some("UTF-8 is the only encoding");
        }
        if case["dir"]
            .as_str()
            .is_some_and(|dir| dir.starts_with("from"))
            && any(r#""t":"bytes""#)
        {
            return Some("bytes print as base64 instead of an object's address");
        }
    }
    None
}

impl Corpus {
    fn tree(&self, index: &Json) -> &Json {
        &self.trees[index.as_u64().expect("an index") as usize]
    }
    fn config(&self, case: &Json) -> Flat {
        let config = self.tree(&case["config"]).as_object().expect("a config");
        config
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().expect("a string").to_owned()))
            .collect()
    }
    fn datum(&self, side: &Json) -> Datum {
        if side.is_u64() {
            let bytes = self
                .tree(side)
                .as_str()
                .map(|text| STANDARD.decode(text).expect("base64"));
            return bytes.map_or(Datum::Null, |bytes| Datum::Bytes(Bytes::from(bytes)));
        }
        let schema = schema(self.tree(&side[0]));
        match (value(self.tree(&side[1]), schema.as_deref()), schema) {
            (Value::Null, None) => Datum::Null,
            (value, schema) => Datum::Value(value, schema),
        }
    }
}

/// `None`: no schema, or one with a part that is not known, which has no form here.
fn schema(json: &Json) -> Option<Arc<Schema>> {
    if json.is_null() {
        return None;
    }
    let part = |name: &str| schema(&json[name]);
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
        "array" => Kind::Array(part("items")?),
        "map" => Kind::Map(part("keys")?, part("values")?),
        _ => {
            let fields = json["fields"].as_array().expect("fields").iter();
            let field = |field: &Json| {
                Some(Field {
                    name: field["field"].as_str()?.into(),
                    schema: schema(field)?,
                })
            };
            Kind::Struct(fields.map(field).collect::<Option<_>>()?)
        }
    };
    let text = |name: &str| json[name].as_str().map(Arc::from);
    let mut schema = Schema::new(kind);
    schema.optional = json["optional"] == true;
    schema.name = text("name");
    schema.doc = text("doc");
    schema.version = json["version"].as_i64().map(|version| version as i32);
    if let Some(entries) = json["parameters"].as_object() {
        let entries = entries
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned()));
        schema.parameters.extend(entries);
    }
    schema.default = default(&schema, &json["default"]);
    Some(Arc::new(schema))
}

fn default(schema: &Schema, json: &Json) -> Option<Value> {
    Some(match (&schema.kind, schema.name.as_deref(), json) {
        (_, _, Json::Null) => return None,
        (_, Some(logical::TIMESTAMP), ms) => Value::Timestamp(ms.as_i64()?),
        (_, Some(logical::DECIMAL), text) => Value::Decimal(Decimal {
            unscaled: STANDARD.decode(text.as_str()?).ok()?.into(),
            scale: schema.parameters[0].1.parse().ok()?,
        }),
        (Kind::Int32, _, number) => Value::Int32(number.as_i64()? as i32),
        (Kind::Int64, _, number) => Value::Int64(number.as_i64()?),
        (Kind::Float64, _, number) => Value::Float64(number.as_f64()?),
        (Kind::Bool, _, flag) => Value::Bool(flag.as_bool()?),
        (_, _, text) => Value::String(text.as_str()?.to_owned()),
    })
}

fn value(tree: &Json, schema: Option<&Schema>) -> Value {
    let v = &tree["v"];
    let number = || v.as_i64().expect("an integer");
    let bits = || u64::from_str_radix(tree["bits"].as_str().expect("bits"), 16).expect("hex");
    let list = || v.as_array().expect("a list").iter();
    let kind = schema.map(|schema| &schema.kind);
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
        "bytes" => Value::Bytes(
            STANDARD
                .decode(tree["b64"].as_str().expect("base64"))
                .expect("base64")
                .into(),
        ),
        "array" => {
            let items = if let Some(Kind::Array(items)) = kind {
                Some(items.as_ref())
            } else {
                None
            };
            Value::Array(list().map(|item| value(item, items)).collect())
        }
        "map" => {
            let (keys, values) = match kind {
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
            let unscaled = decimal_from_text(tree["unscaled"].as_str().expect("digits"))
                .expect("digits")
                .unscaled;
            Value::Decimal(Decimal {
                unscaled,
                scale: tree["scale"].as_i64().expect("a scale") as i32,
            })
        }
        other => panic!("unknown tree {other}"),
    }
}

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
        Value::Float32(number) if number.is_nan() => Value::String("a NaN".into()),
        other => other.clone(),
    }
}

/// What decoding gave, as data. Bytes and text are decoded lazily, and nulls and such texts carry no schema: the worker never looks at it.
fn data(datum: Datum, wanted: &Datum) -> Datum {
    let schema = if let Datum::Value(_, schema) = wanted {
        schema.clone()
    } else {
        None
    };
    let lazily = |value| Datum::Value(value, schema.clone());
    match datum {
        Datum::Json(text) => Datum::Value(parse(&text).expect("valid JSON"), None),
        Datum::Text(text) => lazily(Value::String(
            String::from_utf8(text.to_vec()).expect("UTF-8"),
        )),
        Datum::Bytes(bytes) => lazily(Value::Bytes(bytes)),
        Datum::Null if schema.is_some() => lazily(Value::Null),
        Datum::Value(Value::String(text), None) => lazily(Value::String(text)),
        other => other,
    }
}

fn same(left: &Datum, right: &Datum) -> bool {
    match (left, right) {
        (Datum::Value(left, schema), Datum::Value(right, other)) => {
            normal(left) == normal(right) && schema == other
        }
        (left, right) => left == right,
    }
}

fn check(case: &Json, corpus: &Corpus) -> Result<(), String> {
    let class = case["class"].as_str().expect("a class");
    let plugin = longshore_converters::all()
        .into_iter()
        .find(|plugin| {
            plugin
                .plugin
                .aliases
                .iter()
                .any(|alias| alias.rsplit('.').next() == Some(class))
        })
        .expect("the plugin");
    let (dir, out) = (case["dir"].as_str().expect("a direction"), &case["out"]);
    let part = if dir.ends_with("Header") {
        Part::Headers
    } else {
        Part::Value
    };
    let mut converter = match (plugin.build)(&corpus.config(case), part) {
        Err(_) if out == "config error" => return Ok(()),
        Err(error) => return Err(error.to_string()),
        Ok(_) if out == "config error" => return Err("a config error is missing".into()),
        Ok(_) if out == "ok" => return Ok(()),
        Ok(converter) => converter,
    };
    let mut record = Record::new("t".into());
    let input = corpus.datum(&case["in"]);
    match part {
        Part::Headers => record.headers.push(Header {
            key: "h".into(),
            value: input,
        }),
        _ => record.value = input,
    }
    let mut batch = [record];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let failed = if dir.starts_with("to") {
        runtime.block_on(converter.decode(part, &mut batch))
    } else {
        runtime.block_on(converter.encode(part, &mut batch))
    };
    let [mut record] = batch;
    let got = if part == Part::Headers {
        record.headers.remove(0).value
    } else {
        record.value
    };
    match failed.first() {
        Some(_) if out == "error" => Ok(()),
        Some(failed) => Err(failed.error.to_string()),
        None if out == "error" => Err(format!("an error is missing: {got:?}")),
        None => {
            let wanted = corpus.datum(out);
            let got = if dir.starts_with("to") {
                data(got, &wanted)
            } else {
                got
            };
            if same(&got, &wanted) {
                Ok(())
            } else {
                Err(format!("\n  got  {got:?}\n  want {wanted:?}"))
            }
        }
    }
}

#[test]
fn converters_do_as_recorded() {
    let corpus = corpus();
    let (mut agree, mut differ) = (0, Vec::new());
    for case in &corpus.cases {
        if allowed(case, &corpus).is_some() {
            continue;
        }
        match check(case, &corpus) {
            Ok(()) => agree += 1,
            Err(difference) => differ.push(format!("{case}: {difference}")),
        }
    }
    let shown: Vec<String> = differ
        .iter()
        .take(10)
        .map(|text| text.chars().take(900).collect())
        .collect();
    assert!(
        differ.is_empty(),
        "{} differ, {agree} agree: {}",
        differ.len(),
        shown.join("\n")
    );
    assert!(agree > 1700, "only {agree} cases ran");
}

#[test]
fn each_allowed_difference_still_differs() {
    let corpus = corpus();
    let mut reasons = std::collections::BTreeMap::new();
    for case in &corpus.cases {
        if let Some(reason) = allowed(case, &corpus) {
            let differs =
                reason == "no such type of value exists here" || check(case, &corpus).is_err();
            *reasons.entry(reason).or_insert(false) |= differs;
        }
    }
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    assert!(reasons.values().all(|differs| *differs), "{reasons:?}");
}
