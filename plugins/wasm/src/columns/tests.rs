//! What goes in comes out.

use super::{Row, Rows, present::only_json, take_changed, take_column, take_headers, take_topics};
use crate::bindings::host::longshore::connector::types::{Batch, Column, Columns, Format};
use bytes::Bytes;
use longshore_sdk::{Datum, Header, Record, TopicOffset, Value};
use proptest::prelude::*;

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

fn datum() -> impl Strategy<Value = Datum> {
    prop_oneof![
        Just(Datum::Null),
        bytes(20).prop_map(|bytes| Datum::Bytes(bytes.into())),
        ".{0,8}".prop_map(|text| Datum::Text(text.into())),
        any::<i64>().prop_map(|number| Datum::Json(number.to_string().into())),
        ".{0,8}".prop_map(Datum::string),
        any::<i32>().prop_map(|number| Datum::Value(Value::Int32(number), None)),
        bytes(8).prop_map(|bytes| Datum::Value(Value::Bytes(bytes.into()), None)),
    ]
}

prop_compose! {
    fn record()(
        topic in "[a-c]",
        key in datum(),
        value in datum(),
        headers in prop::collection::vec(("[xyz]", datum()), 0..4),
        timestamp in prop::option::of(0..i64::MAX),
        partition in 0..10,
        offset in 0..i64::MAX,
        origin in "[a-c]",
    ) -> (Record, TopicOffset) {
        let mut record = Record::new(topic.into());
        (record.key, record.value, record.timestamp) = (key, value, timestamp);
        record.headers = headers.into_iter().map(|(key, value)| Header { key: key.into(), value }).collect();
        (record, TopicOffset { topic: origin.into(), partition, offset })
    }
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Bytes), Just(Format::Text), Just(Format::Json)]
}

/// What a guest makes of a datum in a format; `None`: it cannot be presented.
fn expected(datum: &Datum, format: Format) -> Option<Datum> {
    let of = |bytes: Vec<u8>| match format {
        Format::Bytes => Datum::Bytes(bytes.into()),
        Format::Text => Datum::Text(bytes.into()),
        Format::Json => Datum::Json(bytes.into()),
    };
    let quoted = |text: &[u8]| {
        let mut out = bytes::BytesMut::new();
        longshore_sdk::json::print_string(std::str::from_utf8(text).expect("text"), &mut out);
        out.to_vec()
    };
    let utf8 = |bytes: &Bytes| {
        std::str::from_utf8(bytes)
            .is_ok()
            .then(|| of(bytes.to_vec()))
    };
    match (datum, format) {
        (Datum::Null, _) => Some(Datum::Null),
        (Datum::Bytes(bytes) | Datum::Value(Value::Bytes(bytes), _), Format::Bytes) => {
            Some(of(bytes.to_vec()))
        }
        (Datum::Bytes(bytes) | Datum::Value(Value::Bytes(bytes), _), Format::Text) => utf8(bytes),
        (Datum::Bytes(bytes), Format::Json) => match only_json(bytes)? {
            b"null" => Some(Datum::Null),
            json => Some(of(json.to_vec())),
        },
        (Datum::Value(Value::Bytes(bytes), _), Format::Json) => {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            Some(of(quoted(text.as_bytes())))
        }
        (Datum::Text(text), Format::Json) => Some(of(quoted(text))),
        (Datum::Value(Value::String(text), _), Format::Json) => Some(of(quoted(text.as_bytes()))),
        (Datum::Value(Value::String(text), _), _) => Some(of(text.clone().into_bytes())),
        (Datum::Text(bytes) | Datum::Json(bytes), _) => Some(of(bytes.to_vec())),
        (Datum::Value(Value::Int32(number), _), _) => Some(of(number.to_string().into_bytes())),
        (Datum::Value(..), _) => None,
    }
}

/// The records of a batch, as a guest reads it.
fn read(batch: &Batch, places: &[usize], all: &[(Record, TopicOffset)], formats: (Format, Format)) {
    let count = batch.count as usize;
    assert_eq!(count, places.len());
    let topics = take_topics(batch.topics.clone(), &batch.topic, count, true).expect("topics");
    let key = take_column("key", batch.key.clone(), count).expect("keys");
    let value = take_column("value", batch.value.clone(), count).expect("values");
    let headers = take_headers(
        batch.header_ends.clone(),
        batch.header_names.clone(),
        batch.header_name.clone(),
        batch.header_value.clone(),
        count,
    )
    .expect("headers");
    for (row, place) in places.iter().enumerate() {
        let (record, at) = &all[*place];
        let topic = batch.topic.get(row).map_or(0, |number| *number as usize);
        let origin = batch
            .origin
            .get(row)
            .map_or(topic, |number| *number as usize);
        assert_eq!(topics[topic], record.topic);
        assert_eq!(topics[origin], at.topic);
        assert_eq!(batch.partition[row], at.partition);
        assert_eq!(batch.offset[row], at.offset);
        assert_eq!(batch.timestamp_ms[row], record.timestamp.unwrap_or(-1));
        assert_eq!(Some(key.datum(row)), expected(&record.key, formats.0));
        assert_eq!(Some(value.datum(row)), expected(&record.value, formats.1));
        let wanted = record.headers.iter().map(|header| Header {
            key: header.key.clone(),
            value: expected(&header.value, Format::Bytes).expect("bytes are always presentable"),
        });
        assert_eq!(headers.row(row), wanted.collect::<Vec<_>>());
    }
}

