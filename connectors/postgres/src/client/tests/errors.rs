//! What the server refuses: who can act, and what is said of it.

use super::{connect, place};
use longshore_sdk::ErrorKind::{self, Config, Data, Transient};

/// A statement, its SQLSTATE, who can act, and a piece of what is said.
const REFUSALS: [(&str, &str, ErrorKind, &str); 21] = [
    (
        "INSERT INTO t (id) VALUES ('hunter2')",
        "23505",
        Data,
        "constraint = t_pkey",
    ),
    (
        "INSERT INTO t (id, n) VALUES ('hunter2 x', NULL)",
        "23502",
        Data,
        "table = public.t, column = n",
    ),
    (
        "INSERT INTO t (id) VALUES ('hunter2 ')",
        "23514",
        Data,
        "constraint = t_id_check",
    ),
    (
        "INSERT INTO t (id, p) VALUES ('1', 'hunter2')",
        "23503",
        Data,
        "constraint = t_p_fkey",
    ),
    (
        "INSERT INTO t (id, c) VALUES ('2', 'hunter2')",
        "22001",
        Data,
        "too long",
    ),
    (
        "INSERT INTO t (id, n) VALUES ('3', 'hunter2'::text::int)",
        "22P02",
        Data,
        "integer: \"..\"",
    ),
    (
        "INSERT INTO t (id, n) VALUES ('3', '9hunter2\"x\"'::text::int)",
        "22P02",
        Data,
        "integer: \"..\"",
    ),
    (
        "INSERT INTO t (id, n) VALUES ('3', '99999999999'::text::int)",
        "22003",
        Data,
        "out of range",
    ),
    (
        "INSERT INTO t (id, m) VALUES ('4', 'hunter2'::text::mood)",
        "22P02",
        Data,
        "enum mood",
    ),
    (
        "INSERT INTO t (id, d) VALUES ('5', 'hunter2'::text::date)",
        "22007",
        Data,
        "date",
    ),
    (
        "INSERT INTO t (id, d) VALUES ('5', '2026-13-77'::text::date)",
        "22008",
        Data,
        "out of range",
    ),
    (
        "INSERT INTO t (id, j) VALUES ('6', '{hunter2'::text::jsonb)",
        "22P02",
        Data,
        "json",
    ),
    (
        "INSERT INTO t (id, amount) VALUES ('7', 777.77)",
        "22003",
        Data,
        "overflow",
    ),
    (
        "INSERT INTO t (id) VALUES (chr(0))",
        "54000",
        Data,
        "null character",
    ),
    (
        "INSERT INTO t (id) SELECT string_agg(md5(i::text), '') FROM generate_series(1, 32768) i",
        "54000",
        Data,
        "index row",
    ),
    (
        "INSERT INTO t (id, n) VALUES ('8', 13)",
        "P0001",
        Data,
        "no such number",
    ),
    (
        "INSERT INTO v (id, n) VALUES ('hunter2 9', 9)",
        "44000",
        Data,
        "view",
    ),
    (
        "INSERT INTO t (nowhere) VALUES (1)",
        "42703",
        Config,
        "nowhere",
    ),
    ("INSERT INTO nowhere VALUES (1)", "42P01", Config, "nowhere"),
    (
        "INSERT INTO t (id) VALUES ('1') ON CONFLICT (n) DO NOTHING",
        "42P10",
        Config,
        "ON CONFLICT",
    ),
    (
        "SET LOCAL statement_timeout = 50; SELECT pg_sleep(600)",
        "57014",
        Transient,
        "statement timeout",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn i8_refusals_name_the_place_and_no_value() {
    let (postgres, database, url) = place();
    let sql = "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE parent (id text PRIMARY KEY); \
        CREATE TABLE t (id text PRIMARY KEY CHECK (id <> 'hunter2 '), n int NOT NULL DEFAULT 1, p text REFERENCES parent, c varchar(3), m mood, \
          d date, j jsonb, a int[], amount numeric(4,2)); INSERT INTO t (id) VALUES ('hunter2'); \
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n = 13 THEN RAISE EXCEPTION 'no such number'; END IF; RETURN NEW; END $$; \
        CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse(); \
        CREATE VIEW v AS SELECT id, n FROM t WHERE n < 5 WITH CHECK OPTION";
    postgres.query(&database, sql).expect("creates");
    let session = connect(&[("connection.url", &url)])
        .await
        .expect("connects");
    for (sql, code, kind, says) in REFUSALS {
        let failure = session
            .bounded("put", session.client().batch_execute(sql))
            .await
            .expect_err(sql);
        let text = format!("{:?}", failure.error());
        assert_eq!(
            (failure.code().map(|code| code.code()), failure.kind()),
            (Some(code), kind),
            "{text}"
        );
        assert!(text.contains(says), "{sql}: {text}");
        for value in ["hunter2", "99999999999", "777.77", "2026-13"] {
            assert!(!text.contains(value), "{text}");
        }
        assert_eq!(failure.refuses_record(), kind == Data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_locks_deadlocks_and_altered_tables_have_their_kinds() {
    let (postgres, database, url) = place();
    let role = format!("guest_of_{database}");
    let sql = format!(
        "CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1), (2); CREATE ROLE {role} LOGIN"
    );
    postgres.query(&database, &sql).expect("creates");
    let one = connect(&[("connection.url", &url)])
        .await
        .expect("connects");
    let two = connect(&[("connection.url", &url)])
        .await
        .expect("connects");
    let guest = connect(&[("connection.url", &url), ("connection.user", &role)])
        .await
        .expect("connects");

    let failure = guest
        .bounded(
            "put",
            guest.client().batch_execute("INSERT INTO t VALUES (3)"),
        )
        .await
        .expect_err("no right");
    assert_eq!(failure.kind(), ErrorKind::Config);
    assert!(
        failure.error().to_string().contains("grant the right"),
        "{failure:?}"
    );

    one.bounded(
        "test",
        one.client()
            .batch_execute("BEGIN; UPDATE t SET b = 1 WHERE a = 1"),
    )
    .await
    .expect("updates");
    two.bounded(
        "test",
        two.client()
            .batch_execute("BEGIN; UPDATE t SET b = 1 WHERE a = 2"),
    )
    .await
    .expect("updates");
    let (first, second) = tokio::join!(
        one.bounded(
            "put",
            one.client().batch_execute("UPDATE t SET b = 1 WHERE a = 2")
        ),
        two.bounded(
            "put",
            two.client().batch_execute("UPDATE t SET b = 1 WHERE a = 1")
        ),
    );
    let failure = first.and(second).expect_err("one of them gives way");
    assert_eq!(
        (failure.code().map(|code| code.code()), failure.kind()),
        (Some("40P01"), ErrorKind::Transient)
    );
    for session in [&one, &two] {
        session
            .bounded("test", session.client().batch_execute("ROLLBACK"))
            .await
            .expect("rolls back");
    }

    one.bounded("test", one.client().batch_execute("BEGIN; LOCK t"))
        .await
        .expect("locks");
    let failure = two
        .bounded(
            "put",
            two.client()
                .batch_execute("SET lock_timeout = 50; INSERT INTO t VALUES (4)"),
        )
        .await
        .expect_err("waits");
    assert_eq!(
        (failure.code().map(|code| code.code()), failure.kind()),
        (Some("55P03"), ErrorKind::Transient)
    );
    one.bounded("test", one.client().batch_execute("ROLLBACK"))
        .await
        .expect("rolls back");

    // A plan that an ALTER made stale is made anew: time heals it.
    let statement = one
        .bounded("test", one.client().prepare("SELECT * FROM t"))
        .await
        .expect("prepares");
    one.bounded("test", one.client().query(&statement, &[]))
        .await
        .expect("reads");
    postgres
        .query(&database, "ALTER TABLE t ALTER b TYPE text")
        .expect("alters");
    let failure = one
        .bounded("poll", one.client().query(&statement, &[]))
        .await
        .expect_err("is stale");
    assert_eq!(
        (failure.code().map(|code| code.code()), failure.kind()),
        (Some("0A000"), ErrorKind::Transient)
    );
}
