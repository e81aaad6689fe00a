//! Rows and offsets move together or not at all.

use crate::place::{Place, Task, at, json, read, row, shown};
use longshore_kit::servers::{Hold, Proxy};
use longshore_sdk::{ErrorKind, SinkRecord, TopicPartition};
use std::time::Duration;

const TABLE: &str = "CREATE TABLE t (id bigint)";
const LEDGER: &str = "SELECT topic, partition, next_offset FROM longshore_offsets ORDER BY 1, 2";

fn rows(ids: std::ops::Range<i64>) -> Vec<longshore_sdk::Record> {
    ids.map(|id| row(&format!("{{\"id\":{id}}}"))).collect()
}

#[tokio::test]
async fn a_first_claim_leaves_the_start_to_the_group_and_gaps_do_not_matter() {
    let place = Place::new(TABLE);
    let mut task = place.task(&[]).await;
    assert_eq!(
        task.claim().await.expect("claimed"),
        None,
        "nothing was ever written"
    );
    // The group starts at 100, and the log has a gap.
    let batch: Vec<SinkRecord> = [100, 105]
        .map(|offset| read(row(&format!("{{\"id\":{offset}}}")), 0, offset))
        .into();
    task.sink.put(&batch).await.expect("put");
    task.sink.flush(&at(0, 106)).await.expect("flush");
    // Only dropped records: the ledger moves all the same.
    task.sink.flush(&at(0, 110)).await.expect("flush");
    assert_eq!(place.sql(LEDGER), ["t|0|110"]);
    let batch = [read(row("{\"id\":120}"), 0, 120)];
    task.sink.put(&batch).await.expect("put");
    drop(task);
    let mut task = place.task(&[]).await;
    assert_eq!(task.claim().await.expect("claimed"), Some(110));
    assert_eq!(place.sql("SELECT id FROM t ORDER BY 1"), ["100", "105"]);
    // The topic was made anew: its records would be lost if they were passed over, and come twice if they were not new.
    let error = task
        .sink
        .put(&[read(row("{\"id\":1}"), 0, 0)])
        .await
        .expect_err("before the ledger");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(shown(&error).contains("longshore_offsets"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_is_fenced_at_once_and_at_its_flush() {
    let place = Place::new(TABLE);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", place.server.port())).expect("a proxy");
    let through = place.config(&[(
        "connection.url",
        &format!(
            "postgresql://postgres@{}/{}",
            proxy.address(),
            place.database
        ),
    )]);
    let mut zombie = Task::open(&through).await.expect("open");
    zombie.take(rows(0..5)).await;
    // Its commit is on its way when it falls asleep: the rows, and the ledger's row, are locked by it.
    let hold = proxy.hold(Hold::client(*b"COMMIT"));
    zombie.put(rows(5..10)).await.expect("put");
    let flushing = tokio::spawn(async move { (zombie.flush().await, zombie) });
    hold.reached().await;
    let mut owner = place.task(&[]).await;
    assert_eq!(owner.claim().await.expect("claimed"), Some(5));
    owner.take(rows(5..12)).await;
    hold.release();
    let (flushed, mut zombie) = flushing.await.expect("no panic");
    assert!(flushed.is_err());
    assert!(
        zombie.put(rows(10..11)).await.is_err(),
        "a task whose flush failed does nothing more"
    );
    assert_eq!(
        place.sql("SELECT count(*), count(DISTINCT id), max(id) FROM t"),
        ["12|12|11"]
    );
    assert_eq!(place.sql(LEDGER), ["t|0|12"]);
}

#[tokio::test]
async fn a_task_whose_claim_was_taken_is_fenced() {
    let place = Place::new(TABLE);
    let mut first = place.task(&[]).await;
    first.take(rows(0..2)).await;
    first.put(rows(2..4)).await.expect("put");
    // As if the right to end connections were missing: the claim finds nobody to end.
    place.sql("UPDATE longshore_offsets SET epoch = epoch + 1");
    let error = first.flush().await.expect_err("not its own");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    // One that lost its connection, too, before anything was put.
    let mut second = place.task(&[]).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    place.sql("UPDATE longshore_offsets SET epoch = epoch + 1");
    place.sql(end);
    let mut kinds = Vec::new();
    for _ in 0..50 {
        match second.put(rows(2..3)).await {
            Ok(_) => panic!("it has no claim"),
            Err(error) => kinds.push(error.kind()),
        }
        if kinds.contains(&ErrorKind::Fenced) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(kinds.last(), Some(&ErrorKind::Fenced), "{kinds:?}");
    assert_eq!(place.sql("SELECT count(*) FROM t"), ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_in_any_phase_brings_every_row_once() {
    let place = Place::new(TABLE);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", place.server.port())).expect("a proxy");
    let config = place.config(&[(
        "connection.url",
        &format!(
            "postgresql://postgres@{}/{}",
            proxy.address(),
            place.database
        ),
    )]);
    let phases = [
        "BEGIN",
        "SAVEPOINT",
        "PGCOPY",
        "RELEASE",
        "UPDATE",
        "COMMIT",
    ];
    let mut done = 0;
    for (turn, phase) in phases.iter().cycle().take(12).enumerate() {
        let mut task = Task::open(&config).await.expect("open");
        task.take(rows(done..done + 3)).await;
        done += 3;
        // The first round loses the request, the second its answer.
        let hold = if turn < phases.len() {
            proxy.hold(Hold::client(phase.as_bytes()))
        } else {
            let tag = if *phase == "PGCOPY" { "COPY" } else { phase };
            proxy.hold(Hold::server(tag.as_bytes()))
        };
        let batch = rows(done..done + 3);
        let working = tokio::spawn(async move {
            let put = task.put(batch).await;
            match put {
                Ok(_) => task.flush().await.map(drop),
                Err(error) => Err(error),
            }
        });
        if tokio::time::timeout(Duration::from_secs(5), hold.reached())
            .await
            .is_ok()
        {
            proxy.cut();
        }
        hold.release();
        let result = working.await.expect("no panic");
        let mut task = Task::open(&config).await.expect("open");
        let start = task
            .claim()
            .await
            .expect("claimed")
            .expect("written before");
        assert!(start == done || start == done + 3, "{phase}: {start}");
        if result.is_ok() {
            assert_eq!(start, done + 3, "{phase}: what was acknowledged is there");
        }
        if start == done {
            task.take(rows(done..done + 3)).await;
        }
        done += 3;
    }
    assert_eq!(
        place.sql("SELECT count(*), count(DISTINCT id), max(id) FROM t"),
        [format!("{done}|{done}|{}", done - 1)]
    );
}

#[tokio::test]
async fn partitions_that_move_leave_their_former_owner_its_connection() {
    let place = Place::new(TABLE);
    let config = place.config(&[]);
    let both = [TopicPartition::new("t", 0), TopicPartition::new("t", 1)];
    let mut first = Task::unclaimed(&config, 0, true).await.expect("open");
    first.sink.assigned(&both).await.expect("claimed");
    first
        .sink
        .put(&[read(row("{\"id\":1}"), 0, 0), read(row("{\"id\":2}"), 1, 0)])
        .await
        .expect("put");
    first
        .sink
        .flush(&[(both[0].clone(), 1), (both[1].clone(), 1)].into())
        .await
        .expect("flush");
    first.sink.revoked(&both[1..]).await.expect("revoked");
    let mut second = Task::unclaimed(&config, 1, true).await.expect("open");
    let start = second
        .sink
        .assigned(&both[1..])
        .await
        .expect("claimed")
        .expect("kept");
    assert_eq!(start, [(both[1].clone(), 1)].into());
    first
        .sink
        .put(&[read(row("{\"id\":3}"), 0, 1)])
        .await
        .expect("its connection lives");
    first.sink.flush(&at(0, 2)).await.expect("flush");
    second
        .sink
        .put(&[read(row("{\"id\":4}"), 1, 1)])
        .await
        .expect("put");
    second.sink.flush(&at(1, 2)).await.expect("flush");
    assert_eq!(place.sql(LEDGER), ["t|0|2", "t|1|2"]);
    assert_eq!(place.sql("SELECT count(*) FROM t"), ["4"]);
}

#[tokio::test]
async fn without_exactly_once_the_group_keeps_the_offsets() {
    let place = Place::new(TABLE);
    let mut task = Task::unclaimed(&place.config(&[]), 0, false)
        .await
        .expect("open");
    assert_eq!(task.claim().await.expect("nothing to claim"), None);
    task.put(rows(0..3)).await.expect("put");
    assert_eq!(
        place.sql("SELECT count(*) FROM t"),
        ["3"],
        "committed by put"
    );
    task.flush().await.expect("flush");
    assert_eq!(
        place.sql("SELECT to_regclass('longshore_offsets') IS NULL"),
        ["t"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tasks_with_interleaved_keys_do_not_deadlock() {
    let place = Place::new("CREATE TABLE t (id bigint PRIMARY KEY, v bigint, w bigint)");
    let settings = [
        ("insert.mode", "upsert"),
        ("pk.mode", "record_key"),
        ("pk.fields", "id"),
        ("delete.enabled", "true"),
        ("batch.size", "50"),
    ];
    let config = place.config(&settings);
    let mut tasks = Vec::new();
    for number in 0..2 {
        let mut task = Task::unclaimed(&config, number, true).await.expect("open");
        let at = TopicPartition::new("t", number as i32);
        task.sink
            .assigned(std::slice::from_ref(&at))
            .await
            .expect("claimed");
        tasks.push(tokio::spawn(async move {
            for round in 0..20i64 {
                let mut ids: Vec<i64> = (0..200).collect();
                // Opposite orders, deletions between, and rows of two shapes.
                if (round + i64::from(number)) % 2 == 0 {
                    ids.reverse();
                }
                let records = ids.iter().map(|id| {
                    let key = id.to_string();
                    match (id + round) % 5 {
                        0 => json(&key, ""),
                        1 => json(&key, &format!("{{\"w\":{round}}}")),
                        _ => json(&key, &format!("{{\"v\":{round}}}")),
                    }
                });
                let batch: Vec<SinkRecord> = (0i64..)
                    .zip(records)
                    .map(|(turn, record)| read(record, number as i32, round * 200 + turn))
                    .collect();
                let refused = task.sink.put(&batch).await.expect("no deadlock");
                assert!(refused.is_empty());
                task.sink
                    .flush(&[(at.clone(), (round + 1) * 200)].into())
                    .await
                    .expect("flush");
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(
        place.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"),
        ["0"]
    );
}
