//! Every type of Postgres to a topic and back: rows read by the source, written as JSON and read again as a topic holds it, and written by the sink
//! into a table of the same columns are equal, with schemas and without, NULLs included.

#[path = "postgres_types/debezium.rs"]
mod debezium;

use longshore_kit::servers::Postgres;
use longshore_postgres::{PostgresSink, PostgresSource};
use longshore_sdk::{
    Offsets, Record, SinkContext, SinkRecord, SourceContext, TopicOffset, TopicOffsets,
    TopicPartition,
    config::Flat,
    converter::Part,
    erased::{DynConverter, sink, source},
};
use std::time::{Duration, Instant};

const TYPES: &str = "CREATE TYPE mood AS ENUM ('sad', 'it''s', 'größer'); CREATE TYPE pair AS (a int, b text); \
    CREATE DOMAIN small AS int CHECK (VALUE < 10); CREATE DOMAIN price AS numeric(8,2); \
    CREATE TYPE floatrange AS RANGE (subtype = float8)";

/// A type, and values of it as SQL; NULL is added to each.
const MATRIX: &[(&str, &[&str])] = &[
    ("smallint", &["-32768", "0", "32767"]),
    ("int", &["-2147483648", "2147483647"]),
    (
        "bigint",
        &[
            "-9223372036854775808",
            "9223372036854775807",
            "9007199254740993",
        ],
    ),
    (
        "numeric",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "0",
            "1.50",
            "-0.000000000000000000001",
            "1e300",
            "('1' || repeat('0', 131071))::numeric",
            "('0.' || repeat('7', 16383))::numeric",
        ],
    ),
    ("numeric(12,2)", &["-9999999999.99", "0.05", "'NaN'"]),
    ("numeric(5,-2)", &["12300"]),
    (
        "real",
        &[
            "'NaN'",
            "'Infinity'",
            "'-0'",
            "1e-45",
            "3.4028235e38",
            "0.1",
        ],
    ),
    (
        "double precision",
        &[
            "'NaN'",
            "'-Infinity'",
            "'-0'",
            "5e-324",
            "1.7976931348623157e308",
            "0.1",
        ],
    ),
    ("bool", &["true", "false"]),
    (
        "text",
        &[
            "''",
            "E'a\\tb\\n\"\\\\ é 😀 \\u0001'",
            "repeat('é', 100000)",
            "'null'",
            "'{\"a\":1}'",
            "'infinity'",
        ],
    ),
    ("varchar(7)", &["''", "'a b'"]),
    ("char(5)", &["'ab'"]),
    ("name", &["'n'"]),
    ("\"char\"", &["'c'"]),
    (
        "bytea",
        &["''", "'\\x00ff80'", "decode(repeat('ab', 100000), 'hex')"],
    ),
    (
        "date",
        &[
            "'2024-02-29'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 BC'",
            "'4714-11-24 BC'",
            "'5874897-12-31'",
            "'1969-12-31'",
        ],
    ),
    ("time", &["'00:00'", "'24:00'", "'23:59:59.999999'"]),
    (
        "timetz",
        &["'00:00+15:59:59'", "'24:00-15:59'", "'12:34:56.789+05:30'"],
    ),
    (
        "timestamp",
        &[
            "'2024-02-29 12:34:56.789012'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 01:02:03 BC'",
            "'294276-12-31 23:59:59.999999'",
            "'1969-12-31 23:59:59.999999'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'2024-02-29 12:34:56.789012+02'",
            "'infinity'",
            "'-infinity'",
            "'4713-01-01 00:00:00+00 BC'",
            "'294276-12-31 23:59:59.999999+00'",
        ],
    ),
    (
        "interval",
        &[
            "'0'",
            "'1 year -2 mons 3 days -04:05:06.789012'",
            "'-178000000 years'",
            "'-0.000001 s'",
        ],
    ),
    ("uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    (
        "json",
        &[
            "'{\"b\": 1.0,  \"a\":[]}'",
            "'null'",
            "'\"text\"'",
            "'\"{}\"'",
            "'1e400'",
            "'true'",
        ],
    ),
    (
        "jsonb",
        &[
            "'{\"b\": 1.0, \"a\":null}'",
            "'null'",
            "'\"null\"'",
            "'\"text\"'",
            "'[]'",
            "'12345678901234567890.123'",
        ],
    ),
    ("xml", &["'<a b=\"c\">&amp;</a>'"]),
    ("money", &["'-92233720368547758.08'", "'1234.5'"]),
    ("mood", &["'it''s'", "'größer'"]),
    ("pair", &["ROW(1, 'a \"b\", c')", "ROW(NULL, NULL)"]),
    ("small", &["7"]),
    ("price", &["7.1"]),
    ("int4range", &["'[1,5)'", "'empty'", "'(,)'"]),
    ("numrange", &["'(1.5,2.50]'"]),
    ("tstzrange", &["'[2024-01-01 00:00+00,infinity)'"]),
    ("floatrange", &["'[1.5,2.5]'"]),
    ("nummultirange", &["'{[1.5,2],(3,4)}'", "'{}'"]),
    (
        "inet",
        &[
            "'10.0.0.1'",
            "'10.0.0.1/8'",
            "'::ffff:1.2.3.4'",
            "'fe80::1/64'",
        ],
    ),
    ("cidr", &["'10.0.0.0/8'", "'10.1.2.3/32'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("macaddr8", &["'08:00:2b:01:02:03:04:05'"]),
    ("bit(3)", &["'101'"]),
    ("varbit", &["'1010000011'", "''"]),
    ("tsvector", &["'fat:2 cat:1A'", "''"]),
    ("tsquery", &["'fat & !cat'"]),
    ("oid", &["4294967295"]),
    ("pg_lsn", &["'16/B374D848'"]),
    ("point", &["'(1,2.5)'"]),
    ("jsonpath", &["'$.a[*]'"]),
    (
        "int[]",
        &[
            "'{}'",
            "'{1,NULL,3}'",
            "'{{1,2},{3,NULL}}'",
            "'[0:1]={1,2}'",
            "'[-1:0][2:3]={{1,2},{3,4}}'",
            "'{{{1}}}'",
        ],
    ),
    ("smallint[]", &["'{1,-32768}'"]),
    ("bigint[]", &["'{9223372036854775807}'"]),
    ("float8[]", &["'{NaN,-Infinity,-0,0.1}'", "'[0:0]={NaN}'"]),
    ("real[]", &["'{NaN,0.1}'"]),
    ("numeric[]", &["'{NaN,1.50,-Infinity}'"]),
    ("bool[]", &["'{t,f,NULL}'"]),
    (
        "text[]",
        &[
            "'{\"\",NULL,\"NULL\",\"a,b\",\"{}\",\"\\\\\\\"\"}'",
            "'{{a},{\"b c\"}}'",
            "'[5:5]={\"x\\\"y\"}'",
        ],
    ),
    ("bytea[]", &["ARRAY['\\x00ff'::bytea, '']"]),
    ("date[]", &["'{infinity,2024-02-29,\"0044-03-15 BC\"}'"]),
    ("time[]", &["'{24:00}'"]),
    (
        "timestamp[]",
        &["'{infinity,\"2024-02-29 12:34:56.789012\"}'"],
    ),
    (
        "timestamptz[]",
        &["'{-infinity,\"2024-02-29 12:34:56.789012+00\"}'"],
    ),
    ("interval[]", &["'{\"1 mon -1 days\"}'"]),
    ("uuid[]", &["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}'"]),
    (
        "jsonb[]",
        &["ARRAY['{\"a\": [1]}'::jsonb, 'null', '\"x\"']"],
    ),
    ("json[]", &["ARRAY['{\"a\":  1}'::json]"]),
    ("mood[]", &["'{sad,NULL}'", "'{{sad},{sad}}'"]),
    ("pair[]", &["ARRAY[ROW(1, 'a,b')::pair, NULL]"]),
    ("small[]", &["'{1,NULL}'"]),
    ("int4range[]", &["'{\"[1,3)\",empty}'"]),
    ("inet[]", &["'{10.0.0.1/8}'"]),
    ("varbit[]", &["'{101}'"]),
    ("money[]", &["'{1.50}'"]),
];

struct Trip {
    server: &'static Postgres,
    database: String,
}

impl Trip {
    fn new() -> Self {
        let server = Postgres::shared().expect("a server");
        let database = server.create_database().expect("a database");
        let trip = Self { server, database };
        trip.sql(TYPES);
        let columns: Vec<String> = MATRIX
            .iter()
            .enumerate()
            .map(|(at, (kind, _))| format!("c{at} {kind}"))
            .collect();
        trip.sql(&format!(
            "CREATE TABLE matrix (id bigint PRIMARY KEY, {}); CREATE TABLE back (LIKE matrix INCLUDING ALL)",
            columns.join(", ")
        ));
        // A row per value, so that a failure names it; the last row is all NULL.
        let mut id = 0;
        for (at, (kind, values)) in MATRIX.iter().enumerate() {
            for value in *values {
                id += 1;
                trip.sql(&format!(
                    "INSERT INTO matrix (id, c{at}) VALUES ({id}, ({value})::{kind})"
                ));
            }
        }
        trip.sql(&format!("INSERT INTO matrix (id) VALUES ({})", id + 1));
        trip
    }
    fn sql(&self, sql: &str) -> Vec<String> {
        self.server.query(&self.database, sql).expect("SQL")
    }
    fn config(&self, keys: &[(&str, &str)]) -> Flat {
        let url = ("connection.url".to_owned(), self.server.url(&self.database));
        let keys = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        keys.chain([url]).collect()
    }
    async fn read(&self) -> Vec<Record> {
        let config = self.config(&[
            ("mode", "incrementing"),
            ("incrementing.column.name", "id"),
            ("table.whitelist", "matrix"),
            ("topic.prefix", "t-"),
            ("poll.interval.ms", "20"),
        ]);
        let connector = source::<PostgresSource>();
        let share = connector.plan(&config, 1).await.expect("a plan").remove(0);
        let cx = SourceContext::detached("source", 0, Offsets::new());
        let mut task = connector.open(&config, share, cx).await.expect("a task");
        let count: usize = self.sql("SELECT count(*) FROM matrix")[0]
            .parse()
            .expect("a number");
        let (mut records, until) = (Vec::new(), Instant::now() + Duration::from_secs(60));
        while records.len() < count {
            assert!(
                Instant::now() < until,
                "{} of {count} rows came",
                records.len()
            );
            let batch = task.poll(Duration::from_millis(100)).await.expect("a poll");
            records.extend(batch.into_iter().map(|record| record.record));
        }
        records
    }
    /// Writes the records; what the sink refused.
    async fn write(&self, records: Vec<Record>) -> Vec<String> {
        self.sql("TRUNCATE back");
        let config = self.config(&[
            ("table.name.format", "back"),
            ("insert.mode", "upsert"),
            ("pk.mode", "record_value"),
            ("pk.fields", "id"),
        ]);
        let cx = SinkContext {
            connector: "sink".into(),
            task: 0,
            group: "connect-sink".into(),
            exactly_once: false,
            stop: longshore_sdk::Stop::never(),
        };
        let mut task = sink::<PostgresSink>()
            .open(&config, Default::default(), cx)
            .await
            .expect("a task");
        let at = TopicPartition::new("t-matrix", 0);
        task.assigned(std::slice::from_ref(&at))
            .await
            .expect("assigned");
        let batch: Vec<SinkRecord> = records
            .into_iter()
            .enumerate()
            .map(|(offset, record)| SinkRecord {
                record,
                at: TopicOffset {
                    topic: at.topic.clone(),
                    partition: 0,
                    offset: offset as i64,
                },
            })
            .collect();
        let refused = task.put(&batch).await.expect("put");
        let upto = TopicOffsets::from([(at, batch.len() as i64)]);
        task.flush(&upto).await.expect("flush");
        let refused = refused
            .iter()
            .map(|one| format!("row {}: {}", one.index + 1, one.error));
        refused.collect()
    }
    /// What differs, a line per column and value.
    fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (at, (kind, _)) in MATRIX.iter().enumerate() {
            let sql = format!(
                "SELECT m.id, left(m.c{at}::text, 60), left(b.c{at}::text, 60) FROM matrix m LEFT JOIN back b USING (id) \
                 WHERE b.id IS NULL AND m.c{at} IS NOT NULL OR b.c{at}::text IS DISTINCT FROM m.c{at}::text ORDER BY 1"
            );
            found.extend(self.sql(&sql).iter().map(|line| format!("{kind}: {line}")));
        }
        found
    }
}

