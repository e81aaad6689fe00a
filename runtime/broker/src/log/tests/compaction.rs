//! Compaction of whole logs.

use std::fs;
use std::path::Path;

use super::{NOW, contents, put, put_value, segments, settings, state};
use crate::log::Log;
use crate::log::batch::Header;
use crate::log::record::compose_as;
use crate::settings::Settings;

fn compacted(segment_bytes: u64) -> Settings {
    Settings {
        compact: true,
        delete: false,
        min_cleanable_ratio: 0.0,
        delete_retention_ms: 1000,
        ..settings(segment_bytes)
    }
}

fn clean(log: &mut Log, settings: &Settings, now: i64) -> bool {
    let Some(plan) = log.plan_cleaning(settings, now) else {
        return false;
    };
    let cleaned = plan.run().expect("cleaned");
    log.install(cleaned, now).expect("installed")
}

#[test]
fn compaction_keeps_the_latest_of_each_key_on_disk_and_in_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    for dir in [None, Some(dir.path())] {
        let settings = compacted(700);
        let mut log = dir
            .map_or_else(Log::in_memory, |d| Log::open(d, 0, NOW))
            .expect("opens");
        for n in 0..200 {
            put_value(
                &mut log,
                &format!("k{}", n % 7),
                Some(&n.to_string()),
                &settings,
            );
        }
        let before = state(&log);
        assert!(clean(&mut log, &settings, NOW));
        assert_eq!((log.end(), state(&log)), (200, before.clone()));
        let records = contents(&log, 0, 1 << 20, false);
        assert!(records.len() < 30, "{} records are left", records.len());
        assert!(
            !clean(&mut log, &settings, NOW),
            "nothing is dirty any more"
        );
        for from in 0..=200 {
            let expected = records.iter().filter(|(o, ..)| *o >= from).count();
            assert_eq!(
                contents(&log, from, 200, false).len(),
                expected,
                "from {from}, within the holes"
            );
        }
        for n in 200..260 {
            put_value(
                &mut log,
                &format!("k{}", n % 7),
                Some(&n.to_string()),
                &settings,
            );
        }
        let before = state(&log);
        assert!(clean(&mut log, &settings, NOW));
        assert_eq!(state(&log), before);
        if let Some(dir) = dir {
            drop(log);
            let log = Log::open(dir, 0, NOW).expect("opens");
            assert_eq!((log.end(), state(&log)), (260, before));
        }
    }
}

#[test]
fn tombstones_go_after_their_horizon() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = compacted(300);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    put_value(&mut log, "a", Some("1"), &settings);
    put_value(&mut log, "b", Some("1"), &settings);
    put_value(&mut log, "a", None, &settings);
    for n in 0..20 {
        put_value(&mut log, &format!("filler{n}"), Some("x"), &settings);
    }
    assert!(clean(&mut log, &settings, NOW));
    assert_eq!(
        state(&log).get("a"),
        Some(&None),
        "the tombstone must be seen for a while"
    );
    assert!(!clean(&mut log, &settings, NOW + 999));
    drop(log);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    assert!(clean(&mut log, &settings, NOW + 1001));
    assert_eq!(state(&log).get("a"), None);
    assert_eq!(state(&log).get("b"), Some(&Some("1".to_owned())));
}

