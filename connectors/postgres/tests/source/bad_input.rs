//! Bad input: one clear message that names table, column and key; nothing lost.

use super::server::{Database, connector, failure, field, ids, open, read};
use longshore_sdk::{ErrorKind, Offsets, Value, config::Finding};

const INCREMENTING: [(&str, &str); 2] =
    [("mode", "incrementing"), ("incrementing.column.name", "id")];

async fn findings(database: &Database, keys: &[(&str, &str)]) -> Vec<Finding> {
    connector().check(&database.config(keys)).await
}

/// The first finding is about `key` and says all of these.
async fn finds(database: &Database, keys: &[(&str, &str)], key: &str, says: &[&str]) {
    let findings = findings(database, keys).await;
    let first = findings
        .first()
        .unwrap_or_else(|| panic!("{keys:?}: no finding"));
    assert_eq!(first.key, key, "{keys:?}: {findings:?}");
    for text in says {
        assert!(
            first.to_string().contains(text),
            "{keys:?}: {first} does not say {text}"
        );
    }
}

/// Keys of a config; the key of the first finding; what it says.
type Case = (&'static str, &'static str, &'static [&'static str]);

const ID: &str = "incrementing.column.name";
const TIME: &str = "timestamp.column.name";
const WHITELIST: &str = "table.whitelist";

const OF_ITEMS: [Case; 10] = [
    ("mode=incrementing", ID, &["not set"]),
    ("mode=timestamp", TIME, &["not set"]),
    (
        "mode=incrementing | incrementing.column.name=idd",
        ID,
        &["public.items", "no column idd", "did you mean id"],
    ),
    (
        "mode=incrementing | incrementing.column.name=u",
        ID,
        &["column u", "uuid"],
    ),
    (
        "mode=incrementing | incrementing.column.name=n",
        ID,
        &["column n", "NULL", "validate.non.null"],
    ),
    (
        "mode=timestamp | timestamp.column.name=at",
        TIME,
        &["column at", "NULL"],
    ),
    (
        "mode=timestamp | timestamp.column.name=name | validate.non.null=false",
        TIME,
        &["column name", "text"],
    ),
    (
        "mode=bulk | db.timezone=Mars/Base",
        "db.timezone",
        &["time zone"],
    ),
    (
        "mode=bulk | dialect.name=OracleDatabaseDialect",
        "dialect.name",
        &["Postgres"],
    ),
    ("mode=bulk | query=SELECT 1", WHITELIST, &["query"]),
];

const OF_OTHERS: [Case; 10] = [
    (
        "mode=bulk | table.whitelist=nowhere",
        WHITELIST,
        &["nowhere"],
    ),
    (
        "mode=bulk | table.whitelist=other_db.public.items",
        WHITELIST,
        &["other_db"],
    ),
    ("mode=bulk", WHITELIST, &["share a topic", "items"]),
    (
        "mode=bulk | table.include.list=(",
        "table.include.list",
        &["regular expression"],
    ),
    ("mode=bulk | table.types=SHEET", "table.types", &["SHEET"]),
    ("mode=bulk | query=SELEC 1", "query", &["syntax"]),
    (
        "mode=bulk | query=SELECT 1 AS a, 2 AS a",
        "query",
        &["two columns named a"],
    ),
    (
        "mode=incrementing | incrementing.column.name=x | query=SELECT 1 AS id",
        ID,
        &["the query", "no column x"],
    ),
    (
        "mode=bulk | table.whitelist=secret | connection.user=nobody",
        WHITELIST,
        &["SELECT", "secret", "GRANT"],
    ),
    (
        "mode=bulk | connection.url=jdbc:postgresql://127.0.0.1:1/x?user=u",
        "connection.url",
        &["127.0.0.1:1"],
    ),
];

fn keys(text: &'static str) -> Vec<(&'static str, &'static str)> {
    let pairs = text.split(" | ");
    pairs
        .map(|pair| pair.split_once('=').expect("key=value"))
        .collect()
}

