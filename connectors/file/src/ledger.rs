//! The ledger: a small file beside the data file that says how much of it counts, and up to which offsets.
//!
//! It is replaced as a whole (written aside, synced, renamed, directory synced), and it is the lock: whoever holds it is the only writer.
//! Calls block.

use crate::client::failed;
use longshore_sdk::{Error, Result, TopicOffsets, TopicPartition};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What the ledger's name adds to the data file's.
const SUFFIX: &str = ".longshore-offsets";
/// The layout of [`Ledger`].
const VERSION: u32 = 1;
/// Offsets of many thousand partitions fit; anything larger is not ours (I6).
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The lock may move to a new file while we ask for it; it cannot do so often.
const LOCK_ATTEMPTS: u32 = 16;

/// What counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    version: u32,
    /// Whose offsets these are.
    pub(crate) connector: String,
    /// The consumer group that they are offsets of.
    pub(crate) group: String,
    /// The data file.
    pub(crate) inode: u64,
    /// How many bytes of it count.
    pub(crate) length: u64,
    /// A hash over the last bytes that count: a file that merely got the same inode number does not have it.
    pub(crate) mark: u64,
    /// Whether a task has the file open: what lies behind `length` is then unfinished work, otherwise somebody else's.
    pub(crate) writing: bool,
    /// The next offset per topic and partition.
    offsets: BTreeMap<String, BTreeMap<i32, i64>>,
}

impl Ledger {
    /// A ledger in which nothing counts.
    pub(crate) fn new(connector: &str, group: &str) -> Self {
        Self {
            version: VERSION,
            connector: connector.to_owned(),
            group: group.to_owned(),
            inode: 0,
            length: 0,
            mark: 0,
            writing: false,
            offsets: BTreeMap::new(),
        }
    }

    /// Whether the offsets are this connector's, of this consumer group.
    pub(crate) fn is_of(&self, connector: &str, group: &str) -> bool {
        self.connector == connector && self.group == group
    }

    /// The next offset of a partition, if it is known.
    pub(crate) fn offset(&self, at: &TopicPartition) -> Option<i64> {
        self.offsets.get(&*at.topic)?.get(&at.partition).copied()
    }

    /// Notes next offsets; others stay.
    pub(crate) fn note(&mut self, offsets: &TopicOffsets) {
        for (at, offset) in offsets {
            match self.offsets.get_mut(&*at.topic) {
                Some(partitions) => partitions.insert(at.partition, *offset),
                None => self
                    .offsets
                    .entry(at.topic.to_string())
                    .or_default()
                    .insert(at.partition, *offset),
            };
        }
    }
}

/// The ledger's file, locked.
#[derive(Debug)]
pub(crate) struct LedgerFile {
    path: PathBuf,
    /// Holds the lock; the lock goes when it is closed, by whatever way the process ends.
    file: File,
}

/// What became of asking for the lock.
#[derive(Debug)]
pub(crate) enum Lock {
    /// It is ours.
    Taken(LedgerFile),
    /// Somebody has it: what the ledger says, if it can be read at this moment.
    Held(Option<Ledger>),
}

impl LedgerFile {
    /// Locks the ledger of `data`, if nobody has it.
    pub(crate) fn lock(op: &'static str, data: &Path) -> Result<Lock> {
        let path = beside(data, SUFFIX);
        for _ in 0..LOCK_ATTEMPTS {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(|error| failed(op, &path, error))?;
            if !locked(op, &file, &path)? {
                return Ok(Lock::Held(parsed(op, &file, &path).ok().flatten()));
            }
            // Between open and lock the owner may have renamed a new ledger over this one, and left.
            if same(&file, &path).map_err(|error| failed(op, &path, error))? {
                return Ok(Lock::Taken(Self { path, file }));
            }
        }
        Err(Error::transient(op, "the ledger is replaced all the time")
            .with("file", path.display()))
    }

