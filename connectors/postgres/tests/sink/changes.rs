//! Upserts, updates, deletions, and what Debezium's topics ask for.

use crate::place::{Place, json, row};
use longshore_sdk::{Datum, Field, Kind, Record, Schema, Value};
use std::sync::Arc;

const UPSERT: [(&str, &str); 3] = [
    ("insert.mode", "upsert"),
    ("pk.mode", "record_key"),
    ("delete.enabled", "true"),
];

fn envelope(op: &str, before: &str, after: &str) -> String {
    format!(
        r#"{{"before":{before},"after":{after},"source":{{"table":"t","lsn":1}},"op":"{op}","ts_ms":1,"transaction":null}}"#
    )
}

#[tokio::test]
async fn upserts_and_tombstones_leave_what_comes_last() {
    let place = Place::new("CREATE TABLE t (id bigint PRIMARY KEY, a text DEFAULT 'd', b text)");
    place.sql("INSERT INTO t VALUES (9, 'old', 'old')");
    let mut task = place.task(&UPSERT).await;
    task.take(vec![
        json("{\"id\":1}", "{\"a\":\"1\",\"b\":\"1\"}"),
        json("{\"id\":2}", "{\"a\":\"2\"}"),
        json("{\"id\":1}", "{\"b\":\"2\"}"),
        json("{\"id\":9}", "{\"b\":\"new\"}"),
        json("{\"id\":3}", "{\"a\":null}"),
        json("{\"id\":4}", "{\"a\":\"4\"}"),
        json("{\"id\":4}", ""),
        json("{\"id\":5}", ""),
        json("{\"id\":5}", "{\"id\":77,\"b\":\"5\"}"),
    ])
    .await;
    let all = "SELECT * FROM t ORDER BY id";
    assert_eq!(
        place.sql(all),
        ["1|1|2", "2|2|", "3||", "5|d|5", "9|old|new"]
    );
    // A row that is deleted and written again in one batch starts from nothing.
    task.take(vec![
        json("{\"id\":9}", ""),
        json("{\"id\":9}", "{\"b\":\"again\"}"),
        json("{\"id\":1}", ""),
    ])
    .await;
    assert_eq!(place.sql(all), ["2|2|", "3||", "5|d|5", "9|d|again"]);
    assert_eq!(
        place.sql("SELECT next_offset FROM longshore_offsets"),
        ["12"]
    );
}

