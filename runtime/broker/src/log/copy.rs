//! The copying half of compaction: batch by batch, what stays, what goes, what is written anew.

use std::collections::{HashMap, HashSet};
use std::io;

use super::batch::{HEADER, Header, Rebuilt};
use super::clean::{Plan, fingerprint};
use super::record::{self, Record};
use super::segment::Segment;

/// What happens to one batch.
enum Fate {
    Keep,
    Drop,
    Rewrite(Vec<u8>),
}

/// State of the copying half of a pass.
pub(super) struct Copy<'a> {
    plan: &'a Plan,
    latest: HashMap<u128, i64>,
    /// Producers with records kept since their last marker.
    with_data: HashSet<i64>,
    next_horizon: Option<i64>,
}

impl<'a> Copy<'a> {
    pub(super) fn new(plan: &'a Plan, latest: HashMap<u128, i64>) -> Copy<'a> {
        Copy {
            plan,
            latest,
            with_data: HashSet::new(),
            next_horizon: None,
        }
    }

    /// When the next tombstone or marker that was kept may go.
    pub(super) fn next_horizon(&self) -> Option<i64> {
        self.next_horizon
    }

    /// Copies one segment.
    pub(super) fn segment(
        &mut self,
        from: &Segment,
        out: &mut Segment,
        bytes: &mut Vec<u8>,
    ) -> io::Result<()> {
        let (reader, mut at) = (from.reader()?, 0);
        while let Some(header) = reader.batch(at, bytes)? {
            at += header.size() as u64;
            let fate = if header.is_control() {
                self.control(bytes, &header)?
            } else {
                self.data(bytes, &header)?
            };
            match fate {
                Fate::Drop => {}
                Fate::Keep => out.append(bytes, &header, self.plan.now_ms)?,
                Fate::Rewrite(new) => {
                    let header = Header::parse(&new).ok_or(io::ErrorKind::InvalidData)?;
                    out.append(&new, &header, self.plan.now_ms)?;
                }
            }
        }
        Ok(())
    }

    /// A marker stays while records of its transaction do, and a while longer.
    fn control(&mut self, bytes: &[u8], header: &Header) -> io::Result<Fate> {
        if self.with_data.remove(&header.producer_id) || record::marker_commits(bytes).is_none() {
            return Ok(Fate::Keep);
        }
        match header.delete_horizon() {
            Some(at) if at <= self.plan.now_ms => Ok(Fate::Drop),
            Some(at) => {
                self.expect_horizon(at);
                Ok(Fate::Keep)
            }
            None => {
                let unpacked = record::unpack(bytes, header)?;
                let records: Vec<_> = record::walk(&unpacked, header).collect::<io::Result<_>>()?;
                Ok(Fate::Rewrite(self.rebuild(header, &records, true)))
            }
        }
    }

    fn data(&mut self, bytes: &[u8], header: &Header) -> io::Result<Fate> {
        let (mut kept, mut tombstones) = (Vec::new(), false);
        let unpacked;
        if !self.plan.is_aborted(header) {
            unpacked = match record::unpack(bytes, header) {
                Ok(unpacked) => unpacked,
                Err(_) => {
                    self.with_data
                        .extend(header.is_transactional().then_some(header.producer_id));
                    return Ok(Fate::Keep);
                }
            };
            for record in record::walk(&unpacked, header) {
                let record = record?;
                if self.stays(&record, header) {
                    tombstones |= record.value.is_none();
                    kept.push(record);
                }
            }
        }
        if kept.is_empty() {
            return Ok(
                match (self.plan.holds_sequence(header), header.record_count) {
                    (false, _) => Fate::Drop,
                    (true, 0) => Fate::Keep,
                    (true, _) => Fate::Rewrite(self.rebuild(header, &[], false)),
                },
            );
        }
        if header.is_transactional() {
            self.with_data.insert(header.producer_id);
        }
        let new_horizon = tombstones && header.delete_horizon().is_none();
        if let Some(at) = header.delete_horizon().filter(|_| tombstones) {
            self.expect_horizon(at);
        }
        if kept.len() == header.record_count as usize && !new_horizon {
            return Ok(Fate::Keep);
        }
        Ok(Fate::Rewrite(self.rebuild(header, &kept, new_horizon)))
    }

    fn stays(&self, record: &Record<'_>, header: &Header) -> bool {
        let offset = header.base_offset + i64::from(record.offset_delta);
        // A record without a key has no place in a compacted log: it can only stem from before the policy.
        let Some(key) = record.key else { return false };
        let superseded = self
            .latest
            .get(&fingerprint(key))
            .is_some_and(|latest| *latest > offset);
        let spent = record.value.is_none()
            && header
                .delete_horizon()
                .is_some_and(|at| at <= self.plan.now_ms);
        offset >= self.plan.start && !superseded && !spent
    }

    fn expect_horizon(&mut self, at: i64) {
        self.next_horizon = Some(self.next_horizon.map_or(at, |h| h.min(at)));
    }

    /// The batch with `kept` records. A new horizon takes the base timestamp's place, so the deltas move with it.
    fn rebuild(&mut self, header: &Header, kept: &[Record<'_>], new_horizon: bool) -> Vec<u8> {
        let base_timestamp = if new_horizon {
            self.plan.horizon_ms
        } else {
            header.base_timestamp
        };
        let shift = header.base_timestamp.wrapping_sub(base_timestamp);
        let mut records = Vec::with_capacity(header.size() - HEADER);
        let mut max_timestamp = i64::MIN;
        for record in kept {
            max_timestamp =
                max_timestamp.max(header.base_timestamp.wrapping_add(record.timestamp_delta));
            if shift == 0 {
                records.extend_from_slice(record.raw);
            } else {
                record.encode_with_timestamp_delta(
                    record.timestamp_delta.wrapping_add(shift),
                    &mut records,
                );
            }
        }
        if new_horizon {
            self.expect_horizon(base_timestamp);
        }
        let rebuilt = Rebuilt {
            of: header,
            records: &records,
            count: kept.len() as i32,
            base_timestamp,
            max_timestamp: if kept.is_empty() {
                header.max_timestamp
            } else {
                max_timestamp
            },
            horizon: new_horizon || header.delete_horizon().is_some(),
        };
        rebuilt.encode()
    }
}
