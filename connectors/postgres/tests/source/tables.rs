//! Which tables are read, and how they are shared among tasks.

use super::server::{Database, connector, field, ids, nothing, open, poll, read};
use longshore_sdk::{Offsets, SourceContext, Value};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

const INCREMENTING: [(&str, &str); 2] =
    [("mode", "incrementing"), ("incrementing.column.name", "id")];

fn with(keys: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut all = INCREMENTING.to_vec();
    all.extend(keys);
    all
}

async fn topics(database: &Database, keys: &[(&'static str, &'static str)]) -> BTreeSet<String> {
    let config = database.config(&with(keys));
    let mut topics = BTreeSet::new();
    let mut task = open(&config, Offsets::new()).await.expect("a task");
    let until = Instant::now() + Duration::from_secs(20);
    let mut quiet = 0;
    while quiet < 4 {
        assert!(Instant::now() < until);
        let records = poll(&mut task).await.expect("a poll");
        quiet = if records.is_empty() { quiet + 1 } else { 0 };
        topics.extend(records.iter().map(|record| record.record.topic.to_string()));
    }
    topics
}

#[tokio::test]
async fn tables_are_chosen_as_the_reference_chooses_them() {
    let database = Database::new(
        r#"CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);
        CREATE TABLE "b.c ""d" (id int PRIMARY KEY); INSERT INTO "b.c ""d" VALUES (1);
        CREATE SCHEMA other; CREATE TABLE other.e (id int PRIMARY KEY); INSERT INTO other.e VALUES (1);
        CREATE VIEW v AS SELECT * FROM a;
        CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9); INSERT INTO p VALUES (1);
        CREATE TABLE longshore_offsets (id int)"#,
    );
    let set = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| format!("p-{name}")).collect()
    };
    let odd = "b.c \"d";
    assert_eq!(topics(&database, &[]).await, set(&["a", odd, "e", "p1"]));
    assert_eq!(
        topics(&database, &[("schema.pattern", "oth%")]).await,
        set(&["e"])
    );
    assert_eq!(
        topics(&database, &[("catalog.pattern", "nowhere")]).await,
        set(&[])
    );
    assert_eq!(
        topics(&database, &[("table.types", "VIEW")]).await,
        set(&["v"])
    );
    assert_eq!(
        topics(
            &database,
            &[
                ("table.types", "TABLE,PARTITIONED TABLE"),
                ("schema.pattern", "public")
            ]
        )
        .await,
        set(&["a", odd, "p"])
    );
    assert_eq!(
        topics(
            &database,
            &[("table.whitelist", "a,other.e,\"b.c \"\"d\",p,v")]
        )
        .await,
        set(&["a", "e", odd, "p", "v"])
    );
    assert_eq!(
        topics(&database, &[("table.blacklist", "a,public.p1,e")]).await,
        set(&[odd])
    );
    assert_eq!(
        topics(
            &database,
            &[
                ("table.include.list", r"public\.[ap]\d?"),
                ("table.exclude.list", r".*\.p1")
            ]
        )
        .await,
        set(&["a"])
    );
}

#[tokio::test]
async fn tables_are_dealt_to_tasks_and_each_is_read_once() {
    let database = Database::new(
        "DO $$ BEGIN FOR n IN 1..7 LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY)', n); \
         EXECUTE format('INSERT INTO t%s SELECT generate_series(1, 10)', n); END LOOP; END $$",
    );
    let config = database.config(&INCREMENTING);
    let shares = connector().plan(&config, 3).await.expect("a plan");
    assert_eq!(shares.len(), 3);
    let mut read_from = Vec::new();
    for (number, share) in shares.into_iter().enumerate() {
        let cx = SourceContext::detached("test", number as u32, Offsets::new());
        let mut task = connector().open(&config, share, cx).await.expect("a task");
        let count = if number == 0 { 30 } else { 20 };
        let records = read(&mut task, count).await;
        assert_eq!(records.len(), count);
        read_from.extend(records.iter().map(|record| {
            (
                record.record.topic.clone(),
                ids(std::slice::from_ref(record))[0],
            )
        }));
    }
    let different: BTreeSet<_> = read_from.iter().cloned().collect();
    assert_eq!((read_from.len(), different.len()), (70, 70));
}