    /// What it says; `None` if it was just made.
    pub(crate) fn read(&mut self, op: &'static str) -> Result<Option<Ledger>> {
        parsed(op, &self.file, &self.path)
    }

    /// Replaces it, durably. After an error either the old or the new one is there.
    pub(crate) fn store(&mut self, op: &'static str, ledger: &Ledger) -> Result<()> {
        let fail = |error| failed(op, &self.path, error);
        let text = serde_json::to_vec(ledger)
            .map_err(|error| Error::bug(op, "the ledger does not serialize").because(error))?;
        let aside = beside(&self.path, ".new");
        let mut file = File::create(&aside).map_err(fail)?;
        // Only the owner writes aside, and the new file is locked before it gets the name: there is no moment without a lock.
        if !locked(op, &file, &aside)? {
            return Err(
                Error::transient(op, "file: somebody else has the next ledger locked")
                    .with("file", aside.display()),
            );
        }
        file.write_all(&text).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        fs::rename(&aside, &self.path).map_err(fail)?;
        sync_directory(&self.path).map_err(fail)?;
        // A lock is taken again on what will be read next, from its start.
        self.file = file;
        Ok(())
    }
}

/// Makes names in the directory of `path` durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// The directory that `path` is in.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn locked(op: &'static str, file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(failed(op, path, error)),
    }
}

/// What a ledger says that is read from its start; `None` if it was just made.
fn parsed(op: &'static str, file: &File, path: &Path) -> Result<Option<Ledger>> {
    let mut text = Vec::new();
    let mut part = file.take(BYTES_MAX);
    part.read_to_end(&mut text)
        .map_err(|error| failed(op, path, error))?;
    if text.is_empty() {
        return Ok(None);
    }
    let unknown = |text: &str| {
        let message =
            format!("{text}: move it away to append without knowing what was written before");
        Error::config(op, message).with("file", path.display())
    };
    let ledger: Ledger = serde_json::from_slice(&text)
        .map_err(|error| unknown("the ledger beside the file cannot be read").because(error))?;
    if ledger.version != VERSION {
        return Err(unknown("the ledger beside the file is of another version"));
    }
    Ok(Some(ledger))
}

fn same(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((held.dev(), held.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_sdk::ErrorKind;

    fn lock(data: &Path) -> LedgerFile {
        match LedgerFile::lock("open", data) {
            Ok(Lock::Taken(file)) => file,
            other => panic!("nobody has it: {other:?}"),
        }
    }

    #[test]
    fn what_was_stored_is_read_and_the_lock_outlives_the_replacement() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let mut ledger = Ledger::new("c", "g");
        let mut file = lock(&data);
        assert_eq!(file.read("open").expect("readable"), None);
        for offset in 1..4 {
            ledger.note(&TopicOffsets::from([(TopicPartition::new("t", 3), offset)]));
            file.store("flush", &ledger).expect("stored");
            match LedgerFile::lock("open", &data) {
                Ok(Lock::Held(holder)) => assert_eq!(holder.as_ref(), Some(&ledger)),
                other => panic!("it is held: {other:?}"),
            }
        }
        drop(file);
        let mut file = lock(&data);
        let read = file.read("open").expect("readable").expect("there");
        assert_eq!(read, ledger);
        assert_eq!(read.offset(&TopicPartition::new("t", 3)), Some(3));
        assert_eq!(read.offset(&TopicPartition::new("t", 4)), None);
    }

    #[test]
    fn a_ledger_that_is_none_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        for text in ["somebody's notes", "{\"version\":2}"] {
            fs::write(beside(&data, SUFFIX), text).expect("written");
            let mut file = lock(&data);
            assert_eq!(
                file.read("open").expect_err("no ledger").kind(),
                ErrorKind::Config
            );
            drop(file);
            let kept = fs::read_to_string(beside(&data, SUFFIX)).expect("there");
            assert_eq!(kept, text);
        }
    }
}
