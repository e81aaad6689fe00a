//! A batch for a guest: only the columns that it needs.

use super::{Dictionary, Presenter};
use crate::bindings::host::longshore::connector::types::{Batch, Column, Columns, Format};
use longshore_sdk::{Record, Result, TopicOffset};
use std::sync::Arc;

/// Buffers up to here are kept, however little a call gives.
const KEPT_MIN: usize = 256 << 10;
/// Headers of one call, so that their numbers stay small.
const HEADERS_MAX: usize = 1 << 20;

/// One row: the record and, in a sink, where it was read.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) record: &'a Record,
    pub(crate) at: Option<&'a TopicOffset>,
}

/// Builds batches in buffers that it keeps.
pub(crate) struct Rows {
    needs: Columns,
    key_format: Format,
    value_format: Format,
    bytes_max: usize,
    batch: Batch,
    topics: Dictionary,
    names: Dictionary,
    key: Presenter,
    value: Presenter,
    header: Presenter,
    one_topic: bool,
    one_origin: bool,
}

impl Rows {
    /// For a guest that needs these columns in these formats. One call gives it about `bytes_max` bytes; a larger batch goes in several calls.
    pub(crate) fn new(
        needs: Columns,
        key_format: Format,
        value_format: Format,
        bytes_max: usize,
    ) -> Self {
        Self {
            needs,
            key_format,
            value_format,
            bytes_max,
            batch: empty_batch(),
            topics: Dictionary::default(),
            names: Dictionary::default(),
            key: Presenter::new("key"),
            value: Presenter::new("value"),
            header: Presenter::new("value of a header"),
            one_topic: true,
            one_origin: true,
        }
    }
    /// Begins a batch.
    pub(crate) fn begin(&mut self) {
        let batch = &mut self.batch;
        let kept = batch.key.data.capacity()
            + batch.value.data.capacity()
            + batch.header_value.data.capacity();
        // Buffers that grew for large records are given back.
        if kept > (self.bytes_max * 2).max(KEPT_MIN) {
            *batch = empty_batch();
        }
        batch.count = 0;
        batch.topics.clear();
        batch.topic.clear();
        batch.partition.clear();
        batch.offset.clear();
        batch.origin.clear();
        batch.timestamp_ms.clear();
        batch.header_ends.clear();
        batch.header_names.clear();
        batch.header_name.clear();
        self.topics.clear();
        self.names.clear();
        self.one_topic = true;
        self.one_origin = true;
        self.key.begin(&mut batch.key, self.key_format);
        self.value.begin(&mut batch.value, self.value_format);
        self.header.begin(&mut batch.header_value, Format::Bytes);
    }
    /// Whether the batch has as much as one call should give.
    pub(crate) fn full(&self) -> bool {
        let batch = &self.batch;
        let bytes = batch.key.data.len() + batch.value.data.len() + batch.header_value.data.len();
        bytes >= self.bytes_max || batch.header_name.len() >= HEADERS_MAX
    }
    /// Adds a row. An error of kind Data leaves the batch as it was: this record cannot be presented.
    pub(crate) fn push(&mut self, row: Row<'_>) -> Result<()> {
        let Row { record, at } = row;
        if self.needs.contains(Columns::KEY) {
            self.key.push(&mut self.batch.key, &record.key)?;
        }
        if self.needs.contains(Columns::VALUE) {
            let pushed = self.value.push(&mut self.batch.value, &record.value);
            if let Err(error) = pushed {
                self.drop_key();
                return Err(error);
            }
        }
        if self.needs.contains(Columns::HEADERS)
            && let Err(error) = self.headers(record)
        {
            self.drop_key();
            if self.needs.contains(Columns::VALUE) {
                self.value.pop(&mut self.batch.value);
            }
            return Err(error);
        }
        self.place(record, at);
        self.batch.count += 1;
        Ok(())
    }
    fn drop_key(&mut self) {
        if self.needs.contains(Columns::KEY) {
            self.key.pop(&mut self.batch.key);
        }
    }
    fn headers(&mut self, record: &Record) -> Result<()> {
        let before = self.batch.header_name.len();
        for header in &record.headers {
            let batch = &mut self.batch;
            if let Err(error) = self.header.push(&mut batch.header_value, &header.value) {
                while batch.header_name.len() > before {
                    batch.header_name.pop();
                    self.header.pop(&mut batch.header_value);
                }
                return Err(error);
            }
            let number = self.names.number(&header.key, &mut batch.header_names);
            batch.header_name.push(number);
        }
        let end = u32::try_from(self.batch.header_name.len()).unwrap_or(u32::MAX);
        self.batch.header_ends.push(end);
        Ok(())
    }
    fn place(&mut self, record: &Record, at: Option<&TopicOffset>) {
        let batch = &mut self.batch;
        let topic = self.topics.number(&record.topic, &mut batch.topics);
        batch.topic.push(topic);
        self.one_topic &= topic == 0;
        if self.needs.contains(Columns::TIMESTAMP) {
            batch.timestamp_ms.push(record.timestamp.unwrap_or(-1));
        }
        if !self.needs.contains(Columns::POSITION) {
            return;
        }
        if let Some(at) = at {
            let origin = if Arc::ptr_eq(&at.topic, &record.topic) || at.topic == record.topic {
                topic
            } else {
                self.one_origin = false;
                self.topics.number(&at.topic, &mut batch.topics)
            };
            batch.origin.push(origin);
            batch.partition.push(at.partition);
            batch.offset.push(at.offset);
        } else {
            batch.partition.push(record.partition.unwrap_or(-1));
            batch.offset.push(record.offset.unwrap_or(-1));
        }
    }
    /// The batch, once it has ended.
    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }
    /// Ends the batch: what is the same in every row is left out.
    pub(crate) fn end(&mut self) -> &Batch {
        let batch = &mut self.batch;
        if self.one_topic {
            batch.topic.clear();
        }
        if self.one_origin {
            batch.origin.clear();
        }
        if batch.offset.iter().all(|offset| *offset == -1) {
            batch.offset.clear();
        }
        if batch.header_name.is_empty() {
            batch.header_ends.clear();
        }
        self.key.end(&mut batch.key);
        self.value.end(&mut batch.value);
        self.header.end(&mut batch.header_value);
        batch
    }
}

fn empty_column() -> Column {
    Column {
        format: Format::Bytes,
        data: Vec::new(),
        ends: Vec::new(),
        nulls: Vec::new(),
    }
}

fn empty_batch() -> Batch {
    Batch {
        count: 0,
        topics: Vec::new(),
        topic: Vec::new(),
        partition: Vec::new(),
        offset: Vec::new(),
        origin: Vec::new(),
        timestamp_ms: Vec::new(),
        key: empty_column(),
        value: empty_column(),
        header_ends: Vec::new(),
        header_names: Vec::new(),
        header_name: Vec::new(),
        header_value: empty_column(),
    }
}
