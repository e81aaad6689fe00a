//! What a transform made of a batch.

use crate::{
    bindings::host::longshore::connector::types::{Batch, Error as GuestError},
    bindings::transform::exports::longshore::connector::record_transform::{Edit, HeaderEdit},
    columns::{Rejected, Taken, take_changed, take_topics, take_value},
};
use longshore_sdk::{Datum, Error, ErrorKind, Header, Record, Topic, mutant};
use std::sync::Arc;

/// What becomes of a record, which stays where it is until that is known.
pub(crate) enum Fate {
    Kept,
    Dropped,
    Refused(Error),
}

/// Header edits of one row.
const ROW_EDITS_MAX: usize = 100;

/// An edit that was checked; without any, rows stay as they are.
#[derive(Default)]
pub(crate) struct Edits {
    keep: Vec<u8>,
    key: Option<Taken>,
    value: Option<Taken>,
    topics: Vec<Topic>,
    topic: Vec<u32>,
    timestamp_ms: Vec<i64>,
    /// By row, in the guest's order within each.
    headers: Vec<(u32, Arc<str>, Option<Datum>)>,
    /// By row.
    failed: Vec<(u32, ErrorKind, &'static str, String)>,
}

impl Edits {
    /// Checks an edit of the batch that was `given`; `told` makes errors of the guest's.
    pub(crate) fn check(
        edit: Edit,
        given: &Batch,
        told: impl Fn(GuestError) -> Error,
    ) -> std::result::Result<Self, Rejected> {
        let count = given.count as usize;
        let topics = take_topics(edit.topics, &edit.topic, count, !edit.topic.is_empty())?;
        for (name, length) in [
            ("keep", edit.keep.len()),
            ("timestamp-ms", edit.timestamp_ms.len()),
        ] {
            if length != 0 && length != count {
                return Err(Rejected::new(
                    name,
                    format!("{length} entries for {count} rows"),
                ));
            }
        }
        if edit.keep.iter().any(|mark| *mark > 1) {
            return Err(Rejected::new("keep", "a mark is neither 0 nor 1"));
        }
        if edit.timestamp_ms.iter().any(|time| *time < -1) {
            return Err(Rejected::new("timestamp-ms", "a time is below -1"));
        }
        let row = |name: &'static str, row: u32| {
            let problem = format!("there is no row {row} among {count}");
            let fits = (row as usize) < count;
            fits.then_some(())
                .ok_or_else(|| Rejected::new(name, problem))
        };
        if edit.headers.len() > count.saturating_mul(ROW_EDITS_MAX) {
            let problem = format!("{} edits of {count} rows", edit.headers.len());
            return Err(Rejected::new("headers", problem));
        }
        let mut headers = Vec::with_capacity(edit.headers.len());
        for header in edit.headers {
            row("headers", header.row)?;
            headers.push(take_header(header)?);
        }
        headers.sort_by_key(|(row, _, _)| *row);
        // Each edit of a row looks through that row's headers.
        if let Some(many) = headers
            .chunk_by(|(a, ..), (b, ..)| a == b)
            .find(|row| row.len() > ROW_EDITS_MAX)
        {
            let problem = format!(
                "{} edits of one row, {ROW_EDITS_MAX} are allowed",
                many.len()
            );
            return Err(Rejected::new("headers", problem));
        }
        if edit.failed.len() > count {
            let problem = format!("{} of {count} rows have failed", edit.failed.len());
            return Err(Rejected::new("failed", problem));
        }
        let mut failed = Vec::with_capacity(edit.failed.len());
        for refused in edit.failed {
            row("failed", refused.row)?;
            let error = told(refused.error);
            failed.push((
                refused.row,
                error.kind(),
                error.op(),
                error.message().to_owned(),
            ));
        }
        failed.sort_by_key(|(row, ..)| *row);
        let column = |name, column: Option<_>, given| {
            column
                .map(|column| take_changed(name, column, count, Some(given)))
                .transpose()
        };
        Ok(Self {
            keep: edit.keep,
            key: column("key", edit.key, &given.key)?,
            value: column("value", edit.value, &given.value)?,
            topics,
            topic: edit.topic,
            timestamp_ms: edit.timestamp_ms,
            headers,
            failed,
        })
    }
    /// What it takes of the worker's memory.
    pub(crate) fn bytes(&self) -> u64 {
        let columns = [&self.key, &self.value].into_iter().flatten();
        let columns: usize = columns.map(Taken::bytes_held).sum();
        let topics = self
            .topics
            .iter()
            .map(|topic| size_of_val(topic) + topic.len());
        let headers = self.headers.iter().map(|header| {
            let (_, name, value) = header;
            size_of_val(header) + name.len() + value.as_ref().map_or(0, Datum::size)
        });
        let failed = self.failed.iter().map(|failed| {
            let (.., message) = failed;
            size_of_val(failed) + message.len()
        });
        let rows = self.keep.len()
            + size_of_val(self.topic.as_slice())
            + size_of_val(self.timestamp_ms.as_slice());
        let held = columns + rows + topics.chain(headers).sum::<usize>() + failed.sum::<usize>();
        held as u64
    }
    /// Changes a record as its row was.
    pub(crate) fn apply(&self, row: usize, record: &mut Record) -> Fate {
        let number = u32::try_from(row).unwrap_or(u32::MAX);
        if let Ok(at) = self.failed.binary_search_by_key(&number, |(row, ..)| *row)
            && !mutant!("wasm-failed-goes-on")
        {
            let (_, kind, op, message) = &self.failed[at];
            return Fate::Refused(Error::new(*kind, op, message));
        }
        if self.keep.get(row) == Some(&0) {
            return Fate::Dropped;
        }
        if let Some(key) = &self.key {
            record.key = key.datum(row);
        }
        if let Some(value) = &self.value {
            let before = usize::from(mutant!("wasm-value-of-the-row-before"));
            record.value = value.datum(row.saturating_sub(before));
        }
        if let Some(topic) = self.topic.get(row) {
            record.topic = self.topics[*topic as usize].clone();
        }
        if let Some(time) = self.timestamp_ms.get(row) {
            record.timestamp = (*time >= 0).then_some(*time);
        }
        let from = self.headers.partition_point(|(row, _, _)| *row < number);
        let edits = self.headers[from..].iter();
        for (_, name, value) in edits.take_while(|(row, _, _)| *row == number) {
            edit_header(record, name, value.as_ref());
        }
        Fate::Kept
    }
}

fn take_header(
    header: HeaderEdit,
) -> std::result::Result<(u32, Arc<str>, Option<Datum>), Rejected> {
    let HeaderEdit {
        row,
        name,
        value,
        format,
    } = header;
    let value = value
        .map(|value| take_value("headers", value, format))
        .transpose()?;
    Ok((row, name.into(), value))
}

/// `None` removes every header of that name; a value takes their place, or is added.
fn edit_header(record: &mut Record, name: &Arc<str>, value: Option<&Datum>) {
    let first = record.headers.iter().position(|header| header.key == *name);
    let Some(value) = value else {
        record.headers.retain(|header| header.key != *name);
        return;
    };
    let header = Header {
        key: name.clone(),
        value: value.clone(),
    };
    let Some(first) = first else {
        record.headers.push(header);
        return;
    };
    record.headers[first] = header;
    let mut place = 0;
    record.headers.retain(|header| {
        place += 1;
        place - 1 <= first || header.key != *name
    });
}
