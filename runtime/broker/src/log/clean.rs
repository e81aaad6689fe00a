//! Compaction: of every key the latest record stays, rolled-back records go, tombstones and markers go after their horizon.
//!
//! Planned and installed under the log's lock; the work between runs without it, on segments that never change in place.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;

use super::Log;
use super::batch::Header;
use super::copy::Copy;
use super::producer::Aborted;
use super::record;
use super::segment::Segment;
use super::swap::{Replacement, cleaned_path, replace};
use crate::settings::Settings;

/// Keys held in memory during one pass (about 64 bytes each); the next pass goes on behind them.
const MAX_KEYS: usize = 250_000;

/// One pass over the compactable head of a log.
#[derive(Debug)]
pub(crate) struct Plan {
    dir: Option<PathBuf>,
    segments: Vec<Segment>,
    dirty_from: i64,
    /// See [`MAX_KEYS`].
    pub(super) max_keys: usize,
    pub(super) start: i64,
    aborted: Vec<Aborted>,
    last_offsets: HashMap<i64, i64>,
    pub(super) now_ms: i64,
    pub(super) horizon_ms: i64,
    segment_bytes: u64,
}

/// The outcome of a pass, ready to take the place of `replaced` (base offset, size).
#[derive(Debug)]
pub(crate) struct Cleaned {
    replaced: Vec<(i64, u64)>,
    replacements: Vec<Replacement>,
    to: i64,
    next_horizon: Option<i64>,
}

impl Log {
    /// A pass, if enough is dirty, something waits too long, or a horizon has passed.
    pub(crate) fn plan_cleaning(&self, settings: &Settings, now_ms: i64) -> Option<Plan> {
        if !settings.compact || self.deleted {
            return None;
        }
        let settled = |s: &&Segment| {
            s.next_offset <= self.stable()
                && (settings.min_compaction_lag_ms == 0
                    || s.max_timestamp <= now_ms - settings.min_compaction_lag_ms)
        };
        let inactive = &self.segments[..self.segments.len() - 1];
        let head: Vec<&Segment> = inactive.iter().take_while(settled).collect();
        let total: u64 = head.iter().map(|s| s.size).sum();
        let dirty: Vec<&&Segment> = head
            .iter()
            .filter(|s| s.next_offset > self.cleaned_to && s.size > 0)
            .collect();
        let dirty_bytes: u64 = dirty.iter().map(|s| s.size).sum();
        let ratio = dirty_bytes as f64 / total.max(1) as f64;
        let waited = |s: &&&Segment| {
            s.first_append_ms
                .is_some_and(|first| now_ms - first >= settings.max_compaction_lag_ms)
        };
        let due = (dirty_bytes > 0
            && (ratio > settings.min_cleanable_ratio || dirty.iter().any(waited)))
            || (total > 0 && self.next_horizon.is_some_and(|h| h <= now_ms));
        due.then(|| Plan {
            dir: self.dir.clone(),
            segments: head.iter().map(|s| s.snapshot()).collect(),
            dirty_from: self.cleaned_to,
            max_keys: MAX_KEYS,
            start: self.start,
            aborted: self.aborted.clone(),
            last_offsets: self.producers.last_offsets(),
            now_ms,
            horizon_ms: now_ms.saturating_add(settings.delete_retention_ms),
            segment_bytes: settings.segment_bytes,
        })
    }

    /// Takes the outcome of a pass in, unless the head of the log changed meanwhile. Tells if it did.
    pub(crate) fn install(&mut self, mut cleaned: Cleaned, now_ms: i64) -> io::Result<bool> {
        let count = cleaned.replaced.len();
        let same = self.segments.len() > count
            && self
                .segments
                .iter()
                .zip(&cleaned.replaced)
                .all(|(s, r)| (s.base_offset, s.size) == *r);
        if self.deleted || !same {
            for new in cleaned.replacements {
                new.segment.remove().or_else(|e| {
                    if e.kind() == io::ErrorKind::NotFound {
                        Ok(())
                    } else {
                        Err(e)
                    }
                })?;
            }
            return Ok(false);
        }
        let old: Vec<Segment> = self.segments.drain(..count).collect();
        if let Some(dir) = self.dir.clone()
            && let Err(error) = replace(&dir, &mut cleaned.replacements, old)
        {
            // The folder tells the truth: it holds the old or the new segments, and opening settles which.
            tracing::error!(%error, dir = %dir.display(), "swapping compacted segments failed; the log is opened again");
            let waiters = std::mem::take(&mut self.waiters);
            *self = Log {
                waiters,
                ..Log::open(&dir, self.start, now_ms)?
            };
            return Ok(false);
        }
        self.segments
            .splice(..0, cleaned.replacements.into_iter().map(|r| r.segment));
        self.cleaned_to = cleaned.to;
        self.next_horizon = cleaned.next_horizon;
        self.aborted.retain(|a| a.last >= cleaned.to);
        Ok(true)
    }
}

