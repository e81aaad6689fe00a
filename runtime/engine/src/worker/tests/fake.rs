//! Connectors that do as their configs tell them.

use crate::registry::{Connector, Installed, PluginFile, Registry};
use bytes::Bytes;
use longshore_sdk::{
    Datum, Error, Guarantee, Level, Offset, Offsets, Partition, Plugin, Record, Refused, Result,
    Share, SinkContext, SinkRecord, SourceContext, SourceRecord, TopicOffsets, TopicPartition,
    config::{Definition, Finding, Flat, Key, KeyType},
    converter::{Codec, Part},
    erased::{
        Boxed, ConverterPlugin, DynConverter, DynSink, DynSinkConnector, DynSource,
        DynSourceConnector,
    },
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What the connectors did, and what they are told beyond their configs.
#[derive(Default)]
pub(super) struct Probe {
    opens: Mutex<BTreeMap<String, usize>>,
    open_now: Mutex<Vec<String>>,
    twice: std::sync::atomic::AtomicBool,
    /// The most that were open of one task at the same time: 2 while a sink moves.
    most: Mutex<BTreeMap<String, usize>>,
    /// How often a task was open no more.
    gaps: Mutex<BTreeMap<String, usize>>,
    taken: Mutex<Vec<Bytes>>,
    /// How many tasks a source plans that is told to look here.
    pub(super) shares: Mutex<usize>,
    /// How many plans sources made; how many tasks sinks were asked to plan.
    pub(super) plans: Mutex<usize>,
    /// How many sources plan now, and how many did at most.
    pub(super) planning: Mutex<(usize, usize)>,
    /// Whoever holds it blocks the threads of sources that are told to pass through it.
    pub(super) gate: Mutex<()>,
    /// How many sinks were closed.
    pub(super) closed: Mutex<usize>,
    /// What the next polls say, then they go on.
    pub(super) trouble: Mutex<Vec<Error>>,
    /// So many records more than its config says has each source.
    pub(super) more: std::sync::atomic::AtomicU64,
    pub(super) replan: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

impl Probe {
    pub(super) fn opens(&self, task: &str) -> usize {
        self.opens
            .lock()
            .expect("no panic")
            .get(task)
            .copied()
            .unwrap_or(0)
    }
    /// The tasks that are open now.
    pub(super) fn open_now(&self) -> Vec<String> {
        let mut open = self.open_now.lock().expect("no panic").clone();
        open.sort();
        open
    }
    pub(super) fn taken(&self) -> Vec<Bytes> {
        self.taken.lock().expect("no panic").clone()
    }
    /// From now on a source may be open twice: a worker that is out of its group keeps it, paused, while another has it.
    pub(super) fn allow_twice(&self) {
        self.twice.store(true, std::sync::atomic::Ordering::SeqCst);
    }
    /// How often a task was open at the same time.
    pub(super) fn most(&self, task: &str) -> usize {
        let most = self.most.lock().expect("no panic");
        most.get(task).copied().unwrap_or(0)
    }
    /// How often nobody had a task open any more.
    pub(super) fn gaps(&self, task: &str) -> usize {
        let gaps = self.gaps.lock().expect("no panic");
        gaps.get(task).copied().unwrap_or(0)
    }
    fn opened(self: &Arc<Self>, task: String, sink: bool) -> Open {
        *self
            .opens
            .lock()
            .expect("no panic")
            .entry(task.clone())
            .or_default() += 1;
        let mut open = self.open_now.lock().expect("no panic");
        // I4: a task is not opened again before its former life is over; a sink that moves joins first.
        let twice = self.twice.load(std::sync::atomic::Ordering::SeqCst);
        assert!(
            sink || twice || !open.contains(&task),
            "{task} is open twice"
        );
        open.push(task.clone());
        let now = open.iter().filter(|open| **open == task).count();
        drop(open);
        let mut most = self.most.lock().expect("no panic");
        let most = most.entry(task.clone()).or_default();
        *most = now.max(*most);
        Open {
            probe: Arc::clone(self),
            task,
        }
    }
}

/// Counts as planning until it is dropped.
struct Planning<'a>(&'a Probe);

impl<'a> Planning<'a> {
    fn of(probe: &'a Probe) -> Self {
        let mut planning = probe.planning.lock().expect("no panic");
        planning.0 += 1;
        planning.1 = planning.0.max(planning.1);
        Self(probe)
    }
}

impl Drop for Planning<'_> {
    fn drop(&mut self) {
        self.0.planning.lock().expect("no panic").0 -= 1;
    }
}

