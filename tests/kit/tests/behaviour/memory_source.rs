//! A source out of memory that can break its contract in one way at a time.

use super::{assert_caught, report};
use longshore_kit::behaviour::{
    Fault,
    source::{SourceRig, run},
};
use longshore_sdk::{
    Capabilities, Datum, Error, Guarantee, Level, Offset, Offsets, Partition, Plugin, Record,
    Result, Share, Source, SourceConnector, SourceContext, SourceRecord,
    config::Flat,
    erased::{self, DynSourceConnector},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, OnceLock},
    time::Duration,
};

/// The ways to break the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
enum Bug {
    #[default]
    None,
    RepeatsAfterResume,
    SkipsAfterResume,
    OffsetOfTheBatch,
    AnyLane,
    ForgetsAtPoll,
    ForgetsTooMuchAtCommit,
    NeverReturns,
    LooksOnce,
    HugeBatches,
    Shuffles,
    ClosesOnce,
    SkipsInOutage,
    PlanChanges,
    UnknownDefault,
    AdvancesTooFar,
}

#[derive(Deserialize, JsonSchema, Debug)]
struct Config {
    /// Which store to read.
    store: String,
    /// Which bug to have.
    #[serde(default)]
    bug: Bug,
}

#[derive(Default)]
struct Store {
    seeded: u64,
    /// Records before this one are forgotten.
    kept: u64,
    away: bool,
    plans: u32,
    opened: u32,
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
    lane: Partition,
    next: u64,
    opened: u32,
    looked: bool,
    closed: bool,
    /// A poll without records has something to tell.
    idle: bool,
}

impl SourceConnector for Memory {
    const PLUGIN: Plugin = Plugin {
        name: "memory-source",
        aliases: &[],
        version: "0",
        about: "Reads from memory.",
        unsupported: &[],
        capabilities: Capabilities {
            ends: false,
            idempotent: false,
            keeps_offsets: false,
            refuses: false,
        },
    };
    type Config = Config;
    type Task = Task;
    fn guarantee(_: &Config) -> Guarantee {
        Guarantee {
            level: Level::ExactlyOnce,
            method: "the offset is a number".into(),
        }
    }
    async fn plan(config: &Config, _: u32) -> Result<Vec<Share>> {
        let plans = with(&config.store, |store| {
            store.plans += 1;
            store.plans
        });
        let mut share = Share::new();
        if config.bug == Bug::PlanChanges {
            share.insert("plan".to_owned(), plans.to_string());
        }
        Ok(vec![share])
    }
    async fn open(config: Config, _: Share, cx: SourceContext) -> Result<Task> {
        let lane = Partition::new(&BTreeMap::from([("store", &config.store)]))?;
        let stored = match config.bug {
            Bug::AnyLane => cx.offsets.values().next(),
            _ => cx.offset(&lane),
        };
        let mut next = match stored {
            Some(offset) => offset.parse::<BTreeMap<String, u64>>()?["next"],
            None => 0,
        };
        match config.bug {
            Bug::RepeatsAfterResume if next > 0 => next -= 1,
            Bug::SkipsAfterResume if next > 0 => next += 1,
            _ => {}
        }
        let opened = with(&config.store, |store| {
            store.opened += 1;
            store.opened
        });
        Ok(Task {
            config,
            lane,
            next,
            opened,
            looked: false,
            idle: false,
            closed: false,
        })
    }
}