/// Two independent 64-bit hashes: keys are compared by these 128 bits.
pub(super) fn fingerprint(key: &[u8]) -> u128 {
    let half = |seed: u64| {
        let mut hasher = DefaultHasher::new();
        (seed, key).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

impl Plan {
    /// Does the pass; long, and without any lock.
    pub(crate) fn run(mut self) -> io::Result<Cleaned> {
        let (latest, to) = self.latest_offsets()?;
        let mut copy = Copy::new(&self, latest);
        let mut replacements: Vec<Replacement> = Vec::new();
        let mut bytes = Vec::new();
        for segment in &self.segments {
            let fits = |r: &Replacement| {
                r.segment.size + segment.size <= self.segment_bytes
                    && segment.next_offset - r.from < i64::from(i32::MAX)
            };
            if !replacements.last().is_some_and(fits) {
                let path = self
                    .dir
                    .as_ref()
                    .map(|dir| cleaned_path(dir, segment.base_offset));
                let new = Segment::create_at(path, segment.base_offset)?;
                replacements.push(Replacement {
                    segment: new,
                    from: segment.base_offset,
                    to: segment.next_offset,
                });
            }
            let Some(out) = replacements.last_mut() else {
                break;
            };
            copy.segment(segment, &mut out.segment, &mut bytes)?;
            out.to = segment.next_offset;
            out.segment.next_offset = segment.next_offset;
            out.segment.first_append_ms = out.segment.first_append_ms.and(segment.first_append_ms);
        }
        for new in &mut replacements {
            // Here, not under the log's lock: the disk may take its time.
            new.segment.sync()?;
            new.segment.seal();
        }
        let next_horizon = copy.next_horizon();
        let replaced = self
            .segments
            .iter()
            .map(|s| (s.base_offset, s.size))
            .collect();
        Ok(Cleaned {
            replaced,
            replacements,
            to,
            next_horizon,
        })
    }

    /// The latest offset of every key in the dirty part, and where that ends: before its end when there are too many keys.
    fn latest_offsets(&mut self) -> io::Result<(HashMap<u128, i64>, i64)> {
        let mut latest = HashMap::new();
        let mut bytes = Vec::new();
        let mut full = None;
        let dirty = self
            .segments
            .iter()
            .enumerate()
            .filter(|(_, s)| s.next_offset > self.dirty_from);
        'dirty: for (n, segment) in dirty {
            let (reader, mut at) = (segment.reader()?, 0);
            while let Some(header) = reader.batch(at, &mut bytes)? {
                at += header.size() as u64;
                if header.last_offset() < self.dirty_from
                    || header.is_control()
                    || self.is_aborted(&header)
                {
                    continue;
                }
                if latest.len() >= self.max_keys {
                    full = Some((n, header.base_offset));
                    break 'dirty;
                }
                note_keys(&bytes, &header, &mut latest);
            }
        }
        if let Some((n, _)) = full {
            self.segments.truncate(n + 1);
        }
        let end = self
            .segments
            .last()
            .map_or(self.dirty_from, |s| s.next_offset);
        Ok((latest, full.map_or(end, |(_, from)| from)))
    }

    pub(super) fn is_aborted(&self, header: &Header) -> bool {
        header.is_transactional()
            && self.aborted.iter().any(|a| {
                a.producer_id == header.producer_id
                    && (a.first..=a.last).contains(&header.base_offset)
            })
    }

    /// A producer's last batch keeps its sequence, if need be without records: a resend must still be recognised.
    pub(super) fn holds_sequence(&self, header: &Header) -> bool {
        header.is_idempotent()
            && self.last_offsets.get(&header.producer_id) == Some(&header.last_offset())
    }
}

/// A batch that does not unpack is kept as it is; its keys stay unknown, which keeps older records of them too.
fn note_keys(batch: &[u8], header: &Header, latest: &mut HashMap<u128, i64>) {
    let Ok(unpacked) = record::unpack(batch, header) else {
        return;
    };
    for record in record::walk(&unpacked, header).map_while(Result::ok) {
        if let Some(key) = record.key {
            latest.insert(
                fingerprint(key),
                header.base_offset + i64::from(record.offset_delta),
            );
        }
    }
}
