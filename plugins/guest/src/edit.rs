//! What a transform made of a batch. What did not change does not travel back.

use crate::abi::longshore::connector::types::{self, Column};
use crate::column::ColumnBuilder;
use crate::dictionary::{Dictionary, count};
use crate::transform::{Edited, HeaderEdit};
use crate::{Error, Format, Record, Records, Result};

/// Takes the changes to a batch. Keys and values are changed in the order of rows; everything else in any order.
#[derive(Debug)]
pub struct Edit<'a> {
    batch: &'a types::Batch,
    keep: Vec<u8>,
    key: Option<ColumnBuilder>,
    value: Option<ColumnBuilder>,
    key_format: Format,
    value_format: Format,
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
            key_format: batch.key.format,
            value_format: batch.value.format,
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
        let column = changed(
            &mut self.key,
            &self.batch.key,
            self.key_format,
            record.row(),
        )?;
        put(column, key);
        Ok(())
    }
    /// Replaces the value; `None` = null. Errors of kind fatal: rows are out of order.
    pub fn value(&mut self, record: &Record<'_>, value: Option<&[u8]>) -> Result<()> {
        let format = self.value_format;
        let column = changed(&mut self.value, &self.batch.value, format, record.row())?;
        put(column, value);
        Ok(())
    }
    /// Lets `write` append the new value to its column. When it fails, the value stays.
    pub fn value_with(
        &mut self,
        record: &Record<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let format = self.value_format;
        let column = changed(&mut self.value, &self.batch.value, format, record.row())?;
        column.push_with(write)
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
            key: whole(self.key, &self.batch.key, rows),
            value: whole(self.value, &self.batch.value, rows),
            topics: self.topics.into_names(),
            topic: self.topic,
            timestamp_ms: self.timestamp,
            headers: self.headers,
            failed: self.failed,
        }
    }
}

/// The column that takes row `row` next; rows before it that did not change are copied at once.
fn changed<'c>(
    column: &'c mut Option<ColumnBuilder>,
    original: &Column,
    format: Format,
    row: usize,
) -> Result<&'c mut ColumnBuilder> {
    let column = column.get_or_insert_with(|| ColumnBuilder::new(format));
    let next = column.rows();
    if row < next {
        return Err(Error::fatal(format!(
            "row {row} was changed after row {}: change rows in their order, each once",
            next - 1
        )));
    }
    column.copy(original, next, row);
    Ok(column)
}

fn put(column: &mut ColumnBuilder, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => column.push(bytes),
        None => column.push_null(),
    }
}

fn whole(column: Option<ColumnBuilder>, original: &Column, rows: usize) -> Option<Column> {
    column.map(|mut column| {
        column.copy(original, column.rows(), rows);
        column.finish()
    })
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
