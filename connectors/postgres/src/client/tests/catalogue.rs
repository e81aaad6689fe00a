//! What the catalogue tells of a table.

use super::{connect, place};
use crate::client::{Relation, Session, Table, TableName, TypeKind, catalogue, check};

async fn table(session: &Session, name: &str) -> Option<Table> {
    let name = TableName::parse(name).expect("a name");
    catalogue::table(session, "test", &name)
        .await
        .expect("answers")
}

const EVERYTHING: &str = "CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"'); CREATE DOMAIN cents AS numeric(10,2) CHECK (VALUE >= 0); CREATE DOMAIN price AS cents; \
        CREATE TYPE pair AS (a int, b text); CREATE TYPE span AS RANGE (subtype = float8); \
        CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, code varchar(5) NOT NULL, gone int, m mood, ms mood[], p price, n numeric(10,2)[], \
          c pair, r span, i int4range, mr int4multirange, v timestamptz(3) DEFAULT now(), twice int GENERATED ALWAYS AS (1 + 1) STORED, o oidvector, \
          PRIMARY KEY (code, id), UNIQUE (m), UNIQUE (p) DEFERRABLE); \
        ALTER TABLE t DROP COLUMN gone; CREATE UNIQUE INDEX over_expression ON t (lower(code)); CREATE UNIQUE INDEX partial ON t (v) WHERE v IS NOT NULL; \
        CREATE UNIQUE INDEX including ON t (twice, m) INCLUDE (code);";

