//! What the broker must not forget besides records: topics, group offsets, transactions, producer ids.
//!
//! One journal file of checksummed lines. A change is one write, applied to the model only after the write returned; the model
//! is the only copy. When the journal has grown it is written anew from the model and renamed into place.

pub(crate) mod model;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use model::{Entry, Model};

const JOURNAL: &str = "journal";
/// The journal is rewritten when it has grown by this much and to twice its last size.
const REWRITE_AFTER: u64 = 4 * 1024 * 1024;
/// Hex digits of the checksum and a space before every line.
const CHECKSUM: usize = 9;

/// The journal and the model it describes.
#[derive(Debug, Default)]
pub(crate) struct Store {
    model: Model,
    journal: Option<Journal>,
}

#[derive(Debug)]
struct Journal {
    dir: PathBuf,
    file: File,
    size: u64,
    rewritten_size: u64,
}

impl Store {
    /// A store without a file.
    pub(crate) fn in_memory() -> Store {
        Store::default()
    }

    /// Reads the journal in `dir`, cutting a torn tail; a missing one is an empty store.
    pub(crate) fn open(dir: &Path) -> io::Result<Store> {
        let path = dir.join(JOURNAL);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut model = Model::default();
        let whole = replay(&bytes, &mut model);
        let file = open_for_append(&path)?;
        if whole < bytes.len() {
            tracing::warn!(path = %path.display(), size = bytes.len(), kept = whole, "torn tail of the journal is cut");
            file.set_len(whole as u64)?;
        }
        let size = whole as u64;
        Ok(Store {
            model,
            journal: Some(Journal {
                dir: dir.to_owned(),
                file,
                size,
                rewritten_size: size,
            }),
        })
    }

    /// The state as of the last commit.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Writes the entry, then applies it. On error nothing has changed.
    pub(crate) fn commit(&mut self, entry: Entry) -> io::Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.append(&line(&entry)?)?;
        }
        self.model.apply(entry);
        if let Some(journal) = &mut self.journal
            && journal.size > REWRITE_AFTER.max(journal.rewritten_size * 2)
            && let Err(error) = journal.rewrite(&self.model)
        {
            // The old journal still holds everything.
            tracing::warn!(%error, "rewriting the journal failed");
            journal.rewritten_size = journal.size;
        }
        Ok(())
    }

    /// Writes the journal anew and hands it to the disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.journal
            .as_mut()
            .map_or(Ok(()), |journal| journal.rewrite(&self.model))
    }
}

impl Journal {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(line) {
            self.file.set_len(self.size)?;
            return Err(error);
        }
        self.size += line.len() as u64;
        Ok(())
    }

    fn rewrite(&mut self, model: &Model) -> io::Result<()> {
        let (path, new_path) = (self.dir.join(JOURNAL), self.dir.join("journal.new"));
        let mut new = File::create(&new_path)?;
        let mut size = 0;
        for entry in model.entries() {
            let line = line(&entry)?;
            new.write_all(&line)?;
            size += line.len() as u64;
        }
        new.sync_all()?;
        fs::rename(&new_path, &path)?;
        File::open(&self.dir)?.sync_all()?;
        self.file = open_for_append(&path)?;
        (self.size, self.rewritten_size) = (size, size);
        Ok(())
    }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn line(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut out = vec![b' '; CHECKSUM];
    serde_json::to_writer(&mut out, entry)?;
    let checksum = format!("{:08x}", crc32c::crc32c(&out[CHECKSUM..]));
    out[..CHECKSUM - 1].copy_from_slice(checksum.as_bytes());
    out.push(b'\n');
    Ok(out)
}

/// Applies whole lines; returns how many bytes they take.
fn replay(bytes: &[u8], model: &mut Model) -> usize {
    let mut at = 0;
    while let Some(length) = bytes[at..].iter().position(|b| *b == b'\n') {
        let Some(entry) = parse(&bytes[at..at + length]) else {
            break;
        };
        model.apply(entry);
        at += length + 1;
    }
    at
}

fn parse(line: &[u8]) -> Option<Entry> {
    let (checksum, json) = line.split_at_checked(CHECKSUM)?;
    let checksum = std::str::from_utf8(checksum.trim_ascii_end()).ok()?;
    (u32::from_str_radix(checksum, 16).ok()? == crc32c::crc32c(json))
        .then(|| serde_json::from_slice(json).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Committed, Place};

    fn offsets(group: &str, offset: i64) -> Entry {
        let place = Place {
            topic: "t".into(),
            partition: 0,
        };
        Entry::Offsets {
            group: group.into(),
            offsets: vec![(
                place,
                Committed {
                    offset,
                    leader_epoch: -1,
                    metadata: String::new(),
                    at_ms: 0,
                },
            )],
        }
    }

    fn offset_of(store: &Store, group: &str) -> Option<i64> {
        store
            .model()
            .offsets(group)?
            .get(&Place {
                topic: "t".into(),
                partition: 0,
            })
            .map(|c| c.offset)
    }

    #[test]
    fn what_was_committed_is_there_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(dir.path()).expect("opens");
        store.commit(offsets("g", 1)).expect("writes");
        store.commit(offsets("g", 2)).expect("writes");
        drop(store);
        let mut store = Store::open(dir.path()).expect("opens");
        assert_eq!(offset_of(&store, "g"), Some(2));
        store.sync().expect("rewrites");
        store.commit(offsets("h", 3)).expect("writes");
        drop(store);
        let store = Store::open(dir.path()).expect("opens");
        assert_eq!(
            (offset_of(&store, "g"), offset_of(&store, "h")),
            (Some(2), Some(3))
        );
    }

    #[test]
    fn a_torn_line_is_cut_and_the_journal_goes_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(dir.path()).expect("opens");
        store.commit(offsets("g", 1)).expect("writes");
        store.commit(offsets("g", 2)).expect("writes");
        drop(store);
        let path = dir.path().join(JOURNAL);
        let bytes = fs::read(&path).expect("reads");
        fs::write(&path, &bytes[..bytes.len() - 4]).expect("writes");
        let mut store = Store::open(dir.path()).expect("opens");
        assert_eq!(offset_of(&store, "g"), Some(1));
        store.commit(offsets("g", 5)).expect("writes");
        drop(store);
        assert_eq!(
            offset_of(&Store::open(dir.path()).expect("opens"), "g"),
            Some(5)
        );
    }

    #[test]
    fn the_journal_does_not_grow_without_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(dir.path()).expect("opens");
        for n in 0..60_000 {
            store.commit(offsets("g", n)).expect("writes");
        }
        let size = fs::metadata(dir.path().join(JOURNAL)).expect("there").len();
        assert!(size <= REWRITE_AFTER + 1024, "{size}");
        drop(store);
        assert_eq!(
            offset_of(&Store::open(dir.path()).expect("opens"), "g"),
            Some(59_999)
        );
    }
}
