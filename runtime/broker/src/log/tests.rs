//! The log as a whole: append, read, reopen, cut, compact, expire.

mod compaction;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::batch::{self, Header};
use super::record::{compose, compose_as};
use super::{Log, record};
use crate::settings::{Overrides, Settings};

const NOW: i64 = 1_000_000;

fn settings(segment_bytes: u64) -> Settings {
    Settings {
        segment_bytes,
        ..Settings::parse(&Overrides::new())
    }
}

fn put(log: &mut Log, batch: &Bytes, settings: &Settings) -> Result<i64, ResponseError> {
    let header = batch::inspect(batch)?;
    log.append(batch, &header, settings, NOW)
        .map(|a| a.base_offset)
}

fn put_value(log: &mut Log, key: &str, value: Option<&str>, settings: &Settings) -> i64 {
    put(
        log,
        &compose(&[(Some(key.as_bytes()), value.map(str::as_bytes))], NOW),
        settings,
    )
    .expect("appended")
}

/// (offset, key, value) of every data record from `from` on, read in pieces of `max` bytes.
fn contents(
    log: &Log,
    from: i64,
    max: usize,
    committed: bool,
) -> Vec<(i64, String, Option<String>)> {
    let (mut at, mut out) = (from, Vec::new());
    loop {
        let slice = log.read(at, max, true, committed).expect("readable");
        if slice.records.is_empty() {
            return out;
        }
        let mut rest = &slice.records[..];
        while let Some(header) = Header::parse(rest) {
            let bytes = &rest[..header.size()];
            assert!(batch::checksum_holds(bytes, &header));
            let rolled_back = |a: &super::Aborted| {
                a.producer_id == header.producer_id
                    && header.is_transactional()
                    && a.first <= header.base_offset
            };
            if !header.is_control() && !slice.aborted.iter().any(rolled_back) {
                let unpacked = record::unpack(bytes, &header).expect("unpacks");
                for r in record::walk(&unpacked, &header) {
                    let r = r.expect("whole");
                    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
                    let offset = header.base_offset + i64::from(r.offset_delta);
                    if offset >= from {
                        out.push((
                            offset,
                            r.key.map(text).unwrap_or_default(),
                            r.value.map(text),
                        ));
                    }
                }
            }
            at = header.last_offset() + 1;
            rest = &rest[header.size()..];
        }
        assert!(rest.is_empty(), "only whole batches are given out");
    }
}

fn state(log: &Log) -> BTreeMap<String, Option<String>> {
    contents(log, log.start(), 1 << 20, true)
        .into_iter()
        .map(|(_, k, v)| (k, v))
        .collect()
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .expect("a folder")
        .map(|e| e.expect("an entry").path())
        .collect();
    all.sort();
    all
}

#[test]
fn records_are_read_back_from_every_offset_and_in_any_portion() {
    let dir = tempfile::tempdir().expect("a folder");
    for dir in [None, Some(dir.path())] {
        let settings = settings(2000);
        let mut log = dir
            .map_or_else(Log::in_memory, |d| Log::open(d, 0, NOW))
            .expect("opens");
        for n in 0..100i64 {
            let value = "v".repeat(n as usize);
            let offset = put(
                &mut log,
                &compose(
                    &[(Some(b"a"), Some(value.as_bytes())), (Some(b"b"), None)],
                    NOW,
                ),
                &settings,
            )
            .expect("appended");
            assert_eq!(offset, n * 2);
        }
        for from in [0, 1, 2, 77, 150, 199] {
            for max in [0, 1, 300, 100_000] {
                let got = contents(&log, from, max, false);
                assert_eq!(got.len() as i64, 200 - from, "from {from} max {max}");
                assert!(got.iter().map(|(o, ..)| *o).eq(from..200));
            }
        }
        let slice = log.read(10, 500, false, false).expect("readable");
        assert!(slice.records.len() <= 500 && !slice.records.is_empty());
        assert!(
            log.read(10, 10, false, false)
                .expect("readable")
                .records
                .is_empty()
        );
        assert_eq!(
            log.read(201, 10, true, false).expect_err("beyond"),
            ResponseError::OffsetOutOfRange
        );
        assert!(
            log.read(200, 10, true, false)
                .expect("at the end")
                .records
                .is_empty()
        );
    }
}

#[test]
fn a_log_opened_again_is_the_same_and_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(1000);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    for n in 0..50 {
        put_value(&mut log, &n.to_string(), Some("value"), &settings);
    }
    let before = contents(&log, 0, 1 << 20, false);
    assert!(segments(dir.path()).len() > 3);
    drop(log);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    assert_eq!(contents(&log, 0, 1 << 20, false), before);
    assert_eq!(put_value(&mut log, "more", None, &settings), 50);
}

