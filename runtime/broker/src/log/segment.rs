//! One segment: a run of batches, in a file or (without a data folder) in memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::batch::{HEADER, Header, stored_prefix};
use super::index::Index;

/// Bytes read at once while only headers are looked for.
const WINDOW: usize = 4 * 1024;

#[derive(Debug)]
enum Body {
    Memory(Vec<u8>),
    /// Only a segment that is written to keeps its file open; others are opened when they are read.
    Disk {
        path: PathBuf,
        open: Option<File>,
    },
}

/// A run of batches from `base_offset` on.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    /// The offset after the last batch.
    pub(crate) next_offset: i64,
    pub(crate) size: u64,
    pub(crate) max_timestamp: i64,
    /// Wall clock of the first append, for rolling by age; `None` while empty.
    pub(crate) first_append_ms: Option<i64>,
    index: Index,
    body: Body,
}

/// The file name of a segment, as Kafka names it.
pub(crate) fn file_name(base_offset: i64) -> String {
    format!("{base_offset:020}.log")
}

impl Segment {
    /// A new, empty segment; in `dir` when there is one.
    pub(crate) fn create(dir: Option<&Path>, base_offset: i64) -> io::Result<Segment> {
        Segment::create_at(dir.map(|dir| dir.join(file_name(base_offset))), base_offset)
    }

    /// An existing file; recovery notes its batches next.
    pub(crate) fn existing(path: PathBuf, base_offset: i64) -> io::Result<Segment> {
        let size = fs::metadata(&path)?.len();
        Ok(Segment::over(
            Body::Disk { path, open: None },
            base_offset,
            size,
        ))
    }

    fn over(body: Body, base_offset: i64, size: u64) -> Segment {
        Segment {
            base_offset,
            next_offset: base_offset,
            size,
            max_timestamp: -1,
            first_append_ms: None,
            index: Index::default(),
            body,
        }
    }

    /// Nothing is appended any more: the file is closed, spare memory given back.
    pub(crate) fn seal(&mut self) {
        match &mut self.body {
            Body::Memory(bytes) => bytes.shrink_to_fit(),
            Body::Disk { open, .. } => *open = None,
        }
    }

    /// Appends one batch at `header.base_offset`, patching its offset; on error the segment is as before.
    pub(crate) fn append(&mut self, batch: &[u8], header: &Header, now_ms: i64) -> io::Result<()> {
        let prefix = stored_prefix(header.base_offset, header.length);
        match &mut self.body {
            Body::Memory(bytes) => {
                bytes.extend_from_slice(&prefix);
                bytes.extend_from_slice(&batch[prefix.len()..]);
            }
            Body::Disk { path, open } => {
                let mut file = match open.take() {
                    Some(file) => file,
                    None => open_for_append(path)?,
                };
                let written = write_both(&mut file, &prefix, &batch[prefix.len()..]);
                if written.is_err() {
                    file.set_len(self.size)?;
                }
                *open = Some(file);
                written?;
            }
        }
        self.note(self.size, header);
        self.size += header.size() as u64;
        self.first_append_ms.get_or_insert(now_ms);
        Ok(())
    }

    /// Takes a batch at `position` into index and bounds; recovery calls it for what it finds.
    pub(crate) fn note(&mut self, position: u64, header: &Header) {
        self.index
            .note(self.base_offset, position, header, self.max_timestamp);
        self.next_offset = header.last_offset() + 1;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
    }

    /// Cuts everything from `position` on.
    pub(crate) fn truncate(&mut self, position: u64) -> io::Result<()> {
        match &mut self.body {
            Body::Memory(bytes) => bytes.truncate(position as usize),
            Body::Disk { path, .. } => OpenOptions::new()
                .write(true)
                .open(path)?
                .set_len(position)?,
        }
        self.size = position;
        Ok(())
    }

    /// Reads up to `length` bytes at `position`, fewer at the end.
    pub(crate) fn read(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let length = length.min(self.size.saturating_sub(position) as usize);
        match &self.body {
            Body::Memory(bytes) => {
                let at = position as usize;
                Ok(Bytes::copy_from_slice(&bytes[at..at + length]))
            }
            Body::Disk { path, open } => {
                let mut out = vec![0; length];
                match open {
                    Some(file) => file.read_exact_at(&mut out, position)?,
                    None => File::open(path)?.read_exact_at(&mut out, position)?,
                }
                Ok(Bytes::from(out))
            }
        }
    }

