//! What is particular to appending to a file: whose bytes are whose.

use longshore_file::FileSink;
use longshore_sdk::{
    Datum, ErrorKind, Record, SinkContext, SinkRecord, TopicOffset, TopicOffsets, TopicPartition,
    config::Flat,
    erased::{self, DynSink},
};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    time::Duration,
};
use tempfile::TempDir;

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
        self.folder.path().join("not/yet/there/out.txt")
    }
    fn text(&self) -> String {
        fs::read_to_string(self.path()).expect("the file")
    }
    fn write(&self, text: &str) {
        fs::create_dir_all(self.path().parent().expect("a folder")).expect("made");
        fs::write(self.path(), text).expect("written");
    }
    fn append(&self, text: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .open(self.path())
            .expect("there");
        file.write_all(text.as_bytes()).expect("written");
    }
    async fn opened(&self, connector: &str) -> longshore_sdk::Result<Box<dyn DynSink>> {
        let sink = erased::sink::<FileSink>();
        let config = Flat::from([("file".to_owned(), self.path().display().to_string())]);
        let shares = sink.plan(&config, 8).await.expect("a plan");
        assert_eq!(shares.len(), 1, "one file has one writer");
        let cx = SinkContext {
            connector: connector.into(),
            task: 0,
            group: format!("connect-{connector}").into(),
            exactly_once: true,
            stop: longshore_sdk::Stop::never(),
        };
        sink.open(&config, shares[0].clone(), cx).await
    }
    /// Opened, with the one partition.
    async fn open(&self) -> Box<dyn DynSink> {
        let mut task = self.opened("c").await.expect("open");
        start(&mut task).await;
        task
    }
}

fn at(offset: i64) -> TopicOffsets {
    TopicOffsets::from([(TopicPartition::new("t", 0), offset)])
}

async fn put(task: &mut Box<dyn DynSink>, offset: i64, text: &str) -> longshore_sdk::Result<()> {
    let mut record = Record::new("t".into());
    record.value = Datum::string(text);
    let at = TopicOffset {
        topic: "t".into(),
        partition: 0,
        offset,
    };
    task.put(&[SinkRecord { record, at }])
        .await
        .map(|refused| assert!(refused.is_empty()))
}

async fn flushed(task: &mut Box<dyn DynSink>, offset: i64, text: &str) {
    put(task, offset, text).await.expect("put");
    task.flush(&at(offset + 1)).await.expect("flush");
}

async fn start(task: &mut Box<dyn DynSink>) -> TopicOffsets {
    let claimed = task.assigned(&[TopicPartition::new("t", 0)]).await;
    claimed.expect("assigned").expect("it keeps the offsets")
}