/// Counts as open until it is dropped.
struct Open {
    probe: Arc<Probe>,
    task: String,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.probe.open_now.lock().expect("no panic");
        if let Some(at) = open.iter().position(|task| *task == self.task) {
            open.remove(at);
        }
        if !open.contains(&self.task) {
            let mut gaps = self.probe.gaps.lock().expect("no panic");
            *gaps.entry(self.task.clone()).or_default() += 1;
        }
    }
}

/// The same, and two versions of a source that came in files.
pub(super) fn registry_with_files(probe: &Arc<Probe>) -> Arc<Registry> {
    let mut registry = filled(probe);
    for version in ["2.0.0", "2.1.0"] {
        let plugin = Plugin {
            version,
            ..tag("filed-source", &[])
        };
        let source = FakeSource(Arc::clone(probe), plugin);
        let source = Installed::Connector(Connector::Source(Arc::new(source)));
        let installed = registry.install(source, PluginFile::default());
        installed.expect("another version");
    }
    Arc::new(registry)
}

pub(super) fn registry(probe: &Arc<Probe>) -> Arc<Registry> {
    Arc::new(filled(probe))
}

fn filled(probe: &Arc<Probe>) -> Registry {
    let mut registry = Registry::default();
    let plugin = tag("fake-source", &["test.FakeSourceConnector"]);
    registry
        .source(Box::new(FakeSource(Arc::clone(probe), plugin)))
        .sink(Box::new(FakeSink(Arc::clone(probe))))
        .converters([ConverterPlugin {
            plugin: tag(
                "raw",
                &["org.apache.kafka.connect.converters.ByteArrayConverter"],
            ),
            definition: Arc::new(Definition::default),
            headers: true,
            data: true,
            build: Arc::new(|_, _: Part| Ok(Box::new(Raw) as Box<dyn DynConverter>)),
        }]);
    registry
}

