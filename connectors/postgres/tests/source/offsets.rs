//! Where a task goes on: after a restart, and from what the reference stored.

use super::server::{Database, field, ids, nothing, offset_of, offsets, open, read, stored};
use longshore_sdk::{Offsets, Value};

const ITEMS: &str = "CREATE TABLE items (id bigint PRIMARY KEY, at timestamp NOT NULL); \
    INSERT INTO items SELECT n, '2024-01-01 00:00:00'::timestamp + n * interval '1 microsecond' FROM generate_series(1, 6) n";

#[tokio::test]
async fn ids_go_on_from_the_references_offset() {
    let database = Database::new(ITEMS);
    let name = &database.name;
    let config = database.config(&[("mode", "incrementing"), ("incrementing.column.name", "id")]);
    for lane in [
        format!(r#"{{"protocol":"1","table":"{name}.public.items"}}"#),
        format!(r#"{{"table":"{name}.public.items","protocol":"1"}}"#),
        r#"{"protocol":"1","table":"public.items"}"#.to_owned(),
        r#"{"table":"items"}"#.to_owned(),
    ] {
        let stored = offsets(&lane, r#"{"incrementing":4}"#);
        let mut task = open(&config, stored).await.expect("a task");
        let records = read(&mut task, 2).await;
        assert_eq!(ids(&records), [5, 6], "{lane}");
        // The way back: the same key, the same form.
        assert_eq!(records[1].lane.json(), lane.as_bytes());
        assert_eq!(offset_of(&records[1]), r#"{"incrementing":6}"#);
        assert_eq!(&*records[1].record.topic, "p-items");
    }
}

#[tokio::test]
async fn times_go_on_from_the_references_offset_to_the_microsecond() {
    let database = Database::new(ITEMS);
    let name = &database.name;
    let keys = [
        ("mode", "timestamp+incrementing"),
        ("incrementing.column.name", "id"),
        ("timestamp.column.name", "at"),
    ];
    let config = database.config(&keys);
    let lane = format!(r#"{{"protocol":"1","table":"{name}.public.items"}}"#);
    // 2024-01-01 00:00:00.000003
    let third = r#"{"incrementing":3,"timestamp":1704067200000,"timestamp_nanos":3000}"#;
    let mut task = open(&config, offsets(&lane, third)).await.expect("a task");
    let records = read(&mut task, 3).await;
    assert_eq!(ids(&records), [4, 5, 6]);
    assert_eq!(
        offset_of(&records[2]),
        r#"{"incrementing":6,"timestamp":1704067200000,"timestamp_nanos":6000}"#
    );
    // The same in a zone of its own: the column means two hours of offset less.
    let mut zoned = config.clone();
    zoned.insert("db.timezone".to_owned(), "Etc/GMT-2".to_owned());
    let mut task = open(
        &zoned,
        offsets(
            &lane,
            r#"{"incrementing":3,"timestamp":1704060000000,"timestamp_nanos":3000}"#,
        ),
    )
    .await
    .expect("a task");
    assert_eq!(ids(&read(&mut task, 3).await), [4, 5, 6]);
}

#[tokio::test]
async fn rows_of_one_time_are_one_step() {
    let database = Database::new(
        "CREATE TABLE items (id int, at timestamptz NOT NULL); \
         INSERT INTO items VALUES (1, '2024-01-01'), (2, '2024-01-02'), (3, '2024-01-02'), (4, '2024-01-02'), (5, '-infinity')",
    );
    let mut config = database.config(&[("mode", "timestamp"), ("timestamp.column.name", "at")]);
    config.insert("batch.max.rows".to_owned(), "1".to_owned());
    let mut task = open(&config, Offsets::new()).await.expect("a task");
    let records = read(&mut task, 5).await;
    assert_eq!(ids(&records)[..2], [5, 1]);
    // A crash behind any record loses none of its time.
    for done in 1..5 {
        let mut task = open(&config, stored(&records[..done]))
            .await
            .expect("a task");
        let rest = read(&mut task, if done < 3 { 5 - done } else { 3 }).await;
        let mut all = ids(&records[..done]);
        all.extend(ids(&rest));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, [1, 2, 3, 4, 5], "after {done}");
    }
    let mut task = open(&config, stored(&records)).await.expect("a task");
    nothing(&mut task).await;
}

/// A limit of the user's cuts between times, not amid the rows of one: those behind the cut would be passed.
#[tokio::test]
async fn a_suffix_cuts_no_rows_of_one_time_off() {
    let database = Database::new(
        "CREATE TABLE items (id int, at timestamptz NOT NULL); \
         INSERT INTO items SELECT n, '2024-01-01'::timestamptz + n / 4 * interval '1 day' FROM generate_series(1, 10) n",
    );
    let config = database.config(&[
        ("mode", "timestamp"),
        ("timestamp.column.name", "at"),
        ("query.suffix", "LIMIT 2 -- rows"),
    ]);
    let mut task = open(&config, Offsets::new()).await.expect("a task");
    let mut all = ids(&read(&mut task, 10).await);
    all.sort_unstable();
    assert_eq!(all, (1..=10).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_start_may_be_set() {
    let database = Database::new(ITEMS);
    database.sql("INSERT INTO items VALUES (7, now() - interval '1 minute')");
    let keys = [
        ("mode", "timestamp"),
        ("timestamp.column.name", "at"),
        ("timestamp.initial", "1704067200001"),
    ];
    let mut task = open(&database.config(&keys), Offsets::new())
        .await
        .expect("a task");
    assert_eq!(ids(&read(&mut task, 1).await), [7]);
    let keys = [
        ("mode", "timestamp"),
        ("timestamp.column.name", "at"),
        ("timestamp.initial", "-1"),
    ];
    let mut task = open(&database.config(&keys), Offsets::new())
        .await
        .expect("a task");
    nothing(&mut task).await;
    database.sql("INSERT INTO items VALUES (8, clock_timestamp())");
    assert_eq!(ids(&read(&mut task, 1).await), [8]);
}

#[tokio::test]
async fn changed_rows_come_again_by_their_time() {
    let database = Database::new(ITEMS);
    let keys = [
        ("mode", "timestamp+incrementing"),
        ("incrementing.column.name", "id"),
        ("timestamp.column.name", "changed,at"),
    ];
    database.sql("ALTER TABLE items ADD changed timestamp");
    let mut task = open(&database.config(&keys), Offsets::new())
        .await
        .expect("a task");
    assert_eq!(ids(&read(&mut task, 6).await), [1, 2, 3, 4, 5, 6]);
    database.sql("UPDATE items SET changed = clock_timestamp() WHERE id = 2");
    let records = read(&mut task, 1).await;
    assert_eq!(ids(&records), [2]);
    assert!(matches!(field(&records[0], "changed").0, Value::String(_)));
    nothing(&mut task).await;
}