#[tokio::test(flavor = "multi_thread")]
async fn columns_keys_and_types_are_told() {
    let (postgres, database, url) = place();
    postgres.query(&database, EVERYTHING).expect("creates");
    let session = connect(&[("connection.url", &url)])
        .await
        .expect("connects");
    let t = table(&session, "t").await.expect("is there");
    assert_eq!(
        (t.name.to_string().as_str(), t.relation),
        ("public.t", Relation::Table)
    );
    assert_eq!(t.primary_key, ["code", "id"]);
    let names: Vec<&str> = t
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "id", "code", "m", "ms", "p", "n", "c", "r", "i", "mr", "v", "twice", "o"
        ]
    );
    let shown: Vec<&str> = t
        .columns
        .iter()
        .map(|column| column.kind.shown.as_str())
        .collect();
    assert_eq!(
        shown,
        [
            "bigint",
            "character varying(5)",
            "mood",
            "mood[]",
            "price",
            "numeric(10,2)[]",
            "pair",
            "span",
            "int4range",
            "int4multirange",
            "timestamp(3) with time zone",
            "integer",
            "oidvector"
        ]
    );
    let column = |name: &str| t.column(name).expect(name);
    let (id, code, v, twice) = (column("id"), column("code"), column("v"), column("twice"));
    assert!(id.generated && id.default && !id.nullable);
    assert!(!code.generated && !code.default && !code.nullable);
    assert!(v.default && !v.generated && v.nullable);
    assert!(twice.generated);
    assert_eq!(
        (code.kind.oid, code.kind.modifier, code.kind.name.as_str()),
        (1043, 5 + 4, "varchar")
    );
    let labels = TypeKind::Enum(vec!["sad".to_owned(), "it's \"ok\"".to_owned()]);
    assert_eq!(column("m").kind.made_of, labels);
    let TypeKind::Array(mood) = &column("ms").kind.made_of else {
        panic!("no array")
    };
    assert_eq!(mood.made_of, labels);
    let price = &column("p").kind;
    assert_eq!(
        (
            price.name.as_str(),
            price.base().name.as_str(),
            price.base().oid
        ),
        ("price", "numeric", 1700)
    );
    assert_eq!(price.base().modifier, (10 << 16 | 2) + 4);
    let TypeKind::Array(numeric) = &column("n").kind.made_of else {
        panic!("no array")
    };
    assert_eq!((numeric.oid, numeric.modifier), (1700, (10 << 16 | 2) + 4));
    assert_eq!(column("c").kind.made_of, TypeKind::Composite);
    let TypeKind::Range(float) = &column("r").kind.made_of else {
        panic!("no range")
    };
    assert_eq!(float.oid, 701);
    assert_eq!(column("mr").kind.made_of, TypeKind::Multirange);
    // What ON CONFLICT can name: no expression, no condition, checked at once.
    let over = |columns: &[&str]| t.unique_over(columns).map(|unique| unique.name.as_str());
    assert_eq!(over(&["id", "code"]), Some("t_pkey"));
    assert_eq!(over(&["m"]), Some("t_m_key"));
    assert_eq!(over(&["m", "twice"]), Some("including"));
    assert_eq!(
        (over(&["p"]), over(&["v"]), over(&["code"])),
        (None, None, None)
    );
    assert!(
        t.unique
            .iter()
            .any(|unique| unique.deferrable && unique.columns == ["p"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found_as_they_are_written() {
    let (postgres, database, url) = place();
    let sql = "CREATE SCHEMA \"Weird.Schema\"; CREATE TABLE \"Weird.Schema\".\"it's \"\"t\"\"\" (a int); CREATE SCHEMA later; \
        CREATE TABLE later.only (a int); CREATE TABLE later.twin (late int); CREATE TABLE twin (early int); CREATE TABLE \"Twin\" (upper int); \
        CREATE VIEW seen AS SELECT 1 AS one; CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one; \
        CREATE TABLE parts (a int) PARTITION BY LIST (a); CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1); CREATE SEQUENCE numbers;";
    postgres.query(&database, sql).expect("creates");
    let url = format!("{url}?currentSchema=public,later");
    let session = connect(&[("connection.url", &url)])
        .await
        .expect("connects");
    let found = table(&session, "\"Weird.Schema\".\"it's \"\"t\"\"\"")
        .await
        .expect("is there");
    assert_eq!(
        found.name,
        TableName::new(Some("Weird.Schema"), "it's \"t\"")
    );
    let first = async |name: &str| {
        let found = table(&session, name)
            .await
            .map(|table| (table.name.to_string(), table.columns[0].name.clone()));
        found.unwrap_or_default()
    };
    let is = |name: &str, column: &str| (name.to_owned(), column.to_owned());
    assert_eq!(first("twin").await, is("public.twin", "early"));
    assert_eq!(first("Twin").await, is("public.Twin", "upper"));
    assert_eq!(first("only").await, is("later.only", "a"));
    assert_eq!(first("later.twin").await, is("later.twin", "late"));
    assert_eq!(first("nowhere").await, is("", ""));
    assert_eq!(first("no_schema.twin").await, is("", ""));
    let kinds: Vec<(String, Relation, bool)> = catalogue::tables(&session, "test")
        .await
        .expect("lists")
        .into_iter()
        .map(|listed| (listed.name.to_string(), listed.relation, listed.partition))
        .collect();
    let listed = |name: &str, relation, partition| (name.to_owned(), relation, partition);
    assert_eq!(
        kinds,
        [
            listed(
                "\"Weird.Schema\".\"it's \"\"t\"\"\"",
                Relation::Table,
                false
            ),
            listed("later.only", Relation::Table, false),
            listed("later.twin", Relation::Table, false),
            listed("public.Twin", Relation::Table, false),
            listed("public.kept", Relation::Materialized, false),
            listed("public.part_1", Relation::Table, true),
            listed("public.parts", Relation::Partitioned, false),
            listed("public.seen", Relation::View, false),
            listed("public.twin", Relation::Table, false),
        ]
    );
    let may = async |schema| {
        catalogue::may_create(&session, "test", schema)
            .await
            .expect("answers")
    };
    assert_eq!(
        (
            may(None).await,
            may(Some("later")).await,
            may(Some("no")).await
        ),
        (Some(true), Some(true), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_with_what_helps() {
    let (postgres, database, url) = place();
    let role = format!("reader_of_{database}");
    let sql = format!(
        "CREATE TABLE \"T\" (a int, b int); CREATE ROLE {role} LOGIN; GRANT SELECT (a), INSERT ON \"T\" TO {role}; CREATE SCHEMA closed; \
         CREATE TABLE closed.t (a int); REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    );
    postgres.query(&database, &sql).expect("creates");
    let session = connect(&[("connection.url", &url), ("connection.user", &role)])
        .await
        .expect("connects");
    let found = table(&session, "T").await.expect("is there");
    assert!(
        found.rights.select
            && found.rights.insert
            && !found.rights.update
            && !found.rights.delete
            && !found.rights.alter
    );
    assert_eq!(
        check::rights(&session, "k", &found, &["SELECT", "INSERT"]),
        None
    );
    let finding = check::rights(&session, "k", &found, &["INSERT", "UPDATE", "DELETE"])
        .expect("rights are missing");
    let text = format!(
        "k: user {role} lacks UPDATE, DELETE on table public.T (GRANT UPDATE, DELETE ON \"public\".\"T\" TO \"{role}\")"
    );
    assert_eq!(finding.to_string(), text);
    let owner = check::rights(&session, "k", &found, &["ALTER"]).expect("it is the owner's");
    assert!(owner.suggestion.contains("OWNER TO"), "{owner}");
    assert_eq!(
        catalogue::may_create(&session, "test", None)
            .await
            .expect("answers"),
        Some(false)
    );
    for (name, says) in [
        ("t", format!("there is no table t in database {database}")),
        (
            "other.public.T",
            format!("is of database other, but the connection is to {database}"),
        ),
        ("closed.t", "permission denied for schema closed".to_owned()),
    ] {
        let name = TableName::parse(name).expect("a name");
        let finding = check::table(&session, "table.name.format", &name)
            .await
            .expect_err(&says);
        assert!(
            finding.key == "table.name.format" && finding.problem.contains(&says),
            "{finding}"
        );
    }
    let whole = TableName::parse(&format!("{database}.public.T")).expect("a name");
    assert_eq!(
        check::table(&session, "k", &whole)
            .await
            .expect("is there")
            .oid,
        found.oid
    );
}
