//! Compilations that were begun at a worker's start and have not come to an end: a file of one byte for each such start, and one more if it was
//! late, locked by the worker that compiles. It goes once the plugin is compiled, or cannot be.
//!
//! A plugin that takes too long keeps one start waiting; a start that was ended amid a compilation takes nothing from the next one's patience.
//! One that takes the whole worker with it, by its memory or because somebody ends a worker that is not there in time, does so a few times and no
//! more.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Result, Write},
    path::{Path, PathBuf},
};

/// Starts at which a compilation is begun.
const BEGUN_MAX: usize = 3;
const BEGUN: u8 = b'.';
const LATE: u8 = b'-';

/// What is known of a compilation that is to begin.
#[derive(Debug, PartialEq)]
pub(super) enum Before {
    /// Nothing, or another worker is at it, or was ended amid it.
    New,
    /// A former start has waited for it in vain.
    Late,
    /// Too many have.
    Hopeless,
}

/// A compilation that has begun; while it is held, it is known to go on.
pub(super) struct Mark {
    path: PathBuf,
    /// Locked, unless another worker is at it.
    file: File,
    /// Its length before this start was written down; none = it was not.
    before: Option<u64>,
}

impl Mark {
    /// Writes down that a compilation begins.
    pub(super) fn begin(path: &Path) -> Result<(Self, Before)> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path)?;
        let alone = file.try_lock().is_ok();
        let mut written = Vec::new();
        (&file).take(64).read_to_end(&mut written)?;
        let begun = written.iter().filter(|byte| **byte == BEGUN).count();
        let before = match begun {
            _ if !alone => Before::New,
            BEGUN_MAX.. => Before::Hopeless,
            _ if written.contains(&LATE) => Before::Late,
            _ => Before::New,
        };
        let noted = alone && before != Before::Hopeless;
        if noted {
            file.write_all(&[BEGUN])?;
            file.sync_all()?;
        }
        let path = path.to_owned();
        let length = noted.then_some(written.len() as u64);
        let mark = Self {
            path,
            file,
            before: length,
        };
        Ok((mark, before))
    }
    /// A start has waited long enough for it.
    pub(super) fn late(&self) {
        let _ = (&self.file).write_all(&[LATE]);
    }
    /// The compilation was not begun after all.
    pub(super) fn take_back(&self) {
        let _ = match self.before {
            None => Ok(()),
            Some(0) => fs::remove_file(&self.path),
            Some(length) => self.file.set_len(length),
        };
    }
    /// The compilation has come to its end.
    pub(super) fn end(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilation_is_begun_a_few_times() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("one.late");
        let begin = || Mark::begin(&path).expect("a mark");
        let (first, before) = begin();
        assert_eq!(before, Before::New);
        // Another worker that starts at the same time waits as this one does, and counts for nothing.
        assert_eq!(begin().1, Before::New);
        first.take_back();
        drop(first);
        assert!(!path.exists());
        assert_eq!(begin().1, Before::New);
        let (second, before) = begin();
        assert_eq!(before, Before::New, "the one before was ended amid it");
        second.late();
        drop(second);
        let (third, before) = begin();
        assert_eq!(before, Before::Late);
        third.take_back();
        drop(third);
        assert_eq!(begin().1, Before::Late);
        assert_eq!(begin().1, Before::Hopeless);
        let (mark, before) = begin();
        assert_eq!(before, Before::Hopeless);
        mark.end();
        assert_eq!(begin().1, Before::New);
    }
}
