//! The batch at hand: in the chain first, then before put; and how far its offsets may move.

use crate::{
    mutant::mutant,
    task::flow::{Flow, Refusal},
};
use longshore_sdk::{Record, SinkRecord, TopicOffset, TopicOffsets, TopicPartition};

/// The batch at hand.
pub(super) enum Batch {
    /// In the chain.
    Converting(Converting),
    /// Before put.
    Putting(Putting),
}

/// A batch in the chain. Everything but the flow is indexed by ordinal.
pub(super) struct Converting {
    pub(super) flow: Flow,
    places: Vec<TopicOffset>,
    /// The records as they were read, where a dead letter may need them.
    raws: Vec<Record>,
    /// Whose partition went away meanwhile; empty = none.
    lost: Vec<bool>,
}

/// A batch before put.
#[derive(Default)]
pub(super) struct Putting {
    /// What the chain left; all before `from` are taken.
    records: Vec<SinkRecord>,
    ordinals: Vec<u32>,
    from: usize,
    /// What the chain left out, by rising ordinal; all before `passed` are counted.
    left_out: Vec<(u32, TopicOffset)>,
    passed: usize,
    raws: Vec<Record>,
}

/// A record for the dead letter queue: as it was read, and what was wrong with it. Without the raw record it is skipped, not sent.
pub(super) type Letter = (Option<Record>, TopicOffset, Refusal);

impl Converting {
    /// Where the record was read that the chain stopped at.
    pub(super) fn culprit(&self) -> Option<&TopicOffset> {
        self.places.get(self.flow.culprit? as usize)
    }
    pub(super) fn new(batch: Vec<SinkRecord>, keep_raws: bool) -> Self {
        let mut records = Vec::with_capacity(batch.len());
        let mut places = Vec::with_capacity(batch.len());
        for SinkRecord { mut record, at } in batch {
            record.offset = Some(at.offset);
            records.push(record);
            places.push(at);
        }
        let raws = if keep_raws {
            records.clone()
        } else {
            Vec::new()
        };
        Self {
            flow: Flow::new(records),
            places,
            raws,
            lost: Vec::new(),
        }
    }
    /// Where each record was read.
    pub(super) fn places(&self) -> &[TopicOffset] {
        &self.places
    }
    /// Partitions went away: their records are thrown away when the chain is through. Should the partitions come back, others come in their place.
    pub(super) fn forget(&mut self, gone: &[TopicPartition]) {
        self.lost.resize(self.places.len(), false);
        for (lost, at) in self.lost.iter_mut().zip(&self.places) {
            *lost |= is_in(gone, at);
        }
    }
    /// The chain is through: what is to be put, and what is to be judged as refused, in the order of the batch.
    pub(super) fn finish(mut self) -> (Putting, Vec<Letter>) {
        let lost = |ordinal: u32| self.lost.get(ordinal as usize) == Some(&true);
        let mut refused = std::mem::take(&mut self.flow.refused);
        refused.retain(|refusal| !lost(refusal.ordinal));
        refused.sort_by_key(|refusal| refusal.ordinal);
        let letters = refused.into_iter().map(|refusal| {
            let at = refusal.ordinal as usize;
            (take(&mut self.raws, at), self.places[at].clone(), refusal)
        });
        let letters = letters.collect();
        let left = self.flow.records.len();
        let mut putting = Putting {
            records: Vec::with_capacity(left),
            ordinals: Vec::with_capacity(left),
            raws: self.raws,
            ..Putting::default()
        };
        let mut kept = self
            .flow
            .records
            .into_iter()
            .zip(self.flow.ordinals)
            .peekable();
        for (ordinal, at) in (0u32..).zip(self.places) {
            let record = kept.next_if(|(_, next)| *next == ordinal);
            if self.lost.get(ordinal as usize) == Some(&true) {
                continue;
            }
            match record {
                Some((record, _)) => {
                    putting.records.push(SinkRecord { record, at });
                    putting.ordinals.push(ordinal);
                }
                None => putting.left_out.push((ordinal, at)),
            }
        }
        (putting, letters)
    }
}

impl Putting {
    /// What put is to be given; empty = done.
    pub(super) fn rest(&self) -> &[SinkRecord] {
        &self.records[self.from..]
    }
    /// Where a record of the rest was read.
    pub(super) fn place(&self, index: usize) -> Option<&TopicOffset> {
        self.records.get(self.from + index).map(|record| &record.at)
    }
    /// A refused record of the rest.
    pub(super) fn letter(&mut self, index: usize, refusal: Refusal) -> Letter {
        let place = self.from + index;
        let raw = take(&mut self.raws, self.ordinals[place] as usize);
        (raw, self.records[place].at.clone(), refusal)
    }
    /// The next `n` of the rest are done: moves `offsets` behind them, and behind what the chain left out before the first that is not done (I1).
    pub(super) fn advance(&mut self, n: usize, offsets: &mut TopicOffsets) {
        let done = &self.records[self.from..self.from + n];
        for (index, record) in done.iter().enumerate() {
            // One entry per run of a partition, not per record.
            let last_of_run = done.get(index + 1).is_none_or(|next| {
                next.at.partition != record.at.partition || next.at.topic != record.at.topic
            });
            if last_of_run {
                pass(offsets, &record.at);
            }
        }
        self.from += n;
        let frontier = self.ordinals.get(self.from).copied().unwrap_or(u32::MAX);
        while let Some((ordinal, at)) = self.left_out.get(self.passed)
            && *ordinal < frontier
        {
            pass(offsets, at);
            self.passed += 1;
        }
    }
    /// Partitions went away: their records are thrown away.
    pub(super) fn forget(&mut self, gone: &[TopicPartition]) {
        let records = self.records.drain(self.from..);
        let ordinals = self.ordinals.drain(self.from..);
        let kept: Vec<_> = records
            .zip(ordinals)
            .filter(|(record, _)| !is_in(gone, &record.at))
            .collect();
        (self.records, self.ordinals) = kept.into_iter().unzip();
        self.from = 0;
        self.left_out.drain(..self.passed);
        self.passed = 0;
        self.left_out.retain(|(_, at)| !is_in(gone, at));
    }
}

