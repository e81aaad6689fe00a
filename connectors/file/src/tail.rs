//! Following a file: what was appended, whether it was cut, whether another one took its name. Calls block.

use crate::{
    client::{failed, irregular},
    lines,
};
use bytes::Bytes;
use longshore_sdk::{Error, Result};
use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// How much is read at once.
const BLOCK_BYTES: usize = 256 * 1024;
/// A writer may keep a moved file open for a while: it is read on until it was quiet for this long.
const MOVED_QUIET: Duration = Duration::from_secs(1);

/// A file that is followed.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    line_bytes_max: usize,
    /// Where to begin when the file is opened for the first time.
    start: u64,
    open: Option<Open>,
    /// Whether it was logged that the file is not there.
    missed: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: (u64, u64),
    /// The place of `rest` in the file: everything before is handed out.
    position: u64,
    /// What was read and is not handed out.
    rest: Bytes,
    /// How much of `rest` is whole lines.
    whole: usize,
    /// Whether the whole lines are valid UTF-8.
    utf8: bool,
    /// Since when another file, or none, has the name; put off while the file still grows.
    moved: Option<Instant>,
    /// The file has come to its end for good: `rest` is its last line.
    last: bool,
}

/// What looking for more has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There are lines to take.
    Lines,
    /// Nothing new.
    Nothing,
}

impl Tail {
    /// Follows `path` from byte `start` on. Touches nothing yet.
    pub(crate) fn new(path: PathBuf, start: u64, line_bytes_max: usize) -> Self {
        Self {
            path,
            line_bytes_max,
            start,
            open: None,
            missed: false,
        }
    }

    /// Whether there are lines to take.
    pub(crate) fn has_lines(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.whole > 0)
    }

    /// Whether the file can be read, if it is there. Blocks.
    pub(crate) fn probe(&self) -> Result<()> {
        opened(&self.path).map(|_| ())
    }

    /// Hands out at most `max` lines that were read before, each with the position after it. Does not block.
    pub(crate) fn take(&mut self, max: usize, mut each: impl FnMut(Bytes, u64)) -> Result<()> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let (mut at, mut count) = (0, 0);
        while count < max && at < open.whole {
            let (line, end) = lines::first(&open.rest[at..open.whole]);
            if line > self.line_bytes_max {
                if count > 0 {
                    break;
                }
                return Err(too_long(&self.path, open.position, self.line_bytes_max));
            }
            let text = open.rest.slice(at..at + line);
            let text = if open.utf8 {
                text
            } else {
                lines::repaired(text)
            };
            at += end;
            count += 1;
            // After the last line of a moved file, reading goes on at the start of the one that has its name now.
            let last = open.last && at == open.rest.len();
            each(text, if last { 0 } else { open.position + at as u64 });
        }
        open.position += at as u64;
        open.rest = open.rest.slice(at..);
        open.whole -= at;
        if open.whole == 0 && !open.rest.is_empty() {
            // The start of a line may wait for long: it must not hold the whole block.
            open.rest = Bytes::copy_from_slice(&open.rest);
        }
        Ok(())
    }

    /// Looks for more lines, once those read before are taken. Blocks.
    pub(crate) fn look(&mut self, now: Instant) -> Result<Found> {
        if self.has_lines() {
            return Ok(Found::Lines);
        }
        if self.open.is_none() && !self.begin()? {
            return Ok(Found::Nothing);
        }
        let Some(open) = &mut self.open else {
            return Ok(Found::Nothing);
        };
        if !open.last {
            let metadata = open
                .file
                .metadata()
                .map_err(|error| failed("poll", &self.path, error))?;
            open.notice_cut(metadata.len(), &self.path);
            if open.read(metadata.len(), self.line_bytes_max, &self.path)? {
                return Ok(Found::Lines);
            }
        }
        self.notice_move(now)
    }

    /// Opens the file; false while there is none.
    fn begin(&mut self) -> Result<bool> {
        let Some((file, metadata)) = opened(&self.path)? else {
            if !self.missed {
                self.missed = true;
                tracing::warn!(file = %self.path.display(), "file is not there: waiting for it");
            }
            return Ok(false);
        };
        self.missed = false;
        let mut position = std::mem::take(&mut self.start);
        if position > metadata.len() {
            tracing::warn!(
                file = %self.path.display(), position, size = metadata.len(),
                "file is shorter than the stored position: it was cut or replaced, reading from its start"
            );
            position = 0;
        }
        self.open = Some(Open {
            file,
            id: (metadata.dev(), metadata.ino()),
            position,
            rest: Bytes::new(),
            whole: 0,
            utf8: true,
            moved: None,
            last: false,
        });
        Ok(true)
    }

    /// Called when the open file gave nothing new: goes on to the file that has its name now, if that is another.
    fn notice_move(&mut self, now: Instant) -> Result<Found> {
        let Some(open) = &mut self.open else {
            return Ok(Found::Nothing);
        };
        match fs::metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) == open.id => {
                open.moved = None;
                self.missed = false;
                return Ok(Found::Nothing);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.missed {
                    self.missed = true;
                    tracing::warn!(file = %self.path.display(), "file has vanished: waiting for a new one");
                }
                // The open file may still grow: it is left when another one has the name.
                return Ok(Found::Nothing);
            }
            Err(error) => return Err(failed("poll", &self.path, error)),
        }
        let since = *open.moved.get_or_insert(now);
        if now.duration_since(since) < MOVED_QUIET {
            return Ok(Found::Nothing);
        }
        if !open.last && !open.rest.is_empty() {
            // Nobody will end this line any more.
            open.last = true;
            open.whole = open.rest.len();
            open.utf8 = false;
            return Ok(Found::Lines);
        }
        tracing::info!(file = %self.path.display(), position = open.position, "file was moved away and is read to its end: going on with the new one");
        self.open = None;
        self.start = 0;
        Ok(Found::Nothing)
    }
}

