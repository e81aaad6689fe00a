//! Sinks.

mod offsets;

use crate::{
    bindings::{
        host::longshore::connector::types::{Batch, RowError},
        sink::exports::longshore::connector::sink_task::{PutError, TopicOffset as GuestOffset},
    },
    columns::{Rejected, Row, Rows},
    connector::Connector,
    installed::{Installed, Place, Seat},
    refusal::{again, rejected},
    services::{Following, Kept, States, state},
    worlds::{Sink, SinkPre},
};
use longshore_sdk::{
    Error, Guarantee, Plugin, Refused, Result, Share, Sink as Task, SinkContext, SinkRecord,
    TopicOffset, TopicOffsets, TopicPartition, TopicStates,
    config::{Definition, Finding, Flat},
    erased::{Boxed, DynSink, DynSinkConnector},
    mutant,
};
use offsets::{partitions, take_offsets};
use std::{collections::HashMap, sync::Arc};

/// How much data one `put` gives a guest: targets like large batches.
const PUT_BYTES_MAX: usize = 8 << 20;

/// A sink connector of a plugin.
pub(crate) struct WasmSinkConnector {
    connector: Connector<Sink>,
    /// It imports the interface that states are kept by.
    keeps_states: bool,
}

impl WasmSinkConnector {
    pub(crate) fn new(installed: Arc<Installed>, linked: SinkPre<crate::store::State>) -> Self {
        Self {
            keeps_states: state::is_imported(linked.instance_pre().component()),
            connector: Connector::new(installed, linked),
        }
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
        let installed = &self.connector.installed;
        let json = installed.task_json(&config, &share);
        let mut seat = self.connector.open(&config, place).await?;
        seat.ask("start", &json, |guest, json| {
            Box::pin(async move {
                let task = guest.world.longshore_connector_sink_task();
                task.call_start(&mut guest.store, json).await
            })
        })
        .await?;
        if let Some(services) = seat.services() {
            services.keep(Kept::States(States::default()));
        }
        let told = &installed.told;
        Ok(SinkTask {
            rows: Rows::new(
                told.needs(),
                told.key_format(),
                told.value_format(),
                PUT_BYTES_MAX,
            ),
            places: Vec::new(),
            ahead: HashMap::new(),
            seat,
            stop,
            keeps: false,
            keeps_states: self.keeps_states,
            exactly_once,
        })
    }
}

impl DynSinkConnector for WasmSinkConnector {
    fn plugin(&self) -> Plugin {
        self.connector.installed.plugin
    }
    fn definition(&self) -> Definition {
        self.connector.installed.keys()
    }
    fn guarantee(&self, config: &Flat) -> Result<Guarantee> {
        self.connector.guarantee(config)
    }
    fn check<'a>(&'a self, config: &'a Flat) -> Boxed<'a, Vec<Finding>> {
        Box::pin(self.connector.check(config))
    }
    fn plan<'a>(&'a self, config: &'a Flat, tasks_max: u32) -> Boxed<'a, Result<Vec<Share>>> {
        Box::pin(self.connector.plan(config, tasks_max))
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
    keeps_states: bool,
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
            let by_row = mutant!("wasm-refused-by-row").then_some(row as usize);
            let index = by_row.unwrap_or(*index);
            if !mutant!("wasm-refused-dropped") {
                refused.push(Refused {
                    index,
                    error: self.seat.reported("put", error),
                });
            }
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
        let taken = taken as usize * usize::from(!mutant!("wasm-taken-ignored"));
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
            if !mutant!("wasm-given-twice") {
                self.ahead.insert(record.at.clone(), why);
            }
        }
        Ok(error.after(reported))
    }
    /// The states of its partitions, unless its guest is gone.
    fn with_states<T>(&mut self, call: impl FnOnce(&mut States) -> T) -> Option<T> {
        let services = self.seat.services()?;
        services.states().map(call)
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
    fn keeps_states(&self) -> bool {
        self.keeps_states
    }
    fn restored(&mut self, states: &TopicStates) {
        self.with_states(|kept| kept.restored(states));
    }
    fn states(&mut self) -> TopicStates {
        self.with_states(States::take_changed).unwrap_or_default()
    }
    async fn assigned(&mut self, at: &[TopicPartition]) -> Result<Option<TopicOffsets>> {
        const OP: &str = "assigned";
        self.with_states(|states| states.assigned(at));
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
        self.with_states(States::target_keeps);
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
        // Which states it will set within the call nobody knows before.
        let beside = self.keeps || self.keeps_states;
        if beside && !self.ahead.is_empty() && !mutant!("wasm-flush-amid-a-batch") {
            // I3: the guest has more than may be committed, and would write all of it (or a state of it) beside an offset that lies before. Once
            // the rest of the batch is through, it writes it with the right one.
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
            match beyond.filter(|_| !mutant!("wasm-flush-widened")) {
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
        if !mutant!("wasm-lost-kept") {
            self.ahead
                .retain(|place, _| !at.contains(&place.topic_partition()));
        }
        let partitions = partitions(at);
        self.seat
            .ask("revoked", &partitions, |guest, partitions| {
                Box::pin(async move {
                    let task = guest.world.longshore_connector_sink_task();
                    task.call_revoked(&mut guest.store, partitions).await
                })
            })
            .await?;
        self.with_states(|states| states.revoked(at));
        Ok(())
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