#[test]
fn a_torn_tail_is_cut_and_nothing_else() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.extend_from_slice(&[0xab; 30]),
        |bytes| bytes.extend_from_slice(&[0; 5000]),
        |bytes| bytes.truncate(bytes.len() - 3),
        |bytes| {
            let last = bytes.len() - 2;
            bytes[last] ^= 0xff;
        },
    ];
    for (n, damage) in damages.iter().enumerate() {
        let dir = tempfile::tempdir().expect("a folder");
        let settings = settings(1 << 20);
        let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
        for n in 0..10 {
            put_value(&mut log, &n.to_string(), Some("value"), &settings);
        }
        drop(log);
        let path = segments(dir.path()).pop().expect("a segment");
        let mut bytes = fs::read(&path).expect("reads");
        damage(&mut bytes);
        fs::write(&path, bytes).expect("writes");
        let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
        let kept = if n < 2 { 10 } else { 9 };
        assert_eq!(contents(&log, 0, 1 << 20, false).len(), kept, "damage {n}");
        assert_eq!(
            put_value(&mut log, "more", None, &settings),
            kept as i64,
            "damage {n}"
        );
        assert_eq!(
            contents(&log, 0, 1 << 20, false).len(),
            kept + 1,
            "damage {n}"
        );
    }
}

#[test]
fn readers_of_committed_records_stop_at_open_transactions_also_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(300);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    let transactional = |producer: i64, sequence: i32, value: &str| {
        compose_as(
            &[(Some(b"k"), Some(value.as_bytes()))],
            NOW,
            (producer, 0, sequence),
            true,
        )
    };
    put(&mut log, &transactional(1, 0, "gone"), &settings).expect("appended");
    put(&mut log, &transactional(2, 0, "kept"), &settings).expect("appended");
    log.append_marker(1, 0, false, &settings, NOW)
        .expect("marked");
    log.append_marker(2, 0, true, &settings, NOW)
        .expect("marked");
    put(&mut log, &transactional(1, 1, "open"), &settings).expect("appended");
    put_value(&mut log, "plain", Some("behind"), &settings);
    let check = |log: &Log| {
        assert_eq!((log.stable(), log.end()), (4, 6));
        let seen: Vec<_> = contents(log, 0, 1 << 20, true)
            .into_iter()
            .filter_map(|(_, _, v)| v)
            .collect();
        assert_eq!(seen, ["kept"]);
        assert_eq!(log.open_producers(), [(1, 0)]);
    };
    check(&log);
    drop(log);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    check(&log);
    log.append_marker(1, 1, false, &settings, NOW)
        .expect("marked");
    assert_eq!((log.stable(), log.end()), (7, 7));
    // The marker carried a newer epoch: the older is fenced, here and after another restart.
    for _ in 0..2 {
        assert_eq!(
            put(&mut log, &transactional(1, 2, "late"), &settings),
            Err(ResponseError::InvalidProducerEpoch)
        );
        drop(log);
        log = Log::open(dir.path(), 0, NOW).expect("opens");
    }
}

#[test]
fn a_resent_batch_is_recognised_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = settings(1 << 20);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    let of = |sequence| compose_as(&[(Some(b"k"), Some(b"v"))], NOW, (5, 0, sequence), false);
    assert_eq!(put(&mut log, &of(0), &settings), Ok(0));
    assert_eq!(put(&mut log, &of(1), &settings), Ok(1));
    drop(log);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    assert_eq!(put(&mut log, &of(1), &settings), Ok(1));
    assert_eq!(log.end(), 2);
    assert_eq!(
        put(&mut log, &of(3), &settings),
        Err(ResponseError::OutOfOrderSequenceNumber)
    );
    assert_eq!(put(&mut log, &of(2), &settings), Ok(2));
}

#[test]
fn retention_by_age_and_by_size() {
    let dir = tempfile::tempdir().expect("a folder");
    let by_size = Settings {
        retention_bytes: Some(500),
        retention_ms: None,
        ..settings(300)
    };
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    for n in 0..30 {
        put_value(&mut log, &n.to_string(), Some("value"), &by_size);
    }
    assert!(log.tend(&by_size, NOW).expect("tended"));
    assert!(
        log.start() > 10 && log.size() <= 500 + 300,
        "start {} size {}",
        log.start(),
        log.size()
    );
    assert_eq!(
        log.read(0, 1, true, false).expect_err("gone"),
        ResponseError::OffsetOutOfRange
    );
    let by_age = Settings {
        retention_bytes: None,
        retention_ms: Some(1000),
        ..settings(300)
    };
    assert!(!log.tend(&by_age, NOW + 1000).expect("tended"));
    assert!(log.tend(&by_age, NOW + 1001).expect("tended"));
    assert_eq!((log.start(), log.end()), (30, 30));
    drop(log);
    let mut log = Log::open(dir.path(), 0, NOW).expect("opens");
    assert_eq!(
        (log.start(), put_value(&mut log, "next", None, &by_age)),
        (30, 30)
    );
}

#[test]
fn times_are_found_by_record_not_by_batch() {
    let settings = settings(400);
    let mut log = Log::in_memory().expect("opens");
    for n in 0..50i64 {
        put(
            &mut log,
            &compose(&[(Some(b"k"), Some(b"v"))], n * 10),
            &settings,
        )
        .expect("appended");
    }
    for (time, offset) in [(0, 0), (1, 1), (100, 10), (101, 11), (490, 49)] {
        assert_eq!(
            log.find_time(time).expect("found"),
            Some((offset * 10, offset)),
            "time {time}"
        );
    }
    assert_eq!(log.find_time(491).expect("looked"), None);
    log.delete_records(20).expect("moved");
    assert_eq!(log.find_time(0).expect("found"), Some((200, 20)));
}
