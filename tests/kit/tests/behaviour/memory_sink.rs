//! A sink into memory that can break its contract in one way at a time.

use super::{assert_caught, report};
use longshore_kit::behaviour::{
    Fault, Waiver,
    sink::{SinkRig, TOPIC, run},
};
use longshore_sdk::{
    Capabilities, Datum, Error, Guarantee, Level, Plugin, Record, Refused, Result, Secret, Share,
    Sink, SinkConnector, SinkContext, SinkRecord, TopicOffsets, TopicPartition,
    config::Flat,
    erased::{self, DynSinkConnector},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, OnceLock},
};

/// The ways to break the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
enum Bug {
    #[default]
    None,
    FlushLosesTheLast,
    FlushForgetsOffsets,
    FlushSaysTooMuch,
    KeepsWhatWasLost,
    RefusesTheNeighbour,
    TakenIsTooHigh,
    TwoOwners,
    Backwards,
    ShowsTheSecret,
    ClosesOnce,
    UnavailableIsConfig,
    PlansTooMuch,
}

#[derive(Deserialize, JsonSchema, Debug)]
struct Config {
    /// Which store to write.
    store: String,
    /// Which bug to have.
    #[serde(default)]
    bug: Bug,
    /// A secret.
    password: Secret,
}

/// What the target holds.
#[derive(Default)]
struct Store {
    rows: Vec<u64>,
    offsets: TopicOffsets,
    owner: u64,
    fault: Option<Fault>,
}

fn stores() -> MutexGuard<'static, HashMap<String, Store>> {
    static STORES: OnceLock<Mutex<HashMap<String, Store>>> = OnceLock::new();
    let stores = STORES.get_or_init(Mutex::default).lock();
    stores.unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn with<T>(store: &str, call: impl FnOnce(&mut Store) -> T) -> T {
    call(stores().entry(store.to_owned()).or_default())
}

struct Memory;

struct Task {
    config: Config,
    owner: u64,
    taken: Vec<u64>,
    partitions: Vec<TopicPartition>,
    closed: bool,
}

impl SinkConnector for Memory {
    const PLUGIN: Plugin = Plugin {
        name: "memory-sink",
        aliases: &[],
        version: "0",
        about: "Writes into memory.",
        unsupported: &[],
        capabilities: Capabilities {
            ends: false,
            idempotent: false,
            keeps_offsets: true,
            refuses: true,
        },
    };
    type Config = Config;
    type Task = Task;
    fn guarantee(_: &Config) -> Guarantee {
        Guarantee {
            level: Level::ExactlyOnce,
            method: "rows and offsets change together".into(),
        }
    }
    async fn plan(config: &Config, tasks_max: u32) -> Result<Vec<Share>> {
        let mut share = Share::new();
        if config.bug == Bug::ShowsTheSecret {
            share.insert("password".to_owned(), config.password.expose().to_owned());
        }
        let extra = u32::from(config.bug == Bug::PlansTooMuch && tasks_max > 1);
        Ok(vec![share; (tasks_max + extra) as usize])
    }
    async fn open(config: Config, _: Share, _: SinkContext) -> Result<Task> {
        let owner = with(&config.store, |store| {
            store.owner += 1;
            store.owner
        });
        Ok(Task {
            config,
            owner,
            taken: Vec::new(),
            partitions: Vec::new(),
            closed: false,
        })
    }
}

impl Task {
    fn unavailable(&self) -> Option<Error> {
        let fault = with(&self.config.store, |store| store.fault);
        let failed = |message| match self.config.bug {
            Bug::UnavailableIsConfig => Error::config("put", message),
            _ => Error::transient("put", message),
        };
        (fault == Some(Fault::Unavailable)).then(|| failed("the store is away"))
    }
}

