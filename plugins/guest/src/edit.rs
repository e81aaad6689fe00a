//! What a transform made of a batch. What did not change does not travel back.

use crate::abi::longshore::connector::types::{self, Column};
use crate::column::{self, ColumnBuilder};
use crate::dictionary::{Dictionary, count};
use crate::transform::{Edited, HeaderEdit};
use crate::{Error, Format, Record, Records, Result};
use std::ops::Range;

/// Takes the changes to a batch. Keys and values are changed in the order of rows; everything else in any order.
#[derive(Debug)]
pub struct Edit<'a> {
    batch: &'a types::Batch,
    keep: Vec<u8>,
    key: Option<Changed>,
    value: Option<Changed>,
    topics: Dictionary,
    topic: Vec<u32>,
    timestamp: Vec<i64>,
    headers: Vec<HeaderEdit>,
    failed: Vec<(u32, Error)>,
}

impl<'a> Edit<'a> {
    /// No change yet.
    pub fn new(records: &Records<'a>) -> Self {
        let batch = records.batch();
        Self {
            batch,
            keep: Vec::new(),
            key: None,
            value: None,
            topics: Dictionary::default(),
            topic: Vec::new(),
            timestamp: Vec::new(),
            headers: Vec::new(),
            failed: Vec::new(),
        }
    }
    fn rows(&self) -> usize {
        self.batch.count as usize
    }
    /// Takes the record out of the stream.
    pub fn drop(&mut self, record: &Record<'_>) {
        self.keep.resize(self.rows(), 1);
        self.keep[record.row()] = 0;
    }
    /// Says that the record cannot be transformed: `errors.tolerance` decides.
    pub fn fail(&mut self, record: &Record<'_>, error: Error) {
        self.failed.push((count(record.row()), error));
    }
    /// Replaces the key; `None` = null. Errors of kind fatal: rows are out of order.
    pub fn key(&mut self, record: &Record<'_>, key: Option<&[u8]>) -> Result<()> {
        let column = changed(&mut self.key, &self.batch.key, record.row())?;
        put(column, key);
        Ok(())
    }
    /// Replaces the value; `None` = null. Errors of kind fatal: rows are out of order.
    pub fn value(&mut self, record: &Record<'_>, value: Option<&[u8]>) -> Result<()> {
        let column = changed(&mut self.value, &self.batch.value, record.row())?;
        put(column, value);
        Ok(())
    }
    /// Replaces what stands at `place` of the value; the rest of it stays. May be called again for places behind. Costs no allocation, and
    /// copies every byte once. Errors of kind fatal: rows or places are out of order, the value is null or shorter.
    pub fn splice_value(
        &mut self,
        record: &Record<'_>,
        place: Range<usize>,
        by: &[u8],
    ) -> Result<()> {
        let original = &self.batch.value;
        let changed = self.value.get_or_insert_with(|| Changed::new(original));
        changed.splice(original, record.row(), place, by)
    }
    /// Lets `write` append the new value to its column. When it fails, the value stays.
    pub fn value_with(
        &mut self,
        record: &Record<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        changed(&mut self.value, &self.batch.value, record.row())?.push_with(write)
    }
    /// Serialises the new value into its column.
    pub fn value_json(
        &mut self,
        record: &Record<'_>,
        value: &(impl serde::Serialize + ?Sized),
    ) -> Result<()> {
        self.value_with(record, |out| {
            serde_json::to_writer(out, value)
                .map_err(|error| Error::data(format!("a value does not serialise: {error}")))
        })
    }
    /// Sends the record elsewhere.
    pub fn topic(&mut self, record: &Record<'_>, topic: &str) {
        if self.topic.is_empty() {
            let records = Records::new(self.batch);
            for record in records {
                let number = self.topics.number(record.topic());
                self.topic.push(number);
            }
        }
        self.topic[record.row()] = self.topics.number(topic);
    }
    /// Sets the timestamp: milliseconds since the Unix epoch. The plugin must need timestamps.
    pub fn timestamp(&mut self, record: &Record<'_>, milliseconds: i64) {
        if self.timestamp.is_empty() {
            self.timestamp.clone_from(&self.batch.timestamp_ms);
            self.timestamp.resize(self.rows(), -1);
        }
        self.timestamp[record.row()] = milliseconds;
    }
    /// Sets a header, in place of all of its name.
    pub fn header(&mut self, record: &Record<'_>, name: &str, value: &str) {
        self.headers.push(HeaderEdit {
            row: count(record.row()),
            name: name.to_owned(),
            value: Some(value.as_bytes().to_vec()),
            format: Format::Text,
        });
    }
    /// Removes every header of a name.
    pub fn remove_header(&mut self, record: &Record<'_>, name: &str) {
        self.headers.push(HeaderEdit {
            row: count(record.row()),
            name: name.to_owned(),
            value: None,
            format: Format::Text,
        });
    }
    pub(crate) fn finish(self) -> Edited {
        let rows = self.rows();
        Edited {
            keep: self.keep,
            key: self.key.map(|key| key.whole(&self.batch.key, rows)),
            value: self.value.map(|value| value.whole(&self.batch.value, rows)),
            topics: self.topics.into_names(),
            topic: self.topic,
            timestamp_ms: self.timestamp,
            headers: self.headers,
            failed: self.failed,
        }
    }
}

