//! Tables made and widened.

use crate::place::{Place, Task, row, shown};
use longshore_sdk::{
    Datum, Decimal, ErrorKind, Field, Kind, Record, Schema, Value, schema::logical,
};
use std::sync::Arc;

fn field(name: &str, schema: Schema) -> Field {
    Field {
        name: name.into(),
        schema: Arc::new(schema),
    }
}

fn record(key: Option<(&str, i64)>, fields: Vec<(Field, Value)>) -> Record {
    let (fields, values) = fields.into_iter().unzip();
    let mut record = Record::new("t".into());
    if let Some((name, id)) = key {
        let schema = Schema::new(Kind::Struct(vec![field(name, Schema::new(Kind::Int64))]));
        record.key = Datum::Value(
            Value::Struct(vec![Value::Int64(id)]),
            Some(Arc::new(schema)),
        );
    }
    record.value = Datum::Value(
        Value::Struct(values),
        Some(Arc::new(Schema::new(Kind::Struct(fields)))),
    );
    record
}

const COLUMNS: &str = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position";

#[tokio::test]
async fn a_missing_table_is_made_from_the_schema() {
    let place = Place::new("");
    let mut task = place
        .task(&[
            ("auto.create", "true"),
            ("insert.mode", "upsert"),
            ("pk.mode", "record_key"),
        ])
        .await;
    let decimal = Value::Decimal(Decimal {
        unscaled: vec![0x7B].into(),
        scale: 1,
    });
    let mut scaled = Schema::new(Kind::Bytes).named(logical::DECIMAL);
    scaled.parameters = vec![("scale".into(), "1".into())];
    let items = Schema::new(Kind::Array(Arc::new(Schema::new(Kind::Int32))));
    let nested = Schema::new(Kind::Struct(vec![field("x", Schema::new(Kind::Int8))]));
    let fields = vec![
        (field("n", scaled.optional()), decimal),
        (
            field("at", Schema::new(Kind::Int64).named(logical::TIMESTAMP)),
            Value::Timestamp(1),
        ),
        (
            field("list", items.optional()),
            Value::Array(vec![Value::Int32(1), Value::Int32(2)]),
        ),
        (
            field("doc", nested.optional()),
            Value::Struct(vec![Value::Int8(1)]),
        ),
        (
            field("bytes", Schema::new(Kind::Bytes).optional()),
            Value::Bytes(vec![1].into()),
        ),
    ];
    task.take(vec![record(Some(("id", 1)), fields)]).await;
    assert_eq!(
        place.sql(COLUMNS),
        [
            "id|bigint|NO",
            "n|numeric|YES",
            "at|timestamp without time zone|NO",
            "list|ARRAY|YES",
            "doc|jsonb|YES",
            "bytes|bytea|YES"
        ]
    );
    assert_eq!(
        place.sql("SELECT * FROM t"),
        [r#"1|12.3|1970-01-01 00:00:00.001|{1,2}|{"x": 1}|\x01"#]
    );
    let mut plain = place
        .task(&[("auto.create", "true"), ("table.name.format", "other")])
        .await;
    let refused = plain.refused(vec![row("{\"a\":1}")]).await;
    assert!(refused[0].1.contains("schema"), "{refused:?}");
}

#[tokio::test]
async fn columns_are_added_and_widened() {
    let place =
        Place::new("CREATE TABLE t (a smallint, b real, c varchar(3), d numeric(5,1), e int)");
    let settings = [("auto.evolve", "true")];
    let mut task = place.task(&settings).await;
    let mut scaled = Schema::new(Kind::Bytes).named(logical::DECIMAL);
    scaled.parameters = vec![("scale".into(), "3".into())];
    let narrow = || {
        record(
            None,
            vec![
                (field("a", Schema::new(Kind::Int16)), Value::Int16(1)),
                (field("e", Schema::new(Kind::Int32)), Value::Int32(1)),
            ],
        )
    };
    let wide = || {
        record(
            None,
            vec![
                (field("a", Schema::new(Kind::Int64)), Value::Int64(1 << 40)),
                (
                    field("b", Schema::new(Kind::Float64)),
                    Value::Float64(1e300),
                ),
                (
                    field("c", Schema::new(Kind::String)),
                    Value::String("longer".into()),
                ),
                (
                    field("d", scaled.clone()),
                    Value::Decimal(Decimal {
                        unscaled: vec![5].into(),
                        scale: 3,
                    }),
                ),
                (
                    field("new", Schema::new(Kind::String)),
                    Value::String("x".into()),
                ),
            ],
        )
    };
    // Both schemas in one batch: rows that were encoded for the narrow table are encoded again.
    task.take(vec![narrow(), wide(), narrow(), wide()]).await;
    assert_eq!(
        place.sql(COLUMNS),
        [
            "a|bigint|YES",
            "b|double precision|YES",
            "c|text|YES",
            "d|numeric|YES",
            "e|integer|YES",
            "new|text|YES"
        ]
    );
    assert_eq!(
        place.sql("SELECT count(*), count(new), max(d), max(a) FROM t"),
        ["4|2|0.005|1099511627776"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tasks_may_make_the_same_table_at_once() {
    let place = Place::new("");
    let config = place.config(&[("auto.create", "true"), ("auto.evolve", "true")]);
    let mut tasks = Vec::new();
    for number in 0..2u32 {
        let mut task = Task::unclaimed(&config, number, false).await.expect("open");
        tasks.push(tokio::spawn(async move {
            for round in 0..5 {
                let name = format!("c{round}");
                let fields = vec![(
                    field(&name, Schema::new(Kind::Int32).optional()),
                    Value::Int32(1),
                )];
                let mut tries = 0;
                while let Err(error) = task
                    .put(vec![record(None, fields.clone())])
                    .await
                    .map(|refused| assert!(refused.is_empty(), "{refused:?}"))
                {
                    assert!(
                        error.kind() == ErrorKind::Transient && tries < 10,
                        "{error}"
                    );
                    tries += 1;
                }
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(
        place.sql("SELECT count(*), sum(c0), sum(c4) FROM t"),
        ["10|2|2"]
    );
}

#[tokio::test]
async fn a_table_that_is_altered_under_way_is_read_again() {
    let place = Place::new("CREATE TABLE t (a int, b double precision)");
    let mut task = place.task(&[]).await;
    task.take(vec![row("{\"a\":1,\"b\":1}")]).await;
    place.sql("ALTER TABLE t ADD COLUMN c text");
    task.take(vec![row("{\"a\":2,\"b\":1,\"c\":\"new\"}")])
        .await;
    place.sql("ALTER TABLE t ALTER COLUMN a TYPE bigint");
    task.take(vec![row("{\"a\":3,\"b\":1}")]).await;
    // The same width: no length tells that the bytes mean something else.
    place.sql("ALTER TABLE t ALTER COLUMN b TYPE bigint");
    task.take(vec![row("{\"a\":4,\"b\":2}")]).await;
    place.sql("ALTER TABLE t DROP COLUMN c");
    task.take(vec![row("{\"a\":5,\"b\":1}")]).await;
    let refused = task
        .refused(vec![row("{\"a\":6,\"c\":\"x\"}"), row("{\"a\":7}")])
        .await;
    assert!(
        refused.len() == 1 && refused[0].1.contains("column = c"),
        "{refused:?}"
    );
    place.sql("DROP TABLE t; CREATE TABLE t (a text, b bigint)");
    task.take(vec![row("{\"a\":\"new\"}")]).await;
    assert_eq!(place.sql("SELECT a FROM t"), ["new"]);
    place.sql("DROP TABLE t");
    let error = task
        .put(vec![row("{\"a\":\"x\"}")])
        .await
        .expect_err("no table");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(shown(&error).contains("no table t"), "{error}");
    place.sql("CREATE TABLE t (a text)");
    task.take(vec![row("{\"a\":\"back\"}")]).await;
}
