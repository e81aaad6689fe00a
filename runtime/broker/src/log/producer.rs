//! Producer state of one partition: idempotence, fencing by epoch, open transactions. Rebuilt from the log when it is opened,
//! so that it can never disagree with the records.

use std::collections::{BTreeSet, HashMap, VecDeque};

use kafka_protocol::error::ResponseError;

use super::batch::{Header, advance_sequence};

/// Batches remembered per producer: as many as a client may have in flight.
const REMEMBERED: usize = 5;
/// Producers remembered per partition; the idlest without an open transaction go first.
const MAX_PRODUCERS: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Recent {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    last_offset: i64,
}

#[derive(Debug)]
struct Producer {
    epoch: i16,
    recent: VecDeque<Recent>,
    /// The next sequence; `None` when only a marker of this producer is left in the log: then any may come.
    expected: Option<i32>,
    open_since: Option<i64>,
    last_ms: i64,
}

/// A transaction that was rolled back on this partition: its records lie in `first..=last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// What to do with a batch of an idempotent producer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// It is in the log already, at this offset.
    Duplicate(i64),
    Refuse(ResponseError),
}

/// All producers that wrote to one partition lately.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    known: HashMap<i64, Producer>,
    /// (first offset, producer id) of every open transaction.
    open: BTreeSet<(i64, i64)>,
}

impl Producers {
    /// Judges a batch before it is appended.
    pub(crate) fn check(&self, header: &Header) -> Verdict {
        let Some(producer) = self
            .known
            .get(&header.producer_id)
            .filter(|_| header.is_idempotent())
        else {
            // Nothing known, perhaps since retention took it: any sequence may start, as in Kafka.
            return Verdict::Append;
        };
        if header.producer_epoch < producer.epoch {
            return Verdict::Refuse(ResponseError::InvalidProducerEpoch);
        }
        let first = header.base_sequence;
        if header.producer_epoch > producer.epoch {
            return if first == 0 {
                Verdict::Append
            } else {
                Verdict::Refuse(ResponseError::OutOfOrderSequenceNumber)
            };
        }
        let same =
            |r: &&Recent| r.first_sequence == first && r.last_sequence == header.last_sequence();
        if let Some(recent) = producer.recent.iter().find(same) {
            return Verdict::Duplicate(recent.base_offset);
        }
        let in_order = producer.expected.is_none_or(|expected| first == expected);
        if in_order {
            Verdict::Append
        } else {
            Verdict::Refuse(ResponseError::OutOfOrderSequenceNumber)
        }
    }