/// A column of which some rows are other than they were.
#[derive(Debug)]
struct Changed {
    /// The rows up to the last one that was changed.
    column: ColumnBuilder,
    /// A next one that was spliced is there in part: from where on the original's bytes still have to follow.
    begun: Option<usize>,
}

impl Changed {
    fn new(original: &Column) -> Self {
        let mut column = ColumnBuilder::new(original.format);
        column.reserve(original);
        Self {
            column,
            begun: None,
        }
    }
    /// Copies the rows before `row` that did not change, at once.
    fn reach(&mut self, original: &Column, row: usize) -> Result<()> {
        let next = self.column.rows();
        match self.begun {
            Some(start) if row > next => {
                let until = column::begin(original, row);
                self.column.copy_bytes(original, start..until, next..row);
                self.begun = None;
                Ok(())
            }
            None if row >= next => {
                self.column.copy(original, next, row);
                Ok(())
            }
            begun => {
                let last = next - usize::from(begun.is_none());
                Err(Error::fatal(format!(
                    "row {row} was changed after row {last}: change rows in their order, each once"
                )))
            }
        }
    }
    fn splice(
        &mut self,
        original: &Column,
        row: usize,
        place: Range<usize>,
        by: &[u8],
    ) -> Result<()> {
        let Some(value) = column::row(original, row) else {
            return Err(Error::fatal(format!(
                "row {row} is null: it has nothing to replace"
            )));
        };
        let next = self.column.rows();
        let first = column::begin(original, row);
        let until = first + place.start;
        // Where the bytes begin that have not been copied yet.
        let start = match self.begun {
            Some(start) => start,
            None => column::begin(original, next.min(row)),
        };
        let within = place.start <= place.end && place.end <= value.len();
        if !within || row < next || until < start {
            return Err(Error::fatal(format!(
                "bytes {} to {} of row {row}, which has {}, were replaced: name places within the value, in their order",
                place.start,
                place.end,
                value.len()
            )));
        }
        self.column.copy_bytes(original, start..until, next..row);
        self.column.begin_with(by);
        self.begun = Some(first + place.end);
        Ok(())
    }
    /// All rows.
    fn whole(mut self, original: &Column, rows: usize) -> Column {
        let next = self.column.rows();
        match self.begun {
            Some(start) => {
                let rows = next..rows;
                self.column
                    .copy_bytes(original, start..original.data.len(), rows);
            }
            None => self.column.copy(original, next, rows),
        }
        self.column.finish()
    }
}

/// The column that takes row `row` next.
fn changed<'c>(
    changed: &'c mut Option<Changed>,
    original: &Column,
    row: usize,
) -> Result<&'c mut ColumnBuilder> {
    let changed = changed.get_or_insert_with(|| Changed::new(original));
    changed.reach(original, row)?;
    Ok(&mut changed.column)
}

