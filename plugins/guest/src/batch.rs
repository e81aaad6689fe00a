//! Records that a source makes, put straight into the columns that cross to the host.

use crate::abi::longshore::connector::types;
use crate::column::ColumnBuilder;
use crate::dictionary::{Dictionary, count};
use crate::{Error, Format, Info, Lane, Result};
use serde::Serialize;
use std::marker::PhantomData;

/// Takes a source's records. After the buffers have grown, a record costs no allocation.
#[derive(Debug)]
pub struct Batch<P> {
    rows: usize,
    rows_max: usize,
    bytes_max: usize,
    topics: Dictionary,
    topic: Vec<u32>,
    partition: Vec<i32>,
    timestamp: Vec<i64>,
    key: ColumnBuilder,
    value: ColumnBuilder,
    header_ends: Vec<u32>,
    header_names: Dictionary,
    header_name: Vec<u32>,
    header_value: ColumnBuilder,
    lanes: Dictionary,
    lane: Vec<u32>,
    positions: ColumnBuilder,
    /// Lanes that go on without a record, with their positions' JSON text.
    advanced: Vec<(String, String)>,
    position: PhantomData<fn(&P)>,
}

impl<P: Serialize> Batch<P> {
    /// An empty batch; the limits are wishes that [`Batch::is_full`] tells.
    pub fn new(info: &Info, rows_max: usize, bytes_max: usize) -> Self {
        Self {
            rows: 0,
            rows_max,
            bytes_max,
            topics: Dictionary::default(),
            topic: Vec::new(),
            partition: Vec::new(),
            timestamp: Vec::new(),
            key: ColumnBuilder::new(info.key_format),
            value: ColumnBuilder::new(info.value_format),
            header_ends: Vec::new(),
            header_names: Dictionary::default(),
            header_name: Vec::new(),
            header_value: ColumnBuilder::new(Format::Text),
            lanes: Dictionary::default(),
            lane: Vec::new(),
            positions: ColumnBuilder::new(Format::Json),
            advanced: Vec::new(),
            position: PhantomData,
        }
    }
    /// Begins a record; only [`Row::emit`] adds it.
    pub fn record(&mut self, topic: &str) -> Row<'_, P> {
        // What a record that was never emitted left behind.
        self.key.truncate(self.rows);
        self.value.truncate(self.rows);
        let headers = self.header_ends.last().map_or(0, |end| *end as usize);
        self.header_name.truncate(headers);
        self.header_value.truncate(headers);
        let topic = self.topics.number(topic);
        Row {
            batch: self,
            topic,
            partition: -1,
            timestamp: -1,
        }
    }
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.rows
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
    /// Whether the host wants no more in this batch.
    pub fn is_full(&self) -> bool {
        let bytes = self.key.bytes() + self.value.bytes() + self.header_value.bytes();
        self.rows >= self.rows_max || bytes + self.positions.bytes() >= self.bytes_max
    }
    /// How many records the host still wants in this batch.
    pub fn room(&self) -> usize {
        self.rows_max.saturating_sub(self.rows)
    }
    /// Progress without a record (a page that was empty or filtered out, an ETag, a cursor that moved on): once all that was returned so far
    /// in this lane is durable, the records of this batch included, reading goes on at `position`. What is emitted or said later in the lane
    /// takes its place. Nothing of it counts if the poll fails. Call it when the position has changed, not at every poll: each change costs
    /// a commit. The host takes at most 1,000 lanes, 64 KiB a position and 1 MiB for one poll. Errors of kind fatal: the position does not
    /// serialise as an object.
    pub fn advance(&mut self, lane: &Lane, position: &P) -> Result<()> {
        let mut text = Vec::new();
        object(&mut text, position)?;
        let text = String::from_utf8(text)
            .map_err(|_| Error::fatal("a position serialises as no UTF-8 text"))?;
        self.forget(lane);
        self.advanced.push((lane.json().to_owned(), text));
        Ok(())
    }
    /// Where [`Batch::advance`] goes on, by lane.
    pub(crate) fn advanced(&self) -> &[(String, String)] {
        &self.advanced
    }
    fn forget(&mut self, lane: &Lane) {
        self.advanced.retain(|(known, _)| known != lane.json());
    }
    pub(crate) fn finish(mut self) -> Finished {
        self.key.truncate(self.rows);
        self.value.truncate(self.rows);
        let headers = self.header_ends.last().map_or(0, |end| *end as usize);
        self.header_name.truncate(headers);
        self.header_value.truncate(headers);
        if headers > 0 {
            self.header_ends.resize(self.rows, count(headers));
        }
        let lane = if self.lane.iter().all(|lane| *lane == 0) {
            Vec::new()
        } else {
            self.lane
        };
        let topic = if self.topic.iter().all(|topic| *topic == 0) {
            Vec::new()
        } else {
            self.topic
        };
        Finished {
            records: types::Batch {
                count: count(self.rows),
                topics: self.topics.into_names(),
                topic,
                partition: self.partition,
                offset: Vec::new(),
                origin: Vec::new(),
                timestamp_ms: self.timestamp,
                key: self.key.finish(),
                value: self.value.finish(),
                header_ends: if headers > 0 {
                    self.header_ends
                } else {
                    Vec::new()
                },
                header_names: self.header_names.into_names(),
                header_name: self.header_name,
                header_value: self.header_value.finish(),
            },
            lanes: self.lanes.into_names(),
            lane,
            positions: self.positions.finish(),
        }
    }
}