#[tokio::test]
async fn a_table_that_appears_asks_for_a_new_plan() {
    let database = Database::new("");
    let config = database.config(&with(&[("table.poll.interval.ms", "50")]));
    let mut shares = connector().plan(&config, 4).await.expect("a plan");
    // Somebody has to look for tables even when there are none.
    assert_eq!(shares.len(), 1);
    let asked = Arc::new(AtomicU32::new(0));
    let mut cx = SourceContext::detached("test", 0, Offsets::new());
    let count = asked.clone();
    cx.replan = Arc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let mut task = connector()
        .open(&config, shares.remove(0), cx)
        .await
        .expect("a task");
    nothing(&mut task).await;
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    database.sql("CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)");
    let until = Instant::now() + Duration::from_secs(20);
    while asked.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until, "no new plan was asked for");
        poll(&mut task).await.expect("a poll");
    }
    let mut task = open(&config, Offsets::new()).await.expect("a task");
    assert_eq!(ids(&read(&mut task, 1).await), [1]);
}

#[tokio::test]
async fn a_query_is_read_like_a_table() {
    let database = Database::new(
        "CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, name text); \
         INSERT INTO b VALUES (1, 'x'); INSERT INTO a VALUES (1, 1), (2, 1), (3, 2)",
    );
    let query = "SELECT a.id, b.name FROM a JOIN b ON b.id = a.b WHERE a.id > 1 -- a comment\n;";
    let mut task = open(&database.config(&with(&[("query", query)])), Offsets::new())
        .await
        .expect("a task");
    let records = read(&mut task, 1).await;
    assert_eq!(ids(&records), [2]);
    assert_eq!(&*records[0].record.topic, "p-");
    assert_eq!(records[0].lane.json(), &br#"{"query":"query"}"#[..]);
    assert_eq!(field(&records[0], "name").0, Value::String("x".to_owned()));
    database.sql("INSERT INTO a VALUES (4, 1)");
    assert_eq!(ids(&read(&mut task, 1).await), [4]);
}

#[tokio::test]
async fn bulk_reads_everything_again_each_time() {
    let database =
        Database::new("CREATE TABLE a AS SELECT n AS id FROM generate_series(1, 7000) n");
    let config = database.config(&[("mode", "bulk"), ("poll.interval.ms", "200")]);
    let mut task = open(&config, Offsets::new()).await.expect("a task");
    let mut once = ids(&read(&mut task, 7000).await);
    assert_eq!(once.len(), 7000);
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), 7000);
    database.sql("DELETE FROM a WHERE id > 3");
    assert_eq!(ids(&read(&mut task, 3).await), [1, 2, 3]);
}

#[tokio::test]
async fn pages_large_rows_and_null_columns() {
    // More than one page, and rows that fill a batch by their bytes.
    let database = Database::new(
        "CREATE TABLE a (id int, t text); INSERT INTO a SELECT n, NULL FROM generate_series(1, 120000) n; \
         INSERT INTO a SELECT 120000 + n, repeat('x', 1000000) FROM generate_series(1, 8) n; INSERT INTO a VALUES (NULL, 'never')",
    );
    let keys = with(&[("validate.non.null", "false"), ("batch.max.rows", "100000")]);
    let mut task = open(&database.config(&keys), Offsets::new())
        .await
        .expect("a task");
    let (mut last, until) = (0, Instant::now() + Duration::from_secs(60));
    while last < 120_008 {
        assert!(Instant::now() < until);
        let records = poll(&mut task).await.expect("a poll");
        assert!(records.len() <= 5000);
        let bytes: usize = records.iter().map(|record| record.record.size()).sum();
        assert!(bytes < 4 << 20, "a batch of {bytes} bytes");
        for id in ids(&records) {
            assert_eq!(id, last + 1);
            last = id;
        }
    }
    nothing(&mut task).await;
}
