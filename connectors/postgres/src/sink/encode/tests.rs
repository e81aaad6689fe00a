use super::*;
use longshore_sdk::{Decimal, Kind, Schema, Value};
use wire::Element;

fn encoded(cell: &Cell<'_>, wire: Wire) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    encode(cell, wire, &mut out).map_err(|unfit| unfit.0.into_owned())?;
    let (length, rest) = out.split_first_chunk::<4>().expect("a length");
    assert_eq!(i32::from_be_bytes(*length) as usize, rest.len());
    Ok(rest.to_vec())
}
fn text(text: &str) -> Cell<'_> {
    Cell::Text(text.into())
}
fn int(cell: &Cell<'_>, wire: Wire) -> i64 {
    let bytes = encoded(cell, wire).expect("it fits");
    bytes
        .iter()
        .fold(if bytes[0] >= 0x80 { -1 } else { 0 }, |number, byte| {
            number << 8 | i64::from(*byte)
        })
}
fn words(bytes: &[u8]) -> Vec<i32> {
    bytes
        .chunks(2)
        .map(|pair| i32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .collect()
}

#[test]
fn integers_are_exact_or_refused() {
    for (json, expected) in [
        ("5", 5),
        ("-7", -7),
        ("1.0", 1),
        ("1e3", 1000),
        ("120e-1", 12),
        ("-0", 0),
        ("0.0", 0),
    ] {
        assert_eq!(
            int(&Cell::of_json(json.as_bytes()), Wire::Int8),
            expected,
            "{json}"
        );
    }
    assert_eq!(
        int(&Cell::Number("-9223372036854775808"), Wire::Int8),
        i64::MIN
    );
    assert_eq!(int(&text("9223372036854775807"), Wire::Int8), i64::MAX);
    for json in [
        "1.5",
        "1e-1",
        "\"x\"",
        "true",
        "{}",
        "9223372036854775808",
        "1e30",
        "1e999999999999999999999",
    ] {
        assert!(
            encoded(&Cell::of_json(json.as_bytes()), Wire::Int8).is_err(),
            "{json}"
        );
    }
    assert!(encoded(&Cell::Int(32768), Wire::Int2).is_err());
    assert!(encoded(&Cell::Int(-2_147_483_649), Wire::Int4).is_err());
    assert_eq!(int(&Cell::Double(-3.0), Wire::Int2), -3);
    for number in [2.5, f64::NAN, f64::INFINITY, 9.3e18] {
        assert!(
            encoded(&Cell::Double(number), Wire::Int8).is_err(),
            "{number}"
        );
    }
}

#[test]
fn floats_keep_what_they_are() {
    let double = |cell: &Cell<'_>| {
        f64::from_be_bytes(
            encoded(cell, Wire::Float8)
                .expect("it fits")
                .try_into()
                .expect("8 bytes"),
        )
    };
    assert_eq!(double(&Cell::Number("0.1")), 0.1);
    assert!(double(&Cell::Double(-0.0)).is_sign_negative());
    assert!(double(&text("NaN")).is_nan());
    assert_eq!(double(&text("-Infinity")), f64::NEG_INFINITY);
    assert!(encoded(&Cell::Number("1e400"), Wire::Float8).is_err());
    assert!(encoded(&text("1e400"), Wire::Float8).is_err());
    assert!(encoded(&Cell::Double(1e300), Wire::Float4).is_err());
    assert!(encoded(&Cell::Double(f64::INFINITY), Wire::Float4).is_ok());
}