    /// Notes a data batch that is in the log now.
    pub(crate) fn appended(&mut self, header: &Header, now_ms: i64) {
        if !header.is_idempotent() {
            return;
        }
        let producer = self
            .known
            .entry(header.producer_id)
            .or_insert_with(|| Producer {
                epoch: header.producer_epoch,
                recent: VecDeque::with_capacity(REMEMBERED),
                expected: None,
                open_since: None,
                last_ms: now_ms,
            });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.recent.clear();
        }
        if producer.recent.len() == REMEMBERED {
            producer.recent.pop_front();
        }
        producer.recent.push_back(Recent {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
        });
        producer.expected = Some(advance_sequence(header.last_sequence(), 1));
        producer.last_ms = now_ms;
        // A batch emptied by compaction carries a sequence only: it opens nothing.
        if header.is_transactional() && header.record_count > 0 && producer.open_since.is_none() {
            producer.open_since = Some(header.base_offset);
            self.open.insert((header.base_offset, header.producer_id));
        }
    }

    /// Notes a marker that is in the log now; tells the aborted range, if records were rolled back.
    pub(crate) fn ended(&mut self, header: &Header, commit: bool, now_ms: i64) -> Option<Aborted> {
        let producer = self
            .known
            .entry(header.producer_id)
            .or_insert_with(|| Producer {
                epoch: header.producer_epoch,
                recent: VecDeque::new(),
                expected: None,
                open_since: None,
                last_ms: now_ms,
            });
        if producer.epoch < header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.recent.clear();
            producer.expected = Some(0);
        }
        producer.last_ms = now_ms;
        let first = producer.open_since.take()?;
        self.open.remove(&(first, header.producer_id));
        (!commit).then_some(Aborted {
            producer_id: header.producer_id,
            first,
            last: header.base_offset,
        })
    }

    /// The first offset of the oldest open transaction.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.first().map(|(offset, _)| *offset)
    }

    /// Producers with an open transaction here, with their epochs.
    pub(crate) fn open(&self) -> Vec<(i64, i16)> {
        self.open
            .iter()
            .filter_map(|(_, id)| Some((*id, self.known.get(id)?.epoch)))
            .collect()
    }

    /// Whether this producer has an open transaction here.
    pub(crate) fn is_open(&self, producer_id: i64) -> bool {
        self.known
            .get(&producer_id)
            .is_some_and(|p| p.open_since.is_some())
    }

    /// The last offset of each producer's last batch: compaction must keep the sequence that stands there.
    pub(crate) fn last_offsets(&self) -> HashMap<i64, i64> {
        self.known
            .iter()
            .filter_map(|(id, p)| p.recent.back().map(|r| (*id, r.last_offset)))
            .collect()
    }

    /// Forgets producers idle since `before_ms`, and the idlest beyond the limit; never one with an open transaction.
    pub(crate) fn expire(&mut self, before_ms: i64) {
        self.known
            .retain(|_, p| p.open_since.is_some() || p.last_ms >= before_ms);
        if self.known.len() > MAX_PRODUCERS {
            let mut ages: Vec<_> = self.known.values().map(|p| p.last_ms).collect();
            let spare = ages.len() - MAX_PRODUCERS;
            let (_, cut, _) = ages.select_nth_unstable(spare);
            let cut = *cut;
            self.known
                .retain(|_, p| p.open_since.is_some() || p.last_ms > cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::marker;
    use crate::log::record::compose_as;

    fn batch(
        offset: i64,
        epoch: i16,
        sequence: i32,
        records: usize,
        transactional: bool,
    ) -> Header {
        let bytes = compose_as(
            &vec![(None, Some(&b"v"[..])); records],
            0,
            (9, epoch, sequence),
            transactional,
        );
        Header {
            base_offset: offset,
            ..Header::parse(&bytes).expect("a header")
        }
    }

    fn end(offset: i64, epoch: i16, commit: bool) -> Header {
        Header {
            base_offset: offset,
            ..Header::parse(&marker(9, epoch, commit, 0)).expect("a header")
        }
    }

    #[test]
    fn a_resent_batch_is_answered_with_its_first_offset() {
        let mut producers = Producers::default();
        for n in 0..6 {
            let b = batch(n * 2, 0, n as i32 * 2, 2, false);
            assert_eq!(producers.check(&b), Verdict::Append);
            producers.appended(&b, 0);
        }
        assert_eq!(
            producers.check(&batch(99, 0, 4, 2, false)),
            Verdict::Duplicate(4)
        );
        // Older than the five remembered, and a gap: both out of order.
        assert_eq!(
            producers.check(&batch(99, 0, 0, 2, false)),
            Verdict::Refuse(ResponseError::OutOfOrderSequenceNumber)
        );
        assert_eq!(
            producers.check(&batch(99, 0, 13, 1, false)),
            Verdict::Refuse(ResponseError::OutOfOrderSequenceNumber)
        );
        assert_eq!(
            producers.check(&batch(99, 0, 12, 1, false)),
            Verdict::Append
        );
    }

    #[test]
    fn sequences_go_on_at_zero_after_the_last() {
        let mut producers = Producers::default();
        producers.appended(&batch(0, 0, i32::MAX, 1, false), 0);
        assert_eq!(producers.check(&batch(1, 0, 0, 1, false)), Verdict::Append);
    }

    #[test]
    fn a_newer_epoch_fences_the_older() {
        let mut producers = Producers::default();
        producers.appended(&batch(0, 1, 0, 1, true), 0);
        producers.ended(&end(1, 2, false), false, 0);
        assert_eq!(
            producers.check(&batch(2, 1, 1, 1, true)),
            Verdict::Refuse(ResponseError::InvalidProducerEpoch)
        );
        assert_eq!(
            producers.check(&batch(2, 2, 3, 1, true)),
            Verdict::Refuse(ResponseError::OutOfOrderSequenceNumber)
        );
        assert_eq!(producers.check(&batch(2, 2, 0, 1, true)), Verdict::Append);
    }

    #[test]
    fn an_open_transaction_holds_the_stable_offset_until_its_marker() {
        let mut producers = Producers::default();
        producers.appended(&batch(4, 0, 0, 2, true), 0);
        producers.appended(&batch(6, 0, 2, 2, true), 0);
        assert_eq!(producers.first_open(), Some(4));
        assert_eq!(
            producers.ended(&end(8, 0, false), false, 0),
            Some(Aborted {
                producer_id: 9,
                first: 4,
                last: 8
            })
        );
        assert_eq!(producers.first_open(), None);
        producers.appended(&batch(9, 0, 4, 1, true), 0);
        assert_eq!(producers.ended(&end(10, 0, true), true, 0), None);
    }

    #[test]
    fn expiry_spares_open_transactions() {
        let mut producers = Producers::default();
        producers.appended(&batch(4, 0, 0, 2, true), 0);
        producers.expire(1000);
        assert!(producers.is_open(9));
        producers.ended(&end(6, 0, true), true, 0);
        producers.expire(1000);
        assert_eq!(producers.last_offsets().len(), 0);
    }
}