fn put(column: &mut ColumnBuilder, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => column.push(bytes),
        None => column.push_null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Info, Lane};

    const INFO: Info = Info::new("x", "1.0.0", "X.");

    fn batch(values: &[Option<&str>]) -> types::Batch {
        let mut batch: Batch<serde_json::Value> = Batch::new(&INFO, 100, 1000);
        for value in values {
            let row = batch.record("t");
            let row = match value {
                Some(value) => row.value(value),
                None => row,
            };
            row.emit(&Lane::only(), &serde_json::json!({}))
                .expect("emitted");
        }
        batch.finish().records
    }

    #[test]
    fn only_changed_columns_travel_and_their_other_rows_stay() {
        let batch = batch(&[Some("0"), None, Some("2"), Some("3"), None]);
        let records = Records::new(&batch);
        let all: Vec<_> = records.iter().collect();
        let mut edit = Edit::new(&records);
        edit.value(&all[1], Some(b"11")).expect("in order");
        edit.value(&all[3], None).expect("in order");
        assert!(edit.value(&all[2], None).is_err(), "out of order");
        let edited = edit.finish();
        assert!(edited.key.is_none() && edited.keep.is_empty() && edited.topic.is_empty());
        let value = edited.value.expect("changed");
        let rows: Vec<_> = (0..5).map(|at| crate::column::row(&value, at)).collect();
        assert_eq!(rows, [Some(&b"0"[..]), Some(b"11"), Some(b"2"), None, None]);
    }

    #[test]
    fn splices_leave_the_rest_of_the_value_and_all_other_rows() {
        let values = [
            Some("0123"),
            None,
            Some("abc"),
            Some(""),
            Some("end"),
            None,
            Some("x"),
        ];
        let batch = batch(&values);
        let records = Records::new(&batch);
        let all: Vec<_> = records.iter().collect();
        let mut edit = Edit::new(&records);
        edit.splice_value(&all[0], 1..2, b"<>").expect("in order");
        edit.splice_value(&all[0], 2..2, b"!").expect("behind");
        edit.splice_value(&all[0], 4..4, b".").expect("at the end");
        edit.splice_value(&all[3], 0..0, b"new").expect("empty");
        edit.value(&all[4], None).expect("after a splice");
        edit.splice_value(&all[6], 0..1, b"").expect("the last");
        for (row, place) in [(4, 0..1), (5, 0..0), (6, 0..0), (6, 1..2), (0, 0..1)] {
            let failed = edit.splice_value(&all[row], place.clone(), b"no");
            assert!(failed.is_err(), "{row} {place:?}");
        }
        assert!(edit.value(&all[6], None).is_err(), "it was spliced");
        assert!(edit.value(&all[2], None).is_err(), "out of order");
        let value = edit.finish().value.expect("changed");
        let rows: Vec<_> = (0..7).map(|at| crate::column::row(&value, at)).collect();
        let expected = [
            Some("0<>!23."),
            None,
            Some("abc"),
            Some("new"),
            None,
            None,
            Some(""),
        ];
        assert_eq!(rows, expected.map(|text| text.map(str::as_bytes)));
    }

    #[test]
    fn a_splice_of_one_row_leaves_rows_of_nulls_before_and_behind() {
        for at in 0..4 {
            let mut values = [None; 4];
            values[at] = Some("abc");
            let batch = batch(&values);
            let records = Records::new(&batch);
            let mut edit = Edit::new(&records);
            let record = records.get(at).expect("a row");
            edit.splice_value(&record, 1..2, b"BBB").expect("in order");
            let value = edit.finish().value.expect("changed");
            for row in 0..4 {
                let expected = (row == at).then_some(&b"aBBBc"[..]);
                assert_eq!(crate::column::row(&value, row), expected, "{at}");
            }
            assert_eq!(value.ends.len(), 4);
        }
    }

    #[test]
    fn a_write_that_fails_leaves_the_value() {
        let batch = batch(&[Some("0"), Some("1")]);
        let records = Records::new(&batch);
        let first = records.get(0).expect("a row");
        let mut edit = Edit::new(&records);
        let failed = edit.value_with(&first, |out| {
            out.extend_from_slice(b"half");
            Err(Error::data("no"))
        });
        assert!(failed.is_err());
        let value = edit.finish().value.expect("a column");
        assert_eq!(crate::column::row(&value, 0), Some(&b"0"[..]));
        assert_eq!(crate::column::row(&value, 1), Some(&b"1"[..]));
    }

    #[test]
    fn topics_timestamps_headers_and_drops() {
        let batch = batch(&[Some("0"), Some("1")]);
        let records = Records::new(&batch);
        let second = records.get(1).expect("a row");
        let mut edit = Edit::new(&records);
        edit.topic(&second, "elsewhere");
        edit.timestamp(&second, 9);
        edit.drop(&second);
        edit.header(&second, "h", "v");
        edit.remove_header(&second, "old");
        let edited = edit.finish();
        assert_eq!(edited.topics, ["t", "elsewhere"]);
        assert_eq!(edited.topic, [0, 1]);
        assert_eq!(edited.timestamp_ms, [-1, 9]);
        assert_eq!(edited.keep, [1, 0]);
        assert_eq!(edited.headers.len(), 2);
    }
}
