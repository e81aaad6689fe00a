//! Every type, with its edges, out of what a decoded record holds.

use crate::place::{Place, row};

/// Column types with texts of JSON, and what Postgres then shows.
const VALUES: &[(&str, &[(&str, &str)])] = &[
    ("boolean", &[("true", "true"), ("\"false\"", "false")]),
    ("smallint", &[("-32768", "-32768"), ("32767", "32767")]),
    (
        "int",
        &[("-2147483648", "-2147483648"), ("2147483647", "2147483647")],
    ),
    (
        "bigint",
        &[
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775807", "9223372036854775807"),
            ("\"42\"", "42"),
        ],
    ),
    (
        "real",
        &[
            ("1.5", "1.5"),
            ("\"NaN\"", "NaN"),
            ("\"-Infinity\"", "-Infinity"),
            ("3.4028235e38", "3.4028235e+38"),
            ("-0.0", "-0"),
            ("1e-45", "1e-45"),
        ],
    ),
    (
        "double precision",
        &[
            ("0.1", "0.1"),
            ("\"Infinity\"", "Infinity"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("5e-324", "5e-324"),
            ("-0.0", "-0"),
        ],
    ),
    (
        "numeric",
        &[
            (
                "123456789012345678901234567890.123456789",
                "123456789012345678901234567890.123456789",
            ),
            ("0.10", "0.10"),
            ("\"NaN\"", "NaN"),
            ("\"-Infinity\"", "-Infinity"),
            ("-0.00", "0.00"),
            ("1e30", "1000000000000000000000000000000"),
            ("0.00000000000000000001", "0.00000000000000000001"),
        ],
    ),
    (
        "numeric(10,3)",
        &[("1234567.891", "1234567.891"), ("1.0005", "1.001")],
    ),
    (
        "money",
        &[("\"$1,234.56\"", "$1,234.56"), ("12.5", "$12.50")],
    ),
    (
        "text",
        &[
            ("\"é☃\\ud83d\\ude00\\\"\\\\\"", "é☃😀\"\\"),
            ("\"\"", ""),
            ("12", "12"),
            ("{\"a\": 1}", "{\"a\": 1}"),
        ],
    ),
    ("varchar(5)", &[("\"abcde\"", "abcde")]),
    ("char(4)", &[("\"ab\"", "ab  ")]),
    ("name", &[("\"n\"", "n")]),
    (
        "bytea",
        &[
            ("\"AAH/\"", "\\x0001ff"),
            ("\"\"", "\\x"),
            ("\"\\\\xdead\"", "\\xdead"),
        ],
    ),
    (
        "date",
        &[
            ("\"2024-02-29\"", "2024-02-29"),
            ("\"infinity\"", "infinity"),
            ("\"-infinity\"", "-infinity"),
            ("\"5874897-12-31\"", "5874897-12-31"),
            ("\"4713-01-01 BC\"", "4713-01-01 BC"),
            ("19782", "2024-02-29"),
        ],
    ),
    (
        "time",
        &[
            ("\"23:59:59.999999\"", "23:59:59.999999"),
            ("\"24:00:00\"", "24:00:00"),
            ("3600000", "01:00:00"),
        ],
    ),
    ("timetz", &[("\"10:11:12.5+02:00\"", "10:11:12.5+02")]),
    (
        "timestamp",
        &[
            (
                "\"2024-02-29T12:00:00.123456\"",
                "2024-02-29 12:00:00.123456",
            ),
            ("\"infinity\"", "infinity"),
            (
                "\"294276-12-31 23:59:59.999999\"",
                "294276-12-31 23:59:59.999999",
            ),
            ("\"4713-01-01 00:00:00 BC\"", "4713-01-01 00:00:00 BC"),
            ("1709208000123", "2024-02-29 12:00:00.123"),
        ],
    ),
    (
        "timestamptz",
        &[
            (
                "\"2024-02-29T12:00:00.123456Z\"",
                "2024-02-29 12:00:00.123456+00",
            ),
            ("\"2024-02-29T14:00:00+02:00\"", "2024-02-29 12:00:00+00"),
            ("\"-infinity\"", "-infinity"),
        ],
    ),
    (
        "interval",
        &[
            (
                "\"1 year 2 mons 3 days 04:05:06.7\"",
                "1 year 2 mons 3 days 04:05:06.7",
            ),
            ("\"P1Y2M3DT4H5M6.7S\"", "1 year 2 mons 3 days 04:05:06.7"),
        ],
    ),
    (
        "uuid",
        &[(
            "\"123e4567-e89b-12d3-a456-426614174000\"",
            "123e4567-e89b-12d3-a456-426614174000",
        )],
    ),
    (
        "json",
        &[
            ("{\"b\": 1.0, \"a\":null}", "{\"b\": 1.0, \"a\":null}"),
            ("\"[1]\"", "[1]"),
        ],
    ),
    (
        "jsonb",
        &[
            ("{\"b\": 1.10, \"a\":null}", "{\"a\": null, \"b\": 1.10}"),
            ("\"hello\"", "\"hello\""),
            ("\"null\"", "null"),
            ("[1,2]", "[1, 2]"),
            ("true", "true"),
        ],
    ),
    ("xml", &[("\"<a>b</a>\"", "<a>b</a>")]),
    (
        "inet",
        &[("\"10.0.0.1/8\"", "10.0.0.1/8"), ("\"::1\"", "::1/128")],
    ),
    ("macaddr", &[("\"08:00:2b:01:02:03\"", "08:00:2b:01:02:03")]),
    ("bit(3)", &[("\"101\"", "101")]),
    ("bit varying", &[("\"10101\"", "10101")]),
    ("point", &[("\"(1,2)\"", "(1,2)")]),
    (
        "int4range",
        &[("\"[1,5)\"", "[1,5)"), ("\"empty\"", "empty")],
    ),
    ("tsvector", &[("\"'a':1 'b'\"", "'a':1 'b'")]),
    ("oid", &[("4294967295", "4294967295")]),
    ("pg_lsn", &[("\"16/B374D848\"", "16/B374D848")]),
    (
        "int[]",
        &[
            ("[1,null,3]", "{1,NULL,3}"),
            ("[]", "{}"),
            ("[[1,2],[3,4]]", "{{1,2},{3,4}}"),
            ("\"[0:1]={7,8}\"", "[0:1]={7,8}"),
        ],
    ),
    (
        "text[]",
        &[(
            "[\"a,b\",\"\",\"NULL\",null,\"\\\"\\\\\"]",
            "{\"a,b\",\"\",\"NULL\",NULL,\"\\\"\\\\\"}",
        )],
    ),
    ("numeric[]", &[("[1.50, \"NaN\"]", "{1.50,NaN}")]),
    ("bytea[]", &[("[\"AQI=\"]", "{\"\\\\x0102\"}")]),
    (
        "jsonb[]",
        &[(
            "[{\"a\":[1]},[2],\"x\"]",
            "{\"{\\\"a\\\": [1]}\",[2],\"\\\"x\\\"\"}",
        )],
    ),
    (
        "timestamptz[]",
        &[("[\"2024-02-29T12:00:00Z\"]", "{\"2024-02-29 12:00:00+00\"}")],
    ),
    ("mood", &[("\"so so\"", "so so")]),
    ("mood[]", &[("[\"so so\",null]", "{\"so so\",NULL}")]),
    ("positive", &[("7", "7")]),
    ("pair", &[("\"(1,b)\"", "(1,b)")]),
];

const TYPES: &str = "CREATE TYPE mood AS ENUM ('so so'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b text);";

/// The columns whose type is `native` can be copied; all others take the way of the staging table.
async fn matrix(settings: &[(&str, &str)]) {
    let columns: Vec<String> = VALUES
        .iter()
        .enumerate()
        .map(|(at, (kind, _))| format!("c{at} {kind}"))
        .collect();
    let place = Place::new(&format!(
        "{TYPES} CREATE TABLE t (id int PRIMARY KEY, {})",
        columns.join(", ")
    ));
    let mut task = place.task(settings).await;
    let mut records = Vec::new();
    let mut wanted = Vec::new();
    for (at, (kind, values)) in VALUES.iter().enumerate() {
        for (json, shown) in values.iter().chain(&[("null", "")]) {
            let id = wanted.len();
            records.push(row(&format!("{{\"id\":{id},\"c{at}\":{json}}}")));
            let null = json == &"null";
            wanted.push((
                kind,
                *json,
                format!("{}|{shown}", if null { "t" } else { "f" }),
                at,
            ));
        }
    }
    let refused = task.refused(records).await;
    assert!(
        refused.is_empty(),
        "{:?}",
        refused
            .iter()
            .map(|(at, error)| (wanted[*at].0, wanted[*at].1, error))
            .collect::<Vec<_>>()
    );
    let selects: Vec<String> = wanted
        .iter()
        .enumerate()
        .map(|(id, (.., at))| {
            format!("SELECT {id} AS id, c{at} IS NULL, c{at}::text FROM t WHERE id = {id}")
        })
        .collect();
    let found = place.sql(&format!(
        "SET timezone = 'UTC'; SELECT * FROM ({}) AS x ORDER BY id",
        selects.join(" UNION ALL ")
    ));
    for ((kind, json, shown, _), (id, found)) in wanted.iter().zip(found.iter().enumerate()) {
        let shown = if **kind == "char(4)" {
            shown.trim_end()
        } else {
            shown
        };
        assert_eq!(*found, format!("{id}|{shown}"), "{kind} out of {json}");
    }
    assert_eq!(found.len(), wanted.len());
}

#[tokio::test]
async fn every_type_is_inserted() {
    matrix(&[]).await;
}

#[tokio::test]
async fn every_type_is_upserted() {
    matrix(&[
        ("insert.mode", "upsert"),
        ("pk.mode", "record_value"),
        ("pk.fields", "id"),
    ])
    .await;
}

#[tokio::test]
async fn every_type_finds_its_row_again() {
    // Types that a key can have: written, updated and deleted by it.
    let keys: &[(&str, &str, &str)] = &[
        (
            "uuid",
            "\"123e4567-e89b-12d3-a456-426614174000\"",
            "123e4567-e89b-12d3-a456-426614174000",
        ),
        ("numeric", "1.50", "1.50"),
        (
            "timestamptz",
            "\"2024-02-29T12:00:00Z\"",
            "2024-02-29 12:00:00+00",
        ),
        ("inet", "\"10.0.0.1\"", "10.0.0.1/32"),
        ("text", "\"k\"", "k"),
        ("int[]", "[1,2]", "{1,2}"),
        ("mood", "\"so so\"", "so so"),
    ];
    for (kind, json, shown) in keys {
        let place = Place::new(&format!(
            "SET timezone = 'UTC'; {TYPES} CREATE TABLE t (k {kind} PRIMARY KEY, v int)"
        ));
        let mut task = place
            .task(&[
                ("insert.mode", "upsert"),
                ("pk.mode", "record_key"),
                ("delete.enabled", "true"),
            ])
            .await;
        let key = format!("{{\"k\":{json}}}");
        task.take(vec![crate::place::json(&key, "{\"v\":1}")]).await;
        task.take(vec![crate::place::json(&key, "{\"v\":2}")]).await;
        assert_eq!(
            place.sql("SET timezone = 'UTC'; SELECT k::text, v FROM t"),
            [format!("{shown}|2")],
            "{kind}"
        );
        task.take(vec![crate::place::json(&key, "")]).await;
        assert_eq!(place.sql("SELECT count(*) FROM t"), ["0"], "{kind}");
    }
}

#[tokio::test]
async fn what_the_server_writes_itself_is_left_to_it() {
    let place = Place::new(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int DEFAULT 7)",
    );
    let mut task = place.task(&[]).await;
    task.take(vec![
        row("{\"id\":50,\"a\":1,\"b\":9,\"c\":null}"),
        row("{\"a\":2}"),
    ])
    .await;
    assert_eq!(
        place.sql("SELECT * FROM t ORDER BY a"),
        ["1|1|2|", "2|2|4|7"]
    );
}
