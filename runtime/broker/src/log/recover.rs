//! Opening a log: leftovers of an interrupted swap are settled, a torn tail is cut, state is rebuilt from the batches.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::batch::{Header, checksum_holds};
use super::producer::{Aborted, Producers};
use super::segment::Segment;
use super::{Log, record, swap};

impl Log {
    /// An empty log in memory.
    pub(crate) fn in_memory() -> io::Result<Log> {
        Ok(Log::over(None, vec![Segment::create(None, 0)?], 0))
    }

    fn over(dir: Option<PathBuf>, segments: Vec<Segment>, start: i64) -> Log {
        Log {
            dir,
            segments,
            start,
            producers: Producers::default(),
            aborted: Vec::new(),
            cleaned_to: 0,
            next_horizon: None,
            waiters: Vec::new(),
            deleted: false,
        }
    }

    /// Opens (or creates) the log in `dir`; `start` is the stored log start offset.
    pub(crate) fn open(dir: &Path, start: i64, now_ms: i64) -> io::Result<Log> {
        fs::create_dir_all(dir)?;
        swap::settle(dir)?;
        let mut log = Log::over(Some(dir.to_owned()), Vec::new(), start);
        let mut found = segment_files(dir)?.into_iter();
        let mut torn = false;
        while let Some((base_offset, path)) = found.next() {
            let mut segment = Segment::existing(path, base_offset)?;
            let last = found.len() == 0;
            torn = log.load(&mut segment, last, now_ms)?;
            log.segments.push(segment);
            if torn {
                break;
            }
        }
        // Behind a cut nothing can be trusted: offsets would have a hole that never was.
        for (_, path) in found {
            tracing::warn!(path = %path.display(), torn, "segment behind a damaged one is dropped");
            fs::remove_file(path)?;
        }
        if log.segments.is_empty() {
            log.segments.push(Segment::create(Some(dir), start)?);
        }
        log.start = log.start.max(log.segments[0].base_offset).min(log.end());
        log.producers.expire(0);
        Ok(log)
    }

    /// Walks one segment into index, producer state and transactions; cuts it where the batches stop to make sense. Tells if it cut.
    fn load(&mut self, segment: &mut Segment, verify: bool, now_ms: i64) -> io::Result<bool> {
        let mut next_offset = segment.base_offset;
        let mut bytes = Vec::new();
        let mut failed = Ok(());
        let source = segment.snapshot();
        let reader = source.reader()?;
        let end = source.walk(0, |position, header| {
            let mut commits = None;
            if verify || header.is_control() {
                match reader.batch(position, &mut bytes) {
                    Ok(Some(whole)) if checksum_holds(&bytes, &whole) => {
                        commits = record::marker_commits(&bytes)
                    }
                    Ok(_) => return ControlFlow::Break(()),
                    Err(error) => {
                        failed = Err(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            if header.base_offset < next_offset {
                return ControlFlow::Break(());
            }
            next_offset = header.last_offset() + 1;
            segment.note(position, header);
            self.replay(header, commits, now_ms);
            ControlFlow::Continue(())
        })?;
        failed?;
        segment.first_append_ms = (segment.size > 0).then_some(now_ms);
        if end == segment.size {
            return Ok(false);
        }
        tracing::warn!(
            base_offset = segment.base_offset,
            size = segment.size,
            kept = end,
            "torn tail of a segment is cut"
        );
        segment.truncate(end)?;
        Ok(true)
    }

    fn replay(&mut self, header: &Header, commits: Option<bool>, now_ms: i64) {
        if !header.is_control() {
            return self.producers.appended(header, now_ms);
        }
        let Some(commit) = commits else { return };
        let ended: Option<Aborted> = self.producers.ended(header, commit, now_ms);
        self.aborted.extend(ended);
    }
}

/// The segment files of a folder, by base offset.
fn segment_files(dir: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let base = path
            .file_name()
            .and_then(|n| n.to_str())
            .and_then(|n| n.strip_suffix(".log"));
        if let Some(base) = base.and_then(|b| b.parse::<i64>().ok()) {
            found.push((base, path));
        }
    }
    found.sort();
    Ok(found)
}
