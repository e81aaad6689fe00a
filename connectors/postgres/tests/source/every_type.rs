//! What becomes of every type.

use super::server::{Database, field, open, read};
use longshore_sdk::{Datum, Kind, Offsets, SourceRecord, Value};

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}
fn array(items: &[Option<&str>]) -> Value {
    let item = |item: &Option<&str>| item.map_or(Value::Null, text);
    Value::Array(items.iter().map(item).collect())
}

/// One row with a column for each expression.
async fn row(prelude: &str, columns: &[(&str, &str)], keys: &[(&str, &str)]) -> SourceRecord {
    let database = Database::new(prelude);
    let list: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(at, (kind, literal))| format!("({literal})::{kind} AS c{at}"))
        .collect();
    database.sql(&format!(
        "CREATE TABLE items AS SELECT 1::bigint AS id, {}",
        list.join(", ")
    ));
    let mut all = vec![("mode", "bulk"), ("table.whitelist", "items")];
    all.extend(keys);
    let mut task = open(&database.config(&all), Offsets::new())
        .await
        .expect("a task");
    read(&mut task, 1).await.remove(0)
}

async fn become_of(prelude: &str, expected: &[(&str, &str, Value)], keys: &[(&str, &str)]) {
    let columns: Vec<(&str, &str)> = expected
        .iter()
        .map(|(kind, literal, _)| (*kind, *literal))
        .collect();
    let record = row(prelude, &columns, keys).await;
    for (at, (kind, literal, value)) in expected.iter().enumerate() {
        let (got, _) = field(&record, &format!("c{at}"));
        // NaN is not equal to itself, 0 is to -0.
        assert_eq!(format!("{got:?}"), format!("{value:?}"), "{kind} {literal}");
    }
}

#[tokio::test]
async fn numbers_keep_their_value() {
    let digits = "9".repeat(1000);
    let long = format!("'{digits}.{digits}'");
    become_of(
        "",
        &[
            ("smallint", "-32768", Value::Int16(i16::MIN)),
            ("int", "2147483647", Value::Int32(i32::MAX)),
            ("bigint", "-9223372036854775808", Value::Int64(i64::MIN)),
            ("oid", "4294967295", Value::Int64(4_294_967_295)),
            ("bool", "true", Value::Bool(true)),
            ("real", "'NaN'", Value::Float32(f32::NAN)),
            ("real", "3.4028235e38", Value::Float32(f32::MAX)),
            (
                "double precision",
                "'-infinity'",
                Value::Float64(f64::NEG_INFINITY),
            ),
            ("double precision", "'-0'", Value::Float64(-0.0)),
            ("double precision", "5e-324", Value::Float64(5e-324)),
            ("numeric", "'NaN'", text("NaN")),
            ("numeric", "'-Infinity'", text("-Infinity")),
            ("numeric", "1.500", text("1.500")),
            ("numeric", "1e20", text("100000000000000000000")),
            ("numeric", &long, text(&format!("{digits}.{digits}"))),
            ("numeric(12,2)", "-0.05", text("-0.05")),
            ("money", "'$1,234.50'", text("1234.50")),
        ],
        &[],
    )
    .await;
}

#[tokio::test]
async fn times_are_exact_texts() {
    become_of(
        "",
        &[
            ("date", "'2024-02-29'", text("2024-02-29")),
            ("date", "'infinity'", text("infinity")),
            ("date", "'0044-03-15 BC'", text("0044-03-15 BC")),
            ("date", "'5874897-12-31'", text("5874897-12-31")),
            ("time", "'24:00'", text("24:00:00")),
            ("time", "'12:34:56.789012'", text("12:34:56.789012")),
            ("timetz", "'12:00:00.5+05:30'", text("12:00:00.5+05:30")),
            (
                "timestamp",
                "'2024-02-29 12:00:00.000001'",
                text("2024-02-29T12:00:00.000001"),
            ),
            ("timestamp", "'-infinity'", text("-infinity")),
            (
                "timestamptz",
                "'2024-02-29 12:00:00.1+02'",
                text("2024-02-29T10:00:00.1Z"),
            ),
            (
                "timestamptz",
                "'294276-12-31 23:59:59.999999+00'",
                text("294276-12-31T23:59:59.999999Z"),
            ),
            (
                "timestamptz",
                "'4713-01-01 00:00:00+00 BC'",
                text("4713-01-01T00:00:00Z BC"),
            ),
            ("timestamptz", "'infinity'", text("infinity")),
            (
                "interval",
                "'1 year 2 mons -3 days 04:05:06.7'",
                text("P1Y2M-3DT4H5M6.7S"),
            ),
        ],
        &[],
    )
    .await;
}