#[tokio::test]
async fn settings_that_cannot_work_are_found_before_the_start() {
    let database = Database::new(
        "CREATE TABLE items (id int PRIMARY KEY, u uuid, n int, at timestamptz, name text); \
         CREATE SCHEMA o; CREATE TABLE o.items (id int PRIMARY KEY); CREATE TABLE secret (id int PRIMARY KEY); \
         DO $$ BEGIN CREATE ROLE nobody LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    );
    let of_items = |text| [&keys(text)[..], &[(WHITELIST, "public.items")]].concat();
    for (text, key, says) in OF_ITEMS {
        finds(&database, &of_items(text), key, says).await;
    }
    for (text, key, says) in OF_OTHERS {
        finds(&database, &keys(text), key, says).await;
    }
    let right =
        of_items("mode=incrementing | incrementing.column.name=ID | quote.sql.identifiers=never");
    assert!(findings(&database, &right).await.is_empty());
    // What the reference knows and we do not is refused by name.
    let unsupported = connector().plugin().unsupported;
    assert!(unsupported.contains(&"timestamp.columns.mapping"));
}

#[tokio::test]
async fn a_table_that_is_dropped_under_way_is_named() {
    let database =
        Database::new("CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (1)");
    let mut task = open(&database.config(&INCREMENTING), Offsets::new())
        .await
        .expect("a task");
    assert_eq!(ids(&read(&mut task, 1).await), [1]);
    database.sql("DROP TABLE items");
    let error = failure(&mut task).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(
        error.message().contains("public.items") && error.message().contains("dropped"),
        "{error}"
    );
}

#[tokio::test]
async fn a_table_that_is_altered_under_way_is_read_as_it_is_now() {
    let database = Database::new(
        "CREATE TABLE items (id int PRIMARY KEY, a text, b int); INSERT INTO items VALUES (1, 'x', 1)",
    );
    let mut task = open(&database.config(&INCREMENTING), Offsets::new())
        .await
        .expect("a task");
    read(&mut task, 1).await;
    database.sql("ALTER TABLE items DROP a; ALTER TABLE items ALTER b TYPE bigint; ALTER TABLE items ADD c date; INSERT INTO items VALUES (2, 7, '2024-01-01')");
    let records = read(&mut task, 1).await;
    let names: Vec<String> = match &records[0].record.value {
        longshore_sdk::Datum::Value(_, Some(schema)) => schema
            .fields()
            .iter()
            .map(|field| format!("{}:{}", field.name, field.schema.kind.name()))
            .collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names, ["id:int32", "b:int64", "c:string"]);
    // A column more changes no statement that worked: it must be seen all the same.
    database.sql("ALTER TABLE items ADD d int DEFAULT 5; INSERT INTO items VALUES (3)");
    assert_eq!(field(&read(&mut task, 1).await[0], "d").0, Value::Int32(5));
    database.sql("ALTER TABLE items RENAME id TO key; INSERT INTO items VALUES (4)");
    let error = failure(&mut task).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    for text in ["incrementing.column.name", "public.items", "no column id"] {
        assert!(error.message().contains(text), "{error}");
    }
}

#[tokio::test]
async fn a_value_that_its_type_cannot_hold_is_named_and_nothing_before_it_is_lost() {
    let database = Database::new(
        "CREATE TABLE items (id int PRIMARY KEY, price numeric(8,2)); INSERT INTO items VALUES (1, 1), (2, 2), (3, 'NaN'), (4, 4)",
    );
    let mut keys = INCREMENTING.to_vec();
    keys.push(("numeric.mapping", "none"));
    let mut task = open(&database.config(&keys), Offsets::new())
        .await
        .expect("a task");
    assert_eq!(ids(&read(&mut task, 2).await), [1, 2]);
    let error = failure(&mut task).await;
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    for text in ["price", "public.items", "NaN", "numeric.mapping"] {
        assert!(error.message().contains(text), "{error}");
    }
    database.sql("UPDATE items SET price = 3 WHERE id = 3");
    assert_eq!(ids(&read(&mut task, 2).await), [3, 4]);
}

/// Rows of one time are one step: what stands before the bad one is read again with it, and the error must be told all the same.
#[tokio::test]
async fn a_value_that_cannot_be_read_amid_rows_of_one_time_is_an_error_and_no_endless_repetition() {
    let database = Database::new(
        "CREATE TABLE items (id int, at timestamptz NOT NULL DEFAULT '2024-01-01', price numeric(8,2)); \
         INSERT INTO items (id, price) VALUES (1, 1), (2, 2), (3, 'NaN'), (4, 4)",
    );
    let keys = [
        ("mode", "timestamp"),
        ("timestamp.column.name", "at"),
        ("table.whitelist", "items"),
        ("numeric.mapping", "none"),
    ];
    let mut task = open(&database.config(&keys), Offsets::new())
        .await
        .expect("a task");
    let mut before = 0;
    let error = loop {
        match task.poll(std::time::Duration::from_millis(100)).await {
            Ok(records) => before += records.len(),
            Err(error) => break error,
        }
        assert!(before <= 4, "{before} records without an error");
    };
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    database.sql("UPDATE items SET price = 3 WHERE id = 3");
    let mut rest = ids(&read(&mut task, 4).await);
    rest.sort_unstable();
    assert_eq!(rest, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let database = Database::new(
        "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (1); \
         DO $$ BEGIN CREATE ROLE nobody LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    );
    let mut config = database.config(&INCREMENTING);
    config.insert("connection.user".to_owned(), "nobody".to_owned());
    let mut task = open(&config, Offsets::new()).await.expect("a task");
    let error = failure(&mut task).await;
    assert!(
        matches!(error.kind(), ErrorKind::Config | ErrorKind::Auth),
        "{error}"
    );
    assert!(error.to_string().contains("items"), "{error}");
    // Granted, it goes on by itself where it stood.
    database.sql("GRANT SELECT ON items TO nobody");
    assert_eq!(ids(&read(&mut task, 1).await), [1]);
}

#[tokio::test]
async fn sessions_of_a_source_cannot_write() {
    let database = Database::new(
        "CREATE TABLE items (id int PRIMARY KEY); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'INSERT INTO items VALUES (7) RETURNING id'",
    );
    let mut keys = INCREMENTING.to_vec();
    keys.push(("query", "SELECT f() AS id"));
    let mut task = open(&database.config(&keys), Offsets::new())
        .await
        .expect("a task");
    let error = failure(&mut task).await;
    assert!(error.to_string().contains("read-only"), "{error}");
    assert!(database.sql("SELECT id FROM items").is_empty());
}
