//! Keys, and what live validation says.

use crate::place::{Place, Task};
use longshore_postgres::PostgresSink;
use longshore_sdk::{
    ErrorKind,
    config::{Finding, Flat},
    erased,
};

async fn check(config: &Flat) -> Vec<Finding> {
    erased::sink::<PostgresSink>().check(config).await
}

fn says(findings: &[Finding], key: &str, text: &str) {
    assert!(
        findings
            .iter()
            .any(|finding| finding.key == key && finding.to_string().contains(text)),
        "{key} .. {text} is not among {findings:#?}"
    );
}

#[tokio::test]
async fn keys_that_do_not_fit_each_other_are_findings() {
    let place = Place::new("");
    for (config, key, text) in [
        (
            &[("insert.mode", "upsert")][..],
            "pk.mode",
            "finds rows by their key",
        ),
        (
            &[("delete.enabled", "true")],
            "delete.enabled",
            "record_key",
        ),
        (
            &[("pk.mode", "kafka"), ("pk.fields", "a,b")],
            "pk.fields",
            "2 names",
        ),
        (&[("pk.fields", "a")], "pk.fields", "pk.mode is none"),
        (
            &[("pk.mode", "kafka"), ("primary.key.mode", "record_key")],
            "primary.key.mode",
            "something else",
        ),
        (
            &[("table.name.format", "a"), ("collection.name.format", "b")],
            "collection.name.format",
            "something else",
        ),
        (
            &[("table.name.format", "${topic}_${x}")],
            "table.name.format",
            "only ${topic}",
        ),
        (
            &[("table.name.format", "a..b")],
            "table.name.format",
            "empty part",
        ),
        (&[("db.timezone", "Europe/Berlin")], "db.timezone", "UTC"),
        (
            &[("dialect.name", "OracleDatabaseDialect")],
            "dialect.name",
            "Postgres",
        ),
        (
            &[("auto.create", "true"), ("schema.evolution", "none")],
            "schema.evolution",
            "something else",
        ),
        (&[("batch.size", "0")], "batch.size", ""),
        (&[("insert.mode", "merge")], "insert.mode", ""),
    ] {
        says(&check(&place.config(config)).await, key, text);
    }
    assert_eq!(check(&place.config(&[])).await, []);
}

#[tokio::test]
async fn configs_of_the_jdbc_sinks_are_taken_as_they_are() {
    let place = Place::new("CREATE TABLE orders (id bigint PRIMARY KEY)");
    let url = format!(
        "jdbc:postgresql://127.0.0.1:{}/{}",
        place.server.port(),
        place.database
    );
    let confluent = [
        ("connection.url", url.as_str()),
        ("connection.user", "postgres"),
        ("connection.password", "x"),
        ("connection.attempts", "3"),
        ("connection.backoff.ms", "10000"),
        ("dialect.name", "PostgreSqlDatabaseDialect"),
        ("insert.mode", "upsert"),
        ("pk.mode", "record_key"),
        ("pk.fields", "id"),
        ("table.name.format", "orders"),
        ("auto.create", "true"),
        ("auto.evolve", "true"),
        ("delete.enabled", "true"),
        ("batch.size", "3000"),
        ("max.retries", "10"),
        ("retry.backoff.ms", "3000"),
        ("db.timezone", "UTC"),
        ("quote.sql.identifiers", "always"),
        ("fields.whitelist", "id"),
        ("trim.sensitive.log", "true"),
    ];
    let debezium = [
        ("connection.url", url.as_str()),
        ("connection.username", "postgres"),
        ("connection.password", "x"),
        ("connection.pool.min_size", "5"),
        ("connection.pool.max_size", "32"),
        ("connection.pool.timeout", "1800"),
        ("insert.mode", "upsert"),
        ("delete.enabled", "true"),
        ("truncate.enabled", "true"),
        ("primary.key.mode", "record_key"),
        ("primary.key.fields", "id"),
        ("schema.evolution", "basic"),
        ("collection.name.format", "${topic}"),
        ("quote.identifiers", "true"),
        ("use.time.zone", "UTC"),
        ("field.include.list", "orders:id"),
        ("use.reduction.buffer", "true"),
        ("flush.max.retries", "5"),
        ("flush.retry.delay.ms", "1000"),
        ("connection.restart.on.errors", "true"),
        ("dialect.postgres.unnest.insert.enabled", "true"),
    ];
    for config in [&confluent[..], &debezium[..]] {
        let config: Flat = config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let connector = erased::sink::<PostgresSink>();
        assert_eq!(connector.definition().unknown(&config), []);
        assert_eq!(connector.check(&config).await, []);
        for key in connector.plugin().unsupported {
            let known = connector
                .definition()
                .keys
                .iter()
                .any(|known| known.name == **key);
            assert!(!known, "{key} is defined and refused");
        }
    }
}

