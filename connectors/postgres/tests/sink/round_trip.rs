//! Out of a table by the source, into another by the sink: equal, with schemas and as plain JSON.

use crate::place::Place;
use bytes::BytesMut;
use longshore_postgres::PostgresSource;
use longshore_sdk::{
    Datum, Offsets, Record, SourceContext, erased,
    json::{Style, print},
};
use std::time::Duration;

const COLUMNS: &str = "id int PRIMARY KEY, bo boolean, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(20,5), mo money, tx text, vc varchar(9), \
    ch char(4), by bytea, d date, ti time, tz timetz, ts timestamp, tsz timestamptz, iv interval, u uuid, js json, jb jsonb, x xml, ip inet, ci cidr, mac macaddr, bt bit(3), \
    vb bit varying, pt point, r4 int4range, nr numrange, tv tsvector, o oid, lsn pg_lsn, ia int[], ta text[], na numeric[], ba bytea[], jba jsonb[], tsa timestamptz[], \
    mm mood, ma mood[], po positive, pa pair, ua uuid[], da date[], fa double precision[]";

const ROWS: &str = r#"INSERT INTO src VALUES
    (1, true, -32768, -2147483648, -9223372036854775808, 'NaN', '-Infinity', 'NaN', 123456789012345.12345, 1234.56, E'é"\\\n', 'v', 'ab', '\x00ff', 'infinity', '24:00:00',
     '10:11:12.123456+02:30', '-infinity', 'infinity', '1 year 2 mons -3 days 04:05:06.789', '123e4567-e89b-12d3-a456-426614174000', '{"b": 1.0, "a":null}', '{"big": 12345678901234567890.123}',
     '<a/>', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', B'101', B'10101', '(1.5,-2)', '[1,5)', '(,1.5]', '''a'':1 ''b''', 4294967295, '16/B374D848', '{1,NULL,-3}',
     '{"a,b","","NULL",NULL,"\"\\"}', '{1.50,NaN}', '{"\\x0102"}', '{"{\"a\": [1]}","null","\"s\""}', '{"2024-02-29 12:00:00.000001+00",infinity}', 'so so', '{"so so",NULL}', 7,
     '(1,"b,c")', '{123e4567-e89b-12d3-a456-426614174000}', '{2024-02-29,-infinity}', '{0.1,NaN,Infinity}'),
    (2, false, 32767, 2147483647, 9223372036854775807, '-0', '1.7976931348623157e308', '-0.000000000000000000000000000001', 0, -0.01, '', '', '', '', '4713-01-01 BC', '00:00:00.000001',
     '00:00:00-12', '294276-12-31 23:59:59.999999', '4713-01-02 00:00:00 BC', '-178000000 years', '00000000-0000-0000-0000-000000000000', 'null', 'null',
     'text', '::1', '::/0', '00:00:00:00:00:00', B'000', B'', '(Infinity,0)', 'empty', 'empty', '', 0, '0/0', '[0:1]={7,8}', '{}', '{}', '{}', '{}', '{}', 'so so', '{}', 1,
     '(,)', '{}', '{}', '{}'),
    (3, NULL, 0, 0, 0, '3.4028235e38', '5e-324', 'Infinity', -1.5, 0, 'plain', 'x', 'y', 'abc', '5874897-12-31', '12:00', '12:00+00', '2024-02-29 12:00:00', '0099-01-01 00:00:00+00',
     '00:00:00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '"text"', '"123"', '', '1.2.3.4', '1.2.3.0/24', 'ff:ff:ff:ff:ff:ff', B'111', B'1', '(0,0)', '(,)', '[1.1,2.2)', 'x', 1, '1/1',
     '{{1,2},{3,4}}', '{{a,b},{c,NULL}}', '{123456789012345678901234567890}', '{"\\x"}', '{1}', '{}', 'so so', '{"so so"}', 5, '(2,)', '{}', '{5874897-12-31}', '{-0}');
    INSERT INTO src (id) VALUES (4)"#;

async fn read(place: &Place) -> Vec<Record> {
    let source = erased::source::<PostgresSource>();
    let config = place.config(&[
        ("mode", "bulk"),
        ("table.whitelist", "public.src"),
        ("topic.prefix", "x-"),
    ]);
    let share = source.plan(&config, 1).await.expect("a plan").remove(0);
    let cx = SourceContext::detached("c", 0, Offsets::new());
    let mut task = source.open(&config, share, cx).await.expect("open");
    let mut records = Vec::new();
    while records.len() < 4 {
        let polled = task.poll(Duration::from_secs(5)).await.expect("a poll");
        records.extend(polled.into_iter().map(|read| {
            let mut record = read.record;
            record.topic = "t".into();
            record
        }));
    }
    records.truncate(4);
    records
}

async fn round_trip(as_json: bool, settings: &[(&str, &str)]) {
    let place = Place::new(&format!(
        "CREATE TYPE mood AS ENUM ('so so'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b text); \
         CREATE TABLE src ({COLUMNS}); CREATE TABLE t (LIKE src INCLUDING ALL); {ROWS}"
    ));
    let mut records = read(&place).await;
    if as_json {
        for record in &mut records {
            let Datum::Value(value, schema) = &record.value else {
                panic!("a struct");
            };
            let style = Style {
                numeric: true,
                defaults: true,
                bare: true,
            };
            let mut text = BytesMut::new();
            print(value, schema.as_deref(), style, &mut text).expect("JSON");
            record.value = Datum::Json(text.freeze());
        }
    }
    let mut task = place.task(settings).await;
    let refused = task.refused(records).await;
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(place.sql("SELECT count(*) FROM t"), ["4"]);
    let names: Vec<&str> = COLUMNS
        .split(", ")
        .filter_map(|column| column.split_whitespace().next())
        .collect();
    let mut differ = Vec::new();
    for name in names {
        let sql = format!(
            "SELECT src.id, src.{name}::text, t.{name}::text FROM src JOIN t USING (id) WHERE src.{name}::text IS DISTINCT FROM t.{name}::text"
        );
        for row in place.sql(&sql) {
            differ.push(format!("{name}: {row}"));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}

#[tokio::test]
async fn every_type_comes_back_with_schemas() {
    round_trip(false, &[]).await;
}

#[tokio::test]
async fn every_type_comes_back_as_plain_json() {
    round_trip(
        true,
        &[
            ("insert.mode", "upsert"),
            ("pk.mode", "record_value"),
            ("pk.fields", "id"),
        ],
    )
    .await;
}
