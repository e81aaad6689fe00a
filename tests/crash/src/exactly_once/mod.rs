//! Numbers into a topic and out of one into a table, by connectors of our own and by WASM plugins, while the workers that run the tasks are killed at random instants and at named points of
//! the code: each number once and in order where that is promised, none lost where it is not.

mod at_points;
mod at_random;

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use at_points::points;

use crate::postgres::place::Systems;
use crate::transfer::{
    IntoTable, IntoTopic, IntoWeb, Promise, Tally, Transfer, Web, Wish, plugins,
};
use crate::{Fleet, Home};

/// What is transferred, and what is promised for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pair {
    /// file-source into a topic, in transactions.
    Source,
    /// postgres-sink in mode insert, with its ledger.
    Sink,
    /// file-source with exactly-once switched off.
    SourceAtLeastOnce,
    /// postgres-sink with exactly-once switched off.
    SinkAtLeastOnce,
    /// The WASM plugin http-source into a topic, in transactions.
    PluginSource,
    /// The WASM plugin http-sink, to a server that heeds its idempotency keys.
    PluginSink,
}

impl Pair {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Source,
        Self::Sink,
        Self::SourceAtLeastOnce,
        Self::SinkAtLeastOnce,
        Self::PluginSource,
        Self::PluginSink,
    ];

    fn promise(self) -> Promise {
        match self {
            Self::Source | Self::Sink | Self::PluginSource | Self::PluginSink => {
                Promise::ExactlyOnce
            }
            Self::SourceAtLeastOnce | Self::SinkAtLeastOnce => Promise::AtLeastOnce,
        }
    }

    fn is_plugin(self) -> bool {
        matches!(self, Self::PluginSource | Self::PluginSink)
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One after the other, each on a group of its own.
    pub pairs: Vec<Pair>,
    /// Workers of the group.
    pub workers: usize,
    /// Kills at random instants that must hit a running transfer, for each pair.
    pub kills: u32,
    /// Kills at each named point that the pair passes; more than 0 needs a binary with the feature `crash-points`.
    pub at_points: u32,
    /// Only these points; empty = all.
    pub only: Vec<String>,
    /// Numbers a second.
    pub rate: u64,
    /// The source of every random choice.
    pub seed: u64,
    /// Starts an Apache Kafka where KAFKA_BOOTSTRAP names no broker; else `longshore broker`.
    pub apache: bool,
}

/// What was counted, over all pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Kills at random instants that hit a running transfer.
    pub kills: u32,
    /// Kills at named points.
    pub at_points: u32,
    /// Numbers fed; all of them arrived.
    pub numbers: u64,
    /// Arrivals beyond the first, of pairs that promise at least once.
    pub duplicates: u64,
}

/// Runs the proof and prints it. Errors: any breach, with what was seen.
pub fn prove(plan: &Plan) -> Result<Outcome> {
    let systems = Systems::start(plan.apache)?;
    println!(
        "prove exactly-once: seed {}, {} kills at random and {} at each named point, {} workers, {}",
        plan.seed,
        plan.kills,
        plan.at_points,
        plan.workers,
        systems.broker_name()
    );
    let mut random = StdRng::seed_from_u64(plan.seed);
    let mut sum = Outcome::default();
    for pair in &plan.pairs {
        let one = run(*pair, plan, &systems, &mut random)?;
        sum.kills += one.kills;
        sum.at_points += one.at_points;
        sum.numbers += one.numbers;
        sum.duplicates += one.duplicates;
    }
    println!(
        "prove exactly-once: {} kills at random and {} at named points hit running transfers of {} numbers: 0 lost, {} duplicates, all of them where at least once is promised",
        sum.kills, sum.at_points, sum.numbers, sum.duplicates
    );
    Ok(sum)
}

fn run(pair: Pair, plan: &Plan, systems: &Systems, random: &mut StdRng) -> Result<Outcome> {
    println!("  {pair:?}");
    let web = Web::start()?;
    let (address, folder) = (
        web.address(),
        match pair.is_plugin() {
            true => plugins()?.display().to_string(),
            false => String::new(),
        },
    );
    let mut keys = vec![("offset.flush.interval.ms", "200")];
    match pair {
        Pair::Source | Pair::PluginSource => keys.push(("exactly.once.source.support", "enabled")),
        Pair::SourceAtLeastOnce => keys.push(("exactly.once.source.support", "disabled")),
        Pair::Sink | Pair::SinkAtLeastOnce | Pair::PluginSink => {}
    }
    if pair.is_plugin() {
        keys.push(("plugin.path", &folder));
        keys.push(("longshore.wasm.grants.*.net", &address));
    }
    let home = Home::cluster("once", systems.bootstrap(), plan.workers, &keys)?;
    let mut fleet = Fleet::start(home)?;
    let bootstrap = systems.bootstrap();
    let mut transfer: Box<dyn Transfer> = match pair {
        Pair::Source | Pair::SourceAtLeastOnce => Box::new(IntoTopic::start(
            &mut fleet,
            &bootstrap,
            pair.promise(),
            plan.rate,
        )?),
        Pair::PluginSource => {
            let pages = IntoTopic::of_web(&mut fleet, &bootstrap, &web, plan.rate)?;
            Box::new(pages)
        }
        Pair::PluginSink => Box::new(IntoWeb::start(&mut fleet, &bootstrap, &web, plan.rate)?),
        Pair::Sink | Pair::SinkAtLeastOnce => {
            let wish = Wish {
                promise: pair.promise(),
                tasks: 2,
                rate: plan.rate,
                port: systems.postgres.port(),
                statement_ms: None,
            };
            Box::new(IntoTable::start(&mut fleet, systems, wish)?)
        }
    };
    let kills = at_random::kill(&mut fleet, &mut *transfer, plan.kills, random)?;
    let mut at_points = 0;
    if plan.at_points > 0 {
        let points = points(pair)
            .into_iter()
            .filter(|(name, _)| plan.only.is_empty() || plan.only.iter().any(|only| only == name))
            .collect();
        at_points = at_points::kill(&mut fleet, &mut *transfer, points, plan.at_points, random)?;
    }
    let Tally { fed, duplicates } = transfer.finish(&mut fleet)?;
    fleet.stop()?;
    ensure!(
        duplicates == 0 || pair.promise() == Promise::AtLeastOnce,
        "I2: {duplicates} duplicates"
    );
    let mut said = format!("  {pair:?}: {kills} kills of a running transfer");
    if at_points > 0 {
        write!(said, ", {at_points} at named points")?;
    }
    println!("{said}; {fed} numbers, 0 lost, {duplicates} duplicates");
    Ok(Outcome {
        kills,
        at_points,
        numbers: fed,
        duplicates,
    })
}