impl Open {
    /// Starts over if the file is shorter than what was handed out of it.
    fn notice_cut(&mut self, size: u64, path: &Path) {
        if size >= self.position + self.rest.len() as u64 {
            return;
        }
        // A part of a line was taken back by its writer, or the file was cut and is being written anew.
        self.rest = Bytes::new();
        self.whole = 0;
        if size < self.position {
            tracing::warn!(file = %path.display(), position = self.position, size, "file was cut: reading from its start");
            self.position = 0;
        }
    }

    /// Reads until there is a whole line or the file's present end; false = no whole line.
    fn read(&mut self, size: u64, line_bytes_max: usize, path: &Path) -> Result<bool> {
        loop {
            let held = self.rest.len();
            let unread = size.saturating_sub(self.position + held as u64);
            // One byte more may be a carriage return that waits for its line feed.
            if held > line_bytes_max + 1 {
                return Err(too_long(path, self.position, line_bytes_max));
            }
            if unread == 0 {
                return Ok(false);
            }
            // A long line doubles the block, so that it is copied a few times only; the limit on lines limits that, too (I6).
            let block = BLOCK_BYTES.max(held);
            let more = usize::try_from(unread).map_or(block, |unread| unread.min(block));
            let mut text = vec![0; held + more];
            text[..held].copy_from_slice(&self.rest);
            let got = self
                .file
                .read_at(&mut text[held..], self.position + held as u64)
                .map_err(|error| failed("poll", path, error))?;
            if got == 0 {
                return Ok(false);
            }
            text.truncate(held + got);
            self.moved = None;
            self.whole = lines::complete(&text, held.saturating_sub(1));
            self.utf8 = std::str::from_utf8(&text[..self.whole]).is_ok();
            self.rest = Bytes::from(text);
            if self.whole > 0 {
                return Ok(true);
            }
        }
    }
}

fn opened(path: &Path) -> Result<Option<(File, Metadata)>> {
    let fail = |error| failed("poll", path, error);
    // Asked before opening: to open a pipe waits for its writer.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(irregular("poll", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    }
    match File::open(path) {
        Ok(file) => {
            let metadata = file.metadata().map_err(fail)?;
            Ok(Some((file, metadata)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail(error)),
    }
}

fn too_long(path: &Path, position: u64, max: usize) -> Error {
    Error::data(
        "poll",
        "a line is longer than longshore.line.bytes.max: raise it, or alter the connector's offset to the line's end",
    )
    .with("file", path.display())
    .with("position", position)
    .with("longshore.line.bytes.max", max)
}