fn converter(schemas: bool) -> Box<dyn DynConverter> {
    let plugins = longshore_converters::all();
    let json = plugins
        .iter()
        .find(|plugin| plugin.plugin.name == "json")
        .expect("json");
    let flat = Flat::from([("schemas.enable".to_owned(), schemas.to_string())]);
    (json.build)(&flat, Part::Value).expect("a converter")
}

#[tokio::test]
async fn rows_go_through_a_topic_and_come_back_equal() {
    let trip = Trip::new();
    let rows = trip.read().await;
    let mut problems = Vec::new();
    for schemas in [false, true] {
        let mut records = rows.clone();
        let mut json = converter(schemas);
        let failed = json.encode(Part::Value, &mut records).await;
        assert!(failed.is_empty(), "{failed:?}");
        let failed = json.decode(Part::Value, &mut records).await;
        assert!(failed.is_empty(), "{failed:?}");
        let mut lines = Box::pin(trip.write(records)).await;
        lines.extend(trip.differences());
        problems.extend(
            lines
                .into_iter()
                .map(|line| format!("schemas.enable={schemas}: {line}")),
        );
    }
    assert!(
        problems.is_empty(),
        "{} differences:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// Without a schema the topic holds JSON as people expect it.
#[tokio::test]
async fn json_without_schemas_is_native() {
    let trip = Trip::new();
    trip.sql(
        "DELETE FROM matrix; ALTER TABLE matrix ADD a numeric(12,2), ADD b numeric, ADD c timestamptz, ADD d bytea, ADD e uuid, ADD f int[]; \
         INSERT INTO matrix (id, a, b, c, d, e, f) VALUES (1, 12.50, 1e20, '2024-02-29 12:00:00.5+02', '\\x00ff', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{1,NULL}')",
    );
    let mut records = trip.read().await;
    assert!(
        converter(false)
            .encode(Part::Value, &mut records)
            .await
            .is_empty()
    );
    let longshore_sdk::Datum::Bytes(json) = &records[0].value else {
        panic!("{:?}", records[0].value);
    };
    let text = String::from_utf8_lossy(json);
    let native = r#""a":12.50,"b":100000000000000000000,"c":"2024-02-29T10:00:00.5Z","d":"AP8=","e":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","f":[1,null]}"#;
    assert!(text.ends_with(native), "{text}");
}
