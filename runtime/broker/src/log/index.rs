//! The sparse index of one segment: a few bytes per 16 KiB of log, rebuilt when the log is opened.

use super::batch::Header;

/// Log bytes between two entries.
const INTERVAL: u64 = 16 * 1024;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Base offset of the batch at `position`, relative to the segment.
    offset: u32,
    position: u32,
    /// The greatest timestamp of all batches before this one.
    time_before: i64,
}

/// Maps offsets and times to positions at or before the batch that is looked for.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: Vec<Entry>,
    next_at: u64,
}

impl Index {
    /// Notes the batch at `position`; `time_before` is the segment's greatest timestamp without it.
    pub(crate) fn note(
        &mut self,
        base_offset: i64,
        position: u64,
        header: &Header,
        time_before: i64,
    ) {
        if position < self.next_at {
            return;
        }
        let relative = header.base_offset - base_offset;
        let (Ok(offset), Ok(at)) = (u32::try_from(relative), u32::try_from(position)) else {
            return;
        };
        self.entries.push(Entry {
            offset,
            position: at,
            time_before,
        });
        self.next_at = position + INTERVAL;
    }

    /// Where to start to look for `relative` (an offset less the segment's base).
    pub(crate) fn floor_offset(&self, relative: i64) -> u64 {
        let at = self
            .entries
            .partition_point(|e| i64::from(e.offset) <= relative);
        at.checked_sub(1)
            .map_or(0, |i| u64::from(self.entries[i].position))
    }

    /// Where to start to look for the first batch that reaches `time`.
    pub(crate) fn floor_time(&self, time: i64) -> u64 {
        let at = self.entries.partition_point(|e| e.time_before < time);
        at.checked_sub(1)
            .map_or(0, |i| u64::from(self.entries[i].position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::compose;

    #[test]
    fn floors_never_pass_the_target() {
        let mut index = Index::default();
        let mut header = Header::parse(&compose(&[(None, None)], 0)).expect("a header");
        let mut seen = i64::MIN;
        for n in 0..1000i64 {
            header.base_offset = 500 + n * 3;
            index.note(500, n as u64 * 1000, &header, seen);
            seen = n * 10;
        }
        assert!(
            index.entries.len() > 10 && index.entries.len() < 100,
            "sparse: {}",
            index.entries.len()
        );
        for n in 0..1000i64 {
            let at = index.floor_offset(n * 3);
            assert!(
                at <= n as u64 * 1000 && at + INTERVAL + 1000 > n as u64 * 1000,
                "offset of batch {n} -> {at}"
            );
            assert!(
                index.floor_time(n * 10) <= n as u64 * 1000,
                "time of batch {n}"
            );
        }
        assert_eq!(index.floor_offset(0), 0);
    }
}
