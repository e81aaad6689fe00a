//! Connectors of the simulation: numbered records in lanes, and targets with and without a ledger.

use super::{
    LANES,
    oracle::{Number, Row, World, refused},
};
use bytes::Bytes;
use longshore_engine::registry::Registry;
use longshore_kit::memory::broker::Link;
use longshore_sdk::{
    Datum, Error, Guarantee, Level, Offset, Offsets, Partition, Plugin, Record, Refused, Result,
    Share, Sink, SinkContext, SinkRecord, Source, SourceContext, SourceRecord, TopicOffsets,
    TopicPartition,
    config::{Definition, Finding, Flat, Key},
    converter::{Codec, Part},
    erased::{
        Boxed, ConverterPlugin, DynConverter, DynSink, DynSinkConnector, DynSource,
        DynSourceConnector,
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The most records of one lane in one poll.
const RUN: u64 = 4;

/// What the connectors of one worker share.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) world: Arc<World>,
    pub(super) link: Link,
    pub(super) worker_id: String,
}

/// The plugins of one worker.
pub(super) fn registry(place: &Place) -> Arc<Registry> {
    let mut registry = Registry::default();
    for (class, level) in [
        ("once-source", Level::ExactlyOnce),
        ("least-source", Level::AtLeastOnce),
    ] {
        registry.source(Box::new(Numbers {
            place: place.clone(),
            class,
            level,
        }));
    }
    for (class, keeps) in [("ledger-sink", true), ("plain-sink", false)] {
        registry.sink(Box::new(Targets {
            place: place.clone(),
            class,
            keeps,
        }));
    }
    registry.converters([ConverterPlugin {
        plugin: plugin("raw"),
        definition: Arc::new(Definition::default),
        headers: true,
        data: true,
        build: Arc::new(|_, _: Part| Ok(Box::new(Raw) as Box<dyn DynConverter>)),
    }]);
    Arc::new(registry)
}

fn plugin(name: &'static str) -> Plugin {
    Plugin {
        name,
        aliases: &[],
        version: "1",
        about: "A part of the simulation.",
        unsupported: &[],
        capabilities: Default::default(),
    }
}

fn definition(keys: &[&'static str]) -> Definition {
    Definition {
        keys: keys.iter().map(|key| Key::new(*key)).collect(),
    }
}

struct Raw;

impl Codec for Raw {
    fn decode(&mut self, _: &str, bytes: Option<Bytes>) -> Result<Datum> {
        Ok(bytes.map_or(Datum::Null, Datum::Bytes))
    }
    fn encode(&mut self, _: &str, datum: Datum) -> Result<Option<Bytes>> {
        match datum {
            Datum::Bytes(bytes) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }
}

/// Counts as open until it is dropped.
struct Open {
    place: Place,
    connector: String,
    task: u32,
}

impl Open {
    fn new(place: &Place, connector: &str, task: u32) -> Self {
        let (line, worker) = (place.link.number(), &place.worker_id);
        place.world.opened(connector, task, line, worker);
        Self {
            place: place.clone(),
            connector: connector.to_owned(),
            task,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let line = self.place.link.number();
        self.place.world.closed(&self.connector, self.task, line);
    }
}

struct Numbers {
    place: Place,
    class: &'static str,
    level: Level,
}

impl DynSourceConnector for Numbers {
    fn plugin(&self) -> Plugin {
        plugin(self.class)
    }
    fn definition(&self) -> Definition {
        definition(&["topic", "each", "version", "lanes"])
    }
    fn guarantee(&self, _: &Flat) -> Result<Guarantee> {
        Ok(Guarantee {
            level: self.level,
            method: "numbers can be read again from any number on".into(),
        })
    }
    fn check<'a>(&'a self, _: &'a Flat) -> Boxed<'a, Vec<Finding>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn plan<'a>(&'a self, _: &'a Flat, tasks_max: u32) -> Boxed<'a, Result<Vec<Share>>> {
        let tasks = u64::from(tasks_max).clamp(1, LANES);
        let share = move |task: u64| {
            let lanes = (0..LANES).filter(|lane| lane % tasks == task);
            let lanes: Vec<String> = lanes.map(|lane| lane.to_string()).collect();
            Share::from([("lanes".to_owned(), lanes.join(","))])
        };
        Box::pin(async move {
            self.place.link.thawed().await;
            Ok((0..tasks).map(share).collect())
        })
    }
    fn open<'a>(
        &'a self,
        config: &'a Flat,
        share: Share,
        cx: SourceContext,
    ) -> Boxed<'a, Result<Box<dyn DynSource>>> {
        Box::pin(async move {
            self.place.link.thawed().await;
            let open = Open::new(&self.place, &cx.connector, cx.task);
            let number = |text: &str| text.parse::<u64>().ok();
            let lanes = share.get("lanes").map_or("", String::as_str);
            let next = lanes.split(',').filter_map(number).map(|lane| {
                let stored = cx.offset(&name(lane));
                let stored = stored.and_then(|at| at.parse::<BTreeMap<String, u64>>().ok());
                (
                    lane,
                    stored.and_then(|at| at.get("at").copied()).unwrap_or(0),
                )
            });
            Ok(Box::new(NumbersTask {
                next: next.collect(),
                topic: config["topic"].as_str().into(),
                each: number(&config["each"]).unwrap_or(0),
                open,
            }) as Box<dyn DynSource>)
        })
    }
}

fn name(lane: u64) -> Partition {
    Partition::from_json(format!("{{\"lane\":{lane}}}").into())
}

struct NumbersTask {
    open: Open,
    next: BTreeMap<u64, u64>,
    topic: Arc<str>,
    each: u64,
}

impl Source for NumbersTask {
    async fn poll(&mut self, max_wait: Duration) -> Result<Vec<SourceRecord>> {
        let place = &self.open.place;
        place.link.thawed().await;
        let mut batch = Vec::new();
        for (lane, next) in &mut self.next {
            let end = place.world.available(*lane, self.each).min(*next + RUN);
            for number in *next..end {
                let mut record = Record::new(self.topic.clone());
                record.value = Datum::Bytes(format!("{lane}:{number}").into());
                record.partition = i32::try_from(*lane).ok();
                batch.push(SourceRecord {
                    record,
                    lane: name(*lane),
                    offset: Offset::counter("at", number + 1),
                });
            }
            *next = end.max(*next);
        }
        if batch.is_empty() {
            tokio::time::sleep(max_wait.max(Duration::from_millis(250))).await;
        }
        Ok(batch)
    }
    async fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        self.open.place.link.thawed().await;
        self.open.place.world.told(&self.open.connector, offsets);
        Ok(())
    }
}

struct Targets {
    place: Place,
    class: &'static str,
    keeps: bool,
}

impl DynSinkConnector for Targets {
    fn plugin(&self) -> Plugin {
        plugin(self.class)
    }
    fn definition(&self) -> Definition {
        definition(&["version"])
    }
    fn guarantee(&self, _: &Flat) -> Result<Guarantee> {
        let level = if self.keeps {
            Level::ExactlyOnce
        } else {
            Level::AtLeastOnce
        };
        Ok(Guarantee {
            level,
            method: "a ledger in the target, if any".into(),
        })
    }
    fn check<'a>(&'a self, _: &'a Flat) -> Boxed<'a, Vec<Finding>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn plan<'a>(&'a self, _: &'a Flat, tasks_max: u32) -> Boxed<'a, Result<Vec<Share>>> {
        Box::pin(async move {
            self.place.link.thawed().await;
            Ok((0..tasks_max).map(|_| Share::new()).collect())
        })
    }
    fn open<'a>(
        &'a self,
        _: &'a Flat,
        _: Share,
        cx: SinkContext,
    ) -> Boxed<'a, Result<Box<dyn DynSink>>> {
        Box::pin(async move {
            self.place.link.thawed().await;
            Ok(Box::new(TargetTask {
                open: Open::new(&self.place, &cx.connector, cx.task),
                keeps: self.keeps && cx.exactly_once,
                claims: BTreeMap::new(),
                rows: Vec::new(),
                letters: Vec::new(),
            }) as Box<dyn DynSink>)
        })
    }
}