#[test]
fn numerics_are_groups_of_four_digits_around_the_point() {
    // digits, weight, sign, scale, groups
    for (number, expected) in [
        ("0", vec![0, 0, 0, 0]),
        ("-0.00", vec![0, 0, 0, 2]),
        ("1", vec![1, 0, 0, 0, 1]),
        ("-12345.678", vec![3, 1, 0x4000, 3, 1, 2345, 6780]),
        ("10000", vec![1, 1, 0, 0, 1]),
        ("0.0001", vec![1, 65535, 0, 4, 1]),
        ("0.00001", vec![1, 65534, 0, 5, 1000]),
        ("1.50", vec![2, 0, 0, 2, 1, 5000]),
        ("1e20", vec![1, 5, 0, 0, 1]),
        ("5e2", vec![1, 0, 0, 0, 500]),
        ("1.5e-3", vec![1, 65535, 0, 4, 15]),
        ("NaN", vec![0, 0, 0xC000, 0]),
        ("-Infinity", vec![0, 0, 0xF000, 0]),
    ] {
        let bytes = encoded(&text(number), Wire::Numeric).expect(number);
        assert_eq!(words(&bytes), expected, "{number}");
    }
    let decimal = Decimal {
        unscaled: vec![0xFF, 0x38].into(),
        scale: 2,
    };
    assert_eq!(
        words(&encoded(&Cell::Decimal(&decimal), Wire::Numeric).expect("it fits")),
        [1, 0, 0x4000, 2, 2]
    );
    let decimal = Decimal {
        unscaled: vec![5].into(),
        scale: -3,
    };
    assert_eq!(
        words(&encoded(&Cell::Decimal(&decimal), Wire::Numeric).expect("it fits")),
        [1, 0, 0, 0, 5000]
    );
    for bad in ["", "-", ".", "1e", "0x10", "1.2.3", "1e200000", "1e-20000"] {
        assert!(encoded(&text(bad), Wire::Numeric).is_err(), "{bad}");
    }
}

#[test]
fn times_are_read_in_every_form() {
    const DAY: i64 = 86_400_000_000;
    for (given, days) in [
        ("2000-01-01", 0),
        ("1999-12-31", -1),
        ("2024-02-29", 8825),
        ("0001-01-01", -730_119),
        ("0001-12-31 BC", -730_120),
        ("4714-11-24 BC", -2_451_545),
        ("5874897-12-31", 2_145_031_948),
    ] {
        assert_eq!(int(&text(given), Wire::Date), days, "{given}");
    }
    assert_eq!(int(&Cell::Int(0), Wire::Date), -10_957);
    assert_eq!(int(&text("infinity"), Wire::Date), i64::from(i32::MAX));
    for bad in [
        "2023-02-29",
        "2000-13-01",
        "5874898-01-01",
        "4714-11-23 BC",
        "0000-01-01 BC",
        "2000-01-01 10:00",
        "x",
    ] {
        assert!(encoded(&text(bad), Wire::Date).is_err(), "{bad}");
    }
    for (given, micros) in [
        ("2000-01-01T00:00:00Z", 0),
        ("2000-01-01 00:00:00.000001", 1),
        ("2000-01-01T02:00:00+02:00", 0),
        ("1999-12-31 19:30:00-0430", 0),
        ("2000-01-01 00:00:00.1234565", 123_457),
        ("1999-12-31T24:00:00Z", 0),
        ("2000-01-02", DAY),
        ("294276-12-31 23:59:59.999999", 9_223_371_331_199_999_999),
        ("4714-11-24 00:00:00+00 BC", -211_813_488_000_000_000),
        ("-infinity", i64::MIN),
    ] {
        assert_eq!(int(&text(given), Wire::Timestamp), micros, "{given}");
    }
    assert_eq!(
        int(
            &Cell::of_value(&Value::Timestamp(946_684_800_001), None),
            Wire::Timestamp
        ),
        1000
    );
    for bad in [
        "294277-01-01",
        "2000-01-01T25:00:00",
        "2000-01-01T00:00:00+99:00",
        "now",
        "4714-11-23 BC",
    ] {
        assert!(encoded(&text(bad), Wire::Timestamp).is_err(), "{bad}");
    }
    let far = Value::Timestamp(i64::MAX - 5);
    assert!(encoded(&Cell::of_value(&far, None), Wire::Timestamp).is_err());
    assert_eq!(int(&text("24:00:00"), Wire::Time), DAY);
    assert_eq!(int(&text("10:11:12.5"), Wire::Time), 36_672_500_000);
    assert!(encoded(&text("24:00:01"), Wire::Time).is_err());
    // Text of a date is read back as the date.
    for days in [-2_440_588, -719_529, -719_163, -1, 0, 59, 19_782, 2_000_000] {
        let shown = time::date_text(days).expect("in range");
        assert_eq!(int(&text(&shown), Wire::Date) + 10_957, days, "{shown}");
    }
}

