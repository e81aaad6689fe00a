//! Numbered records of several counters, as a place holds them: what is missing, there twice, or out of order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::ids::Ids;
use crate::topic::each_record;

/// The records of one place: every counter (`share`) by itself.
#[derive(Debug, Default)]
pub(super) struct Held {
    shares: BTreeMap<u64, Ids>,
    /// The last id of each counter in each partition.
    last: BTreeMap<(i32, u64), u64>,
    /// Records that came behind a later one of their counter.
    back: u64,
}

impl Held {
    /// Every committed record of a topic.
    pub(super) fn by_topic(bootstrap: &str, topic: &str) -> Result<Self> {
        let mut held = Self::default();
        each_record(bootstrap, topic, |partition, value| {
            held.add(partition, value)
        })?;
        Ok(held)
    }

    /// Every whole line of a file.
    pub(super) fn by_file(path: &Path) -> Result<Self> {
        let mut held = Self::default();
        let file = File::open(path).with_context(|| format!("no {}", path.display()))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.last() == Some(&b'\n') {
            held.count(&line)?;
            line.clear();
        }
        Ok(held)
    }

    /// A record of a partition, in the partition's order.
    fn add(&mut self, partition: i32, value: &[u8]) -> Result<()> {
        let (share, id) = self.count(value)?;
        let last = self.last.entry((partition, share)).or_insert(0);
        self.back += u64::from(id <= *last);
        *last = id;
        Ok(())
    }

    /// A record whose order says nothing.
    fn count(&mut self, value: &[u8]) -> Result<(u64, u64)> {
        let json: Value = serde_json::from_slice(value)
            .with_context(|| format!("no JSON: {}", String::from_utf8_lossy(value)))?;
        let share = json["share"].as_u64().unwrap_or(0);
        let id = json["id"]
            .as_u64()
            .with_context(|| format!("no id: {json}"))?;
        self.shares.entry(share).or_default().add(id)?;
        Ok((share, id))
    }

    /// Counts a row of a table.
    pub(super) fn add_row(&mut self, share: u64, id: u64) -> Result<()> {
        self.shares.entry(share).or_default().add(id)
    }

    /// All records, repeated ones too.
    pub(super) fn total(&self) -> u64 {
        self.shares.values().map(Ids::total).sum()
    }

    /// Records beyond the first of their kind.
    pub(super) fn duplicates(&self) -> u64 {
        self.shares.values().map(Ids::duplicates).sum()
    }

    /// The highest id of each counter.
    pub(super) fn ends(&self) -> BTreeMap<u64, usize> {
        self.shares
            .iter()
            .map(|(share, ids)| (*share, ids.max()))
            .collect()
    }

    /// Prints the counts. Errors: an id below the highest is missing, there twice, or came late.
    pub(super) fn check(&self, place: &str) -> Result<()> {
        let lost: usize = self.shares.values().map(|ids| ids.missing().len()).sum();
        println!(
            "  {place:<8}: {} records of {} counters, {lost} lost, {} duplicates, {} out of order",
            self.total(),
            self.shares.len(),
            self.duplicates(),
            self.back
        );
        for (share, ids) in &self.shares {
            ids.without_gap(&format!("{place}, counter {share}"))?;
            let twice = (1..=ids.max() as u64).filter(|id| ids.sightings(*id) > 1);
            ensure!(
                ids.duplicates() == 0,
                "{place}, counter {share}: {} duplicates, the first: {:?}",
                ids.duplicates(),
                twice.take(10).collect::<Vec<_>>()
            );
        }
        ensure!(
            self.back == 0,
            "{place}: {} records came behind later ones",
            self.back
        );
        ensure!(self.total() > 0, "{place} holds nothing");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(records: &[(i32, u64, u64)]) -> Held {
        let mut held = Held::default();
        for (partition, share, id) in records {
            let value = format!("{{\"share\":{share},\"id\":{id}}}");
            held.add(*partition, value.as_bytes()).expect("counts");
        }
        held
    }

    #[test]
    fn each_counter_is_whole_once_and_in_order_by_partition() {
        held(&[(0, 0, 1), (1, 1, 1), (1, 0, 3), (0, 0, 2)])
            .check("good")
            .expect("good");
        for bad in [
            &[(0, 0, 1), (0, 0, 3)][..],
            &[(0, 0, 1), (1, 0, 1)],
            &[(0, 0, 2), (0, 0, 1)],
            &[],
        ] {
            assert!(held(bad).check("bad").is_err(), "{bad:?}");
        }
    }
}
