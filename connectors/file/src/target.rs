//! The data file and what counts of it. Calls block.
//!
//! Exactly once: data is synced first, then the ledger says in one atomic step how long the file is and which offsets that covers.
//! Whatever lies behind that length when the file is opened again was written by a task that died, and is cut off; its records come again.
//! Foreign bytes are never cut: only a file that has the recorded inode and ends, at the recorded length, in the recorded bytes is ours, and
//! only while a task had it open.

use crate::{
    client::{failed, irregular},
    ledger::{Ledger, LedgerFile, directory, sync_directory},
};
use longshore_sdk::{Error, ErrorKind, Result, TopicOffsets, TopicPartition};
use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Seek, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// How many bytes before the committed length identify the file.
const MARK_BYTES: u64 = 4096;

/// A file that is appended to by one owner.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    file: File,
    /// The file's length by what we wrote.
    length: u64,
    /// A write failed half way: bytes behind `length` may be there, and are ours.
    torn: bool,
    /// Set when nothing more may be written or stored through this handle, with the reason.
    given_up: Option<(ErrorKind, &'static str)>,
    ledger: Ledger,
    ledger_file: LedgerFile,
}

impl Target {
    /// Opens the file for a connector that has its ledger locked: cuts off what a dead task left, and says so in the ledger.
    pub(crate) fn open(
        path: PathBuf,
        mut ledger_file: LedgerFile,
        connector: &str,
        group: &str,
    ) -> Result<Self> {
        let fail = |error| failed("assigned", &path, error);
        let (file, metadata) = appendable("assigned", &path)?;
        let mut ledger = match ledger_file.read("assigned")? {
            Some(ledger) if ledger.is_of(connector, group) => ledger,
            Some(other) => {
                tracing::warn!(
                    file = %path.display(), connector = other.connector, group = other.group,
                    "the file was written by another connector: appending to it as it is"
                );
                Ledger::new(connector, group)
            }
            None => Ledger::new(connector, group),
        };
        let length = recovered(&path, &file, &metadata, &ledger)?;
        ledger.length = length;
        ledger.inode = metadata.ino();
        ledger.mark = mark(&file, length).map_err(fail)?;
        ledger.writing = true;
        ledger_file.store("assigned", &ledger)?;
        Ok(Self {
            path,
            file,
            length,
            torn: false,
            given_up: None,
            ledger,
            ledger_file,
        })
    }

    /// The next offsets of those of `at` that the ledger knows.
    pub(crate) fn offsets(&self, at: &[TopicPartition]) -> TopicOffsets {
        at.iter()
            .filter_map(|at| Some((at.clone(), self.ledger.offset(at)?)))
            .collect()
    }