impl Sink for Task {
    async fn assigned(&mut self, at: &[TopicPartition]) -> Result<Option<TopicOffsets>> {
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        let offsets = with(&self.config.store, |store| store.offsets.clone());
        let known = at
            .iter()
            .filter_map(|at| Some((at.clone(), *offsets.get(at)?)));
        Ok(Some(known.collect()))
    }
    async fn put(&mut self, batch: &[SinkRecord]) -> Result<Vec<Refused>> {
        if let Some(error) = self.unavailable() {
            let taken = usize::from(self.config.bug == Bug::TakenIsTooHigh);
            return Err(error.after(taken));
        }
        let mut refused = Vec::new();
        for (index, record) in batch.iter().enumerate() {
            let id = match &record.record.value {
                Datum::Json(json) => serde_json::from_slice::<serde_json::Value>(json)
                    .ok()
                    .and_then(|value| value["id"].as_u64()),
                _ => None,
            };
            match id {
                Some(id) => {
                    self.taken.push(id);
                    let at = record.at.topic_partition();
                    if !self.partitions.contains(&at) {
                        self.partitions.push(at);
                    }
                }
                None => refused.push(Refused {
                    index: index + usize::from(self.config.bug == Bug::RefusesTheNeighbour),
                    error: Error::data("put", "no id"),
                }),
            }
        }
        Ok(refused)
    }
    async fn flush(&mut self, upto: &TopicOffsets) -> Result<TopicOffsets> {
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        let bug = self.config.bug;
        if bug == Bug::FlushLosesTheLast {
            self.taken.pop();
        }
        if bug == Bug::Backwards {
            self.taken.reverse();
        }
        let owner = self.owner;
        let rows = std::mem::take(&mut self.taken);
        self.partitions.clear();
        with(&self.config.store, |store| {
            if store.owner != owner && bug != Bug::TwoOwners {
                return Err(Error::fenced("flush", "another has the store"));
            }
            store.rows.extend(rows);
            if bug != Bug::FlushForgetsOffsets {
                store.offsets.extend(upto.clone());
            }
            Ok(())
        })?;
        let mut flushed = upto.clone();
        if bug == Bug::FlushSaysTooMuch {
            flushed.values_mut().for_each(|offset| *offset += 1);
        }
        Ok(flushed)
    }
    async fn revoked(&mut self, at: &[TopicPartition]) -> Result<()> {
        if self.config.bug == Bug::KeepsWhatWasLost {
            return Ok(());
        }
        if self.partitions.iter().any(|taken| at.contains(taken)) {
            // All partitions are claimed anew: what is unflushed of the kept ones must not be flushed either.
            self.owner = 0;
        }
        Ok(())
    }
    async fn close(&mut self) -> Result<()> {
        if self.closed && self.config.bug == Bug::ClosesOnce {
            return Err(Error::bug("close", "it is closed"));
        }
        self.closed = true;
        Ok(())
    }
}

struct Rig {
    store: String,
    bug: Bug,
}

impl Rig {
    fn new(bug: Bug) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self {
            store: format!("store-{number}"),
            bug,
        }
    }
}

impl SinkRig for Rig {
    fn connector(&self) -> Box<dyn DynSinkConnector> {
        erased::sink::<Memory>()
    }
    fn config(&self) -> Flat {
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Flat::from([
            entry("store", &self.store),
            entry("bug", &format!("{:?}", self.bug)),
            entry("password", "canary-4711"),
        ])
    }
    fn poison(&self) -> Option<Record> {
        Some(Record::new(TOPIC.into()))
    }
    async fn read_back(&mut self) -> Vec<u64> {
        with(&self.store, |store| store.rows.clone())
    }
    fn secrets(&self) -> Vec<String> {
        vec!["canary-4711".to_owned()]
    }
    async fn fault(&mut self, fault: Fault) -> bool {
        with(&self.store, |store| store.fault = Some(fault));
        fault != Fault::AnswerLost
    }
}

fn of(bug: Bug) -> Option<String> {
    report(run(async || Rig::new(bug)))
}

#[test]
fn a_sink_that_keeps_the_contract_passes() {
    assert_eq!(of(Bug::None), None);
}

#[test]
fn every_broken_sink_is_caught_by_the_case_that_is_about_it() {
    for (bug, case) in [
        (Bug::FlushLosesTheLast, "flushed_survives_a_crash"),
        (Bug::FlushForgetsOffsets, "unflushed_comes_again"),
        (Bug::FlushForgetsOffsets, "kills_at_random_lose_nothing"),
        (Bug::FlushSaysTooMuch, "flushed_survives_a_crash"),
        (Bug::KeepsWhatWasLost, "lost_partitions_come_again"),
        (Bug::RefusesTheNeighbour, "refused_indices_are_exact"),
        (Bug::TakenIsTooHigh, "outage_loses_nothing"),
        (Bug::TwoOwners, "two_owners_exclude_each_other"),
        (Bug::Backwards, "flushed_survives_a_crash"),
        (Bug::ShowsTheSecret, "secrets_stay_hidden"),
        (Bug::ClosesOnce, "close_may_be_called_twice"),
        (Bug::UnavailableIsConfig, "outage_loses_nothing"),
        (Bug::PlansTooMuch, "plan_fits_tasks_max"),
    ] {
        assert_caught(&format!("{bug:?}"), case, of(bug));
    }
}

struct Waived(Rig);

impl SinkRig for Waived {
    const WAIVERS: &'static [Waiver] = &[Waiver {
        case: "close_may_be_called_twice",
        reason: "for the sake of the test",
    }];
    fn connector(&self) -> Box<dyn DynSinkConnector> {
        self.0.connector()
    }
    fn config(&self) -> Flat {
        self.0.config()
    }
    fn poison(&self) -> Option<Record> {
        self.0.poison()
    }
    async fn read_back(&mut self) -> Vec<u64> {
        self.0.read_back().await
    }
}

#[test]
fn a_waiver_covers_its_case_and_fails_the_suite_once_that_passes() {
    let suite = |bug| report(run(async move || Waived(Rig::new(bug))));
    assert_eq!(suite(Bug::ClosesOnce), None);
    let report = suite(Bug::None).expect("the case passes");
    assert!(report.contains("BUT IS WAIVED"), "{report}");
}