/// A batch as it crosses to the host.
pub(crate) struct Finished {
    pub(crate) records: types::Batch,
    pub(crate) lanes: Vec<String>,
    pub(crate) lane: Vec<u32>,
    pub(crate) positions: types::Column,
}

/// A record that is being made. Key and value are null until they are set; setting one again replaces it.
#[derive(Debug)]
#[must_use = "a record is there only once it is emitted"]
pub struct Row<'b, P> {
    batch: &'b mut Batch<P>,
    topic: u32,
    partition: i32,
    timestamp: i64,
}

impl<P: Serialize> Row<'_, P> {
    /// Sets the key.
    pub fn key(self, key: impl AsRef<[u8]>) -> Self {
        self.batch.key.truncate(self.batch.rows);
        self.batch.key.push(key.as_ref());
        self
    }
    /// Sets the value: bytes as the plugin's value format has them.
    pub fn value(self, value: impl AsRef<[u8]>) -> Self {
        self.batch.value.truncate(self.batch.rows);
        self.batch.value.push(value.as_ref());
        self
    }
    /// Serialises the value into its column. Errors of kind data: it does not serialise.
    pub fn value_json(self, value: &(impl Serialize + ?Sized)) -> Result<Self> {
        self.value_with(|out| {
            serde_json::to_writer(out, value)
                .map_err(|error| Error::data(format!("a value does not serialise: {error}")))
        })
    }
    /// Lets `write` append the value to its column.
    pub fn value_with(self, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<Self> {
        self.batch.value.truncate(self.batch.rows);
        self.batch.value.push_with(write)?;
        Ok(self)
    }
    /// Adds a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        let number = self.batch.header_names.number(name);
        self.batch.header_name.push(number);
        self.batch.header_value.push(value.as_bytes());
        self
    }
    /// Milliseconds since the Unix epoch. Without one, the time of publishing counts.
    pub fn timestamp(mut self, milliseconds: i64) -> Self {
        self.timestamp = milliseconds;
        self
    }
    /// Without one, the key chooses.
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = partition;
        self
    }
    /// Adds the record. `position` is where reading goes on after it: it is stored once the record is durable. Errors of kind fatal: the
    /// position does not serialise as an object.
    pub fn emit(self, lane: &Lane, position: &P) -> Result<()> {
        let Row {
            batch,
            topic,
            partition,
            timestamp,
        } = self;
        batch.positions.push_with(|out| object(out, position))?;
        if !batch.advanced.is_empty() {
            batch.forget(lane);
        }
        let row = batch.rows;
        batch.rows += 1;
        batch.key.fill(batch.rows);
        batch.value.fill(batch.rows);
        batch.topic.push(topic);
        set(&mut batch.partition, row, partition);
        set(&mut batch.timestamp, row, timestamp);
        let headers = batch.header_name.len();
        batch.header_ends.push(count(headers));
        let lane = batch.lanes.number(lane.json());
        batch.lane.push(lane);
        Ok(())
    }
}

/// Appends a position's JSON text.
fn object(out: &mut Vec<u8>, position: &impl Serialize) -> Result<()> {
    let start = out.len();
    serde_json::to_writer(&mut *out, position)
        .map_err(|error| Error::fatal(format!("a position does not serialise: {error}")))?;
    if out.get(start) == Some(&b'{') {
        return Ok(());
    }
    Err(Error::fatal(
        "a position serialises as something else than an object: use a struct with named fields",
    ))
}

