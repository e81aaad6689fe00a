use super::*;
use crate::{Decimal, Kind, Schema, Value, schema::logical};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

fn text(value: &Value) -> String {
    let mut out = BytesMut::new();
    print(value, None, Style::default(), &mut out).expect("it prints");
    String::from_utf8(out.to_vec()).expect("it is UTF-8")
}

#[test]
fn first_value_is_found() {
    let cases: &[(&str, Option<&str>)] = &[
        ("", None),
        (" \n", None),
        ("null", Some("null")),
        (" {\"a\": 1 } \n", Some("{\"a\": 1 }")),
        ("{\"a\":1} x", Some("{\"a\":1}")),
        ("{\"a\":1}{\"b\":2}", Some("{\"a\":1}")),
        ("\u{feff}1", Some("1")),
        ("[[],{},[{}]]", Some("[[],{},[{}]]")),
        ("-0.5e+10 ", Some("-0.5e+10")),
        ("\"\\ud800\"", Some("\"\\ud800\"")),
    ];
    for (input, expected) in cases {
        let span = first(input.as_bytes()).expect(input);
        assert_eq!(span.map(|span| &input[span]), *expected, "{input}");
    }
}

#[test]
fn one_value_alone_is_a_value() {
    for text in ["null", "-1.5e3", "\"a\\n\"", "[]", "{\"a\": [1, {}]}"] {
        assert!(is_value(text), "{text}");
    }
    for text in [
        "",
        " 1",
        "1 ",
        "1,",
        "01",
        "nul",
        "nulls",
        "{}{}",
        "[1",
        "\u{feff}1",
        "\"\n\"",
    ] {
        assert!(!is_value(text), "{text:?}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    let long = "1".repeat(2000);
    let cases = [
        "{",
        "[1,]",
        "{\"a\":1,}",
        "nope",
        "NaN",
        "{'a':1}",
        "{a:1}",
        "// c\n1",
        "\"tab\tin\"",
        "01",
        "1.",
        "-",
        "1e",
        "truex",
        "1x",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"",
        "{\"a\"}",
        "{\"a\":}",
        "[1 2]",
        "]",
        "[1}",
        "{\"a\":1]",
        &deep,
        &long,
    ];
    for input in cases {
        assert!(first(input.as_bytes()).is_err(), "{input}");
        assert!(parse(input.as_bytes()).is_err(), "{input}");
    }
    assert!(first(b"\xff\x01").is_err());
    assert!(first(b"{\"a\":\"\xff\"}").is_err());
    assert!(first(("[".repeat(128) + &"]".repeat(128)).as_bytes()).is_ok());
}

#[test]
fn numbers_read_as_the_reference_reads_them() {
    let cases = [
        ("9223372036854775808", Value::Int64(i64::MIN)),
        (
            "123456789012345678901234567890",
            Value::Int64(-4362896299872285998),
        ),
        ("-9223372036854775809", Value::Int64(i64::MAX)),
        ("1e3", Value::Float64(1000.0)),
        (
            "0.1234567890123456789012345",
            Value::Float64(0.12345678901234568),
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(parse(input.as_bytes()).expect(input), expected, "{input}");
    }
    let Value::Float64(zero) = parse(b"-0.0").expect("a number") else {
        panic!("a float");
    };
    assert!(zero.is_sign_positive());
}

#[test]
fn numbers_print_as_the_reference_prints_them() {
    let cases = [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (1e7, "1.0E7"),
        (9_999_999.0, "9999999.0"),
        (-2.75e10, "-2.75E10"),
        (1e23, "1.0E23"),
        (0.001, "0.001"),
        (0.000_999, "9.99E-4"),
        (123.456, "123.456"),
        (0.0125, "0.0125"),
        (1e-300, "1.0E-300"),
        (4.9e-324, "4.9E-324"),
        (2.2250738585072014e-308, "2.2250738585072014E-308"),
        (f64::MAX, "1.7976931348623157E308"),
        (f64::NAN, "\"NaN\""),
        (f64::NEG_INFINITY, "\"-Infinity\""),
        (1_234_567.5, "1234567.5"),
    ];
    for (number, expected) in cases {
        assert_eq!(text(&Value::Float64(number)), expected);
    }
    assert_eq!(text(&Value::Float32(3.402_823_5e38)), "3.4028235E38");
    assert_eq!(text(&Value::Float32(1.4e-45)), "1.4E-45");
    assert_eq!(text(&Value::Float32(16_777_216.0)), "1.6777216E7");
}

#[test]
fn a_text_that_is_a_number_prints_as_one_where_no_schema_is_seen() {
    let mut schema = Schema::new(Kind::String);
    schema.name = Some(logical::NUMERIC.into());
    let long = "1".repeat(1001);
    for (text, bare) in [
        ("-12.50", "-12.50"),
        ("0", "0"),
        ("NaN", "\"NaN\""),
        ("01", "\"01\""),
        ("1.", "\"1.\""),
        ("-", "\"-\""),
        ("1e5", "\"1e5\""),
        // No reader takes it as a number.
        (&*long, &*format!("\"{long}\"")),
    ] {
        for (style, expected) in [(true, bare), (false, &*format!("\"{text}\""))] {
            let style = Style {
                bare: style,
                ..Style::default()
            };
            let mut out = BytesMut::new();
            let value = Value::String(text.to_owned());
            print(&value, Some(&schema), style, &mut out).expect("it prints");
            assert_eq!(&out[..], expected.as_bytes());
        }
    }
}

#[test]
fn strings_print_as_the_reference_prints_them() {
    let value = Value::String("é☃😀\u{1f}\u{7f}\"\\\n/".into());
    assert_eq!(
        text(&value),
        "\"é☃\\uD83D\\uDE00\\u001F\u{7f}\\\"\\\\\\n/\""
    );
}

#[test]
fn repeated_names_keep_the_last_value() {
    let few = parse(br#"{"a":1,"b":2,"\u0061":3}"#).expect("an object");
    assert_eq!(few.get("a"), Some(&Value::Int64(3)));
    let many: Vec<String> = (0..100)
        .map(|at| format!("\"n{}\":{at}", at % 40))
        .collect();
    let many = parse(format!("{{{}}}", many.join(",")).as_bytes()).expect("an object");
    assert_eq!(many.get("n5"), Some(&Value::Int64(85)));
    assert!(matches!(many, Value::Map(entries) if entries.len() == 40));
}

#[test]
fn members_match_by_their_decoded_name() {
    let object = br#" { "\u0065mail" : "x", "b":[1,{}], "email":2} "#;
    let found: Vec<Member> = members(object)
        .expect("an object")
        .collect::<Result<_, _>>()
        .expect("valid");
    let hits: Vec<&[u8]> = found
        .iter()
        .filter(|m| m.is(object, "email"))
        .map(|m| &object[m.value.clone()])
        .collect();
    assert_eq!(hits, [&b"\"x\""[..], b"2"]);
    assert!(members(b"[1]").is_none());
    let listed: Vec<_> = items(b"[1 , {\"a\":[]},\"x\"]")
        .expect("an array")
        .collect::<Result<_, _>>()
        .expect("valid");
    assert_eq!(listed, [1..2, 5..13, 14..17]);
    assert_eq!(members(b"{}").expect("an object").count(), 0);
}

#[test]
fn decimals_round_trip() {
    let cases = [
        "0",
        "-123.45",
        "1E-10",
        "-1E+3",
        "1.10",
        "-0.001",
        "123456789012345678901234567890.123456789",
        "0.00",
        "12",
        "1.2E+30",
        "-128",
        "255",
        "32768",
    ];
    for case in cases {
        let decimal = decimal_from_text(case).expect(case);
        let mut out = BytesMut::new();
        decimal_text(&decimal, &mut out).expect(case);
        assert_eq!(out, case.as_bytes());
    }
    let expected = Decimal {
        unscaled: Bytes::from_static(&[0xCF, 0xC7]),
        scale: 2,
    };
    assert_eq!(decimal_from_text("-123.45").expect("a decimal"), expected);
    for case in ["", "-", ".", "1e", "a", "1e99999999999", "1.2.3"] {
        assert!(decimal_from_text(case).is_err(), "{case}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int64),
        (-1e300..1e300f64).prop_map(|number| Value::Float64(if number == 0.0 {
            0.0
        } else {
            number
        })),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|map| Value::Map(
                map.into_iter()
                    .map(|(key, value)| (Value::String(key), value))
                    .collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn printed_values_read_back(value in any_json()) {
        let printed = text(&value);
        prop_assert_eq!(first(printed.as_bytes()).expect("valid"), Some(0..printed.len()));
        prop_assert_eq!(parse(printed.as_bytes()).expect("valid"), value);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&printed).is_ok());
    }
    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let judged = first(&bytes);
        prop_assert_eq!(judged.is_ok(), parse(&bytes).is_ok());
        if let Some(members) = members(&bytes) {
            members.for_each(drop);
        }
    }
    #[test]
    fn a_second_reader_agrees(text in r#"[ \[\]{}",:\\0-9eE.+u\-a-cntrulfs]{0,24}"#) {
        let strict = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        if strict {
            prop_assert_eq!(first(text.as_bytes()).expect("valid").map(|span| span.end), Some(text.trim_end().len()));
        } else if let Ok(Some(span)) = first(text.as_bytes()) {
            // Half a surrogate pair, and numbers beyond a double, are the two things that only the strict reader refuses.
            let inner = &text[span];
            prop_assert!(serde_json::from_str::<serde_json::Value>(inner).is_ok() || inner.contains("\\u") || inner.contains(['e', 'E']), "{}", inner);
        }
    }
}