struct TargetTask {
    open: Open,
    keeps: bool,
    /// Where the ledger stands, and whose it is, as far as this task knows.
    claims: BTreeMap<TopicPartition, (i64, u64)>,
    rows: Vec<Row>,
    letters: Vec<(TopicPartition, Number)>,
}

fn number(record: &SinkRecord) -> Result<Number> {
    let Datum::Bytes(bytes) = &record.record.value else {
        return Err(Error::bug("put", "a record without bytes"));
    };
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let number = text
        .split_once(':')
        .and_then(|(lane, number)| Some((lane.parse().ok()?, number.parse().ok()?)));
    number.ok_or_else(|| Error::bug("put", "a record without a number"))
}

impl TargetTask {
    fn forget(&mut self, at: &[TopicPartition]) {
        self.claims.retain(|partition, _| !at.contains(partition));
        self.rows.retain(|(partition, ..)| !at.contains(partition));
        self.letters
            .retain(|(partition, _)| !at.contains(partition));
    }
    async fn flushed(&mut self, upto: &TopicOffsets) -> Result<()> {
        let (world, connector) = (&self.open.place.world, &self.open.connector);
        let rows = std::mem::take(&mut self.rows);
        let claims = &self.claims;
        let keeps = self.keeps;
        let write = || {
            if keeps {
                world.compare_and_set(connector, claims, upto, &rows)
            } else {
                world.rows(connector, &rows);
                Ok(())
            }
        };
        self.open.place.link.call_aside("flush", write).await?;
        for (at, offset) in upto {
            if let Some(claim) = self.claims.get_mut(at) {
                claim.0 = *offset;
            }
        }
        Ok(())
    }
}

