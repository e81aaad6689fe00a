//! Sinks.

use crate::{
    bindings::{
        host::longshore::connector::types::{Batch, RowError},
        sink::exports::longshore::connector::sink_task::{
            PutError, TopicOffset as GuestOffset, TopicPartition as GuestPartition,
        },
    },
    columns::{Rejected, Row, Rows},
    connector::Connector,
    installed::{Installed, Place, Seat},
    refusal::{again, rejected},
    services::Following,
    worlds::{Sink, SinkPre},
};
use longshore_sdk::{
    Error, Guarantee, Plugin, Refused, Result, Share, Sink as Task, SinkContext, SinkRecord,
    TopicOffset, TopicOffsets, TopicPartition,
    config::{Definition, Finding, Flat},
    erased::{Boxed, DynSink, DynSinkConnector},
};
use std::{collections::HashMap, sync::Arc};

/// A sink connector of a plugin.
pub(crate) struct WasmSinkConnector(Connector<Sink>);

impl WasmSinkConnector {
    pub(crate) fn new(installed: Arc<Installed>, linked: SinkPre<crate::store::State>) -> Self {
        Self(Connector::new(installed, linked))
    }
    async fn start(&self, config: &Flat, share: Share, cx: SinkContext) -> Result<SinkTask> {
        let stop = Following::new(&cx.stop);
        let exactly_once = cx.exactly_once;
        let place = Place {
            connector: cx.connector.to_string(),
            task: Some(cx.task),
            group: Some(cx.group.to_string()),
            exactly_once: cx.exactly_once,
            stopping: stop.stopping(),
            ..Place::default()
        };
        let config = Connector::<Sink>::laid(config, &share);
        let installed = &self.0.installed;
        let json = installed.task_json(&config, &share);
        let mut seat = self.0.open(&config, place).await?;
        seat.ask("start", &json, |guest, json| {
            Box::pin(async move {
                let task = guest.world.longshore_connector_sink_task();
                task.call_start(&mut guest.store, json).await
            })
        })
        .await?;
        let told = &installed.told;
        Ok(SinkTask {
            rows: Rows::new(told.needs(), told.key_format(), told.value_format()),
            places: Vec::new(),
            ahead: HashMap::new(),
            seat,
            stop,
            keeps: false,
            exactly_once,
        })
    }
}

impl DynSinkConnector for WasmSinkConnector {
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
        cx: SinkContext,
    ) -> Boxed<'a, Result<Box<dyn DynSink>>> {
        Box::pin(async move {
            let task = self.start(config, share, cx).await?;
            Ok(Box::new(task) as Box<dyn DynSink>)
        })
    }
}

/// A task of a sink.
pub(crate) struct SinkTask {
    seat: Seat<Sink>,
    rows: Rows,
    /// Which record of the engine's batch each row of the guest's is.
    places: Vec<usize>,
    /// Records that the guest has taken, or refused (with why), beyond what could be reported: a `put` that fails can report leading records
    /// alone, not those from the first refused one on. They come again, and are not given to the guest again.
    ahead: HashMap<TopicOffset, Option<Error>>,
    stop: Following,
    /// The target keeps the offsets.
    keeps: bool,
    exactly_once: bool,
}