impl Source for Task {
    async fn poll(&mut self, max_wait: Duration) -> Result<Vec<SourceRecord>> {
        let bug = self.config.bug;
        let (seeded, kept, away) = with(&self.config.store, |store| {
            (store.seeded, store.kept, store.away)
        });
        let batch = if bug == Bug::HugeBatches { 9000 } else { 6 };
        if away {
            self.next += u64::from(bug == Bug::SkipsInOutage);
            return Err(Error::transient("poll", "the store is away"));
        }
        let from = self.next.max(kept);
        let upto = seeded.min(from + batch);
        if from >= upto || (self.looked && bug == Bug::LooksOnce && self.next > 2) {
            self.looked = true;
            self.idle = true;
            if bug == Bug::NeverReturns {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(max_wait).await;
            return Ok(Vec::new());
        }
        self.next = upto;
        if bug == Bug::ForgetsAtPoll {
            with(&self.config.store, |store| store.kept = upto);
        }
        let mut ids: Vec<u64> = (from..upto).collect();
        if bug == Bug::Shuffles && self.opened.is_multiple_of(2) {
            ids.reverse();
        }
        let records = ids.into_iter().map(|id| {
            let mut record = Record::new("t".into());
            record.value = Datum::Text(format!("record {id}").into());
            let next = if bug == Bug::OffsetOfTheBatch {
                upto
            } else {
                id + 1
            };
            SourceRecord {
                record,
                lane: self.lane.clone(),
                offset: Offset::counter("next", next),
            }
        });
        Ok(records.collect())
    }
    fn advanced(&mut self) -> Offsets {
        if !std::mem::take(&mut self.idle) {
            return Offsets::new();
        }
        let beyond = u64::from(self.config.bug == Bug::AdvancesTooFar);
        let offset = Offset::counter("next", self.next + beyond);
        Offsets::from([(self.lane.clone(), offset)])
    }
    async fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        let Some(offset) = offsets.get(&self.lane) else {
            return Ok(());
        };
        if self.config.bug == Bug::ForgetsTooMuchAtCommit {
            let next = offset.parse::<BTreeMap<String, u64>>()?["next"];
            with(&self.config.store, |store| store.kept = next + 2);
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

impl SourceRig for Rig {
    fn connector(&self) -> Box<dyn DynSourceConnector> {
        erased::source::<Memory>()
    }
    fn config(&self) -> Flat {
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut config = Flat::from([
            entry("store", &self.store),
            entry("bug", &format!("{:?}", self.bug)),
        ]);
        if self.bug == Bug::UnknownDefault {
            config.insert("undefined".to_owned(), "1".to_owned());
        }
        config
    }
    async fn seed(&mut self, count: usize) {
        with(&self.store, |store| store.seeded += count as u64);
    }
    async fn fault(&mut self, fault: Fault) -> bool {
        with(&self.store, |store| {
            store.away = fault == Fault::Unavailable;
        });
        true
    }
}

fn of(bug: Bug) -> Option<String> {
    report(run(async || Rig::new(bug)))
}

#[test]
fn a_source_that_keeps_the_contract_passes() {
    assert_eq!(of(Bug::None), None);
}

#[test]
fn every_broken_source_is_caught_by_the_case_that_is_about_it() {
    for (bug, case) in [
        (Bug::RepeatsAfterResume, "resumes_after_every_offset"),
        (Bug::RepeatsAfterResume, "once_in_transactions"),
        (Bug::SkipsAfterResume, "resumes_after_every_offset"),
        (Bug::OffsetOfTheBatch, "resumes_after_every_offset"),
        (Bug::OffsetOfTheBatch, "nothing_lost_between_send_and_store"),
        (Bug::AnyLane, "offsets_of_other_lanes_do_not_matter"),
        (Bug::ForgetsAtPoll, "resumes_after_every_offset"),
        (Bug::ForgetsTooMuchAtCommit, "commits_are_harmless"),
        (Bug::NeverReturns, "poll_honours_max_wait"),
        (Bug::LooksOnce, "later_records_are_found"),
        (
            Bug::AdvancesTooFar,
            "progress_without_records_leaves_nothing_out",
        ),
        (Bug::HugeBatches, "batches_are_bounded"),
        (Bug::Shuffles, "reads_the_same_in_the_same_order_again"),
        (Bug::ClosesOnce, "close_may_be_called_twice"),
        (Bug::SkipsInOutage, "outage_loses_nothing"),
        (Bug::PlanChanges, "plan_fits_tasks_max"),
        (
            Bug::UnknownDefault,
            "unknown_key_is_answered_with_the_nearest",
        ),
    ] {
        assert_caught(&format!("{bug:?}"), case, of(bug));
    }
}
