//! Reading a log: whole batches from an offset on, and offsets by time.

use std::io;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::batch::Header;
use super::producer::Aborted;
use super::{Log, record};

/// What one fetch of one partition gives.
#[derive(Debug)]
pub(crate) struct Slice {
    /// Whole batches; the first may begin before the offset asked for.
    pub(crate) records: Bytes,
    pub(crate) end: i64,
    pub(crate) stable: i64,
    pub(crate) start: i64,
    /// Only for read_committed: the transactions whose records the reader has to skip.
    pub(crate) aborted: Vec<Aborted>,
}

impl Log {
    /// Reads from `offset` up to `max_bytes`; the first batch comes even if larger when `at_least_one`.
    /// `committed` stops at the last stable offset.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
        committed: bool,
    ) -> Result<Slice, ResponseError> {
        if self.deleted {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        if offset < self.start || offset > self.end() {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let upper = if committed { self.stable() } else { self.end() };
        let (records, next) = self
            .read_below(offset, upper, max_bytes, at_least_one)
            .map_err(|error| {
                tracing::error!(%error, offset, "read failed");
                ResponseError::KafkaStorageError
            })?;
        let aborted = if committed && !records.is_empty() {
            self.aborted_between(offset, next)
        } else {
            Vec::new()
        };
        Ok(Slice {
            records,
            end: self.end(),
            stable: self.stable(),
            start: self.start,
            aborted,
        })
    }

    fn aborted_between(&self, from: i64, to: i64) -> Vec<Aborted> {
        self.aborted
            .iter()
            .filter(|a| a.last >= from && a.first < to)
            .copied()
            .collect()
    }

    /// Bytes of whole batches that begin below `upper`, and the offset after them.
    fn read_below(
        &self,
        offset: i64,
        upper: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> io::Result<(Bytes, i64)> {
        let nothing = (Bytes::new(), offset);
        if offset >= upper {
            return Ok(nothing);
        }
        let from = self
            .segments
            .partition_point(|s| s.base_offset <= offset)
            .saturating_sub(1);
        for segment in &self.segments[from..] {
            let Some((position, first)) = segment.find(offset)? else {
                continue;
            };
            if first.base_offset >= upper {
                return Ok(nothing);
            }
            let want = if at_least_one {
                max_bytes.max(first.size())
            } else {
                max_bytes
            };
            if want < first.size() {
                return Ok(nothing);
            }
            let mut bytes = segment.read(position, want)?;
            let (whole, next) = whole_batches(&bytes, upper);
            bytes.truncate(whole);
            return Ok((bytes, next));
        }
        Ok(nothing)
    }

    /// The first record at or after `time`: its timestamp and offset.
    pub(crate) fn find_time(&self, time: i64) -> io::Result<Option<(i64, i64)>> {
        for segment in self
            .segments
            .iter()
            .filter(|s| s.max_timestamp >= time && s.next_offset > self.start)
        {
            let Some((position, header)) = segment.find_time(time, self.start)? else {
                continue;
            };
            let batch = segment.read(position, header.size())?;
            // A batch that cannot be unpacked still has a first offset: an answer a little early, never late.
            return Ok(Some(self.record_at(&batch, &header, time).unwrap_or((
                header.max_timestamp,
                header.base_offset.max(self.start),
            ))));
        }
        Ok(None)
    }

    fn record_at(&self, batch: &[u8], header: &Header, time: i64) -> Option<(i64, i64)> {
        let unpacked = record::unpack(batch, header).ok()?;
        record::walk(&unpacked, header)
            .map_while(Result::ok)
            .map(|r| {
                (
                    header.base_timestamp + r.timestamp_delta,
                    header.base_offset + i64::from(r.offset_delta),
                )
            })
            .find(|(t, o)| *t >= time && *o >= self.start)
    }
}

/// How many of the bytes are whole batches that begin below `upper`, and the offset after the last.
fn whole_batches(bytes: &[u8], upper: i64) -> (usize, i64) {
    let (mut at, mut next) = (0, 0);
    while let Some(header) = Header::parse(&bytes[at..]) {
        if at + header.size() > bytes.len() || header.base_offset >= upper {
            break;
        }
        at += header.size();
        next = header.last_offset() + 1;
    }
    (at, next)
}