impl SinkTask {
    /// Gives the guest one batch of rows, those of `self.places`.
    async fn hand_over(&mut self) -> Result<std::result::Result<Vec<RowError>, PutError>> {
        const OP: &str = "put";
        let Self { seat, rows, .. } = self;
        let timeout = seat.installed.timeout();
        let batch: &Batch = rows.end();
        seat.call(OP, timeout, batch, |guest, batch| {
            Box::pin(async move {
                let task = guest.world.longshore_connector_sink_task();
                task.call_put(&mut guest.store, batch).await
            })
        })
        .await
    }
    /// Fills the next rows from `start` on; where it stopped. Rows that cannot be presented are refused.
    fn fill(&mut self, batch: &[SinkRecord], start: usize, refused: &mut Vec<Refused>) -> usize {
        self.rows.begin();
        self.places.clear();
        let mut at = start;
        while at < batch.len() && !self.rows.full() {
            let SinkRecord { record, at: place } = &batch[at];
            let known = match self.ahead.is_empty() {
                true => None,
                false => self.ahead.get(place),
            };
            if let Some(known) = known {
                refused.extend(known.as_ref().map(|error| Refused {
                    index: at,
                    error: again(error),
                }));
            } else {
                let row = Row {
                    record,
                    at: Some(place),
                };
                match self.rows.push(row) {
                    Ok(()) => self.places.push(at),
                    Err(error) => refused.push(Refused { index: at, error }),
                }
            }
            at += 1;
        }
        at
    }
    /// Checks which rows the guest refused.
    fn take_refused(
        &self,
        rows: Vec<RowError>,
        refused: &mut Vec<Refused>,
    ) -> Result<(), Rejected> {
        if rows.len() > self.places.len() {
            let problem = format!("{} of {} rows are refused", rows.len(), self.places.len());
            return Err(Rejected::new("refused", problem));
        }
        for RowError { row, error } in rows {
            let Some(index) = self.places.get(row as usize) else {
                let problem = format!("there is no row {row} among {}", self.places.len());
                return Err(Rejected::new("row", problem));
            };
            refused.push(Refused {
                index: *index,
                error: self.seat.reported("put", error),
            });
        }
        refused.sort_by_key(|refused| refused.index);
        refused.dedup_by_key(|refused| refused.index);
        Ok(())
    }
    /// A call that failed after some of its rows: how many leading records of the engine's batch are taken, and what is ahead of them.
    fn partly(
        &mut self,
        batch: &[SinkRecord],
        start: usize,
        failed: PutError,
        mut refused: Vec<Refused>,
    ) -> Result<Error, Rejected> {
        let PutError {
            error,
            taken,
            refused: rows,
        } = failed;
        let taken = taken as usize;
        if taken > self.places.len() {
            let problem = format!("{taken} of {} rows", self.places.len());
            return Err(Rejected::new("taken", problem));
        }
        if let Some(beyond) = rows.iter().find(|refused| refused.row as usize >= taken) {
            let problem = format!("row {} is refused, but {taken} were taken", beyond.row);
            return Err(Rejected::new("refused", problem));
        }
        self.take_refused(rows, &mut refused)?;
        let error = self.seat.reported("put", error);
        // The first record that the guest does not have.
        let reached = self.places.get(taken).copied();
        let reached = reached.unwrap_or_else(|| self.places.last().map_or(start, |last| last + 1));
        let reported = refused
            .first()
            .map_or(reached, |refused| refused.index.min(reached));
        for (index, record) in (reported..reached).zip(&batch[reported..reached]) {
            let why = refused.iter().find(|refused| refused.index == index);
            let why = why.map(|refused| again(&refused.error));
            self.ahead.insert(record.at.clone(), why);
        }
        Ok(error.after(reported))
    }
    /// What was reported, or went away, is ahead no more.
    fn forget(&mut self, batch: &[SinkRecord]) {
        if !self.ahead.is_empty() {
            for record in batch {
                self.ahead.remove(&record.at);
            }
        }
    }
}

