//! What leaves a log at its old end: retention by age and size, deleted records, idle producers.

use std::io;

use kafka_protocol::error::ResponseError;

use super::Log;
use crate::settings::Settings;

/// Producer ids without a batch for this long are forgotten, as in Kafka.
const PRODUCER_EXPIRY_MS: i64 = 24 * 60 * 60 * 1000;

impl Log {
    /// Rolls an active segment that is old enough and applies `cleanup.policy=delete`. Tells if the log start moved.
    pub(crate) fn tend(&mut self, settings: &Settings, now_ms: i64) -> io::Result<bool> {
        if self.deleted {
            return Ok(false);
        }
        self.producers.expire(now_ms - PRODUCER_EXPIRY_MS);
        if self
            .active()
            .first_append_ms
            .is_some_and(|first| now_ms - first >= settings.roll_after_ms())
        {
            self.roll()?;
        }
        if !settings.delete {
            return Ok(false);
        }
        let before = self.start;
        if let Some(age) = settings.retention_ms {
            let expired = |max: i64| max >= 0 && now_ms - max > age;
            // The active segment goes too when everything in it is too old.
            if self.active().size > 0
                && self
                    .segments
                    .iter()
                    .all(|s| s.size == 0 || expired(s.max_timestamp))
            {
                self.roll()?;
            }
            self.drop_head(|log| {
                log.segments[0].size == 0 || expired(log.segments[0].max_timestamp)
            })?;
        }
        if let Some(limit) = settings.retention_bytes {
            self.drop_head(|log| log.size() - log.segments[0].size >= limit)?;
        }
        Ok(self.start > before)
    }

    pub(super) fn size(&self) -> u64 {
        self.segments.iter().map(|s| s.size).sum()
    }

    /// Drops old segments while `spare` says so; never the active one, never undecided records.
    fn drop_head(&mut self, spare: impl Fn(&Log) -> bool) -> io::Result<()> {
        while self.segments.len() > 1
            && self.segments[1].base_offset <= self.stable()
            && spare(self)
        {
            let start = self.segments[1].base_offset;
            self.segments.remove(0).remove()?;
            self.start = self.start.max(start);
        }
        let start = self.start;
        self.aborted.retain(|a| a.last >= start);
        Ok(())
    }

    /// Moves the log start to `offset` (-1: the end). The caller stores the new start.
    pub(crate) fn delete_records(&mut self, offset: i64) -> Result<i64, ResponseError> {
        let offset = if offset == -1 { self.end() } else { offset };
        if self.deleted {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        if offset < 0 || offset > self.end() {
            return Err(ResponseError::OffsetOutOfRange);
        }
        self.start = self.start.max(offset);
        Ok(self.start)
    }

    /// Deletes the segments that lie below the log start altogether.
    pub(crate) fn drop_below_start(&mut self) -> io::Result<()> {
        let start = self.start;
        self.drop_head(|log| log.segments[1].base_offset <= start)
    }
}
