//! Transforms.

use crate::{
    bindings::host::longshore::connector::types::Error as GuestError,
    bindings::transform::exports::longshore::connector::record_transform::{Edit, HeaderEdit},
    columns::{Rejected, Row, Rows, Taken, take_column, take_topics, take_value},
    installed::{Installed, Place, Seat},
    refusal::again,
    store::State,
    worlds::{Transform, TransformPre},
};
use longshore_sdk::{
    Datum, Error, ErrorKind, Header, Record, Result, Topic, Transform as Task, Verdict,
    config::Flat,
    erased::{DynTransform, TransformPlugin},
};
use std::sync::Arc;
use tokio::time::Instant;

/// The plugin as the registry holds it.
pub(crate) fn plugin(installed: Arc<Installed>, linked: TransformPre<State>) -> TransformPlugin {
    let keys = installed.keys();
    TransformPlugin {
        plugin: installed.plugin,
        definition: Arc::new(move || keys.clone()),
        build: Arc::new(move |config| build(&installed, &linked, config)),
    }
}

fn build(
    installed: &Arc<Installed>,
    linked: &TransformPre<State>,
    config: &Flat,
) -> Result<Box<dyn DynTransform>> {
    let found = installed.definition.check(config);
    if !found.is_empty() {
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        return Err(Error::config("transform", texts.join("; ")));
    }
    let told = &installed.told;
    Ok(Box::new(WasmTransform {
        rows: Rows::new(told.needs(), told.key_format(), told.value_format()),
        places: Vec::new(),
        installed: installed.clone(),
        linked: linked.clone(),
        config: config.clone(),
        connector: String::new(),
        task: None,
        seat: None,
    }))
}

/// A transform of one task. Its guest starts with the first batch.
struct WasmTransform {
    installed: Arc<Installed>,
    linked: TransformPre<State>,
    config: Flat,
    connector: String,
    task: Option<u32>,
    seat: Option<Seat<Transform>>,
    rows: Rows,
    /// Which record of the engine's batch each row of the guest's is.
    places: Vec<usize>,
}

impl WasmTransform {
    async fn start(&mut self) -> Result<()> {
        const OP: &str = "start";
        let place = Place {
            connector: self.connector.clone(),
            task: self.task,
            ..Place::default()
        };
        let store = self.installed.store(&self.config, place, true)?;
        let guest = self
            .installed
            .instantiate(store, &self.linked, |linked, store| {
                Box::pin(linked.instantiate_async(store))
            })
            .await?;
        let mut seat = Seat::new(self.installed.clone(), guest);
        let json = self.installed.json(&self.config);
        seat.ask(OP, &json, |guest, json| {
            Box::pin(async move {
                let transform = guest.world.longshore_connector_record_transform();
                transform.call_start(&mut guest.store, json).await
            })
        })
        .await?;
        self.seat = Some(seat);
        Ok(())
    }
    /// Has the guest edit the rows of `self.places`.
    async fn edit(&mut self) -> Result<Edits> {
        const OP: &str = "apply";
        if self.seat.is_none() {
            self.start().await?;
        }
        let Self {
            seat: Some(seat),
            rows,
            places,
            ..
        } = self
        else {
            return Err(Error::bug(OP, "it was not started"));
        };
        let edit = seat
            .ask(OP, rows.end(), |guest, batch| {
                Box::pin(async move {
                    let transform = guest.world.longshore_connector_record_transform();
                    transform.call_apply(&mut guest.store, batch).await
                })
            })
            .await?;
        let checked = Edits::check(edit, places.len(), |error| seat.reported(OP, error));
        checked.map_err(|wrong| seat.rejected(OP, &wrong))
    }
    /// Fills the next rows from `start` on; where it stopped.
    fn fill(
        &mut self,
        batch: &[Option<Record>],
        start: usize,
        verdicts: &mut [Option<Verdict>],
    ) -> usize {
        self.rows.begin();
        self.places.clear();
        let mut at = start;
        while at < batch.len() && !self.rows.full() {
            if let Some(record) = &batch[at] {
                match self.rows.push(Row { record, at: None }) {
                    Ok(()) => self.places.push(at),
                    Err(error) => verdicts[at] = Some(Verdict::Refuse(error)),
                }
            }
            at += 1;
        }
        at
    }
    /// Writes down what became of the rows of `self.places`.
    fn judge(
        &self,
        edits: &Result<Edits>,
        records: &mut [Option<Record>],
        verdicts: &mut [Option<Verdict>],
    ) {
        for (row, place) in self.places.iter().enumerate() {
            let record = records[*place].take();
            verdicts[*place] = record.map(|record| match edits {
                Ok(edits) => edits.verdict(row, record),
                Err(error) => Verdict::Refuse(again(error)),
            });
        }
    }
    /// Has the guest edit each row of `self.places` alone.
    async fn one_by_one(
        &mut self,
        records: &mut [Option<Record>],
        verdicts: &mut [Option<Verdict>],
    ) {
        // All of them together may take as long as one call.
        let until = Instant::now() + self.installed.timeout();
        for place in std::mem::take(&mut self.places) {
            if Instant::now() > until {
                let text = "the batch was refused as a whole, and there was no time left to try this record alone";
                verdicts[place] = Some(Verdict::Refuse(Error::transient("apply", text)));
                continue;
            }
            self.fill(&records[..=place], place, verdicts);
            if !self.places.is_empty() {
                let edits = self.edit().await;
                self.judge(&edits, records, verdicts);
            }
        }
    }
}