/// A list of numbers that is empty while all of them are absent.
fn set<N: Copy + PartialEq + From<i8>>(list: &mut Vec<N>, row: usize, number: N) {
    let absent = N::from(-1);
    if list.is_empty() {
        if number == absent {
            return;
        }
        list.resize(row, absent);
    }
    list.push(number);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Records;

    const INFO: Info = Info::new("x", "1.0.0", "X.");

    #[derive(Serialize)]
    struct At {
        at: u32,
    }

    #[test]
    fn what_is_put_in_comes_out() {
        let mut batch: Batch<At> = Batch::new(&INFO, 10, 1000);
        let lane = Lane::only();
        let row = batch.record("a").key("k0").value("0");
        row.emit(&lane, &At { at: 0 }).expect("emitted");
        let row = batch.record("b").value_json(&1).expect("a value");
        let row = row.header("h", "x").header("h", "y").timestamp(5);
        row.emit(&Lane::of("file", "f"), &At { at: 1 })
            .expect("emitted");
        batch
            .record("a")
            .partition(3)
            .emit(&lane, &At { at: 2 })
            .expect("emitted");
        let finished = batch.finish();
        let records = Records::new(&finished.records);
        let all: Vec<_> = records.iter().collect();
        assert_eq!(all.len(), 3);
        assert_eq!(
            (all[0].topic(), all[0].key_text(), all[0].value_text()),
            ("a", Some("k0"), Some("0"))
        );
        assert_eq!(
            (all[0].timestamp(), all[1].timestamp(), all[2].timestamp()),
            (None, Some(5), None)
        );
        assert_eq!(
            (all[1].topic(), all[1].key(), all[1].header("h")),
            ("b", None, Some(&b"y"[..]))
        );
        assert_eq!((all[1].partition(), all[2].partition()), (-1, 3));
        assert_eq!(
            (
                all[0].headers().count(),
                all[1].headers().count(),
                all[2].headers().count()
            ),
            (0, 2, 0)
        );
        assert_eq!(all[2].value(), None);
        assert_eq!(finished.lanes, ["{}", r#"{"file":"f"}"#]);
        assert_eq!(finished.lane, [0, 1, 0]);
        assert_eq!(finished.positions.data, br#"{"at":0}{"at":1}{"at":2}"#);
    }

    #[test]
    fn a_record_that_is_not_emitted_is_not_there() {
        let mut batch: Batch<At> = Batch::new(&INFO, 10, 1000);
        let _ = batch
            .record("a")
            .key("lost")
            .value("lost")
            .header("h", "lost");
        batch
            .record("a")
            .value("1")
            .emit(&Lane::only(), &At { at: 1 })
            .expect("emitted");
        let _ = batch.record("a").key("lost").header("h", "lost");
        let finished = batch.finish();
        let records = Records::new(&finished.records);
        assert_eq!(records.len(), 1);
        let record = records.get(0).expect("a record");
        assert_eq!((record.key(), record.value_text()), (None, Some("1")));
        assert_eq!(record.headers().count(), 0);
        assert!(finished.records.key.ends.is_empty() && finished.records.header_ends.is_empty());
        assert!(
            finished.records.header_name.is_empty()
                && finished.records.header_value.ends.is_empty()
        );
    }

    #[test]
    fn progress_gives_way_to_what_comes_later_in_its_lane() {
        let mut batch: Batch<At> = Batch::new(&INFO, 10, 1000);
        let (one, two) = (Lane::only(), Lane::of("file", "f"));
        let entry = |lane: &Lane, at: u32| (lane.json().to_owned(), format!("{{\"at\":{at}}}"));
        for (lane, at) in [(&one, 1), (&two, 2), (&one, 3)] {
            batch.advance(lane, &At { at }).expect("an object");
        }
        assert_eq!(batch.advanced(), [entry(&two, 2), entry(&one, 3)]);
        assert!(batch.is_empty());
        let row = batch.record("a");
        row.emit(&two, &At { at: 4 }).expect("emitted");
        assert_eq!(batch.advanced(), [entry(&one, 3)]);
        let mut plain: Batch<u32> = Batch::new(&INFO, 10, 1000);
        assert!(plain.advance(&one, &7).is_err());
    }

    #[test]
    fn a_position_must_be_an_object() {
        let mut batch: Batch<u32> = Batch::new(&INFO, 1, 1000);
        assert!(batch.record("a").emit(&Lane::only(), &7).is_err());
        assert!(batch.is_empty() && !batch.is_full());
        assert_eq!(batch.finish().records.count, 0);
    }
}
