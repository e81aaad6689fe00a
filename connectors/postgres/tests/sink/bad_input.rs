//! What the database, or the sink, refuses: that record alone, with table and column, and never a value.

use crate::place::{Place, json, row, shown};
use longshore_sdk::{Datum, ErrorKind, Record, Value};

#[tokio::test]
async fn every_bad_value_is_refused_alone_and_by_name() {
    let place = Place::new(
        "CREATE DOMAIN small AS int CHECK (VALUE < 10); CREATE TYPE mood AS ENUM ('ok'); \
         CREATE TABLE parent (id int PRIMARY KEY); \
         CREATE TABLE t (id int NOT NULL, i2 smallint, num numeric(4,2), txt text, v varchar(3), ts timestamptz, d date, u uuid, b bytea, j jsonb, \
           m mood, s small CHECK (s > 0), r int4range, ip inet, arr int[], f real, c text UNIQUE, fk int REFERENCES parent)",
    );
    let mut task = place.task(&[]).await;
    let bad = [
        ("{\"txt\":\"SECRET\"}", "column = id"),
        ("{\"id\":1,\"nope\":\"SECRET\"}", "column = nope"),
        ("{\"id\":1,\"i2\":40000}", "column = i2"),
        ("{\"id\":1,\"i2\":1.5}", "column = i2"),
        ("{\"id\":3000000000}", "column = id"),
        ("{\"id\":1,\"num\":123.45}", "numeric field overflow"),
        ("{\"id\":1,\"txt\":\"SECRET\\u0000\"}", "column = txt"),
        ("{\"id\":1,\"v\":\"SECRET\"}", "too long"),
        (
            "{\"id\":1,\"ts\":\"294277-01-01T00:00:00Z\"}",
            "column = ts",
        ),
        ("{\"id\":1,\"ts\":\"SECRET\"}", "column = ts"),
        ("{\"id\":1,\"d\":\"2023-02-30\"}", "column = d"),
        ("{\"id\":1,\"u\":\"SECRET\"}", "column = u"),
        ("{\"id\":1,\"b\":\"SECRET!\"}", "column = b"),
        ("{\"id\":1,\"j\":\"{SECRET\"}", "json"),
        ("{\"id\":1,\"j\":{\"a\":\"SECRET\\u0000\"}}", "Unicode"),
        ("{\"id\":1,\"m\":\"SECRET\"}", "enum mood"),
        ("{\"id\":1,\"s\":11}", "small"),
        ("{\"id\":1,\"s\":0}", "t_s_check"),
        ("{\"id\":1,\"r\":\"SECRET\"}", "range literal"),
        ("{\"id\":1,\"ip\":\"SECRET\"}", "type inet"),
        ("{\"id\":1,\"arr\":[1,\"SECRET\"]}", "type integer"),
        ("{\"id\":1,\"arr\":5}", "column = arr"),
        ("{\"id\":1,\"f\":1e39}", "column = f"),
        ("{\"id\":1,\"c\":\"SECRET\"}", "t_c_key"),
        ("{\"id\":1,\"fk\":77}", "t_fk_fkey"),
        ("[1]", "no object"),
        ("{}", "no field"),
        ("", "delete.enabled"),
    ];
    task.take(vec![row("{\"id\":0,\"c\":\"SECRET\"}")]).await;
    let mut records = Vec::new();
    for (number, (value, _)) in bad.iter().enumerate() {
        records.push(row(&format!("{{\"id\":{}}}", number + 1)));
        records.push(row(value));
    }
    let refused = task.refused(records).await;
    let places: Vec<_> = refused.iter().map(|(at, _)| *at).collect();
    let expected: Vec<_> = (0..bad.len()).map(|number| number * 2 + 1).collect();
    assert_eq!(places, expected);
    for ((_, text), (value, says)) in refused.iter().zip(bad) {
        assert!(text.contains(says), "{value}: {text}");
        assert!(
            !text.contains("SECRET") && !text.contains("294277") && !text.contains("40000"),
            "{value}: {text}"
        );
        assert!(
            text.contains("table = public.t") || value == "[1]" || says == "small",
            "{value}: {text}"
        );
    }
    assert_eq!(
        place.sql("SELECT count(*), max(id) FROM t"),
        [format!("{}|{}", bad.len() + 1, bad.len())]
    );
}

#[tokio::test]
async fn strange_records_are_refused_with_a_reason() {
    let place = Place::new("CREATE TABLE t (id int, j jsonb)");
    let mut task = place.task(&[]).await;
    let of = |value: Datum| {
        let mut record = Record::new("t".into());
        record.value = value;
        record
    };
    let deep = format!("{{\"j\":{}{}}}", "[".repeat(120), "]".repeat(120));
    let refused = task
        .refused(vec![
            of(Datum::Bytes(vec![0xFF, 0].into())),
            of(Datum::Text("text".into())),
            of(Datum::Value(Value::Struct(vec![Value::Int8(1)]), None)),
            of(Datum::Json(deep.into())),
            of(Datum::Value(
                Value::Map(vec![(Value::Int8(1), Value::Int8(1))]),
                None,
            )),
            of(Datum::Value(
                Value::Map(vec![(Value::String("id".into()), Value::Int8(1))]),
                None,
            )),
        ])
        .await;
    let reasons = [
        "no converter has decoded",
        "no object but string",
        "no object but struct",
        "no string",
    ];
    assert_eq!(
        refused.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
        [0, 1, 2, 4]
    );
    for ((_, text), reason) in refused.iter().zip(reasons) {
        assert!(text.contains(reason), "{text}");
    }
    assert_eq!(place.sql("SELECT count(*) FROM t"), ["2"]);
}