/// Partitions are few; a batch is looked through once per rebalance.
fn is_in(gone: &[TopicPartition], at: &TopicOffset) -> bool {
    gone.iter()
        .any(|gone| gone.partition == at.partition && gone.topic == at.topic)
}

fn pass(offsets: &mut TopicOffsets, at: &TopicOffset) {
    let next = offsets.entry(at.topic_partition()).or_insert(0);
    let behind = if mutant!("offset-off-by-one") { 2 } else { 1 };
    *next = (*next).max(at.offset + behind);
}

/// A record that goes into the dead letter queue goes there once.
fn take(raws: &mut [Record], ordinal: usize) -> Option<Record> {
    let raw = raws.get_mut(ordinal)?;
    let topic = raw.topic.clone();
    Some(std::mem::replace(raw, Record::new(topic)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::ErrorPolicy;
    use longshore_sdk::Error;

    fn at(partition: i32, offset: i64) -> TopicOffset {
        TopicOffset {
            topic: "t".into(),
            partition,
            offset,
        }
    }
    fn batch(places: &[(i32, i64)]) -> Converting {
        let records = places.iter().map(|(p, o)| SinkRecord {
            record: Record::new("t".into()),
            at: at(*p, *o),
        });
        Converting::new(records.collect(), true)
    }
    fn offsets(entries: &[(i32, i64)]) -> TopicOffsets {
        entries
            .iter()
            .map(|(p, o)| (TopicPartition::new("t", *p), *o))
            .collect()
    }
    fn refuse(converting: &mut Converting, place: usize) {
        let policy = ErrorPolicy {
            tolerance_all: true,
            ..ErrorPolicy::default()
        };
        converting
            .flow
            .judge(
                place,
                Error::data("t", "bad"),
                "TRANSFORMATION",
                &"x".into(),
                &policy,
            )
            .expect("tolerated");
    }

    #[test]
    fn what_was_left_out_counts_only_when_all_before_it_is_done() {
        let mut converting = batch(&[(0, 5), (0, 6), (0, 7), (1, 3), (0, 8)]);
        converting.flow.dropped(0);
        refuse(&mut converting, 2);
        converting.flow.dropped(4);
        converting.flow.sweep();
        let (mut putting, letters) = converting.finish();
        assert_eq!(
            letters
                .iter()
                .map(|(_, at, _)| at.offset)
                .collect::<Vec<_>>(),
            [7]
        );
        assert_eq!(putting.rest().len(), 2);
        let mut taken = TopicOffsets::new();
        putting.advance(0, &mut taken);
        assert_eq!(taken, offsets(&[(0, 6)]), "I1: 6 is not taken");
        putting.advance(1, &mut taken);
        assert_eq!(taken, offsets(&[(0, 8)]));
        putting.advance(1, &mut taken);
        assert_eq!(taken, offsets(&[(0, 9), (1, 4)]));
        assert!(putting.rest().is_empty());
    }

    #[test]
    fn a_batch_of_dropped_records_moves_its_offsets() {
        let mut converting = batch(&[(0, 5), (0, 6)]);
        converting.flow.dropped(0);
        converting.flow.dropped(1);
        converting.flow.sweep();
        let (mut putting, _) = converting.finish();
        let mut taken = TopicOffsets::new();
        putting.advance(0, &mut taken);
        assert_eq!(taken, offsets(&[(0, 7)]));
    }

    #[test]
    fn lost_partitions_leave_nothing_behind() {
        let mut converting = batch(&[(0, 5), (1, 3), (0, 6), (1, 4), (2, 9)]);
        converting.forget(&[TopicPartition::new("t", 1)]);
        refuse(&mut converting, 3);
        converting.flow.dropped(0);
        converting.flow.sweep();
        let (mut putting, letters) = converting.finish();
        assert!(
            letters.is_empty(),
            "the partition's next owner judges its records"
        );
        assert_eq!(
            putting
                .rest()
                .iter()
                .map(|r| r.at.partition)
                .collect::<Vec<_>>(),
            [0, 2]
        );
        let mut taken = TopicOffsets::new();
        putting.advance(1, &mut taken);
        putting.forget(&[TopicPartition::new("t", 2)]);
        putting.advance(0, &mut taken);
        assert!(putting.rest().is_empty());
        assert_eq!(taken, offsets(&[(0, 7)]));
    }
}