#[test]
fn text_bytes_uuids_and_documents() {
    assert_eq!(
        encoded(&Cell::of_json(br#""a\u00e9\n""#), Wire::Text),
        Ok("aé\n".as_bytes().to_vec())
    );
    assert!(
        encoded(&Cell::of_json(br#""a\u0000b""#), Wire::Text)
            .expect_err("NUL")
            .contains("NUL")
    );
    assert!(encoded(&Cell::Bytes(b"\xff"), Wire::Text).is_err());
    assert_eq!(
        encoded(&Cell::Number("1.50"), Wire::Text),
        Ok(b"1.50".to_vec())
    );
    assert_eq!(encoded(&text("AQI="), Wire::Bytea), Ok(vec![1, 2]));
    assert_eq!(encoded(&text("\\x01fF"), Wire::Bytea), Ok(vec![1, 255]));
    assert!(encoded(&text("no base64!"), Wire::Bytea).is_err());
    let uuid = "123e4567-e89b-12d3-a456-426614174000";
    assert_eq!(
        encoded(&text(uuid), Wire::Uuid).map(|bytes| bytes.len()),
        Ok(16)
    );
    assert_eq!(
        encoded(&text(&format!("{{{}}}", uuid.replace('-', ""))), Wire::Uuid),
        encoded(&text(uuid), Wire::Uuid)
    );
    assert!(encoded(&text("123e4567"), Wire::Uuid).is_err());
    let document = |cell: &Cell<'_>| {
        String::from_utf8(encoded(cell, Wire::Jsonb).expect("it fits")).expect("text")
    };
    assert_eq!(document(&Cell::of_json(b"{\"a\":1.0}")), "\u{1}{\"a\":1.0}");
    assert_eq!(document(&text("{\"a\":1}")), "\u{1}{\"a\":1}");
    assert_eq!(document(&text("hello")), "\u{1}\"hello\"");
    assert_eq!(document(&text("\"hello\"")), "\u{1}\"hello\"");
    assert_eq!(document(&text("null")), "\u{1}null");
}

fn encoded_null() -> Vec<u8> {
    let mut out = Vec::new();
    encode(&Cell::Null, Wire::Int8, &mut out).expect("null fits all");
    out
}

#[test]
fn a_null_has_no_bytes() {
    assert_eq!(encoded_null(), [0xFF; 4]);
}

#[test]
fn arrays_become_literals_with_every_element_quoted() {
    let literal = |cell: &Cell<'_>, element| {
        String::from_utf8(encoded(cell, Wire::Cast(Form::Array(element))).expect("it fits"))
            .expect("text")
    };
    assert_eq!(
        literal(&Cell::of_json(br#"[1, null, "a\"\\b"]"#), Element::Plain),
        r#"{"1",NULL,"a\"\\b"}"#
    );
    assert_eq!(
        literal(&Cell::of_json(b"[[1,2],[3,4]]"), Element::Plain),
        r#"{{"1","2"},{"3","4"}}"#
    );
    assert_eq!(literal(&Cell::of_json(b"[]"), Element::Plain), "{}");
    assert_eq!(
        literal(&Cell::of_json(br#"[{"a":[1]},[2]]"#), Element::Json),
        r#"{"{\"a\":[1]}","[2]"}"#
    );
    assert_eq!(
        literal(&Cell::of_json(br#"["AQI="]"#), Element::Bytea),
        r#"{"\\x0102"}"#
    );
    assert_eq!(literal(&text("[0:1]={1,2}"), Element::Plain), "[0:1]={1,2}");
    let schema = Schema::new(Kind::Array(std::sync::Arc::new(
        Schema::new(Kind::Bytes).named(longshore_sdk::schema::logical::DECIMAL),
    )));
    let value = Value::Array(vec![
        Value::Decimal(Decimal {
            unscaled: vec![0xFB].into(),
            scale: 3,
        }),
        Value::Null,
    ]);
    assert_eq!(
        literal(&Cell::of_value(&value, Some(&schema)), Element::Numeric),
        r#"{"-0.005",NULL}"#
    );
    assert!(encoded(&Cell::Int(1), Wire::Cast(Form::Array(Element::Plain))).is_err());
}

#[test]
fn semantic_names_tell_what_numbers_mean() {
    let cell = |name: &str, kind: Kind, value: &Value, wire| {
        let schema = Schema::new(kind).named(name);
        int(&Cell::of_value(value, Some(&schema)), wire)
    };
    let epoch_micros = 946_684_800_000_000;
    assert_eq!(
        cell(
            "io.debezium.time.MicroTimestamp",
            Kind::Int64,
            &Value::Int64(epoch_micros + 7),
            Wire::Timestamp
        ),
        7
    );
    assert_eq!(
        cell(
            "io.debezium.time.NanoTimestamp",
            Kind::Int64,
            &Value::Int64((epoch_micros + 7) * 1000),
            Wire::Timestamp
        ),
        7
    );
    assert_eq!(
        cell(
            "io.debezium.time.Date",
            Kind::Int32,
            &Value::Int32(10_957),
            Wire::Date
        ),
        0
    );
    assert_eq!(
        cell(
            "io.debezium.time.MicroTime",
            Kind::Int64,
            &Value::Int64(9),
            Wire::Time
        ),
        9
    );
    let scaled = Value::Struct(vec![Value::Int32(2), Value::Bytes(vec![0x7B].into())]);
    let schema =
        Schema::new(Kind::Struct(Vec::new())).named("io.debezium.data.VariableScaleDecimal");
    let bytes = encoded(&Cell::of_value(&scaled, Some(&schema)), Wire::Numeric).expect("it fits");
    assert_eq!(words(&bytes), [2, 0, 0, 2, 1, 2300]);
    let endless = Value::Struct(vec![
        Value::Int32(0),
        Value::Bytes(vec![0x7B; 1 << 20].into()),
    ]);
    assert!(encoded(&Cell::of_value(&endless, Some(&schema)), Wire::Numeric).is_err());
    // The same without schemas; anything else that is an object is no number.
    let json = encoded(
        &Cell::of_json(br#"{"scale":2,"value":"ew=="}"#),
        Wire::Numeric,
    );
    assert_eq!(json, Ok(bytes));
    for bad in [
        r#"{"scale":2}"#,
        r#"{"value":"ew=="}"#,
        r#"{"scale":2,"value":"e"}"#,
        r#"{"scale":2,"value":123}"#,
        r#"{"scale":2,"value":"ew==","more":1}"#,
        "{}",
        "[1]",
    ] {
        assert!(
            encoded(&Cell::of_json(bad.as_bytes()), Wire::Numeric).is_err(),
            "{bad}"
        );
    }
}

/// What Debezium writes without schemas says nothing of its unit: what cannot be milliseconds is refused, not written a thousandfold.
#[test]
fn numbers_beyond_every_millisecond_are_refused() {
    let told = |cell: &Cell<'_>, wire| {
        encoded(cell, wire).is_err_and(|text| text.contains("microseconds"))
    };
    assert!(told(&Cell::Number("1709210096789012"), Wire::Timestamp));
    assert!(told(&Cell::Int(-2_208_988_799_999_999), Wire::Timestamp));
    assert!(told(&Cell::Number("86399999999"), Wire::Time));
    assert!(told(&Cell::Int(-86_400_001), Wire::Time));
    assert_eq!(int(&Cell::Number("946684800001"), Wire::Timestamp), 1000);
    assert_eq!(int(&Cell::Int(86_400_000), Wire::Time), 86_400_000_000);
    assert!(encoded(&Cell::Int(-1), Wire::Time).is_err());
}

#[test]
fn a_date_may_name_its_zone() {
    for good in ["2024-02-29Z", "+2024-02-29Z", "2024-02-29"] {
        assert_eq!(int(&text(good), Wire::Date) + 10_957, 19_782, "{good}");
    }
    assert!(encoded(&text("2024-02-29Q"), Wire::Date).is_err());
}
