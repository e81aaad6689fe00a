//! Sources.

use crate::{
    bindings::source::exports::longshore::connector::source_task::{Polled, Position},
    columns::{Rejected, json_object, take_column, take_headers, take_topics},
    connector::Connector,
    installed::{Installed, Place, Seat},
    services::{Following, Kept, Progress, Services},
    stored,
    worlds::{Source, SourcePre},
};
use bytes::Bytes;
use longshore_sdk::{
    Error, Guarantee, Offset, Offsets, Partition, Plugin, Record, Result, Share, Source as Task,
    SourceContext, SourceRecord,
    config::{Definition, Finding, Flat},
    erased::{Boxed, DynSource, DynSourceConnector},
    mutant,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Rows of one poll.
const ROWS_MAX: u32 = 5_000;
/// About how many bytes one poll should bring.
const BYTES_MAX: u32 = 4 << 20;

/// A source connector of a plugin.
pub(crate) struct WasmSourceConnector(Connector<Source>);

impl WasmSourceConnector {
    pub(crate) fn new(installed: Arc<Installed>, linked: SourcePre<crate::store::State>) -> Self {
        Self(Connector::new(installed, linked))
    }
    async fn start(&self, config: &Flat, share: Share, cx: SourceContext) -> Result<SourceTask> {
        const OP: &str = "start";
        let stop = Following::new(&cx.stop);
        let place = Place {
            connector: cx.connector.to_string(),
            task: Some(cx.task),
            replan: Some(cx.replan.clone()),
            stopping: stop.stopping(),
            ..Place::default()
        };
        let config = Connector::<Source>::laid(config, &share);
        let installed = &self.0.installed;
        let arguments = (
            installed.task_json(&config, &share),
            positions(&cx.offsets)?,
        );
        let mut seat = self.0.open(&config, place).await?;
        let started = seat
            .ask(OP, &arguments, |guest, (json, positions)| {
                Box::pin(async move {
                    let task = guest.world.longshore_connector_source_task();
                    task.call_start(&mut guest.store, json, positions).await
                })
            })
            .await;
        started.map_err(|error| {
            stored::doubt(error, installed.tag, &cx.offsets, |text| seat.clean(text))
        })?;
        Ok(SourceTask {
            seat,
            stop,
            idle_until: None,
            finished: false,
            advanced: Offsets::new(),
        })
    }
}

impl DynSourceConnector for WasmSourceConnector {
    fn plugin(&self) -> Plugin {
        self.0.installed.plugin
    }
    fn definition(&self) -> Definition {
        self.0.installed.keys()
    }
    fn guarantee(&self, config: &Flat) -> Result<Guarantee> {
        self.0.guarantee(config)
    }
    fn check<'a>(&'a self, config: &'a Flat) -> Boxed<'a, Vec<Finding>> {
        Box::pin(self.0.check(config))
    }
    fn plan<'a>(&'a self, config: &'a Flat, tasks_max: u32) -> Boxed<'a, Result<Vec<Share>>> {
        Box::pin(self.0.plan(config, tasks_max))
    }
    fn open<'a>(
        &'a self,
        config: &'a Flat,
        share: Share,
        cx: SourceContext,
    ) -> Boxed<'a, Result<Box<dyn DynSource>>> {
        Box::pin(async move {
            let task = self.start(config, share, cx).await?;
            Ok(Box::new(task) as Box<dyn DynSource>)
        })
    }
}

/// Stored offsets as a guest gets them.
fn positions(offsets: &Offsets) -> Result<Vec<Position>> {
    let text = |json: &[u8]| {
        String::from_utf8(json.to_vec()).map_err(|error| {
            Error::config(
                "start",
                "a stored offset is no UTF-8 text: alter or reset the connector's offsets",
            )
            .because(error)
        })
    };
    let position = |(lane, offset): (&Partition, &Offset)| {
        Ok(Position {
            lane: text(lane.json())?,
            position: text(&offset.json())?,
        })
    };
    offsets.iter().map(position).collect()
}

/// A task of a source.
pub(crate) struct SourceTask {
    seat: Seat<Source>,
    stop: Following,
    /// The guest has said that there is nothing before.
    idle_until: Option<Instant>,
    finished: bool,
    /// Where the last poll goes on without records.
    advanced: Offsets,
}

impl SourceTask {
    fn take(&mut self, polled: Polled) -> std::result::Result<Vec<SourceRecord>, Rejected> {
        let limit = self.seat.installed.limits.position;
        let idle = Duration::from_millis(polled.idle_ms.into());
        self.idle_until = (!idle.is_zero()).then(|| Instant::now() + idle);
        self.finished = polled.finished && !mutant!("wasm-end-forgotten");
        take_polled(polled, limit)
    }
}

