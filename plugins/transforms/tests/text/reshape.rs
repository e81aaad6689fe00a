//! Transforms that give records another shape.

use super::{apply, flat, json, kept};
use bytes::Bytes;
use longshore_sdk::{
    Datum, ErrorKind, Field, Header, Kind, Record, Schema, Value, Verdict, json::parse,
    schema::logical,
};
use proptest::prelude::*;
use std::sync::Arc;

type Config = &'static [(&'static str, &'static str)];

fn record(class: &str, config: &[(&str, &str)], record: Record) -> Record {
    let plugin = longshore_transforms::all()
        .into_iter()
        .find(|plugin| plugin.plugin.name == class)
        .expect("the plugin");
    let mut transform = (plugin.build)(&flat(config)).expect("a config");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    match runtime.block_on(transform.apply(vec![record])).remove(0) {
        Verdict::Keep(record) => record,
        other => panic!("{other:?}"),
    }
}

fn of(value: Datum) -> Record {
    Record {
        value,
        ..Record::new("t".into())
    }
}

#[test]
fn json_text_is_reshaped_without_being_decoded() {
    let cases: &[(&str, Config, &str, &str)] = &[
        (
            "HoistField$Value",
            &[("field", "a\"b")],
            "[1, 2]",
            r#"{"a\"b":[1, 2]}"#,
        ),
        (
            "Flatten$Value",
            &[],
            r#"{"a": {"b":1.50,"c":[{"d":1}]},"e":{}}"#,
            r#"{"a.b":1.50,"a.c":[{"d":1}]}"#,
        ),
        (
            "Flatten$Value",
            &[("delimiter", "\"")],
            r#"{"a":{"b":{"c":null}}}"#,
            r#"{"a\"b\"c":null}"#,
        ),
        (
            "Flatten$Value",
            &[],
            r#"{"a.b":1,"a":{"b":2},"c":3}"#,
            r#"{"a.b":2,"c":3}"#,
        ),
        (
            "Flatten$Value",
            &[],
            r#"{"\u0061":{"b":1}}"#,
            r#"{"a.b":1}"#,
        ),
        (
            "Flatten$Value",
            &[],
            r#"{ "as": "it was" , "n": 1e2}"#,
            r#"{ "as": "it was" , "n": 1e2}"#,
        ),
        ("Flatten$Value", &[], r#"{"a":{}}"#, "{}"),
        (
            "Cast$Value",
            &[("spec", "a:int8, b:string,c:boolean,d:float64")],
            r#"{"a":300,"b":1.5,"x":"x","c":"TRUE","d":"1.5f"}"#,
            r#"{"a":44,"b":"1.5","x":"x","c":true,"d":1.5}"#,
        ),
        (
            "Cast$Value",
            &[("spec", "a:int8")],
            r#"{"b":1}"#,
            r#"{"b":1,"a":null}"#,
        ),
        (
            "TimestampConverter$Value",
            &[
                ("target.type", "string"),
                ("field", "t"),
                ("format", "yyyy-MM-dd"),
            ],
            r#"{"t":86400000,"x":1.0}"#,
            r#"{"t":"1970-01-02","x":1.0}"#,
        ),
        (
            "TimestampConverter$Value",
            &[
                ("target.type", "unix"),
                ("field", "t"),
                ("format", "yyyy-MM-dd"),
                ("unix.precision", "seconds"),
            ],
            r#"{"t":"1970-01-02"}"#,
            r#"{"t":86400}"#,
        ),
        (
            "HeaderFrom$Value",
            &[("fields", "a"), ("headers", "h"), ("operation", "move")],
            r#"{"a":1, "b" : 2}"#,
            r#"{"b":2}"#,
        ),
        (
            "HeaderFrom$Value",
            &[("fields", "a"), ("headers", "h"), ("operation", "move")],
            r#"{"a":1}"#,
            "{}",
        ),
        (
            "HeaderFrom$Value",
            &[("fields", "a"), ("headers", "h"), ("operation", "copy")],
            r#"{"a":1, "b" : 2}"#,
            r#"{"a":1, "b" : 2}"#,
        ),
    ];
    for (class, config, before, after) in cases {
        assert_eq!(
            kept(class, config, before),
            *after,
            "{class} {config:?} {before}"
        );
    }
}

#[test]
fn fields_become_headers_without_quotes() {
    let config = [
        ("fields", "s,e,n,o,x,z"),
        ("headers", "s,e,n,o,x,z"),
        ("operation", "copy"),
    ];
    let text = r#"{"s":"a b","e":"\n","n":12.50,"o":{"a":1},"z":null}"#;
    let record = record("HeaderFrom$Value", &config, of(json(text)));
    let header = |key: &str, value| Header {
        key: key.into(),
        value,
    };
    let expected = [
        header("s", Datum::Text(Bytes::from_static(b"a b"))),
        header("e", Datum::string("\n")),
        header("n", json("12.50")),
        header("o", json(r#"{"a":1}"#)),
        header("x", Datum::Null),
        header("z", Datum::Null),
    ];
    assert_eq!(record.headers, expected);
}

#[test]
fn keys_are_made_of_the_values_text() {
    let fields = [("fields", "b,a,b,x")];
    let record = record(
        "ValueToKey",
        &fields,
        of(json(r#"{"a":1,"b":[2, 3],"a":"last"}"#)),
    );
    assert_eq!(record.key, json(r#"{"b":[2, 3],"a":"last","x":null}"#));
}

#[test]
fn text_and_bytes_have_the_schemas_of_their_converters() {
    let optional = |kind| Arc::new(Schema::new(kind).optional());
    let hoisted = |schema, value| {
        let field = Field {
            name: "f".into(),
            schema,
        };
        let schema = Schema::new(Kind::Struct(vec![field]));
        Datum::Value(Value::Struct(vec![value]), Some(Arc::new(schema)))
    };
    let hoist = |datum| record("HoistField$Value", &[("field", "f")], of(datum)).value;
    let text = Datum::Text(Bytes::from_static(b"x"));
    let wanted = hoisted(optional(Kind::String), Value::String("x".into()));
    assert_eq!(hoist(text), wanted);
    let bytes = Bytes::from_static(b"\x00\xFF");
    let wanted = hoisted(optional(Kind::Bytes), Value::Bytes(bytes.clone()));
    assert_eq!(hoist(Datum::Bytes(bytes.clone())), wanted);
    let cast = |datum| record("Cast$Value", &[("spec", "string")], of(datum)).value;
    let wanted = Datum::Value(Value::String("AP8=".into()), Some(optional(Kind::String)));
    assert_eq!(cast(Datum::Bytes(bytes)), wanted);
    let date = [("target.type", "Date"), ("format", "yyyy-MM-dd")];
    let text = Datum::Text(Bytes::from_static(b"1970-01-03 and more"));
    let Datum::Value(value, Some(schema)) =
        record("TimestampConverter$Value", &date, of(text)).value
    else {
        panic!("a schema is missing");
    };
    assert_eq!(value, Value::Date(2 * 86_400_000));
    assert_eq!(
        (schema.name.as_deref(), schema.optional),
        (Some(logical::DATE), true)
    );
}

#[test]
fn logical_types_leave_json_text_behind() {
    let config = [("target.type", "Timestamp"), ("field", "t")];
    let record = record(
        "TimestampConverter$Value",
        &config,
        of(json(r#"{"t":5,"a":"x"}"#)),
    );
    let entry = |key: &str, value| (Value::String(key.into()), value);
    let wanted = vec![
        entry("t", Value::Timestamp(5)),
        entry("a", Value::String("x".into())),
    ];
    assert_eq!(record.value, Datum::Value(Value::Map(wanted), None));
}

#[test]
fn topics_follow_the_timestamp() {
    let at = |timestamp| Record {
        timestamp: Some(timestamp),
        ..Record::new("t".into())
    };
    let route = |timestamp| record("TimestampRouter", &[], at(timestamp)).topic;
    assert_eq!(&*route(0), "t-19700101");
    assert_eq!(&*route(86_400_000), "t-19700102");
    assert_eq!(&*route(-62_135_596_800_000), "t-00010103");
    let Verdict::Refuse(error) = without_timestamp() else {
        panic!("a record without a timestamp is taken");
    };
    assert_eq!(error.kind(), ErrorKind::Data);
}

fn without_timestamp() -> Verdict {
    let plugin = longshore_transforms::all()
        .into_iter()
        .find(|plugin| plugin.plugin.name == "TimestampRouter")
        .expect("the plugin");
    let mut transform = (plugin.build)(&flat(&[])).expect("a config");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let batch = vec![Record::new("t".into())];
    runtime.block_on(transform.apply(batch)).remove(0)
}

#[test]
fn refusals_name_the_shape_and_not_the_value() {
    let cases: &[(&str, Config, &str, &str)] = &[
        (
            "Cast$Value",
            &[("spec", "a:int8")],
            r#"{"a":"top secret"}"#,
            "10 characters",
        ),
        ("Cast$Value", &[("spec", "int8")], r#"{"a":1}"#, "map"),
        (
            "TimestampConverter$Value",
            &[("target.type", "unix"), ("field", "a")],
            r#"{"a":"secret"}"#,
            "set format",
        ),
        (
            "TimestampConverter$Value",
            &[("target.type", "unix"), ("format", "yyyy")],
            "\"secret\"",
            "6 characters",
        ),
        (
            "ValueToKey",
            &[("fields", "a")],
            "[\"secret\"]",
            "JSON array",
        ),
        (
            "SetSchemaMetadata$Value",
            &[("schema.name", "a")],
            r#"{"a":"secret"}"#,
            "schemas.enable=true",
        ),
    ];
    for (class, config, text, named) in cases {
        let Verdict::Refuse(error) = apply(class, config, json(text)) else {
            panic!("{class} takes {text}");
        };
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().contains(named), "{class}: {error}");
        assert!(!error.message().contains("secret"), "{class}: {error}");
    }
}

#[test]
fn configs_of_reshapers_are_judged() {
    let cases: &[(&str, Config, &str)] = &[
        ("Cast$Value", &[("spec", "a:bytes")], "spec"),
        ("Cast$Value", &[("spec", "int8,a:int8")], "spec"),
        ("DropHeaders", &[("headers", "")], "headers"),
        (
            "HeaderFrom$Value",
            &[("fields", "a,b"), ("headers", "h"), ("operation", "copy")],
            "1 headers stand for 2 fields",
        ),
        ("SetSchemaMetadata$Value", &[], "schema.name"),
        (
            "TimestampConverter$Value",
            &[("target.type", "string")],
            "format",
        ),
        (
            "TimestampConverter$Value",
            &[("target.type", "unix"), ("unix.precision", "hours")],
            "unix.precision",
        ),
        (
            "TimestampRouter",
            &[("timestamp.format", "bogus")],
            "timestamp.format",
        ),
        ("ValueToKey", &[("fields", "")], "fields"),
    ];
    for (class, config, named) in cases {
        let plugin = longshore_transforms::all()
            .into_iter()
            .find(|plugin| plugin.plugin.name == *class)
            .expect("the plugin");
        let error = (plugin.build)(&flat(config)).err().expect(class);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(named), "{class}: {error}");
    }
}

fn nested() -> impl Strategy<Value = String> {
    let leaf = "[0-9]|\"[a-z\\.]{0,2}\"|null|\\[1\\]";
    leaf.prop_recursive(4, 24, 4, |inner| {
        let member =
            ("[ab]|\\\\u0061|", inner).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(",")))
    })
}

fn by_name(value: Value) -> Value {
    let Value::Map(mut entries) = value else {
        return value;
    };
    entries.sort_by_key(|(key, _)| format!("{key:?}"));
    Value::Map(entries)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Text that is flattened as text reads as the decoded map does, flattened. Names that repeat within one object are left out: their
    /// meaning is settled when the text is read.
    #[test]
    fn flat_text_reads_as_the_flat_map(text in nested()) {
        let value = parse(text.as_bytes()).expect("valid JSON");
        let plain = {
            let mut out = bytes::BytesMut::new();
            longshore_sdk::json::print(&value, None, longshore_sdk::json::Style::default(), &mut out).expect("it prints");
            Datum::Json(out.freeze())
        };
        if let Value::Map(_) = value {
            let decoded = record("Flatten$Value", &[], of(Datum::Value(value, None))).value;
            let Datum::Value(decoded, None) = decoded else { panic!("{decoded:?}") };
            let Datum::Json(spliced) = record("Flatten$Value", &[], of(plain)).value else { panic!("no text") };
            prop_assert_eq!(by_name(parse(&spliced).expect("valid JSON")), by_name(decoded), "{}", text);
        }
    }
}