    /// Appends whole lines: all of them or none.
    pub(crate) fn append(&mut self, lines: &[u8]) -> Result<()> {
        self.usable("put")?;
        self.mend()?;
        let mut done = 0;
        while done < lines.len() {
            let error = match self.file.write(&lines[done..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    done += count;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.torn = done > 0;
            if let Err(error) = self.mend() {
                tracing::warn!(file = %self.path.display(), error = %error, "a torn write is not taken back yet");
            }
            return Err(failed("put", &self.path, error));
        }
        // After an appending write the position is where our bytes end.
        let end = self
            .file
            .stream_position()
            .map_err(|error| failed("put", &self.path, error))?;
        if end != self.length + lines.len() as u64 {
            self.shared();
        }
        self.length = end;
        self.usable("put")
    }

    /// Makes everything appended durable, then says so in the ledger together with the offsets that it covers.
    pub(crate) fn commit(&mut self, offsets: &TopicOffsets) -> Result<()> {
        self.usable("flush")?;
        self.mend()?;
        let known = offsets
            .iter()
            .all(|(at, offset)| self.ledger.offset(at) == Some(*offset));
        if known && self.length == self.ledger.length {
            return Ok(());
        }
        if self.size("flush")? != self.length {
            self.shared();
            return self.usable("flush");
        }
        // A task whose flush failed is closed and opened again; until then nothing is certain.
        self.give_up("a flush failed: the task has to be opened again");
        let fail = |error| failed("flush", &self.path, error);
        self.file.sync_data().map_err(fail)?;
        self.ledger.note(offsets);
        self.ledger.length = self.length;
        self.ledger.mark = mark(&self.file, self.length).map_err(fail)?;
        self.ledger_file.store("flush", &self.ledger)?;
        self.follow()?;
        self.given_up = None;
        Ok(())
    }

    /// Takes back everything that was appended since the last commit.
    pub(crate) fn revert(&mut self) -> Result<()> {
        self.usable("revoked")?;
        if self.length > self.ledger.length {
            self.mend()?;
            if self.size("revoked")? != self.length {
                self.shared();
                return self.usable("revoked");
            }
            self.length = self.ledger.length;
            self.torn = true;
        }
        self.mend()
    }

    /// From now on the task has to be opened again: its next put and flush fail.
    pub(crate) fn give_up(&mut self, reason: &'static str) {
        self.given_up = Some((ErrorKind::Transient, reason));
    }

    /// Foreign bytes stand among ours: nothing may be cut off any more, not even when the file is opened again.
    fn shared(&mut self) {
        self.given_up = Some((
            ErrorKind::Config,
            "file: another process writes to it: give it to this connector alone, then restart the task",
        ));
        self.ledger.writing = false;
        if let Err(error) = self.ledger_file.store("put", &self.ledger) {
            tracing::warn!(file = %self.path.display(), error = %error, "that the file has foreign bytes is not noted");
        }
    }

    /// Leaves the file as of the last commit. What cannot be put in order now is put in order when the file is opened again.
    pub(crate) fn close(mut self) {
        let left = self.revert().and_then(|()| {
            self.ledger.writing = false;
            self.ledger_file.store("close", &self.ledger)
        });
        if let Err(error) = left {
            tracing::warn!(file = %self.path.display(), error = %error, "file is left as it is: it is put in order when it is opened again");
        }
    }

    fn usable(&self, op: &'static str) -> Result<()> {
        match self.given_up {
            None => Ok(()),
            Some((kind, reason)) => {
                Err(Error::new(kind, op, reason).with("file", self.path.display()))
            }
        }
    }

    /// Takes a torn write back.
    fn mend(&mut self) -> Result<()> {
        if self.torn {
            self.file
                .set_len(self.length)
                .map_err(|error| failed("put", &self.path, error))?;
            self.torn = false;
        }
        Ok(())
    }

    fn size(&self, op: &'static str) -> Result<u64> {
        let metadata = self.file.metadata();
        Ok(metadata
            .map_err(|error| failed(op, &self.path, error))?
            .len())
    }

    /// Goes on with a new file if ours was moved away or deleted. Only after a commit, so that each file holds what was committed to it.
    fn follow(&mut self) -> Result<()> {
        match fs::metadata(&self.path) {
            Ok(there) if there.ino() == self.ledger.inode => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("flush", &self.path, error)),
        }
        let (file, metadata) = appendable("flush", &self.path)?;
        tracing::info!(file = %self.path.display(), length = self.length, "file was moved away: going on with a new one");
        self.length = metadata.len();
        self.ledger.inode = metadata.ino();
        self.ledger.length = self.length;
        self.ledger.mark =
            mark(&file, self.length).map_err(|error| failed("flush", &self.path, error))?;
        self.file = file;
        self.ledger_file.store("flush", &self.ledger)
    }
}

/// Makes the directories that `path` is in.
pub(crate) fn folder(op: &'static str, path: &Path) -> Result<()> {
    fs::create_dir_all(directory(path)).map_err(|error| failed(op, path, error))
}

/// Opens a regular file for appending; makes it, durably, if it is not there.
pub(crate) fn appendable(op: &'static str, path: &Path) -> Result<(File, Metadata)> {
    let fail = |error| failed(op, path, error);
    let new = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => false,
        Ok(_) => return Err(irregular(op, path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(fail(error)),
    };
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(fail)?;
    if new {
        sync_directory(path).map_err(fail)?;
    }
    let metadata = file.metadata().map_err(fail)?;
    Ok((file, metadata))
}

/// The length to go on from: the committed one if the file is ours, with what lies behind it cut off; else all that is there.
fn recovered(path: &Path, file: &File, metadata: &Metadata, ledger: &Ledger) -> Result<u64> {
    let fail = |error| failed("assigned", path, error);
    let size = metadata.len();
    if ledger.inode == 0 {
        return ended(path, file, size);
    }
    let ours = metadata.ino() == ledger.inode
        && size >= ledger.length
        && mark(file, ledger.length).map_err(fail)? == ledger.mark;
    if !ours {
        tracing::warn!(
            file = %path.display(), size, committed = ledger.length,
            "file was moved, cut or replaced since it was written: appending to it as it is"
        );
        return ended(path, file, size);
    }
    if size == ledger.length {
        return Ok(size);
    }
    if !ledger.writing {
        tracing::warn!(
            file = %path.display(), size, committed = ledger.length,
            "somebody appended to the file while no task had it: it is kept"
        );
        return ended(path, file, size);
    }
    file.set_len(ledger.length).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    tracing::info!(
        file = %path.display(), length = ledger.length, bytes = size - ledger.length,
        "unfinished work of a task that died was cut off: its records come again"
    );
    Ok(ledger.length)
}

/// Ends the last line of a file that was written by somebody else, so that our first line is one; returns the length.
fn ended(path: &Path, mut file: &File, size: u64) -> Result<u64> {
    let fail = |error| failed("assigned", path, error);
    let mut last = [b'\n'];
    if size > 0 {
        file.read_exact_at(&mut last, size - 1).map_err(fail)?;
    }
    if last == [b'\n'] {
        return Ok(size);
    }
    file.write_all(b"\n").map_err(fail)?;
    file.sync_all().map_err(fail)?;
    Ok(size + 1)
}

/// A hash (FNV-1a) over the last bytes before `length`.
fn mark(file: &File, length: u64) -> io::Result<u64> {
    let count = length.min(MARK_BYTES);
    let mut bytes = vec![0; count as usize];
    file.read_exact_at(&mut bytes, length - count)?;
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Lock;
    use longshore_sdk::ErrorKind;

    fn target(folder: &tempfile::TempDir) -> Target {
        let path = folder.path().join("out");
        match LedgerFile::lock("assigned", &path) {
            Ok(Lock::Taken(ledger)) => Target::open(path, ledger, "c", "g").expect("opened"),
            other => panic!("nobody has it: {other:?}"),
        }
    }

    #[test]
    fn a_full_disk_is_an_error_that_passes_and_nothing_of_the_batch_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut target = target(&folder);
        let disk = std::mem::replace(
            &mut target.file,
            OpenOptions::new()
                .append(true)
                .open("/dev/full")
                .expect("a disk that is always full"),
        );
        let error = target.append(b"a\n").expect_err("no space");
        assert_eq!((error.kind(), error.taken()), (ErrorKind::Transient, 0));
        assert!(error.message().contains("no space"), "{error}");
        target.file = disk;
        target.append(b"a\n").expect("there is room again");
        target.commit(&TopicOffsets::new()).expect("committed");
        assert_eq!(fs::read(folder.path().join("out")).expect("there"), b"a\n");
    }

    #[test]
    fn a_torn_write_is_taken_back_before_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut target = target(&folder);
        target.append(b"whole\n").expect("appended");
        (&target.file).write_all(b"to").expect("a part of a line");
        target.torn = true;
        target.append(b"next\n").expect("appended");
        let text = fs::read_to_string(folder.path().join("out")).expect("there");
        assert_eq!(text, "whole\nnext\n");
    }
}
