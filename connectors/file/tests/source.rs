//! What is particular to following a file.

use longshore_file::FileSource;
use longshore_sdk::{
    Datum, ErrorKind, Offset, Offsets, Partition, SourceContext, SourceRecord,
    config::Flat,
    erased::{self, DynSource},
};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

const WAIT: Duration = Duration::from_millis(50);

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }
    fn path(&self) -> PathBuf {
        self.folder.path().join("lines.txt")
    }
    fn append(&self, text: impl AsRef<[u8]>) {
        append(&self.path(), text.as_ref());
    }
    async fn open(&self, position: Option<u64>, more: &[(&str, &str)]) -> Box<dyn DynSource> {
        let path = self.path().display().to_string();
        let mut config = Flat::from([
            ("file".to_owned(), path.clone()),
            ("topic".to_owned(), "t".to_owned()),
        ]);
        for (key, value) in more {
            config.insert((*key).to_owned(), (*value).to_owned());
        }
        let offsets = position.map(|position| {
            let lane = format!("{{\"filename\":{}}}", serde_json::json!(path));
            let at = format!("{{\"position\":{position}}}");
            (
                Partition::from_json(lane.into()),
                Offset::from_json(at.into()),
            )
        });
        let cx = SourceContext::detached("c", 0, Offsets::from_iter(offsets));
        let connector = erased::source::<FileSource>();
        let share = connector.plan(&config, 4).await.expect("a plan").remove(0);
        connector.open(&config, share, cx).await.expect("open")
    }
}

fn append(path: &Path, text: &[u8]) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("a file");
    file.write_all(text).expect("written");
}

fn shown(record: &SourceRecord) -> (String, String) {
    let Datum::Text(text) = &record.record.value else {
        panic!("a line is text, not {:?}", record.record.value);
    };
    let text = std::str::from_utf8(text).expect("UTF-8").to_owned();
    let offset = String::from_utf8(record.offset.json().to_vec()).expect("JSON");
    (text, offset)
}

async fn poll(task: &mut Box<dyn DynSource>) -> Vec<(String, String)> {
    let records = task.poll(WAIT).await.expect("a poll");
    records.iter().map(shown).collect()
}