impl Task for WasmTransform {
    fn placed(&mut self, connector: &str, task: u32) {
        connector.clone_into(&mut self.connector);
        self.task = Some(task);
    }
    async fn apply(&mut self, batch: Vec<Record>) -> Vec<Verdict> {
        let mut records: Vec<Option<Record>> = batch.into_iter().map(Some).collect();
        let mut verdicts: Vec<Option<Verdict>> = records.iter().map(|_| None).collect();
        let mut start = 0;
        while start < records.len() {
            let end = self.fill(&records, start, &mut verdicts);
            let edits = if self.places.is_empty() {
                None
            } else {
                Some(self.edit().await)
            };
            match edits {
                None => {}
                // Which record is bad, the guest did not say.
                Some(Err(error)) if error.kind() == ErrorKind::Data && self.places.len() > 1 => {
                    self.one_by_one(&mut records, &mut verdicts).await;
                }
                Some(edits) => self.judge(&edits, &mut records, &mut verdicts),
            }
            start = end;
        }
        let unjudged = || Verdict::Refuse(Error::bug("apply", "a record was left out"));
        verdicts
            .into_iter()
            .map(|verdict| verdict.unwrap_or_else(unjudged))
            .collect()
    }
}

/// Header edits of one row.
const ROW_EDITS_MAX: usize = 100;

/// An edit that was checked.
struct Edits {
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
    fn check(
        edit: Edit,
        count: usize,
        told: impl Fn(GuestError) -> Error,
    ) -> std::result::Result<Self, Rejected> {
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
        let column = |name, column: Option<_>| {
            column
                .map(|column| take_column(name, column, count))
                .transpose()
        };
        Ok(Self {
            keep: edit.keep,
            key: column("key", edit.key)?,
            value: column("value", edit.value)?,
            topics,
            topic: edit.topic,
            timestamp_ms: edit.timestamp_ms,
            headers,
            failed,
        })
    }
    fn verdict(&self, row: usize, mut record: Record) -> Verdict {
        let number = u32::try_from(row).unwrap_or(u32::MAX);
        if let Ok(at) = self.failed.binary_search_by_key(&number, |(row, ..)| *row) {
            let (_, kind, op, message) = &self.failed[at];
            return Verdict::Refuse(Error::new(*kind, op, message));
        }
        if self.keep.get(row) == Some(&0) {
            return Verdict::Drop;
        }
        if let Some(key) = &self.key {
            record.key = key.datum(row);
        }
        if let Some(value) = &self.value {
            record.value = value.datum(row);
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
            edit_header(&mut record, name, value.as_ref());
        }
        Verdict::Keep(record)
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
