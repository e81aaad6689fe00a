//! Converters beyond the recordings: what is not decoded stays as it is, and nothing panics.

use bytes::Bytes;
use longshore_sdk::{
    Datum, ErrorKind, Kind, Record, Schema, Value,
    config::Flat,
    converter::{Part, Unconverted},
    erased::{ConverterPlugin, DynConverter},
};
use proptest::prelude::*;
use std::sync::Arc;

fn plugin(name: &str) -> ConverterPlugin {
    longshore_converters::all()
        .into_iter()
        .find(|plugin| plugin.plugin.name == name)
        .expect("the plugin")
}

fn built(name: &str, config: &[(&str, &str)]) -> Box<dyn DynConverter> {
    let flat: Flat = config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    (plugin(name).build)(&flat, Part::Value).expect("a config")
}

fn plain_json() -> Box<dyn DynConverter> {
    built("json", &[("schemas.enable", "false")])
}

fn batch(values: impl IntoIterator<Item = Datum>) -> Vec<Record> {
    values
        .into_iter()
        .map(|value| Record {
            value,
            ..Record::new("t".into())
        })
        .collect()
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn decode(converter: &mut Box<dyn DynConverter>, bytes: &[u8]) -> Result<Datum, Unconverted> {
    let mut records = batch([Datum::Bytes(Bytes::copy_from_slice(bytes))]);
    match block(converter.decode(Part::Value, &mut records)).pop() {
        Some(failed) => Err(failed),
        None => Ok(records.remove(0).value),
    }
}

fn encode(converter: &mut Box<dyn DynConverter>, datum: Datum) -> Datum {
    let mut records = batch([datum]);
    let failed = block(converter.encode(Part::Value, &mut records));
    assert!(failed.is_empty(), "{failed:?}");
    records.remove(0).value
}

#[test]
fn json_is_decoded_without_a_copy() {
    let read = Bytes::from_static(b" {\"a\": 1} trailing");
    let mut records = batch([Datum::Bytes(read.clone())]);
    assert!(block(plain_json().decode(Part::Value, &mut records)).is_empty());
    let Datum::Json(text) = &records[0].value else {
        panic!("{records:?}");
    };
    assert_eq!(&text[..], b"{\"a\": 1}");
    assert_eq!(text.as_ptr(), read[1..].as_ptr());
    // And it is passed on as it is.
    let Datum::Bytes(written) = encode(&mut plain_json(), Datum::Json(text.clone())) else {
        panic!("bytes are written");
    };
    assert_eq!(written.as_ptr(), text.as_ptr());
}

#[test]
fn text_is_decoded_without_a_copy() {
    let read = Bytes::from_static("héllo".as_bytes());
    let mut records = batch([Datum::Bytes(read.clone())]);
    assert!(block(built("string", &[]).decode(Part::Value, &mut records)).is_empty());
    assert!(matches!(&records[0].value, Datum::Text(text) if text.as_ptr() == read.as_ptr()));
}

#[test]
fn failures_are_listed_and_the_rest_is_converted() {
    let values = ["1", "{", "\"x\"", "[1,]", "", "null"].map(|text| Datum::Bytes(text.into()));
    let mut records = batch(values);
    let failed = block(plain_json().decode(Part::Value, &mut records));
    assert_eq!(
        failed.iter().map(|failed| failed.index).collect::<Vec<_>>(),
        [1, 3]
    );
    assert!(
        failed
            .iter()
            .all(|failed| failed.error.kind() == ErrorKind::Data)
    );
    assert_eq!(records[0].value, Datum::Json("1".into()));
    assert_eq!(records[1].value, Datum::Bytes("{".into()));
    assert_eq!(
        (&records[4].value, &records[5].value),
        (&Datum::Null, &Datum::Null)
    );
}

#[test]
fn a_failed_value_leaves_nothing_in_the_output() {
    let mut converter = plain_json();
    let schema = Arc::new(Schema::new(Kind::Array(Arc::new(Schema::new(Kind::Int32)))));
    let bad = Value::Array(vec![Value::Int32(1), Value::String("x".into())]);
    let mut records = batch([
        Datum::Value(bad, Some(schema)),
        Datum::Value(Value::Int64(5), None),
    ]);
    let failed = block(converter.encode(Part::Value, &mut records));
    assert_eq!(failed.len(), 1);
    assert_eq!(records[1].value, Datum::Bytes("5".into()));
}

#[test]
fn text_forms_of_lazy_data() {
    let json = |text: &'static str| Datum::Json(Bytes::from_static(text.as_bytes()));
    let mut string = built("string", &[]);
    let cases = [
        (r#""plain""#, "plain"),
        (r#""a\u0062\n""#, "ab\n"),
        (r#"{"a":1}"#, r#"{"a":1}"#),
        ("7", "7"),
    ];
    for (text, expected) in cases {
        assert_eq!(
            encode(&mut string, json(text)),
            Datum::Bytes(expected.into()),
            "{text}"
        );
    }
    let mut enveloped = built("json", &[]);
    assert_eq!(
        encode(&mut enveloped, json("[1]")),
        Datum::Bytes(r#"{"schema":null,"payload":[1]}"#.into())
    );
    assert_eq!(
        encode(&mut enveloped, Datum::Text("é\"".into())),
        Datum::Bytes(r#"{"schema":null,"payload":"é\""}"#.into())
    );
    assert_eq!(
        encode(&mut plain_json(), Datum::Text("é\"".into())),
        Datum::Bytes(r#""é\"""#.into())
    );
    assert_eq!(
        encode(&mut built("long", &[]), json("5")),
        Datum::Bytes(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 5]))
    );
    assert_eq!(encode(&mut built("integer", &[]), Datum::Null), Datum::Null);
    let undecoded = Datum::Bytes(Bytes::from_static(&[0xFF]));
    for plugin in longshore_converters::all() {
        assert_eq!(
            encode(&mut built(plugin.plugin.name, &[]), undecoded.clone()),
            undecoded
        );
    }
}

#[test]
fn configs_are_judged() {
    let cases = [
        ("json", "decimal.format", "HEX"),
        ("json", "schemas.enable", "maybe"),
        ("json", "schemas.cache.size", "many"),
        ("string", "converter.encoding", "EBCDIC"),
        ("string", "value.converter.encoding", "latin7"),
    ];
    for (name, key, value) in cases {
        let flat = Flat::from([(key.to_owned(), value.to_owned())]);
        let error = (plugin(name).build)(&flat, Part::Value)
            .err()
            .expect("an error");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error.message().contains(key.trim_start_matches("value.")),
            "{error}"
        );
    }
}

#[test]
fn only_the_header_converter_is_for_headers_alone() {
    for plugin in longshore_converters::all() {
        assert!(plugin.headers, "{}", plugin.plugin.name);
        assert_eq!(plugin.data, plugin.plugin.name != "simple-header");
        assert_eq!(plugin.plugin.aliases.len(), 1);
    }
    assert_eq!(longshore_converters::all().len(), 10);
}

#[test]
fn schemas_are_shared_by_records_of_one_schema() {
    for size in ["0", "1", "1000"] {
        let mut converter = built("json", &[("schemas.cache.size", size)]);
        let text = |kind: &str| format!(r#"{{"schema":{{"type":"{kind}"}},"payload":1}}"#);
        let schemas: Vec<Arc<Schema>> = ["int32", "int64", "int32", "int32"]
            .iter()
            .map(|kind| match decode(&mut converter, text(kind).as_bytes()) {
                Ok(Datum::Value(_, Some(schema))) => schema,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(schemas[0], schemas[3]);
        assert_eq!(Arc::ptr_eq(&schemas[2], &schemas[3]), size != "0");
    }
}

#[test]
fn an_envelope_like_the_last_one_is_read_as_if_it_were_the_first() {
    let envelope = |payload: &[u8]| {
        let mut text = br#"{"schema":{"type":"struct","fields":[{"field":"a","type":"int64"},{"field":"b","type":"string","optional":true}]},"payload":"#.to_vec();
        text.extend_from_slice(payload);
        text
    };
    let payloads: [&[u8]; 18] = [
        br#"{"a":1,"b":"x"}}"#,
        b" { \"a\" : 1 , \"b\" : \"x\" } \n } ",
        br#"{"a":1,"b":"\u00e4\n"}}"#,
        br#"{"b":"x","a":1}}"#,
        br#"{"a":1}}"#,
        br#"{"a":1,"b":null}}"#,
        br#"{"a":null,"b":"x"}}"#,
        br#"{"a":1,"b":"x","c":[1,{}]}}"#,
        br#"{"a":1,"b":"x","b":"y"}}"#,
        br#"{"a":1,"b":"x"},"payload":{"a":2,"b":"y"}}"#,
        br#"{"a":1,"b":"x"},"more":1}"#,
        br#"{"a":1,"b":"x"}} and what follows"#,
        br#"{"a":1,"b":"x"}"#,
        br#"{"a":1,"b":"x"]}"#,
        br#"{"a":01,"b":"x"}}"#,
        b"{\"a\":1,\"b\":\"\xff\"}}",
        b"null}",
        b"[1]}",
    ];
    for payload in payloads {
        let mut warm = built("json", &[]);
        decode(&mut warm, &envelope(br#"{"a":7,"b":"first"}}"#)).expect("is read");
        let (again, first) = (
            decode(&mut warm, &envelope(payload)),
            decode(&mut built("json", &[]), &envelope(payload)),
        );
        assert_eq!(
            format!("{again:?}"),
            format!("{first:?}"),
            "{}",
            String::from_utf8_lossy(payload)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
        for plugin in longshore_converters::all() {
            let decoded = decode(&mut built(plugin.plugin.name, &[]), &bytes);
            // What was decoded is also written again, in some form.
            if let Ok(datum) = decoded {
                encode(&mut built(plugin.plugin.name, &[]), datum);
            }
        }
    }
    #[test]
    fn no_envelope_makes_json_panic(
        schema in r#"\{("type":"(int32|string|bytes|array|map|struct|double)"|"items":\{"type":"int8"\}|"fields":\[\]|"name":"org\.apache\.kafka\.connect\.data\.(Decimal|Date|Time)"|"default":(1|null|"x")|"optional":true|,){0,9}\}"#,
        payload in r#"[\[\]{}",:a1e9.\-]{0,12}|null|-?[0-9]{1,30}(\.[0-9]{1,3})?(e[0-9]{1,9})?"#,
    ) {
        decode(&mut built("json", &[]), format!(r#"{{"schema":{schema},"payload":{payload}}}"#).as_bytes()).ok();
    }
    #[test]
    fn headers_survive_a_guess(text in r#"[\[\]{}",:\\0-9eE.+\-a-cT ZnulltrueI]{0,20}"#) {
        let mut header = built("simple-header", &[]);
        let guessed = decode(&mut header, text.as_bytes()).expect("a guess never fails");
        encode(&mut header, guessed);
    }
    #[test]
    fn text_passes_headers_unchanged(text in "[a-zA-Z_ ]{1,20}") {
        prop_assume!(!["null", "true", "false"].contains(&text.trim()));
        let mut header = built("simple-header", &[]);
        let guessed = decode(&mut header, text.as_bytes()).expect("a guess never fails");
        prop_assert_eq!(encode(&mut header, guessed), Datum::Bytes(Bytes::from(text)));
    }
}