fn lines(wanted: &[(&str, u64)]) -> Vec<(String, String)> {
    let line = |(text, position): &(&str, u64)| {
        ((*text).to_owned(), format!("{{\"position\":{position}}}"))
    };
    wanted.iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn a_line_waits_for_its_end_and_positions_are_bytes() {
    let place = Place::new();
    let mut task = place.open(None, &[]).await;
    assert_eq!(poll(&mut task).await, [], "the file is not there yet");
    place.append("é1\n\ntwo\r\nthr");
    assert_eq!(
        poll(&mut task).await,
        lines(&[("é1", 4), ("", 5), ("two", 10)])
    );
    assert_eq!(poll(&mut task).await, []);
    place.append("ee\r");
    assert_eq!(poll(&mut task).await, [], "half of an end of line, perhaps");
    place.append("\nfour\rfive\n");
    let wanted = lines(&[("three", 17), ("four", 22), ("five", 27)]);
    assert_eq!(poll(&mut task).await, wanted);
    let mut again = place.open(Some(10), &[("batch.size", "2")]).await;
    assert_eq!(poll(&mut again).await, wanted[..2]);
    assert_eq!(poll(&mut again).await, wanted[2..]);
}

#[tokio::test(start_paused = true)]
async fn a_cut_file_is_read_from_its_start() {
    let place = Place::new();
    place.append("one\ntwo\nthr");
    let mut task = place.open(None, &[]).await;
    assert_eq!(poll(&mut task).await.len(), 2);
    fs::write(place.path(), "new\n").expect("written anew");
    assert_eq!(poll(&mut task).await, lines(&[("new", 4)]));
    let mut late = place.open(Some(800), &[]).await;
    assert_eq!(poll(&mut late).await, lines(&[("new", 4)]));
}

#[tokio::test(start_paused = true)]
async fn a_moved_file_is_finished_before_the_new_one_is_begun() {
    let place = Place::new();
    place.append("one\n");
    let mut task = place.open(None, &[]).await;
    assert_eq!(poll(&mut task).await, lines(&[("one", 4)]));
    let old = place.folder.path().join("lines.txt.1");
    fs::rename(place.path(), &old).expect("moved");
    assert_eq!(poll(&mut task).await, [], "vanished: no error, it waits");
    append(&old, b"two\nlast");
    place.append("new\n");
    let mut seen = Vec::new();
    for _ in 0..60 {
        seen.extend(poll(&mut task).await);
    }
    // After the old file's last line, reading goes on at the start of the new one.
    assert_eq!(seen, lines(&[("two", 8), ("last", 0), ("new", 4)]));
    place.append("newer\n");
    assert_eq!(poll(&mut task).await, lines(&[("newer", 10)]));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_stops_the_task_and_is_not_skipped() {
    let place = Place::new();
    place.append("short\n");
    place.append("x".repeat(2000) + "\nafter\n");
    let mut task = place
        .open(None, &[("longshore.line.bytes.max", "1000")])
        .await;
    assert_eq!(poll(&mut task).await, lines(&[("short", 6)]));
    for _ in 0..2 {
        let error = task.poll(WAIT).await.expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Data);
        let text = error.to_string();
        for part in [
            "longshore.line.bytes.max = 1000",
            "position = 6",
            "lines.txt",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
    place.append("y".repeat(2000));
    let mut unended = place
        .open(Some(2013), &[("longshore.line.bytes.max", "1000")])
        .await;
    assert!(
        unended.poll(WAIT).await.is_err(),
        "a line without an end has the same limit"
    );
}

#[tokio::test(start_paused = true)]
async fn lines_longer_than_a_block_and_many_lines_come_whole() {
    let place = Place::new();
    let long = "é".repeat(700_000);
    let mut text = format!("{long}\r\n");
    for number in 0..50_000 {
        text.push_str(&format!("line {number}\n"));
    }
    place.append(&text);
    let mut task = place.open(None, &[]).await;
    let mut seen = Vec::new();
    while seen.len() < 50_001 {
        let batch = poll(&mut task).await;
        assert!(!batch.is_empty(), "only {} lines came", seen.len());
        assert!(batch.len() <= 2000);
        seen.extend(batch);
    }
    assert_eq!(seen[0].0, long);
    assert!((0..50_000).all(|number| seen[number + 1].0 == format!("line {number}")));
    let end = format!("{{\"position\":{}}}", text.len());
    assert_eq!(seen[50_000].1, end);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_utf8_are_replaced_in_their_line_only() {
    let place = Place::new();
    place.append(b"ok \xc3\xa9\nbad \xff!\nok\n");
    let mut task = place.open(None, &[]).await;
    let wanted = lines(&[("ok é", 6), ("bad \u{fffd}!", 13), ("ok", 16)]);
    assert_eq!(poll(&mut task).await, wanted);
}

#[tokio::test]
async fn what_is_no_file_is_refused_with_advice() {
    let place = Place::new();
    fs::create_dir(place.path()).expect("a folder");
    let mut task = place.open(None, &[]).await;
    let error = task.poll(WAIT).await.expect_err("a directory");
    assert_eq!(error.kind(), ErrorKind::Config);
    let connector = erased::source::<FileSource>();
    let config = Flat::from([
        ("file".to_owned(), place.path().display().to_string()),
        ("topic".to_owned(), "t".to_owned()),
    ]);
    let findings = connector.check(&config).await;
    assert_eq!(findings[0].key, "file", "{findings:?}");
    let unset = Flat::from([("topic".to_owned(), "t".to_owned())]);
    let error = connector.plan(&unset, 1).await.expect_err("no file");
    assert!(
        error.message().contains("standard input is not supported"),
        "{error}"
    );
}
