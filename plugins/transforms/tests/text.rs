//! Transforms of undecoded JSON text, and what must hold for any text.

use bytes::Bytes;
use longshore_sdk::{
    Datum, ErrorKind, Header, Record, Value, Verdict,
    config::Flat,
    json::{first, parse},
};
use proptest::prelude::*;

#[path = "text/reshape.rs"]
mod reshape;

fn flat(config: &[(&str, &str)]) -> Flat {
    config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn json(text: &str) -> Datum {
    Datum::Json(Bytes::copy_from_slice(text.as_bytes()))
}

fn apply_all(class: &str, config: &[(&str, &str)], values: Vec<Datum>) -> Vec<Verdict> {
    let plugin = longshore_transforms::all()
        .into_iter()
        .find(|plugin| plugin.plugin.name == class)
        .expect("the plugin");
    let mut transform = (plugin.build)(&flat(config)).expect("a config");
    let batch = values.into_iter().map(|value| Record {
        partition: Some(3),
        timestamp: Some(17),
        value,
        ..Record::new("to\"pic".into())
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(transform.apply(batch.collect()))
}

fn apply(class: &str, config: &[(&str, &str)], value: Datum) -> Verdict {
    apply_all(class, config, vec![value]).remove(0)
}

fn kept(class: &str, config: &[(&str, &str)], value: &str) -> String {
    match apply(class, config, json(value)) {
        Verdict::Keep(Record {
            value: Datum::Json(text),
            ..
        }) => String::from_utf8(text.to_vec()).expect("UTF-8"),
        Verdict::Keep(Record {
            value: Datum::Null, ..
        }) => "null".into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn masks_are_spliced_in() {
    let cases = [
        (
            r#"{"id":7,"email":"a@b","x":1}"#,
            r#"{"id":7,"email":"","x":1,"n":null}"#,
        ),
        (
            r#" { "email" : 1.5e3 , "n":-7 } "#,
            r#" { "email" : 0.0 , "n":0 }"#,
        ),
        (r#"{"email":{"a":[1]},"n":[1,2]}"#, r#"{"email":{},"n":[]}"#),
        (r#"{"email":true,"n":null}"#, r#"{"email":false,"n":null}"#),
        (r#"{}"#, r#"{"email":null,"n":null}"#),
        // A name spelled in escapes is the same name, and every occurrence of it counts.
        (
            r#"{"\u0065mail":"a@b","n":1}"#,
            r#"{"\u0065mail":"","n":0}"#,
        ),
        (
            r#"{"email":"a","n":1,"email":"b","\u0065\u006dail":"c"}"#,
            r#"{"email":"","n":0,"email":"","\u0065\u006dail":""}"#,
        ),
        (
            r#"{"in":{"email":"kept"},"email":1,"n":2}"#,
            r#"{"in":{"email":"kept"},"email":0,"n":0}"#,
        ),
        (
            r#"{"email":"a","n":1} {"email":"b"}"#,
            r#"{"email":"","n":0}"#,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            kept("MaskField$Value", &[("fields", "email,n")], text),
            expected,
            "{text}"
        );
    }
}

#[test]
fn masks_may_be_replaced() {
    let config = [("fields", "s,i,f,z"), ("replacement", "77")];
    let masked = kept(
        "MaskField$Value",
        &config,
        r#"{"s":"x","i":1,"f":0.5,"z":null}"#,
    );
    assert_eq!(masked, r#"{"s":"77","i":77,"f":77.0,"z":null}"#);
    let text = [("fields", "s"), ("replacement", "\"<x>\\")];
    assert_eq!(
        kept("MaskField$Value", &text, r#"{"s":"x"}"#),
        r#"{"s":"\"<x>\\"}"#
    );
    for refused in [
        r#"{"s":1}"#,
        r#"{"s":1.5}"#,
        r#"{"s":true}"#,
        r#"{"s":[]}"#,
        r#"{"s":{}}"#,
    ] {
        let verdict = apply("MaskField$Value", &text, json(refused));
        assert!(
            matches!(verdict, Verdict::Refuse(error) if error.kind() == ErrorKind::Data),
            "{refused}"
        );
    }
}

#[test]
fn fields_are_inserted() {
    let config = [
        ("topic.field", "t"),
        ("partition.field", "p"),
        ("timestamp.field", "ts!"),
        ("static.field", "s?"),
        ("static.value", "é\nx"),
    ];
    let cases = [
        (r#"{}"#, r#"{"t":"to\"pic","p":3,"ts":17,"s":"é\nx"}"#),
        (
            r#"{"a":1,"\u0070":"old","s":[]}"#,
            r#"{"a":1,"\u0070":3,"s":"é\nx","t":"to\"pic","ts":17}"#,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(kept("InsertField$Value", &config, text), expected, "{text}");
    }
    assert_eq!(
        kept(
            "InsertField$Value",
            &[
                ("topic.field", "a"),
                ("static.field", "a"),
                ("static.value", "v")
            ],
            r#"{"a":1}"#
        ),
        r#"{"a":"v"}"#
    );
}

#[test]
fn fields_are_left_out_and_renamed() {
    let text = r#"{"a":1, "b" : [2],"\u0061":3,"c":"x"}"#;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("exclude", "a")], r#"{"b":[2],"c":"x"}"#),
        (&[("include", "a,c")], r#"{"a":1,"\u0061":3,"c":"x"}"#),
        (
            &[("renames", "a:\"q\",c:d")],
            r#"{"\"q\"":1,"b":[2],"\"q\"":3,"d":"x"}"#,
        ),
        (&[("exclude", "a,b,c")], "{}"),
        (&[("exclude", "nope")], text),
    ];
    for (config, expected) in cases {
        assert_eq!(
            kept("ReplaceField$Value", config, text),
            *expected,
            "{config:?}"
        );
    }
}

#[test]
fn fields_are_extracted_as_slices() {
    let text = r#"{"a":1,"o":{"x.y":[1, 2],"n":null},"\u0061":"last"}"#;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("field", "a")], "\"last\""),
        (&[("field", "nope")], "null"),
        (
            &[("field", "o.`x.y`"), ("field.syntax.version", "V2")],
            "[1, 2]",
        ),
        (&[("field", "o.n"), ("field.syntax.version", "V2")], "null"),
        (
            &[("field", "o.n.deeper"), ("field.syntax.version", "V2")],
            "null",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(
            kept("ExtractField$Value", config, text),
            *expected,
            "{config:?}"
        );
    }
    let verdict = apply(
        "ExtractField$Value",
        &[("field", "a.b"), ("field.syntax.version", "V2")],
        json(text),
    );
    assert!(matches!(verdict, Verdict::Refuse(_)));
}

#[test]
fn what_has_no_fields_is_refused() {
    let classes: [(&str, &[(&str, &str)]); 4] = [
        ("MaskField$Value", &[("fields", "a")]),
        ("InsertField$Value", &[("topic.field", "a")]),
        ("ReplaceField$Value", &[("exclude", "a")]),
        ("ExtractField$Value", &[("field", "a")]),
    ];
    for (class, config) in classes {
        for value in [
            json("[1]"),
            json("\"x\""),
            json("5"),
            Datum::Text("x".into()),
            Datum::Bytes("{}".into()),
        ] {
            let undecoded = matches!(value, Datum::Bytes(_));
            let Verdict::Refuse(error) = apply(class, config, value) else {
                panic!("{class} took data without fields");
            };
            assert_eq!(error.kind(), ErrorKind::Data);
            assert_eq!(
                error.message().contains("value.converter"),
                undecoded,
                "{error}"
            );
        }
    }
}

#[test]
fn a_bad_record_does_not_spoil_the_batch() {
    let values = vec![
        json(r#"{"a":"x"}"#),
        json("{\"a\":\"secret"),
        json(r#"{"a":"y"}"#),
    ];
    let verdicts = apply_all("MaskField$Value", &[("fields", "a")], values);
    let texts: Vec<Option<&[u8]>> = verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Keep(Record {
                value: Datum::Json(text),
                ..
            }) => Some(&text[..]),
            _ => None,
        })
        .collect();
    assert_eq!(
        texts,
        [Some(&br#"{"a":""}"#[..]), None, Some(&br#"{"a":""}"#[..])]
    );
}

#[test]
fn configs_are_judged() {
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
    );
    let cases: &[Case] = &[
        ("MaskField$Value", &[], "fields"),
        (
            "MaskField$Value",
            &[("fields", "a"), ("replacement", "")],
            "replacement",
        ),
        (
            "InsertField$Value",
            &[("static.field", "s")],
            "static.value",
        ),
        ("ReplaceField$Value", &[("renames", "a")], "renames"),
        ("ExtractField$Value", &[], "field"),
        (
            "ExtractField$Value",
            &[("field", "`a"), ("field.syntax.version", "V2")],
            "position 0",
        ),
        (
            "RegexRouter",
            &[("regex", "a(b"), ("replacement", "x")],
            "regex: a group is not closed at position 1",
        ),
        (
            "RegexRouter",
            &[("regex", "\\p{javaMirrored}"), ("replacement", "x")],
            "regex",
        ),
        (
            "RegexRouter",
            &[("regex", "*a"), ("replacement", "x")],
            "regex",
        ),
    ];
    for (class, config, named) in cases {
        let plugin = longshore_transforms::all()
            .into_iter()
            .find(|plugin| plugin.plugin.name == *class)
            .expect("the plugin");
        let error = (plugin.build)(&flat(config)).err().expect("an error");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error.message().contains(named),
            "{class} {config:?}: {error}"
        );
    }
}

#[test]
fn names_are_unique_and_complete() {
    let all = longshore_transforms::all();
    let mut names: Vec<&str> = all.iter().map(|plugin| plugin.plugin.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 26);
    for plugin in &all {
        let full = format!("org.apache.kafka.connect.transforms.{}", plugin.plugin.name);
        assert_eq!(plugin.plugin.aliases, [full.as_str()]);
    }
}

#[test]
fn headers_are_matched_by_name() {
    let plugin = longshore_transforms::predicates()
        .into_iter()
        .find(|plugin| plugin.plugin.name == "HasHeaderKey")
        .expect("the plugin");
    let predicate = (plugin.build)(&flat(&[("name", "h")])).expect("a config");
    let mut record = Record::new("t".into());
    assert!(!predicate.test(&record));
    record.headers.push(Header {
        key: "h".into(),
        value: Datum::Null,
    });
    assert!(predicate.test(&record));
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("email".to_owned()),
        Just("\\u0065mail".to_owned()),
        Just("e\\u006Dail".to_owned()),
        Just("emai\\u006c".to_owned()),
        "[a-f]{1,3}",
        Just("email\\u0000".to_owned()),
    ]
}

fn member() -> impl Strategy<Value = (String, String)> {
    let value = prop_oneof![
        Just("\"SECRET\"".to_owned()),
        Just("[\"SECRET\"]".to_owned()),
        Just("{\"email\":\"SECRET\"}".to_owned()),
        Just("\"\\u0053ECRET SECRET\"".to_owned()),
    ];
    (name(), value)
}

fn is_email(raw: &str) -> bool {
    matches!(raw, "email" | "\\u0065mail" | "e\\u006Dail" | "emai\\u006c")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever the members' order, number, spelling and white space: no value of a masked field is left.
    #[test]
    fn a_masked_value_never_stays(members in prop::collection::vec(member(), 0..8), space in " {0,2}") {
        let member = |(name, value): &(String, String)| {
            let value = if is_email(name) { value.as_str() } else { "1" };
            format!("{space}\"{name}\"{space}:{space}{value}{space}")
        };
        let text = format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","));
        let masked = kept("MaskField$Value", &[("fields", "email")], &text);
        prop_assert!(!masked.contains("SECRET"), "{masked}");
        prop_assert_eq!(first(masked.as_bytes()).expect("valid"), Some(0..masked.len()));
        let cut = kept("ReplaceField$Value", &[("exclude", "email")], &text);
        prop_assert!(!cut.contains("SECRET") && parse(cut.as_bytes()).expect("valid").get("email").is_none());
    }
    /// Splicing gives what decoding, changing and printing gives.
    #[test]
    fn spliced_text_reads_as_the_changed_value(members in prop::collection::vec((name(), "[0-9]|\"[a-z]{0,3}\"|null|true"), 0..8)) {
        let text = format!("{{{}}}", members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect::<Vec<_>>().join(","));
        let cases: [(&str, &[(&str, &str)]); 4] = [
            ("MaskField$Value", &[("fields", "email,a")]),
            ("InsertField$Value", &[("topic.field", "email"), ("partition.field", "b")]),
            ("ReplaceField$Value", &[("exclude", "a"), ("renames", "email:zzz")]),
            ("ExtractField$Value", &[("field", "email")]),
        ];
        for (class, config) in cases {
            let decoded = Datum::Value(parse(text.as_bytes()).expect("valid"), None);
            let Verdict::Keep(Record { value: changed, .. }) = apply(class, config, decoded) else {
                panic!("{class} refused {text}");
            };
            let changed = if let Datum::Value(value, _) = changed { value } else { Value::Null };
            let spliced = parse(kept(class, config, &text).as_bytes()).expect("valid");
            prop_assert_eq!(sorted(spliced), sorted(changed), "{} of {}", class, text);
        }
    }
    /// Text that is no JSON is refused, or passed on as it was, but never makes a transform panic.
    #[test]
    fn any_text_is_taken_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), object in any::<bool>()) {
        let bytes = if object { [b"{\"email\":", &bytes[..]].concat() } else { bytes };
        for (class, config) in [("MaskField$Value", ("fields", "email")), ("ExtractField$Value", ("field", "email")), ("ReplaceField$Value", ("renames", "email:x")), ("InsertField$Value", ("topic.field", "email")),
            ("Cast$Value", ("spec", "email:int32")), ("Cast$Value", ("spec", "string")), ("Flatten$Value", ("delimiter", "_")), ("HoistField$Value", ("field", "x")),
            ("ValueToKey", ("fields", "email")), ("TimestampConverter$Value", ("target.type", "unix")), ("SetSchemaMetadata$Value", ("schema.name", "x"))] {
            apply(class, &[config], Datum::Json(Bytes::from(bytes.clone())));
        }
    }
    #[test]
    fn any_pattern_is_judged_without_a_panic(regex in "[a-c\\[\\](){}?*+.^$|&\\\\QEpdwux0-9<>=!:-]{0,16}", replacement in "[$\\\\{}a0-3]{0,6}") {
        let plugin = longshore_transforms::all().into_iter().find(|plugin| plugin.plugin.name == "RegexRouter").expect("the plugin");
        if let Ok(mut transform) = (plugin.build)(&flat(&[("regex", &regex), ("replacement", &replacement)])) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let verdicts = runtime.block_on(transform.apply(vec![Record::new("abc".into())]));
            prop_assert_eq!(verdicts.len(), 1);
        }
    }
}

fn sorted(value: Value) -> Value {
    let Value::Map(mut entries) = value else {
        return value;
    };
    for (_, value) in &mut entries {
        // Text does not tell widths apart.
        if let Value::Int32(number) = value {
            *value = Value::Int64(i64::from(*number));
        }
    }
    entries.sort_by_key(|(key, _)| format!("{key:?}"));
    Value::Map(entries)
}

#[test]
fn an_offset_is_inserted_on_the_way_to_a_sink_only() {
    let plugin = longshore_transforms::all()
        .into_iter()
        .find(|plugin| plugin.plugin.name == "InsertField$Value")
        .expect("the plugin");
    let mut transform = (plugin.build)(&flat(&[("offset.field", "at")])).expect("a config");
    let at = |offset| Record {
        value: json(r#"{"a":1}"#),
        offset,
        ..Record::new("t".into())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let verdicts = runtime.block_on(transform.apply(vec![at(Some(7)), at(None)]));
    let Verdict::Keep(Record {
        value: Datum::Json(text),
        ..
    }) = &verdicts[0]
    else {
        panic!("{verdicts:?}");
    };
    assert_eq!(&text[..], br#"{"a":1,"at":7}"#);
    let Verdict::Refuse(error) = &verdicts[1] else {
        panic!("{verdicts:?}");
    };
    assert!(error.message().contains("offset.field"), "{error}");
}