impl Task for SinkTask {
    async fn assigned(&mut self, at: &[TopicPartition]) -> Result<Option<TopicOffsets>> {
        const OP: &str = "assigned";
        let partitions = partitions(at);
        let offsets = self
            .seat
            .ask(OP, &partitions, |guest, partitions| {
                Box::pin(async move {
                    let task = guest.world.longshore_connector_sink_task();
                    task.call_assigned(&mut guest.store, partitions).await
                })
            })
            .await?;
        // Without exactly-once the committed offsets count, whatever the target has.
        let Some(offsets) = offsets.filter(|_| self.exactly_once) else {
            return Ok(None);
        };
        self.keeps = true;
        take_offsets(offsets, |partition| at.contains(partition))
            .map(Some)
            .map_err(|wrong| rejected(self.seat.installed.tag, OP, &wrong))
    }
    async fn put(&mut self, batch: &[SinkRecord]) -> Result<Vec<Refused>> {
        let mut refused = Vec::new();
        let mut start = 0;
        while start < batch.len() {
            let end = self.fill(batch, start, &mut refused);
            if !self.places.is_empty() {
                match self.hand_over().await? {
                    Ok(rows) => {
                        if let Err(wrong) = self.take_refused(rows, &mut refused) {
                            return Err(self.seat.rejected("put", &wrong));
                        }
                    }
                    Err(failed) => {
                        let error = self.partly(batch, start, failed, refused);
                        let error = error.map_err(|wrong| self.seat.rejected("put", &wrong))?;
                        self.forget(&batch[..error.taken()]);
                        return Err(error);
                    }
                }
            }
            start = end;
        }
        self.forget(batch);
        Ok(refused)
    }
    async fn flush(&mut self, upto: &TopicOffsets) -> Result<TopicOffsets> {
        const OP: &str = "flush";
        if self.keeps && !self.ahead.is_empty() {
            // I3: the guest has more than may be committed, and would write all of it beside an offset that lies before. Once the rest of the
            // batch is through, it writes it with the right one.
            return Ok(TopicOffsets::new());
        }
        let offset = |(at, offset): (&TopicPartition, &i64)| GuestOffset {
            topic: at.topic.to_string(),
            partition: at.partition,
            offset: *offset,
        };
        let offsets: Vec<GuestOffset> = upto.iter().map(offset).collect();
        let offsets = self
            .seat
            .ask(OP, &offsets, |guest, offsets| {
                Box::pin(async move {
                    let task = guest.world.longshore_connector_sink_task();
                    task.call_flush(&mut guest.store, offsets).await
                })
            })
            .await?;
        let taken = take_offsets(offsets, |partition| upto.contains_key(partition));
        let beyond = |taken: TopicOffsets| {
            let beyond = taken.iter().find(|(at, offset)| **offset > upto[*at]);
            match beyond {
                // I1: what was not given to it cannot be durable.
                Some((at, offset)) => Err(Rejected::new(
                    "offset",
                    format!("{at} up to {offset}, but it was given {} only", upto[at]),
                )),
                None => Ok(taken),
            }
        };
        taken
            .and_then(beyond)
            .map_err(|wrong| self.seat.rejected(OP, &wrong))
    }
    async fn revoked(&mut self, at: &[TopicPartition]) -> Result<()> {
        self.ahead
            .retain(|place, _| !at.contains(&place.topic_partition()));
        let partitions = partitions(at);
        self.seat
            .ask("revoked", &partitions, |guest, partitions| {
                Box::pin(async move {
                    let task = guest.world.longshore_connector_sink_task();
                    task.call_revoked(&mut guest.store, partitions).await
                })
            })
            .await
    }
    async fn close(&mut self) -> Result<()> {
        self.stop.set();
        self.seat
            .close(|guest, ()| {
                Box::pin(async move {
                    let task = guest.world.longshore_connector_sink_task();
                    task.call_close(&mut guest.store).await
                })
            })
            .await
    }
}

fn partitions(at: &[TopicPartition]) -> Vec<GuestPartition> {
    let partition = |at: &TopicPartition| GuestPartition {
        topic: at.topic.to_string(),
        partition: at.partition,
    };
    at.iter().map(partition).collect()
}

/// Offsets that a guest answers with, of partitions that it was asked about.
fn take_offsets(
    offsets: Vec<GuestOffset>,
    asked: impl Fn(&TopicPartition) -> bool,
) -> std::result::Result<TopicOffsets, Rejected> {
    let mut taken = TopicOffsets::new();
    for GuestOffset {
        topic,
        partition,
        offset,
    } in offsets
    {
        let at = TopicPartition::new(topic, partition);
        if !asked(&at) {
            return Err(Rejected::new(
                "topic",
                "a partition that it was not asked about",
            ));
        }
        if offset < 0 {
            return Err(Rejected::new(
                "offset",
                format!("{at} at {offset}, below 0"),
            ));
        }
        if taken.insert(at, offset).is_some() {
            return Err(Rejected::new("topic", "the same partition twice"));
        }
    }
    Ok(taken)
}