    /// A reader for many reads in a row: it opens the file once at most.
    pub(crate) fn reader(&self) -> io::Result<Reader<'_>> {
        let source = match &self.body {
            Body::Memory(bytes) => Source::Memory(bytes),
            Body::Disk {
                open: Some(file), ..
            } => Source::Active(file),
            Body::Disk { path, open: None } => Source::Opened(File::open(path)?),
        };
        Ok(Reader {
            source,
            size: self.size,
        })
    }

    /// Walks headers from `position` until `visit` breaks or the bytes end; returns where a header was not plausible or cut.
    pub(crate) fn walk(
        &self,
        position: u64,
        mut visit: impl FnMut(u64, &Header) -> ControlFlow<()>,
    ) -> io::Result<u64> {
        let reader = self.reader()?;
        let mut at = position;
        let (mut window, mut window_at) = (Vec::new(), position);
        while at < self.size {
            let mut from = (at - window_at) as usize;
            if from + HEADER > window.len() {
                window.resize(WINDOW.min((self.size - at) as usize), 0);
                reader.fill(at, &mut window)?;
                (window_at, from) = (at, 0);
            }
            let Some(header) = Header::parse(&window[from..]) else {
                return Ok(at);
            };
            if at + header.size() as u64 > self.size {
                return Ok(at);
            }
            if visit(at, &header).is_break() {
                return Ok(at);
            }
            at += header.size() as u64;
        }
        Ok(at)
    }

    /// The first batch that holds `offset` or a later one.
    pub(crate) fn find(&self, offset: i64) -> io::Result<Option<(u64, Header)>> {
        let mut found = None;
        self.walk(
            self.index.floor_offset(offset - self.base_offset),
            |at, header| {
                if header.last_offset() < offset {
                    return ControlFlow::Continue(());
                }
                found = Some((at, *header));
                ControlFlow::Break(())
            },
        )?;
        Ok(found)
    }

    /// The first data batch whose greatest timestamp reaches `time`, at or after `offset`.
    pub(crate) fn find_time(&self, time: i64, offset: i64) -> io::Result<Option<(u64, Header)>> {
        let mut found = None;
        self.walk(self.index.floor_time(time), |at, header| {
            if header.max_timestamp < time
                || header.last_offset() < offset
                || header.is_control()
                || header.record_count == 0
            {
                return ControlFlow::Continue(());
            }
            found = Some((at, *header));
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Hands the bytes to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match &self.body {
            Body::Memory(_) => Ok(()),
            Body::Disk {
                open: Some(file), ..
            } => file.sync_data(),
            Body::Disk { path, open: None } => File::open(path)?.sync_data(),
        }
    }

    /// Deletes the file.
    pub(crate) fn remove(self) -> io::Result<()> {
        match self.body {
            Body::Memory(_) => Ok(()),
            Body::Disk { path, .. } => fs::remove_file(path),
        }
    }

    /// A second handle to the same bytes, for the cleaner: segments below the active one never change in place.
    pub(crate) fn snapshot(&self) -> Segment {
        let body = match &self.body {
            Body::Memory(bytes) => Body::Memory(bytes.clone()),
            Body::Disk { path, .. } => Body::Disk {
                path: path.clone(),
                open: None,
            },
        };
        Segment {
            next_offset: self.next_offset,
            max_timestamp: self.max_timestamp,
            first_append_ms: self.first_append_ms,
            ..Segment::over(body, self.base_offset, self.size)
        }
    }

    /// The same segment under another file name.
    pub(crate) fn rename(&mut self, to: PathBuf) -> io::Result<()> {
        if let Body::Disk { path, .. } = &mut self.body {
            fs::rename(&*path, &to)?;
            *path = to;
        }
        Ok(())
    }

    /// The same in a file of any name, for the cleaner's output.
    pub(crate) fn create_at(path: Option<PathBuf>, base_offset: i64) -> io::Result<Segment> {
        let body = match path {
            None => Body::Memory(Vec::new()),
            Some(path) => {
                open_for_append(&path)?.set_len(0)?;
                Body::Disk { path, open: None }
            }
        };
        Ok(Segment::over(body, base_offset, 0))
    }
}

enum Source<'a> {
    Memory(&'a [u8]),
    Active(&'a File),
    Opened(File),
}

/// Reads whole batches of one segment.
pub(crate) struct Reader<'a> {
    source: Source<'a>,
    size: u64,
}

impl Reader<'_> {
    /// Fills `out` with the batch at `position`; `None` at the end or where no whole batch lies.
    pub(crate) fn batch(&self, position: u64, out: &mut Vec<u8>) -> io::Result<Option<Header>> {
        if position + HEADER as u64 > self.size {
            return Ok(None);
        }
        out.clear();
        out.resize(HEADER, 0);
        self.fill(position, out)?;
        let Some(header) = Header::parse(out) else {
            return Ok(None);
        };
        // The length is believed only within the file: the limit before the allocation.
        if position + header.size() as u64 > self.size {
            return Ok(None);
        }
        out.resize(header.size(), 0);
        self.fill(position, out)?;
        Ok(Some(header))
    }

    fn fill(&self, position: u64, out: &mut [u8]) -> io::Result<()> {
        match &self.source {
            Source::Memory(bytes) => {
                let at = position as usize;
                out.copy_from_slice(&bytes[at..at + out.len()]);
                Ok(())
            }
            Source::Active(file) => file.read_exact_at(out, position),
            Source::Opened(file) => file.read_exact_at(out, position),
        }
    }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
}

/// One write for both parts where the system allows.
fn write_both(file: &mut File, mut first: &[u8], mut second: &[u8]) -> io::Result<()> {
    while !first.is_empty() {
        let written = file.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_first = written.min(first.len());
        first = &first[of_first..];
        second = &second[written - of_first..];
    }
    file.write_all(second)
}