#[tokio::test]
async fn updates_change_only_rows_that_are_there() {
    let place = Place::new(
        "CREATE TABLE t (id uuid, n int, v jsonb, r int4range); INSERT INTO t VALUES ('00000000-0000-0000-0000-000000000001', 1, '{}', '[1,2)')",
    );
    let mut task = place
        .task(&[
            ("insert.mode", "update"),
            ("pk.mode", "record_value"),
            ("pk.fields", "id,n"),
        ])
        .await;
    task.take(vec![
        row(r#"{"id":"00000000-0000-0000-0000-000000000001","n":1,"v":{"a":[1]},"r":"[5,9)"}"#),
        row(r#"{"id":"00000000-0000-0000-0000-000000000002","n":1,"v":{}}"#),
        row(r#"{"id":"00000000-0000-0000-0000-000000000001","n":2,"v":{}}"#),
        // Nothing but a key changes nothing.
        row(r#"{"id":"00000000-0000-0000-0000-000000000001","n":1}"#),
    ])
    .await;
    assert_eq!(
        place.sql("SELECT n, v, r FROM t"),
        [r#"1|{"a": [1]}|[5,9)"#]
    );
}

#[tokio::test]
async fn inserts_and_deletions_keep_their_order() {
    let place = Place::new("CREATE TABLE t (id bigint PRIMARY KEY, v text)");
    let mut task = place
        .task(&[
            ("pk.mode", "record_key"),
            ("pk.fields", "id"),
            ("delete.enabled", "true"),
        ])
        .await;
    task.take(vec![
        json("1", "{\"v\":\"a\"}"),
        json("1", ""),
        json("1", "{\"v\":\"b\"}"),
        json("2", ""),
        json("2", "{\"v\":\"c\"}"),
    ])
    .await;
    assert_eq!(place.sql("SELECT * FROM t ORDER BY 1"), ["1|b", "2|c"]);
    let refused = task
        .refused(vec![json("1", "{\"v\":\"x\"}"), json("3", "{\"v\":\"d\"}")])
        .await;
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0].0, refused[0].1.contains("t_pkey")),
        (0, true),
        "{refused:?}"
    );
    assert_eq!(
        place.sql("SELECT * FROM t ORDER BY 1"),
        ["1|b", "2|c", "3|d"]
    );
}

#[tokio::test]
async fn topic_partition_and_offset_make_a_key() {
    let place = Place::new(
        "CREATE TABLE t (__connect_topic text, __connect_partition int, __connect_offset bigint, v int, PRIMARY KEY (__connect_offset, __connect_topic, __connect_partition))",
    );
    let mut task = place
        .task(&[("insert.mode", "upsert"), ("pk.mode", "kafka")])
        .await;
    task.take(vec![row("{\"v\":1}"), row("{\"v\":2}")]).await;
    assert_eq!(
        place.sql("SELECT * FROM t ORDER BY 3"),
        ["t|0|0|1", "t|0|1|2"]
    );
}

#[tokio::test]
async fn a_change_topic_makes_the_table_equal_to_its_source() {
    let place = Place::new("CREATE TABLE t (id bigint PRIMARY KEY, name text, big text)");
    let mut task = place.task(&UPSERT).await;
    let one = r#"{"id":1,"name":"one","big":"b"}"#;
    let uno = r#"{"id":1,"name":"uno","big":"__debezium_unavailable_value"}"#;
    let two = r#"{"id":2,"name":"two","big":"b"}"#;
    let three = r#"{"id":3,"name":"two","big":"b"}"#;
    task.take(vec![
        json("{\"id\":1}", &envelope("r", "null", one)),
        json("{\"id\":2}", &envelope("c", "null", two)),
        json(
            "{\"id\":9}",
            &envelope("c", "null", "{\"id\":9,\"name\":\"gone\"}"),
        ),
    ])
    .await;
    task.take(vec![
        json("{\"id\":1}", &envelope("u", one, uno)),
        // A key that changes is a deletion, its tombstone, and a new row.
        json("{\"id\":2}", &envelope("d", two, "null")),
        json("{\"id\":2}", ""),
        json("{\"id\":3}", &envelope("c", "null", three)),
        json("{\"id\":9}", &envelope("d", "{\"id\":9}", "null")),
        json("{\"id\":9}", ""),
        row(r#"{"op":"m","source":{"table":""},"message":{"prefix":"p","content":"AA=="}}"#),
        // Not asked for.
        row(r#"{"before":null,"after":null,"source":{},"op":"t"}"#),
    ])
    .await;
    assert_eq!(
        place.sql("SELECT * FROM t ORDER BY 1"),
        ["1|uno|b", "3|two|b"]
    );
    let mut task = place
        .task(&[&UPSERT[..], &[("truncate.enabled", "true")]].concat())
        .await;
    task.take(vec![
        json("{\"id\":7}", &envelope("c", "null", "{\"id\":7}")),
        row(r#"{"before":null,"after":null,"source":{},"op":"t"}"#),
        json("{\"id\":8}", &envelope("c", "null", "{\"id\":8}")),
    ])
    .await;
    assert_eq!(place.sql("SELECT id FROM t"), ["8"]);
}

#[tokio::test]
async fn deletions_that_nobody_asked_for_are_passed_over_or_refused() {
    let place = Place::new("CREATE TABLE t (id bigint PRIMARY KEY, name text)");
    let mut task = place
        .task(&[("insert.mode", "upsert"), ("pk.mode", "record_key")])
        .await;
    let refused = task
        .refused(vec![
            json("{\"id\":1}", ""),
            json("{\"id\":1}", "{\"name\":\"a\"}"),
        ])
        .await;
    assert!(
        refused.len() == 1 && refused[0].1.contains("delete.enabled"),
        "{refused:?}"
    );
    task.take(vec![
        json("{\"id\":1}", &envelope("d", "{\"id\":1}", "null")),
        json(
            "{\"id\":1}",
            &envelope("u", "null", "{\"id\":1,\"name\":\"b\"}"),
        ),
    ])
    .await;
    // Behind envelopes a tombstone says nothing new.
    task.take(vec![json("{\"id\":1}", "")]).await;
    assert_eq!(place.sql("SELECT * FROM t"), ["1|b"]);
}

#[tokio::test]
async fn an_envelope_with_a_schema_is_known_by_its_name() {
    let place = Place::new("CREATE TABLE t (id bigint PRIMARY KEY, at timestamp(6))");
    let field = |name: &str, schema: Schema| Field {
        name: name.into(),
        schema: Arc::new(schema),
    };
    let key = Arc::new(Schema::new(Kind::Struct(vec![field(
        "id",
        Schema::new(Kind::Int64),
    )])));
    let fields = vec![
        field("id", Schema::new(Kind::Int64)),
        field(
            "at",
            Schema::new(Kind::Int64)
                .optional()
                .named("io.debezium.time.MicroTimestamp"),
        ),
    ];
    let inner = Schema::new(Kind::Struct(fields)).optional();
    let schema = Schema::new(Kind::Struct(vec![
        field("before", inner.clone()),
        field("after", inner),
        field("op", Schema::new(Kind::String)),
    ]));
    let schema = Arc::new(schema.named("s.public.t.Envelope"));
    let change = |id: i64, op: &str, at: Option<i64>| {
        let row = Value::Struct(vec![Value::Int64(id), at.map_or(Value::Null, Value::Int64)]);
        let (before, after) = if op == "d" {
            (row, Value::Null)
        } else {
            (Value::Null, row)
        };
        let mut record = Record::new("t".into());
        record.key = Datum::Value(Value::Struct(vec![Value::Int64(id)]), Some(key.clone()));
        record.value = Datum::Value(
            Value::Struct(vec![before, after, Value::String(op.to_owned())]),
            Some(schema.clone()),
        );
        record
    };
    let mut task = place.task(&UPSERT).await;
    task.take(vec![
        change(1, "c", Some(1)),
        change(2, "r", None),
        change(1, "u", Some(1_700_000_000_123_456)),
        change(3, "c", None),
        change(3, "d", None),
    ])
    .await;
    assert_eq!(
        place.sql("SELECT * FROM t ORDER BY 1"),
        ["1|2023-11-14 22:13:20.123456", "2|"]
    );
}

#[tokio::test]
async fn tables_are_named_by_the_format_whatever_topics_are_called() {
    let place = Place::new(
        r#"CREATE SCHEMA "My.Schema"; CREATE TABLE "My.Schema"."a.b""c" ("Col.""x" int); CREATE TABLE public.low (id int); CREATE TABLE public.a_b (id int)"#,
    );
    let send = async |config: &[(&str, &str)], topic: &str, value: &str| {
        let mut task = place.task(config).await;
        let mut record = row(value);
        record.topic = topic.into();
        let start = task.claim().await.expect("claimed").unwrap_or(0);
        let batch = [crate::place::read(record, 0, start)];
        task.sink
            .put(&batch)
            .await
            .map(|refused| assert!(refused.is_empty(), "{refused:?}"))?;
        task.sink.flush(&crate::place::at(0, start + 1)).await
    };
    send(
        &[("table.name.format", r#""My.Schema".${topic}"#)],
        "a.b\"c",
        r#"{"Col.\"x":5}"#,
    )
    .await
    .expect("written");
    assert_eq!(place.sql(r#"SELECT * FROM "My.Schema"."a.b""c""#), ["5"]);
    send(&[("quote.sql.identifiers", "never")], "LOW", "{\"ID\":6}")
        .await
        .expect("written");
    assert_eq!(place.sql("SELECT * FROM low"), ["6"]);
    send(
        &[("collection.name.format", "public.${topic}")],
        "a.b",
        "{\"id\":7}",
    )
    .await
    .expect("written");
    assert_eq!(place.sql("SELECT * FROM a_b"), ["7"]);
    let error = send(&[], &"x".repeat(64), "{}")
        .await
        .expect_err("too long");
    assert!(error.to_string().contains("64 bytes"), "{error}");
    let error = send(&[], "nowhere", "{\"id\":1}")
        .await
        .expect_err("no table");
    assert!(
        error.to_string().contains("there is no table nowhere"),
        "{error}"
    );
}
