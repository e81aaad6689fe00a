//! Counting `id` = 1, 2, 3, ..: what is missing, what is there more than once.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How often each id was seen; index 0 is id 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    seen: Vec<u32>,
}

/// An id above this is no count but a mistake, and would take all memory.
const ID_MAX: u64 = 1_000_000_000;

impl Ids {
    /// Reads one JSON object a line, each with an integer `id`. A last line without its end is still being written: it is left out
    /// when `growing`, an error otherwise. No file is no ids.
    pub fn of_file(path: &Path, growing: bool) -> Result<Self> {
        let mut ids = Self::default();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ids),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut line = Vec::new();
        let mut number = 0_u64;
        while reader.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            if line.last() != Some(&b'\n') {
                ensure!(
                    growing,
                    "{}:{number}: the last line is torn",
                    path.display()
                );
                break;
            }
            ids.add_json(&line)
                .with_context(|| format!("{}:{number}", path.display()))?;
            line.clear();
        }
        Ok(ids)
    }

    /// Counts the `id` of a JSON object.
    pub fn add_json(&mut self, json: &[u8]) -> Result<()> {
        let value: Value = serde_json::from_slice(json)
            .with_context(|| format!("no JSON: {}", String::from_utf8_lossy(json)))?;
        let id = value["id"]
            .as_u64()
            .filter(|id| (1..=ID_MAX).contains(id))
            .with_context(|| format!("no id: {value}"))?;
        self.add(id)
    }

    /// Counts an id.
    pub fn add(&mut self, id: u64) -> Result<()> {
        ensure!((1..=ID_MAX).contains(&id), "no id: {id}");
        let index = usize::try_from(id - 1)?;
        if self.seen.len() <= index {
            self.seen.resize(index + 1, 0);
        }
        self.seen[index] += 1;
        Ok(())
    }

    /// How often this id was seen.
    pub fn sightings(&self, id: u64) -> u32 {
        let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        index
            .and_then(|index| self.seen.get(index))
            .copied()
            .unwrap_or(0)
    }

    /// The highest id.
    pub fn max(&self) -> usize {
        self.seen.len()
    }

    /// All sightings, repeated ones too.
    pub fn total(&self) -> u64 {
        self.seen.iter().map(|&count| u64::from(count)).sum()
    }

    /// Sightings beyond the first, of ids above `after`.
    pub fn duplicates_above(&self, after: usize) -> u64 {
        self.seen
            .iter()
            .skip(after)
            .map(|&count| u64::from(count.saturating_sub(1)))
            .sum()
    }

    /// Sightings beyond the first.
    pub fn duplicates(&self) -> u64 {
        self.duplicates_above(0)
    }

    /// Ids up to the highest that were never seen.
    pub fn missing(&self) -> Vec<usize> {
        self.seen
            .iter()
            .enumerate()
            .filter(|(_, count)| **count == 0)
            .map(|(index, _)| index + 1)
            .collect()
    }

    /// Fails when an id is missing, naming the first few.
    pub fn without_gap(&self, place: &str) -> Result<()> {
        let missing = self.missing();
        ensure!(
            missing.is_empty(),
            "{place}: {} of {} ids are lost, the first: {:?}",
            missing.len(),
            self.max(),
            &missing[..missing.len().min(10)]
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_duplicates_are_counted() {
        let mut ids = Ids::default();
        for id in [1, 2, 2, 5] {
            ids.add_json(format!("{{\"id\":{id}}}").as_bytes())
                .expect("counts");
        }
        assert_eq!(
            (
                ids.max(),
                ids.total(),
                ids.duplicates(),
                ids.duplicates_above(2)
            ),
            (5, 4, 1, 0)
        );
        assert_eq!(ids.missing(), [3, 4]);
        assert!(ids.without_gap("here").is_err());
        assert!(ids.add_json(b"{\"id\":0}").is_err());
    }

    #[test]
    fn a_torn_line_counts_for_nothing_or_is_an_error() {
        let dir = tempfile::tempdir().expect("temp folder");
        let path = dir.path().join("f");
        std::fs::write(&path, "{\"id\":1}\n{\"id\":2").expect("writes");
        assert_eq!(Ids::of_file(&path, true).expect("reads").max(), 1);
        assert!(Ids::of_file(&path, false).is_err());
    }
}