proptest! {
    #[test]
    fn records_come_out_as_they_went_in(
        batches in prop::collection::vec(prop::collection::vec(record(), 0..12), 1..3),
        key_format in format(),
        value_format in format(),
    ) {
        let mut rows = Rows::new(Columns::all(), key_format, value_format, 1 << 20);
        // The buffers of one batch serve the next.
        for all in &batches {
            rows.begin();
            let mut places = Vec::new();
            for (place, (record, at)) in all.iter().enumerate() {
                let presentable = expected(&record.key, key_format).is_some() && expected(&record.value, value_format).is_some();
                let pushed = rows.push(Row { record, at: Some(at) });
                prop_assert_eq!(pushed.is_ok(), presentable);
                places.extend(presentable.then_some(place));
            }
            read(rows.end(), &places, all, (key_format, value_format));
        }
    }

    /// Whatever a guest makes up, it is refused or read, and never panics.
    #[test]
    fn made_up_columns_never_panic(
        data in bytes(20),
        ends in prop::collection::vec(0..30u32, 0..6),
        nulls in prop::collection::vec(0..3u8, 0..6),
        count in 0..6usize,
        format in format(),
    ) {
        if let Ok(taken) = take_column("value", Column { format, data, ends, nulls }, count) {
            for row in 0..count {
                match taken.datum(row) {
                    Datum::Text(text) => prop_assert!(std::str::from_utf8(&text).is_ok()),
                    Datum::Json(json) => prop_assert!(only_json(&json).is_some()),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn only_the_columns_that_are_needed_are_filled() {
    let mut record = Record::new("t".into());
    (record.key, record.value) = (Datum::string("k"), Datum::string("v"));
    let mut rows = Rows::new(Columns::VALUE, Format::Text, Format::Text, 1 << 20);
    rows.begin();
    rows.push(Row {
        record: &record,
        at: None,
    })
    .expect("text is text");
    let batch = rows.end();
    assert_eq!(batch.value.data, b"v");
    assert!(
        batch.key.ends.is_empty() && batch.timestamp_ms.is_empty() && batch.partition.is_empty()
    );
    assert!(batch.topic.is_empty(), "one topic needs no numbers");
}

#[test]
fn what_changed_is_checked_beside_what_was_given() {
    let column = |rows: &[&str], nulls: &[u8]| {
        let mut column = Column {
            format: Format::Json,
            data: Vec::new(),
            ends: Vec::new(),
            nulls: nulls.to_vec(),
        };
        for row in rows {
            column.data.extend_from_slice(row.as_bytes());
            column
                .ends
                .push(u32::try_from(column.data.len()).expect("small"));
        }
        column
    };
    let given = column(&[r#"{"a":"ü"}"#, "", r#"{"b":12}"#], &[0, 1, 0]);
    let taken = |rows: [&str; 3]| {
        let taken = take_changed("value", column(&rows, &[]), 3, Some(&given));
        taken.map(|taken| (0..3).map(|row| taken.datum(row)).collect::<Vec<_>>())
    };
    for rows in [
        [r#"{"a":"**"}"#, "1", r#"{"b":12}"#],
        [r#"{"a":"ü"}"#, "[]", r#"{"b":3}"#],
        ["{}", "{}", "{}"],
    ] {
        let expected = rows.map(|row| Datum::Json(row.to_owned().into()));
        assert_eq!(taken(rows).expect("JSON"), expected);
    }
    for rows in [
        ["{\"a\":\"\n\"}", "1", "{}"],
        [r#"{"a":"""}"#, "1", "{}"],
        [r#"{"a":"\"}"#, "1", "{}"],
        [r#"{"a":"ü"}"#, "", "{}"],
        [r#"{"a":"ü"}"#, "null", "{}"],
        [r#"{"a":"ü"}"#, "1", r#"{"b":012}"#],
        [r#"{"a":"ü"}"#, "1", r#"{"b":12} "#],
    ] {
        taken(rows).expect_err("it is no JSON");
    }
    // Half a letter, on which the next row goes on.
    let mut halves = column(&[r#"{"a":"ü"}"#, "1", "2"], &[]);
    halves.ends[0] = 7;
    halves.ends[1] = 8;
    assert!(take_changed("value", halves, 3, Some(&given)).is_err());
}