#[tokio::test]
async fn a_key_of_a_megabyte_is_refused_alone() {
    let place = Place::new("CREATE TABLE t (id text PRIMARY KEY, v int)");
    let mut task = place
        .task(&[
            ("insert.mode", "upsert"),
            ("pk.mode", "record_key"),
            ("pk.fields", "id"),
            ("delete.enabled", "true"),
        ])
        .await;
    // Random enough not to be compressed into a page.
    let mut state = 1u64;
    let huge: String = (0..1 << 20)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + (state >> 59) as u8 % 26)
        })
        .collect();
    let key = format!("\"{huge}\"");
    let refused = task
        .refused(vec![
            json("\"a\"", "{\"v\":1}"),
            json(&key, "{\"v\":2}"),
            json("\"b\"", "{\"v\":3}"),
            json("\"c\"", ""),
        ])
        .await;
    assert!(
        refused.len() == 1 && refused[0].0 == 1 && refused[0].1.contains("index row"),
        "{}",
        refused.len()
    );
    assert!(refused[0].1.len() < 2000, "no value in it");
    // Keys are needed.
    let refused = task
        .refused(vec![
            json("", "{\"v\":1}"),
            json("null", "{\"v\":1}"),
            json("{\"x\":1}", "{\"v\":1}"),
        ])
        .await;
    assert_eq!(refused.len(), 3);
    assert_eq!(place.sql("SELECT id, v FROM t ORDER BY 1"), ["a|1", "b|3"]);
}

#[tokio::test]
async fn a_refused_record_gives_its_place_back_to_the_one_before() {
    let place = Place::new("CREATE TABLE t (id int PRIMARY KEY, v int CHECK (v < 100), w int)");
    let mut task = place
        .task(&[
            ("insert.mode", "upsert"),
            ("pk.mode", "record_value"),
            ("pk.fields", "id"),
        ])
        .await;
    let refused = task
        .refused(vec![
            row("{\"id\":1,\"v\":1}"),
            row("{\"id\":1,\"v\":200}"),
            row("{\"id\":2,\"v\":300}"),
            row("{\"id\":2,\"v\":2,\"w\":2}"),
            row("{\"id\":3,\"v\":3}"),
            row("{\"id\":3,\"w\":3,\"v\":400}"),
            row("{\"id\":3,\"w\":4}"),
        ])
        .await;
    // What a later record of its key replaced whole was never asked for; what was merged is judged record by record.
    let places: Vec<_> = refused.iter().map(|(at, _)| *at).collect();
    assert_eq!(places, [1, 5]);
    assert_eq!(
        place.sql("SELECT * FROM t ORDER BY 1"),
        ["1|1|", "2|2|2", "3|3|4"]
    );
}

#[tokio::test]
async fn constraints_that_wait_for_the_commit_are_asked_before() {
    let place = Place::new(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (id int, p int REFERENCES p DEFERRABLE INITIALLY DEFERRED); INSERT INTO p VALUES (1)",
    );
    let mut task = place.task(&[]).await;
    let refused = task
        .refused(vec![
            row("{\"id\":1,\"p\":1}"),
            row("{\"id\":2,\"p\":2}"),
            row("{\"id\":3}"),
        ])
        .await;
    assert!(refused.len() == 1 && refused[0].0 == 1, "{refused:?}");
    assert_eq!(place.sql("SELECT id FROM t ORDER BY 1"), ["1", "3"]);
}

#[tokio::test]
async fn what_only_time_heals_is_no_records_fault() {
    let place = Place::new(
        "CREATE TABLE t (id int); CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id < 0 THEN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END IF; RETURN NEW; END $$; CREATE TRIGGER full_disk BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION full_disk()",
    );
    let mut task = place.task(&[]).await;
    let error = task
        .put(vec![row("{\"id\":1}"), row("{\"id\":-1}")])
        .await
        .expect_err("disk full");
    assert_eq!(
        (error.kind(), error.taken()),
        (ErrorKind::Transient, 0),
        "{error}"
    );
    assert!(shown(&error).contains("disk is full"), "{error}");
    place.sql("DROP TRIGGER full_disk ON t");
    // The engine comes again with the same records.
    let batch = [
        crate::place::read(row("{\"id\":1}"), 0, 0),
        crate::place::read(row("{\"id\":-1}"), 0, 1),
    ];
    assert!(task.sink.put(&batch).await.expect("put").is_empty());
    task.flush().await.expect("flush");
    place.sql("REVOKE ALL ON t FROM PUBLIC; CREATE ROLE reader LOGIN; GRANT USAGE, CREATE ON SCHEMA public TO reader; GRANT ALL ON longshore_offsets TO reader");
    let poor = format!(
        "postgresql://reader@127.0.0.1:{}/{}",
        place.server.port(),
        place.database
    );
    let mut task = place.task(&[("connection.url", &poor)]).await;
    let error = task
        .put(vec![row("{\"id\":5}")])
        .await
        .expect_err("no right");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(
        shown(&error).contains("permission denied for table t"),
        "{error}"
    );
    place.sql("DROP OWNED BY reader; DROP ROLE reader");
    assert_eq!(place.sql("SELECT id FROM t ORDER BY 1"), ["-1", "1"]);
}