/// Every text that stands for a value is one that Postgres itself reads back to the same value.
#[tokio::test]
async fn postgres_reads_its_texts_back() {
    for (kind, literal) in [
        ("timestamptz", "'4713-01-01 00:00:00.5+00 BC'"),
        ("timestamptz", "'294276-12-31 23:59:59.999999+00'"),
        ("timestamp", "'0001-12-31 23:59:59 BC'"),
        ("timestamp", "'infinity'"),
        ("date", "'5874897-12-31'"),
        ("date", "'4714-11-24 BC'"),
        ("timetz", "'24:00:00-15:59:59'"),
        ("interval", "'-178000000 years'"),
        ("interval", "'1 year -2 mons 3 days -04:05:06.789012'"),
        ("interval", "'-0.000001 s'"),
        ("inet", "'::ffff:1.2.3.4/96'"),
        ("varbit", "''"),
        ("int[]", "'[-1:1]={1,NULL,3}'"),
        ("text[]", r#"'[2:3]={"a\"\\,{}",NULL}'"#),
        ("bytea[]", r"'[0:0]={\\x00ff}'"),
        ("timestamptz[]", "'[0:1]={infinity,2024-01-01 00:00:00+00}'"),
        ("float8[]", "'[0:2]={NaN,-Infinity,-0}'"),
        ("bool[]", "'[0:1]={t,f}'"),
    ] {
        let record = row("", &[(kind, literal)], &[]).await;
        let (Value::String(shown), _) = field(&record, "c0") else {
            panic!("{kind} {literal} is no text");
        };
        let server = longshore_kit::servers::Postgres::shared().expect("a server");
        let shown = shown.replace('\'', "''");
        let same = server.query(
            "postgres",
            &format!("SELECT ('{shown}'::{kind})::text = ({literal}::{kind})::text"),
        );
        assert_eq!(same.expect("read back"), ["t"], "{kind} {literal}: {shown}");
    }
}

#[tokio::test]
async fn texts_bytes_and_documents() {
    let large = "x".repeat(100_000);
    become_of(
        "",
        &[
            ("text", "''", text("")),
            ("text", "'é😀\u{1}\"'", text("é😀\u{1}\"")),
            ("text", "repeat('x', 100000)", text(&large)),
            ("varchar(5)", "'ab'", text("ab")),
            ("char(5)", "'ab'", text("ab   ")),
            ("name", "'n'", text("n")),
            (r#""char""#, "'c'", text("c")),
            ("bytea", "''", Value::Bytes(bytes::Bytes::new())),
            ("bytea", r"'\x00ff'", Value::Bytes(vec![0, 255].into())),
            (
                "uuid",
                "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
                text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ),
            (
                "json",
                r#"'{"b": 1,  "a":[]}'"#,
                text(r#"{"b": 1,  "a":[]}"#),
            ),
            (
                "jsonb",
                r#"'{"b": 1e2,  "a":null}'"#,
                text(r#"{"a": null, "b": 100}"#),
            ),
            ("jsonb", "'null'", text("null")),
            ("xml", "'<a>b</a>'", text("<a>b</a>")),
        ],
        &[],
    )
    .await;
}

#[tokio::test]
async fn other_types_are_text() {
    become_of(
        "CREATE TYPE mood AS ENUM ('sad', 'it''s'); CREATE TYPE pair AS (a int, b text); \
         CREATE DOMAIN small AS int CHECK (VALUE < 10); CREATE DOMAIN price AS numeric(8,2)",
        &[
            ("mood", "'it''s'", text("it's")),
            ("pair", "ROW(1, 'a b')", text("(1,\"a b\")")),
            ("small", "7", Value::Int32(7)),
            ("price", "7", text("7.00")),
            ("int4range", "'[1,5]'", text("[1,6)")),
            (
                "tstzrange",
                "'[2024-01-01 00:00+00,)'",
                text("[\"2024-01-01 00:00:00+00\",)"),
            ),
            (
                "nummultirange",
                "'{[1.5,2],(3,4)}'",
                text("{[1.5,2],(3,4)}"),
            ),
            ("inet", "'10.0.0.1'", text("10.0.0.1")),
            ("inet", "'10.0.0.1/8'", text("10.0.0.1/8")),
            ("cidr", "'10.0.0.0/8'", text("10.0.0.0/8")),
            ("inet", "'fe80::1'", text("fe80::1")),
            ("macaddr", "'08:00:2b:01:02:03'", text("08:00:2b:01:02:03")),
            (
                "macaddr8",
                "'08:00:2b:01:02:03:04:05'",
                text("08:00:2b:01:02:03:04:05"),
            ),
            ("bit(3)", "'101'", text("101")),
            ("varbit", "'1010000011'", text("1010000011")),
            ("tsvector", "'fat cat'", text("'cat' 'fat'")),
            ("tsquery", "'fat & cat'", text("'fat' & 'cat'")),
            ("pg_lsn", "'16/B374D848'", text("16/B374D848")),
            ("point", "'(1,2.5)'", text("(1,2.5)")),
            ("regclass", "'pg_class'", text("pg_class")),
            ("xid", "'7'", text("7")),
            ("int2vector", "'1 2'", text("1 2")),
            ("jsonpath", "'$.a'", text("$.\"a\"")),
        ],
        &[],
    )
    .await;
}

#[tokio::test]
async fn arrays_keep_items_depth_and_bounds() {
    let pair = |a, b| Value::Array(vec![Value::Int32(a), Value::Int32(b)]);
    become_of(
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN small AS int",
        &[
            ("int[]", "'{}'", Value::Array(vec![])),
            ("int[]", "'{1,NULL}'", Value::Array(vec![Value::Int32(1), Value::Null])),
            ("int[]", "'{{1,2},{3,4}}'", Value::Array(vec![pair(1, 2), pair(3, 4)])),
            ("int[]", "'[0:1]={1,2}'", text("[0:1]={1,2}")),
            ("text[]", "'{a,\"NULL\",NULL,\"\"}'", array(&[Some("a"), Some("NULL"), None, Some("")])),
            ("numeric(5,2)[]", "'{1.5,NaN}'", array(&[Some("1.50"), Some("NaN")])),
            ("timestamptz[]", "'{infinity,2024-01-01 00:00:00+00}'", array(&[Some("infinity"), Some("2024-01-01T00:00:00Z")])),
            ("date[]", "'{2024-01-01}'", array(&[Some("2024-01-01")])),
            ("uuid[]", "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", array(&[Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")])),
            ("jsonb[]", r#"ARRAY['{"a":1}'::jsonb]"#, array(&[Some(r#"{"a": 1}"#)])),
            ("mood[]", "'{sad,NULL}'", array(&[Some("sad"), None])),
            ("pair[]", "ARRAY[ROW(1,'b')::pair]", array(&[Some("(1,b)")])),
            ("small[]", "'{1}'", array(&[Some("1")])),
            ("money[]", "'{$1.50}'", array(&[Some("1.50")])),
            ("int4range[]", "'{\"[1,3)\"}'", array(&[Some("[1,3)")])),
        ],
        &[],
    )
    .await;
}

#[tokio::test]
async fn an_array_of_another_shape_brings_its_own_schema() {
    let database = Database::new(
        "CREATE TABLE items (id int PRIMARY KEY, a int[]); \
         INSERT INTO items VALUES (1, '{1}'), (2, '{{1}}'), (3, '[0:0]={1}'), (4, '{{2}}'), (5, NULL)",
    );
    let config = database.config(&[("mode", "incrementing"), ("incrementing.column.name", "id")]);
    let mut task = open(&config, Offsets::new()).await.expect("a task");
    let records = read(&mut task, 5).await;
    let kinds: Vec<&str> = records
        .iter()
        .map(|record| match &field(record, "a").1.schema.kind {
            Kind::Array(items) => items.kind.name(),
            other => other.name(),
        })
        .collect();
    assert_eq!(kinds, ["int32", "array", "string", "array", "int32"]);
    let schema = |at: usize| match &records[at].record.value {
        Datum::Value(_, Some(schema)) => schema.clone(),
        other => panic!("{other:?}"),
    };
    // Shared, so that a converter prints each once.
    assert!(std::sync::Arc::ptr_eq(&schema(1), &schema(3)));
    assert!(std::sync::Arc::ptr_eq(&schema(0), &schema(4)));
    assert_eq!(schema(0).name.as_deref(), Some("items"));
    assert!(!field(&records[0], "id").1.schema.optional);
    assert!(field(&records[0], "a").1.schema.optional);
}

#[tokio::test]
async fn the_references_class_brings_the_references_types() {
    let class = [(
        "connector.class",
        "io.confluent.connect.jdbc.JdbcSourceConnector",
    )];
    let decimal = |unscaled: &[u8], scale| {
        Value::Decimal(longshore_sdk::Decimal {
            unscaled: bytes::Bytes::copy_from_slice(unscaled),
            scale,
        })
    };
    let day = 86_400_000;
    become_of(
        "",
        &[
            ("numeric(5,2)", "-1.28", decimal(&[0x80], 2)),
            ("numeric", "1.5", text("1.5")),
            ("date", "'1970-01-02'", Value::Date(day)),
            ("time", "'00:00:01.5'", Value::Time(1500)),
            ("timestamp", "'1970-01-02'", Value::Timestamp(day)),
            (
                "timestamptz",
                "'1970-01-02 00:00:00.0019+00'",
                Value::Timestamp(day + 1),
            ),
        ],
        &class,
    )
    .await;
    let mut keys = class.to_vec();
    keys.extend([
        ("numeric.mapping", "best_fit"),
        ("timestamp.granularity", "micros_long"),
        ("db.timezone", "Europe/Berlin"),
    ]);
    become_of(
        "",
        &[
            ("numeric(2,0)", "7", Value::Int8(7)),
            ("numeric(9,0)", "7", Value::Int32(7)),
            ("numeric(18,0)", "-7", Value::Int64(-7)),
            ("numeric(19,0)", "7", decimal(&[7], 0)),
            ("numeric(10,3)", "7.5", Value::Float64(7.5)),
            // Local time in Berlin, an hour ahead.
            ("timestamp", "'1970-01-01 01:00:00.000007'", Value::Int64(7)),
            (
                "timestamptz",
                "'1970-01-01 00:00:00.000007+00'",
                Value::Int64(7),
            ),
        ],
        &keys,
    )
    .await;
}