fn tag(name: &'static str, aliases: &'static [&'static str]) -> Plugin {
    Plugin {
        name,
        aliases,
        version: "1.2.3",
        about: "A fake.",
        unsupported: &["legacy.mode"],
        capabilities: Default::default(),
    }
}

struct Raw;

impl Codec for Raw {
    fn decode(&mut self, _: &str, bytes: Option<Bytes>) -> Result<Datum> {
        Ok(bytes.map_or(Datum::Null, Datum::Bytes))
    }
    fn encode(&mut self, _: &str, datum: Datum) -> Result<Option<Bytes>> {
        match datum {
            Datum::Null => Ok(None),
            Datum::Bytes(bytes) => Ok(Some(bytes)),
            _ => Err(Error::data("encode", "not bytes")),
        }
    }
}

fn definition(required: &str) -> Definition {
    let mut topic = Key::new(required);
    topic.required = true;
    let mut password = Key::new("password");
    password.kind = KeyType::Password;
    let mut definition = Definition {
        keys: vec![topic, password],
    };
    definition.keys.extend(
        [
            "count",
            "fail.at",
            "shares",
            "share",
            "guarantee",
            "plan.ms",
            "close.ms",
        ]
        .map(Key::new),
    );
    definition
}

/// `fail.at`: plan, open, poll, put with the kind of error behind a colon; `panic` as a kind panics.
fn fail(config: &Flat, at: &str) -> Result<()> {
    let told = config
        .get("fail.at")
        .and_then(|told| told.strip_prefix(at)?.strip_prefix(':'));
    match told {
        None => Ok(()),
        Some("transient") => Err(Error::transient("fake", "told to")),
        Some("panic") => panic!("told to panic"),
        Some("panic-quote") => panic!("cannot read {}", config["password"]),
        Some("quote") => Err(Error::config(
            "fake",
            format!("cannot read {}", config["password"]),
        )),
        Some(_) => Err(Error::config("fake", "told to")),
    }
}

struct FakeSource(Arc<Probe>, Plugin);

impl DynSourceConnector for FakeSource {
    fn plugin(&self) -> Plugin {
        self.1
    }
    fn definition(&self) -> Definition {
        definition("topic")
    }
    fn guarantee(&self, config: &Flat) -> Result<Guarantee> {
        let level = match config.get("guarantee").map(String::as_str) {
            Some("exactly") => Level::ExactlyOnce,
            _ => Level::AtLeastOnce,
        };
        let method = "a fake";
        Ok(Guarantee {
            level,
            method: method.into(),
        })
    }
    fn check<'a>(&'a self, config: &'a Flat) -> Boxed<'a, Vec<Finding>> {
        let bad = config
            .get("password")
            .is_some_and(|password| password == "wrong");
        let findings = if bad {
            vec![Finding::new("password", "refused by the system")]
        } else {
            Vec::new()
        };
        Box::pin(std::future::ready(findings))
    }
    fn plan<'a>(&'a self, config: &'a Flat, tasks_max: u32) -> Boxed<'a, Result<Vec<Share>>> {
        let count = match config.get("shares").map(String::as_str) {
            None => tasks_max as usize,
            Some("probe") => *self.0.shares.lock().expect("no panic"),
            Some(count) => count.parse().expect("a number"),
        };
        *self.0.plans.lock().expect("no panic") += 1;
        let share = |number: usize| Share::from([("share".to_owned(), number.to_string())]);
        Box::pin(async move {
            let planning = Planning::of(&self.0);
            if let Some(ms) = config.get("plan.ms") {
                let ms = ms.parse().expect("a number");
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            drop(planning);
            fail(config, "plan")?;
            Ok((0..count).map(share).collect())
        })
    }
    fn open<'a>(
        &'a self,
        config: &'a Flat,
        share: Share,
        cx: SourceContext,
    ) -> Boxed<'a, Result<Box<dyn DynSource>>> {
        Box::pin(async move {
            let open = self
                .0
                .opened(format!("{}-{}", cx.connector, cx.task), false);
            fail(config, "open")?;
            if config.get("count").is_some_and(|count| count == "hang") {
                std::future::pending::<()>().await;
            }
            let lane = Partition::new(&json!({ "share": share.get("share") }))?;
            let next = cx.offset(&lane).map_or(Ok(0), |offset| {
                offset
                    .parse::<BTreeMap<String, u64>>()
                    .map(|offset| offset["n"])
            })?;
            *self.0.replan.lock().expect("no panic") = Some(Arc::clone(&cx.replan));
            let count = config
                .get("count")
                .map_or(3, |count| count.parse().unwrap_or(0));
            Ok(Box::new(FakeSourceTask {
                open,
                config: config.clone(),
                lane,
                next,
                count,
            }) as Box<dyn DynSource>)
        })
    }
}

struct FakeSourceTask {
    open: Open,
    config: Flat,
    lane: Partition,
    next: u64,
    count: u64,
}