/// As a sink moves to another worker: the new task is open while the old one writes, and has the file when the group gives it the partitions.
#[tokio::test(start_paused = true)]
async fn two_tasks_of_one_connector_write_one_after_the_other() {
    let place = Place::new();
    let mut old = place.open().await;
    flushed(&mut old, 0, "a").await;
    let mut new = place.opened("c").await.expect("it waits for partitions");
    flushed(&mut old, 1, "b").await;
    put(&mut old, 2, "unflushed").await.expect("put");
    // The old one has still to close when the partition comes.
    let coming = tokio::spawn(async move {
        let offsets = start(&mut new).await;
        (new, offsets)
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!coming.is_finished(), "it waits");
    old.close().await.expect("close");
    let (mut new, offsets) = coming.await.expect("no panic");
    assert_eq!(offsets, at(2), "what the old one has flushed");
    flushed(&mut new, 2, "c").await;
    assert_eq!(place.text(), "a\nb\nc\n");
    // Back again, by the group alone: both stay open.
    let mut old = place.opened("c").await.expect("it waits for partitions");
    new.revoked(&[TopicPartition::new("t", 0)])
        .await
        .expect("revoked");
    assert_eq!(start(&mut old).await, at(3));
    flushed(&mut old, 3, "d").await;
    new.close().await.expect("close");
    flushed(&mut old, 4, "e").await;
    assert_eq!(place.text(), "a\nb\nc\nd\ne\n");
}

#[tokio::test(start_paused = true)]
async fn the_file_goes_with_the_last_partition() {
    let place = Place::new();
    let partition = |number| TopicPartition::new("t", number);
    let mut old = place.opened("c").await.expect("open");
    let both = [partition(0), partition(1)];
    old.assigned(&both).await.expect("assigned");
    flushed(&mut old, 0, "a").await;
    let mut new = place.opened("c").await.expect("open");
    old.revoked(&both[1..]).await.expect("revoked");
    let wanted = both[1..].to_vec();
    let coming = tokio::spawn(async move {
        let offsets = new.assigned(&wanted).await;
        (new, offsets)
    });
    flushed(&mut old, 1, "b").await;
    put(&mut old, 2, "lost").await.expect("put");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!coming.is_finished(), "it waits");
    // Lost without a flush: what was put comes again elsewhere.
    old.revoked(&both[..1]).await.expect("revoked");
    let (mut new, offsets) = coming.await.expect("no panic");
    assert_eq!(offsets.expect("assigned"), Some(TopicOffsets::new()));
    assert_eq!(start(&mut new).await, at(2));
    assert_eq!(place.text(), "a\nb\n");
    let error = put(&mut old, 2, "x").await.expect_err("nothing is its own");
    assert_eq!(error.kind(), ErrorKind::Bug);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_let_in_is_fenced_after_a_while_and_another_connector_at_once() {
    let place = Place::new();
    let mut same = place.opened("c").await.expect("nobody has it yet");
    let mut other = place.opened("another").await.expect("nobody has it yet");
    let mut holds = place.open().await;
    let wanted = [TopicPartition::new("t", 0)];
    let before = tokio::time::Instant::now();
    let error = other.assigned(&wanted).await.expect_err("it is another's");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(before.elapsed() < Duration::from_secs(1));
    let error = same.assigned(&wanted).await.expect_err("it is frozen");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(
        before.elapsed() < Duration::from_secs(10),
        "I6: it does not wait for ever"
    );
    flushed(&mut holds, 0, "a").await;
    holds.close().await.expect("close");
    assert_eq!(start(&mut same).await, at(1));
}

#[tokio::test]
async fn a_file_that_was_there_before_is_appended_to_and_never_cut() {
    let place = Place::new();
    place.write("somebody's line\nand half of one");
    let mut task = place.open().await;
    assert_eq!(start(&mut task).await, TopicOffsets::new());
    put(&mut task, 0, "unflushed").await.expect("put");
    drop(task);
    let mut task = place.open().await;
    flushed(&mut task, 0, "a").await;
    drop(task);
    assert_eq!(place.text(), "somebody's line\nand half of one\na\n");
    let mut task = place.open().await;
    assert_eq!(start(&mut task).await, at(1));
    task.close().await.expect("close");
}

#[tokio::test]
async fn what_somebody_appended_while_no_task_ran_is_kept() {
    let place = Place::new();
    let mut task = place.open().await;
    flushed(&mut task, 0, "a").await;
    put(&mut task, 1, "unflushed").await.expect("put");
    task.close().await.expect("close");
    assert_eq!(place.text(), "a\n", "close takes back what was not flushed");
    place.append("mine\n");
    let mut task = place.open().await;
    assert_eq!(start(&mut task).await, at(1));
    flushed(&mut task, 1, "b").await;
    assert_eq!(place.text(), "a\nmine\nb\n");
}

#[tokio::test]
async fn another_file_of_that_name_is_appended_to_as_it_is() {
    let place = Place::new();
    for replaced in ["x\n", "another file, longer than the former one\n"] {
        let mut task = place.open().await;
        let next = start(&mut task).await.values().next().copied().unwrap_or(0);
        flushed(&mut task, next, "a").await;
        put(&mut task, next + 1, "unflushed").await.expect("put");
        drop(task);
        // The same inode with other content, then another inode.
        if replaced.len() > 5 {
            fs::remove_file(place.path()).expect("removed");
        }
        place.write(replaced);
        let mut task = place.open().await;
        assert_eq!(
            start(&mut task).await,
            at(next + 1),
            "offsets are those of the ledger"
        );
        flushed(&mut task, next + 1, "b").await;
        task.close().await.expect("close");
        assert_eq!(place.text(), format!("{replaced}b\n"));
    }
}

#[tokio::test]
async fn a_file_that_is_moved_away_is_followed_by_a_new_one_after_the_next_flush() {
    let place = Place::new();
    let old = place.folder.path().join("old.txt");
    let mut task = place.open().await;
    flushed(&mut task, 0, "a").await;
    put(&mut task, 1, "b").await.expect("put");
    fs::rename(place.path(), &old).expect("moved");
    put(&mut task, 2, "c").await.expect("put");
    task.flush(&at(3)).await.expect("flush");
    flushed(&mut task, 3, "d").await;
    drop(task);
    assert_eq!(fs::read_to_string(&old).expect("there"), "a\nb\nc\n");
    assert_eq!(place.text(), "d\n");
    let mut task = place.open().await;
    assert_eq!(start(&mut task).await, at(4));
}

#[tokio::test]
async fn a_second_writer_is_fenced_and_a_foreign_one_is_noticed() {
    let place = Place::new();
    let mut task = place.open().await;
    flushed(&mut task, 0, "a").await;
    let second = place.opened("another").await.err().expect("it is locked");
    assert_eq!(second.kind(), ErrorKind::Fenced);
    put(&mut task, 1, "b").await.expect("put");
    place.append("foreign\n");
    let error = task.flush(&at(2)).await.expect_err("foreign bytes");
    assert_eq!(error.kind(), ErrorKind::Config);
    drop(task);
    // Rather a line twice than a foreign one lost.
    let mut task = place.open().await;
    assert_eq!(start(&mut task).await, at(1));
    flushed(&mut task, 1, "b").await;
    assert_eq!(place.text(), "a\nb\nforeign\nb\n");
    place.append("more\n");
    let error = put(&mut task, 2, "c")
        .await
        .expect_err("bytes came between");
    assert_eq!(error.kind(), ErrorKind::Config);
    task.close().await.expect("close");
    // Another connector has offsets of its own.
    let mut other = place.opened("another").await.expect("the lock is free");
    assert_eq!(start(&mut other).await, TopicOffsets::new());
    assert_eq!(place.text(), "a\nb\nforeign\nb\nmore\nc\n");
}

#[tokio::test]
async fn standard_output_and_odd_paths_are_refused() {
    let sink = erased::sink::<FileSink>();
    let findings = sink.check(&Flat::new()).await;
    assert!(
        findings[0]
            .problem
            .contains("standard output is not supported"),
        "{findings:?}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let config = Flat::from([("file".to_owned(), folder.path().display().to_string())]);
    let cx = SinkContext {
        connector: "c".into(),
        task: 0,
        group: "g".into(),
        exactly_once: true,
        stop: longshore_sdk::Stop::never(),
    };
    let error = sink.open(&config, Default::default(), cx).await.err();
    assert_eq!(error.expect("a directory").kind(), ErrorKind::Config);
}