#[test]
fn compaction_drops_rolled_back_records_and_spent_markers_and_keeps_sequences() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = compacted(300);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    let of = |producer: i64, sequence: i32, key: &str, value: &str| {
        compose_as(
            &[(Some(key.as_bytes()), Some(value.as_bytes()))],
            NOW,
            (producer, 0, sequence),
            true,
        )
    };
    put_value(&mut log, "k", Some("committed"), &settings);
    put(&mut log, &of(1, 0, "k", "rolled back"), &settings).expect("appended");
    log.append_marker(1, 0, false, &settings, NOW)
        .expect("marked");
    put(&mut log, &of(2, 0, "superseded", "old"), &settings).expect("appended");
    log.append_marker(2, 0, true, &settings, NOW)
        .expect("marked");
    put_value(&mut log, "superseded", Some("new"), &settings);
    for n in 0..10 {
        put_value(&mut log, &format!("filler{n}"), Some("x"), &settings);
    }
    let wanted = state(&log);
    assert_eq!(
        wanted.get("k"),
        Some(&Some("committed".to_owned())),
        "a rolled back record supersedes nothing"
    );
    let size = |log: &Log| contents(log, 0, 1 << 20, false).len();
    let markers = |dir: &Path| -> usize {
        let count = |path: &Path| {
            let bytes = fs::read(path).expect("reads");
            let (mut at, mut markers) = (0, 0);
            while let Some(header) = Header::parse(&bytes[at..]) {
                markers += usize::from(header.is_control());
                at += header.size();
            }
            markers
        };
        segments(dir).iter().map(|p| count(p)).sum()
    };
    assert!(clean(&mut log, &settings, NOW));
    assert_eq!(state(&log), wanted);
    assert_eq!((size(&log), markers(dir.path())), (12, 2));
    drop(log);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    assert!(clean(&mut log, &settings, NOW + 2000));
    assert_eq!((state(&log), markers(dir.path())), (wanted.clone(), 0));
    drop(log);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    assert_eq!(
        (state(&log), log.stable()),
        (wanted, log.end()),
        "nothing is open without its marker"
    );
    assert_eq!(
        put(&mut log, &of(2, 0, "superseded", "old"), &settings),
        Ok(3),
        "the emptied batch still holds its sequence"
    );
}

#[test]
fn more_keys_than_a_pass_can_hold_take_several_passes() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = compacted(4000);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    for n in 0..300 {
        put_value(
            &mut log,
            &format!("k{}", n * 7 % 90),
            Some(&n.to_string()),
            &settings,
        );
    }
    let before = state(&log);
    let mut passes = 0;
    while let Some(mut plan) = log.plan_cleaning(&settings, NOW) {
        plan.max_keys = 20;
        let cleaned = plan.run().expect("cleaned");
        assert!(log.install(cleaned, NOW).expect("installed"));
        assert_eq!((log.end(), state(&log)), (300, before.clone()));
        passes += 1;
        assert!(passes < 50, "no end in sight");
    }
    assert!(passes > 3, "{passes} passes");
    let inactive = contents(&log, 0, 1 << 20, false)
        .into_iter()
        .filter(|(o, ..)| *o < log.active().base_offset);
    let mut keys: Vec<_> = inactive.map(|(_, key, _)| key).collect();
    keys.sort();
    let all = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), all, "a key is there twice");
}

#[test]
fn an_open_transaction_is_not_compacted() {
    let settings = compacted(300);
    let mut log = Log::in_memory().expect("opens");
    put(
        &mut log,
        &compose_as(&[(Some(b"k"), Some(b"v"))], NOW, (1, 0, 0), true),
        &settings,
    )
    .expect("appended");
    for _ in 0..20 {
        put_value(&mut log, "k", Some("later"), &settings);
    }
    assert!(!clean(&mut log, &settings, NOW));
    log.append_marker(1, 0, true, &settings, NOW)
        .expect("marked");
    assert!(clean(&mut log, &settings, NOW));
}

#[test]
fn a_pass_that_was_overtaken_is_thrown_away() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        delete: true,
        ..compacted(300)
    };
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    for n in 0..20 {
        put_value(&mut log, "k", Some(&n.to_string()), &settings);
    }
    let plan = log.plan_cleaning(&settings, NOW).expect("much is dirty");
    log.delete_records(10).expect("moved");
    log.drop_below_start().expect("dropped");
    let cleaned = plan.run();
    // Either the files were gone already, or the outcome does not fit any more.
    if let Ok(cleaned) = cleaned {
        assert!(!log.install(cleaned, NOW).expect("refused quietly"));
    }
    assert_eq!(state(&log).get("k"), Some(&Some("19".to_owned())));
    drop(log);
    let log = Log::open(dir.path(), 10, NOW).expect("opens");
    assert_eq!(state(&log).get("k"), Some(&Some("19".to_owned())));
}