impl DynSource for FakeSourceTask {
    fn poll(&mut self, max_wait: Duration) -> Boxed<'_, Result<Vec<SourceRecord>>> {
        Box::pin(async move {
            fail(&self.config, "poll")?;
            if self
                .config
                .get("count")
                .is_some_and(|count| count == "gate")
            {
                drop(self.open.probe.gate.lock().expect("no panic"));
            }
            if self
                .config
                .get("count")
                .is_some_and(|count| count == "never")
            {
                std::future::pending::<()>().await;
            }
            if let Some(error) = self.open.probe.trouble.lock().expect("no panic").pop() {
                return Err(error);
            }
            let more = self
                .open
                .probe
                .more
                .load(std::sync::atomic::Ordering::SeqCst);
            if self.next >= self.count + more {
                if self
                    .config
                    .get("shares")
                    .is_some_and(|shares| shares == "1")
                {
                    return Err(Error::end("poll", "all read"));
                }
                tokio::time::sleep(max_wait).await;
                return Ok(Vec::new());
            }
            self.next += 1;
            let mut record = Record::new(self.config["topic"].as_str().into());
            record.value = Datum::Bytes(Bytes::from(format!("{}:{}", self.open.task, self.next)));
            Ok(vec![SourceRecord {
                record,
                lane: self.lane.clone(),
                offset: Offset::counter("n", self.next),
            }])
        })
    }
    fn commit<'a>(&'a mut self, _: &'a Offsets) -> Boxed<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn close(&mut self) -> Boxed<'_, Result<()>> {
        let ms = self.config.get("close.ms").and_then(|ms| ms.parse().ok());
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(ms.unwrap_or(0))).await;
            Ok(())
        })
    }
}

struct FakeSink(Arc<Probe>);

impl DynSinkConnector for FakeSink {
    fn plugin(&self) -> Plugin {
        tag("fake-sink", &["test.FakeSinkConnector"])
    }
    fn definition(&self) -> Definition {
        let mut definition = definition("file");
        definition.keys[0].required = false;
        definition
    }
    fn guarantee(&self, _: &Flat) -> Result<Guarantee> {
        Ok(Guarantee {
            level: Level::AtLeastOnce,
            method: "a fake".into(),
        })
    }
    fn check<'a>(&'a self, _: &'a Flat) -> Boxed<'a, Vec<Finding>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn plan<'a>(&'a self, config: &'a Flat, tasks_max: u32) -> Boxed<'a, Result<Vec<Share>>> {
        let mut planned = fail(config, "plan");
        if planned.is_ok() {
            planned = fail(config, "planned");
            *self.0.plans.lock().expect("no panic") += tasks_max as usize;
        }
        let planned = planned.map(|()| (0..tasks_max).map(|_| Share::new()).collect());
        Box::pin(std::future::ready(planned))
    }
    fn open<'a>(
        &'a self,
        config: &'a Flat,
        _: Share,
        cx: SinkContext,
    ) -> Boxed<'a, Result<Box<dyn DynSink>>> {
        Box::pin(async move {
            let open = self.0.opened(format!("{}-{}", cx.connector, cx.task), true);
            fail(config, "open")?;
            if config.get("count").is_some_and(|count| count == "hang") {
                std::future::pending::<()>().await;
            }
            Ok(Box::new(FakeSinkTask {
                open,
                config: config.clone(),
            }) as Box<dyn DynSink>)
        })
    }
}

struct FakeSinkTask {
    open: Open,
    config: Flat,
}

impl DynSink for FakeSinkTask {
    fn assigned<'a>(
        &'a mut self,
        _: &'a [TopicPartition],
    ) -> Boxed<'a, Result<Option<TopicOffsets>>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    fn put<'a>(&'a mut self, batch: &'a [SinkRecord]) -> Boxed<'a, Result<Vec<Refused>>> {
        Box::pin(async move {
            fail(&self.config, "put")?;
            let values = batch.iter().map(|record| match &record.record.value {
                Datum::Bytes(bytes) => bytes.clone(),
                other => panic!("the raw converter gave {other:?}"),
            });
            self.open
                .probe
                .taken
                .lock()
                .expect("no panic")
                .extend(values);
            Ok(Vec::new())
        })
    }
    fn flush<'a>(&'a mut self, upto: &'a TopicOffsets) -> Boxed<'a, Result<TopicOffsets>> {
        Box::pin(std::future::ready(Ok(upto.clone())))
    }
    fn revoked<'a>(&'a mut self, _: &'a [TopicPartition]) -> Boxed<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn close(&mut self) -> Boxed<'_, Result<()>> {
        *self.open.probe.closed.lock().expect("no panic") += 1;
        Box::pin(std::future::ready(Ok(())))
    }
}