impl Sink for TargetTask {
    async fn assigned(&mut self, at: &[TopicPartition]) -> Result<Option<TopicOffsets>> {
        self.forget(at);
        if !self.keeps {
            return Ok(None);
        }
        let (world, connector) = (&self.open.place.world, &self.open.connector);
        let claim = || {
            let claims = at.iter().map(|at| (at.clone(), world.claim(connector, at)));
            Ok(claims.collect::<Vec<_>>())
        };
        let claims = self.open.place.link.call_aside("claim", claim).await?;
        let starts = claims.iter().map(|(at, (next, _))| (at.clone(), *next));
        let starts = starts.collect();
        self.claims.extend(claims);
        Ok(Some(starts))
    }
    async fn put(&mut self, batch: &[SinkRecord]) -> Result<Vec<Refused>> {
        self.open.place.link.call_aside("put", || Ok(())).await?;
        let mut away = Vec::new();
        for (index, record) in batch.iter().enumerate() {
            let (number, at) = (number(record)?, &record.at);
            let at = TopicPartition::new(&*at.topic, at.partition);
            if refused(number) {
                self.letters.push((at, number));
                away.push(Refused {
                    index,
                    error: Error::data("put", "the target does not want it"),
                });
            } else {
                self.rows.push((at, record.at.offset, number));
            }
        }
        Ok(away)
    }
    async fn flush(&mut self, upto: &TopicOffsets) -> Result<TopicOffsets> {
        let passed = self.letters.extract_if(.., |(at, _)| upto.contains_key(at));
        let passed: Vec<Number> = passed.map(|(_, number)| number).collect();
        let place = &self.open.place;
        place.link.thawed().await;
        place.world.check_letters(&self.open.connector, &passed);
        self.flushed(upto).await?;
        Ok(upto.clone())
    }
    async fn revoked(&mut self, at: &[TopicPartition]) -> Result<()> {
        self.forget(at);
        Ok(())
    }
}
