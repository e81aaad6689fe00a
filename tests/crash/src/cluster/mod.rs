//! A cluster of three workers under faults of every kind, for as long as asked, while its connectors run and are changed.

mod changes;
mod ends;
mod faults;
mod held;
mod leader;
mod state;
pub mod storm;
mod transfers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::{Broker, Fleet, Home};
pub use leader::leader;

use changes::Changes;
use faults::{Faults, Mix};
use state::State;
use transfers::Transfers;

/// Workers of the cluster.
const WORKERS: usize = 3;
/// A cluster that does not heal within this time is broken.
const HEAL_MAX: Duration = Duration::from_secs(120);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long faults are injected at least.
    pub time: Duration,
    /// SIGKILLs that must hit a running transfer, however long it takes (at most three times `time`, and two minutes more).
    pub kills: u32,
    /// The source of every random choice.
    pub seed: u64,
    /// An Apache Kafka of its own, which is restarted too, where KAFKA_BOOTSTRAP names no broker; else `longshore broker`.
    pub apache: bool,
    /// A folder that keeps everything: a run that finds an earlier one's goes on with its topics, files and counts. It has an Apache Kafka of its own.
    pub state: Option<PathBuf>,
    /// With rows into a Postgres as well.
    pub postgres: bool,
}

/// What was counted.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// SIGKILLs of a worker that hit a running transfer.
    pub kills: u32,
    /// All faults that hit a running transfer.
    pub faults: u32,
    /// Records that were checked, over all places.
    pub records: u64,
}

/// Runs the proof and prints it. Errors: a record lost, or there twice, or out of order; a change lost; a cluster that does not heal; fewer
/// faults than asked for.
pub fn prove(plan: &Plan) -> Result<Outcome> {
    let mut state = State::open(plan.state.as_deref(), plan.seed)?;
    let mut broker = match &plan.state {
        Some(_) => Broker::keep(state.folder().join("kafka"))?,
        None => Broker::start(plan.apache)?,
    };
    println!(
        "prove cluster: seed {}, {:?}, {} kills, {WORKERS} workers, {}{}",
        plan.seed,
        plan.time,
        plan.kills,
        broker.name(),
        state.before()
    );
    // The same seed makes other choices in a run that goes on.
    let mut random = StdRng::seed_from_u64(plan.seed.wrapping_add(state.runs()));
    let group = state.group();
    // Kafka's own minimum, so that it stays quick; and few records at risk between two commits.
    let keys = [
        ("group.id", group.as_str()),
        ("offset.flush.interval.ms", "500"),
        // A worker that is back soon has tasks again, which the next fault can hit.
        ("scheduled.rebalance.max.delay.ms", "1000"),
    ];
    let home = Home::cluster("cluster", broker.bootstrap(), WORKERS, &keys)?;
    let mut fleet = Fleet::start(home)?;
    let mut transfers = Transfers::start(&fleet, &state, &broker.bootstrap(), plan.postgres)?;
    let mut changes = Changes::new(&transfers);
    let mut faults = Faults::new(if broker.is_own() {
        Mix::ALL
    } else {
        Mix::WITHOUT_BROKER
    });

    let start = Instant::now();
    let limit = plan.time * 3 + Duration::from_secs(120);
    while start.elapsed() < plan.time || faults.kills() < plan.kills {
        ensure!(
            start.elapsed() < limit,
            "only {} of {} kills within {limit:?}",
            faults.kills(),
            plan.kills
        );
        heal(&mut fleet, &mut transfers, &mut faults)?;
        std::thread::sleep(Duration::from_millis(random.random_range(100..1500)));
        if random.random_bool(0.5) {
            changes.make(&fleet, &mut random)?;
        }
        faults.inject(&mut fleet, &mut broker, &mut changes, &mut random)?;
    }
    heal(&mut fleet, &mut transfers, &mut faults)?;
    println!("{}", faults.report());
    println!("{}", changes.report());

    changes.settle(&mut fleet)?;
    changes.check(&fleet)?;
    transfers.drain(&mut fleet)?;
    let records = transfers.check(&fleet)?;
    state.add(start.elapsed(), faults.total(), faults.kills())?;
    fleet.stop()?;
    println!(
        "prove cluster: {} faults hit running transfers, {} of them kills; {records} records checked, 0 lost, 0 duplicates",
        faults.total(),
        faults.kills()
    );
    Ok(Outcome {
        kills: faults.kills(),
        faults: faults.total(),
        records,
    })
}

/// Waits until every worker runs, every task does as every worker says, and every transfer moves records.
fn heal(fleet: &mut Fleet, transfers: &mut Transfers, faults: &mut Faults) -> Result<()> {
    let start = Instant::now();
    let before = transfers.progress(fleet)?;
    let healed = fleet.within(HEAL_MAX, "the cluster to heal", |fleet| {
        let all = fleet.awake().len() == fleet.len()
            && fleet
                .awake()
                .into_iter()
                .all(|number| fleet.healthy(number));
        Ok(all && transfers.all_run(fleet)? && transfers.moved_since(&before, fleet)?)
    });
    healed.with_context(|| {
        let standing = transfers.standing(&before, fleet);
        format!("after {}; {standing}", faults.last())
    })?;
    faults.healed(start.elapsed());
    Ok(())
}