#[tokio::test]
async fn what_would_fail_later_is_said_before_the_start() {
    let place = Place::new(
        "CREATE TABLE t (id bigint, v text, g bigint GENERATED ALWAYS AS IDENTITY); CREATE TABLE closed (id int); \
         CREATE ROLE poor LOGIN; CREATE SCHEMA locked; CREATE TABLE locked.t (id int); GRANT SELECT ON t TO poor; REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    );
    let upsert = [
        ("insert.mode", "upsert"),
        ("pk.mode", "record_value"),
        ("table.name.format", "t"),
    ];
    let with = |more: &[(&str, &str)]| place.config(&[&upsert[..], more].concat());
    says(
        &check(&with(&[("pk.fields", "id")])).await,
        "pk.fields",
        "no unique constraint over (id)",
    );
    says(
        &check(&with(&[("pk.fields", "x")])).await,
        "pk.fields",
        "no column x",
    );
    says(
        &check(&with(&[("pk.fields", "g")])).await,
        "pk.fields",
        "GENERATED ALWAYS",
    );
    says(
        &check(&place.config(&[("table.name.format", "nowhere")])).await,
        "table.name.format",
        "no table nowhere",
    );
    says(
        &check(&place.config(&[("table.name.format", "other.public.t")])).await,
        "table.name.format",
        "database other",
    );
    let poor = format!(
        "postgresql://poor@127.0.0.1:{}/{}",
        place.server.port(),
        place.database
    );
    let findings = check(&with(&[("connection.url", &poor), ("pk.fields", "id")])).await;
    says(
        &findings,
        "table.name.format",
        "lacks INSERT, UPDATE on table public.t",
    );
    says(&findings, "longshore.exactly.once", "CREATE TABLE");
    says(
        &check(&place.config(&[("connection.url", "postgresql://postgres@127.0.0.1:1/x")])).await,
        "connection.url",
        "reached",
    );
    let missing = format!(
        "postgresql://postgres@127.0.0.1:{}/nowhere",
        place.server.port()
    );
    says(
        &check(&place.config(&[("connection.url", &missing)])).await,
        "connection.url",
        "nowhere",
    );
    let config = place.config(&[("connection.url", &poor)]);
    let error = Task::open(&config).await.err().expect("no ledger");
    assert!(
        error
            .message()
            .contains("CREATE TABLE IF NOT EXISTS longshore_offsets")
            && error.message().contains("longshore.exactly.once=false"),
        "{error}"
    );
    // The same at the start of a task.
    place.sql("CREATE UNIQUE INDEX ON t (id) WHERE v IS NULL");
    let mut task = place
        .task(&[&upsert[..], &[("pk.fields", "id")]].concat())
        .await;
    let error = task
        .put(vec![crate::place::row("{\"id\":1}")])
        .await
        .expect_err("no constraint");
    assert_eq!(
        (
            error.kind(),
            error.message().contains("unique constraint over (id)")
        ),
        (ErrorKind::Config, true),
        "{error}"
    );
    place.sql("DROP OWNED BY poor; DROP ROLE poor");
}
