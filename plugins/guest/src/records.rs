//! Records that come in, as slices of the batch they came in.

use crate::abi::longshore::connector::types;
use crate::{Error, Result, column};
use serde::de::DeserializeOwned;

/// A batch of records. Copies nothing.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    batch: &'a types::Batch,
}

impl<'a> Records<'a> {
    /// The records of a batch.
    pub fn new(batch: &'a types::Batch) -> Self {
        Self { batch }
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.batch.count as usize
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.batch.count == 0
    }
    /// The record of a row.
    pub fn get(&self, row: usize) -> Option<Record<'a>> {
        let batch = self.batch;
        (row < self.len()).then_some(Record { batch, row })
    }
    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let batch = self.batch;
        (0..self.len()).map(move |row| Record { batch, row })
    }
    pub(crate) fn batch(&self) -> &'a types::Batch {
        self.batch
    }
}

impl<'a> IntoIterator for Records<'a> {
    type Item = Record<'a>;
    type IntoIter = Rows<'a>;
    fn into_iter(self) -> Rows<'a> {
        Rows {
            records: self,
            next: 0,
        }
    }
}

impl<'a> IntoIterator for &Records<'a> {
    type Item = Record<'a>;
    type IntoIter = Rows<'a>;
    fn into_iter(self) -> Rows<'a> {
        Rows {
            records: *self,
            next: 0,
        }
    }
}

/// Iterates over [`Records`].
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    records: Records<'a>,
    next: usize,
}

impl<'a> Iterator for Rows<'a> {
    type Item = Record<'a>;
    fn next(&mut self) -> Option<Record<'a>> {
        let record = self.records.get(self.next);
        self.next += 1;
        record
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.records.len().saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Rows<'_> {}

/// One record. Columns that the plugin's [`crate::Info::needs`] does not name are absent in every record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    batch: &'a types::Batch,
    row: usize,
}

impl<'a> Record<'a> {
    /// Its number in the batch.
    pub fn row(&self) -> usize {
        self.row
    }
    /// The topic: in a sink, what transforms made of it.
    pub fn topic(&self) -> &'a str {
        self.named(&self.batch.topic)
    }
    /// In a sink: the topic it was read from.
    pub fn origin(&self) -> &'a str {
        if self.batch.origin.is_empty() {
            self.topic()
        } else {
            self.named(&self.batch.origin)
        }
    }
    fn named(&self, numbers: &[u32]) -> &'a str {
        let number = numbers.get(self.row).copied().unwrap_or(0);
        self.batch
            .topics
            .get(number as usize)
            .map_or("", String::as_str)
    }
    /// The partition: -1 = chosen by key.
    pub fn partition(&self) -> i32 {
        self.batch.partition.get(self.row).copied().unwrap_or(-1)
    }
    /// In a sink: the offset it was read at; else -1.
    pub fn offset(&self) -> i64 {
        self.batch.offset.get(self.row).copied().unwrap_or(-1)
    }
    /// Milliseconds since the Unix epoch.
    pub fn timestamp(&self) -> Option<i64> {
        let timestamp = self.batch.timestamp_ms.get(self.row).copied();
        timestamp.filter(|timestamp| *timestamp >= 0)
    }
    /// The key's bytes; `None` = null.
    pub fn key(&self) -> Option<&'a [u8]> {
        column::row(&self.batch.key, self.row)
    }
    /// The value's bytes; `None` = null, a tombstone.
    pub fn value(&self) -> Option<&'a [u8]> {
        column::row(&self.batch.value, self.row)
    }
    /// The key as text; `None` = null, or no UTF-8.
    pub fn key_text(&self) -> Option<&'a str> {
        self.key().and_then(|key| std::str::from_utf8(key).ok())
    }
    /// The value as text; `None` = null, or no UTF-8.
    pub fn value_text(&self) -> Option<&'a str> {
        self.value()
            .and_then(|value| std::str::from_utf8(value).ok())
    }
    /// The value, read as JSON; null is JSON's null. Errors of kind data: it is none, or of another shape.
    pub fn value_json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.value().unwrap_or(b"null"))
            .map_err(|error| Error::data(format!("the value is not as expected: {error}")))
    }
    /// Names and values of the headers, in order; a value of `None` is null.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let batch = self.batch;
        let at = |row: usize| batch.header_ends.get(row).map_or(0, |end| *end as usize);
        let start = if self.row == 0 { 0 } else { at(self.row - 1) };
        (start..at(self.row).max(start)).map(move |header| {
            let name = batch.header_name.get(header).copied().unwrap_or(0);
            let name = batch.header_names.get(name as usize);
            (
                name.map_or("", String::as_str),
                column::row(&batch.header_value, header),
            )
        })
    }
    /// The last header of a name, which is the one that counts.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers()
            .filter(|(known, _)| *known == name)
            .last()
            .and_then(|(_, value)| value)
    }
}