impl Task for SourceTask {
    async fn poll(&mut self, max_wait: Duration) -> Result<Vec<SourceRecord>> {
        const OP: &str = "poll";
        if self.finished {
            return Err(Error::end(OP, "the source is finished"));
        }
        let wait_end = Instant::now() + max_wait;
        if let Some(until) = self.idle_until {
            tokio::time::sleep_until(until.min(wait_end)).await;
            if until > wait_end {
                return Ok(Vec::new());
            }
        }
        let wait = wait_end.saturating_duration_since(Instant::now());
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let timeout = self.seat.installed.timeout() + wait;
        let limit = self.seat.installed.limits.position;
        if let Some(services) = self.seat.services() {
            let progress = Progress::new(limit);
            services.keep(Kept::Progress(progress));
        }
        let answer = self
            .seat
            .call(OP, timeout, &wait_ms, |guest, wait_ms| {
                Box::pin(async move {
                    let task = guest.world.longshore_connector_source_task();
                    task.call_poll(&mut guest.store, ROWS_MAX, BYTES_MAX, *wait_ms)
                        .await
                })
            })
            .await?;
        let advanced = self.seat.services().map(Services::take_progress);
        let polled = answer.map_err(|error| {
            // What it called for on the way to its error it will call for again.
            self.idle_until = None;
            self.seat.reported(OP, error)
        })?;
        // One that is rejected has gone on beyond what it could hand over.
        let records = self
            .take(polled)
            .map_err(|wrong| self.seat.rejected(OP, &wrong))?;
        self.advanced = advanced.unwrap_or_default();
        Ok(records)
    }
    fn advanced(&mut self) -> Offsets {
        std::mem::take(&mut self.advanced)
    }
    async fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        let positions = positions(offsets)?;
        self.seat
            .ask("committed", &positions, |guest, positions| {
                Box::pin(async move {
                    let task = guest.world.longshore_connector_source_task();
                    task.call_committed(&mut guest.store, positions).await
                })
            })
            .await
    }
    async fn close(&mut self) -> Result<()> {
        self.stop.set();
        self.seat
            .close(|guest, ()| {
                Box::pin(async move {
                    let task = guest.world.longshore_connector_source_task();
                    task.call_close(&mut guest.store).await
                })
            })
            .await
    }
}

/// Checks all of an answer, then makes records of it: their bytes are slices of the guest's columns.
fn take_polled(polled: Polled, limit: usize) -> std::result::Result<Vec<SourceRecord>, Rejected> {
    let Polled {
        records: batch,
        lanes,
        lane,
        positions,
        ..
    } = polled;
    if batch.count > ROWS_MAX {
        let problem = format!("{} rows, {ROWS_MAX} were asked for", batch.count);
        return Err(Rejected::new("count", problem));
    }
    let count = batch.count as usize;
    let topics = take_topics(batch.topics, &batch.topic, count, true)?;
    let numbers = |name: &'static str, length: usize| {
        let problem = format!("{length} numbers for {count} rows");
        let fits = length == 0 || length == count;
        fits.then_some(())
            .ok_or_else(|| Rejected::new(name, problem))
    };
    numbers("partition", batch.partition.len())?;
    numbers("timestamp-ms", batch.timestamp_ms.len())?;
    if batch.partition.iter().any(|partition| *partition < -1) {
        return Err(Rejected::new("partition", "a number is below -1"));
    }
    if batch.timestamp_ms.iter().any(|time| *time < -1) {
        return Err(Rejected::new("timestamp-ms", "a time is below -1"));
    }
    let lanes = take_lanes(lanes, &lane, count, limit)?;
    let key = take_column("key", batch.key, count)?;
    let value = take_column("value", batch.value, count)?;
    let headers = take_headers(
        batch.header_ends,
        batch.header_names,
        batch.header_name,
        batch.header_value,
        count,
    )?;
    let positions = take_column("positions", positions, count)?;
    let mut records = Vec::with_capacity(count);
    for row in 0..count {
        let at = if mutant!("wasm-position-of-the-batch") {
            count - 1
        } else {
            row
        };
        let position = positions
            .bytes(at)
            .ok_or_else(|| Rejected::new("positions", format!("row {row} is null")))?;
        check_place("positions", row, &position, limit)?;
        let topic = batch.topic.get(row).map_or(0, |number| *number as usize);
        let number = lane.get(row).map_or(0, |number| *number as usize);
        let mut record = Record::new(topics[topic].clone());
        record.partition = batch.partition.get(row).copied().filter(|at| *at >= 0);
        record.timestamp = batch.timestamp_ms.get(row).copied().filter(|at| *at >= 0);
        record.key = key.datum(row);
        record.value = value.datum(row);
        record.headers = headers.row(row);
        records.push(SourceRecord {
            record,
            lane: lanes[number].clone(),
            offset: Offset::from_json(position),
        });
    }
    Ok(records)
}

fn take_lanes(
    lanes: Vec<String>,
    lane: &[u32],
    count: usize,
    limit: usize,
) -> std::result::Result<Vec<Partition>, Rejected> {
    if count > 0 && lanes.is_empty() {
        return Err(Rejected::new("lanes", "it is empty, but there are rows"));
    }
    if !lane.is_empty() && lane.len() != count {
        let problem = format!("{} numbers for {count} rows", lane.len());
        return Err(Rejected::new("lane", problem));
    }
    if let Some(number) = lane.iter().find(|number| **number as usize >= lanes.len()) {
        let problem = format!("there is no lane {number} among {}", lanes.len());
        return Err(Rejected::new("lane", problem));
    }
    for (number, lane) in lanes.iter().enumerate() {
        check_place("lanes", number, lane.as_bytes(), limit)?;
    }
    let lanes = lanes.into_iter().map(Bytes::from);
    Ok(lanes.map(Partition::from_json).collect())
}

/// A lane and a position are JSON objects, and small: they are stored for good.
fn check_place(
    column: &'static str,
    row: usize,
    text: &[u8],
    limit: usize,
) -> std::result::Result<(), Rejected> {
    if text.len() > limit {
        let length = text.len();
        let problem = format!("entry {row} has {length} bytes, {limit} are allowed");
        return Err(Rejected::new(column, problem));
    }
    if !json_object(text) {
        let problem = format!("entry {row} is no JSON object");
        return Err(Rejected::new(column, problem));
    }
    Ok(())
}
