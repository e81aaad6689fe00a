//! The cluster world: whole workers of one group over a broker with transactions, sessions and a bad line; one runtime, one paused clock.
//!
//! A worker that freezes is held at its line: nothing that it asks for is carried out and nothing reaches it until it thaws, with all that it knew.
//! `LONGSHORE_SAY=1` tells the story of a seed as it goes.

mod chaos;
mod client;
mod connectors;
mod oracle;
mod plan;
mod settle;
mod workers;

use crate::seeds::Tally;
use longshore_kit::memory::broker::Broker;
use oracle::World;
use plan::Plan;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use workers::Cluster;

/// Lanes of a source.
pub(crate) const LANES: u64 = 3;
/// A lane has a new number this often, or a little more slowly.
pub(crate) const PACE: Duration = Duration::from_millis(600);

/// How many seeds a test run takes: all of them where it is built with optimisation.
pub const SEEDS: u64 = if cfg!(tokio_unstable) { 20_000 } else { 200 };

/// Runs one seed.
pub fn simulate(seed: u64) -> Tally {
    run(seed).0
}

/// Runs one seed and answers what a replay must repeat: every write to the broker, with its time and its writer.
pub fn trace(seed: u64) -> u64 {
    run(seed).1
}

fn run(seed: u64) -> (Tally, u64) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    // Which branch of a select comes first is a matter of dice, too: only so built they can be loaded.
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
    let runtime = builder.build().expect("a runtime");
    runtime.block_on(Box::pin(live(seed)))
}

fn verbose() -> bool {
    static SAY: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *SAY.get_or_init(|| std::env::var_os("LONGSHORE_SAY").is_some())
}

async fn live(seed: u64) -> (Tally, u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let plan = Arc::new(Plan::draw(&mut rng));
    let broker = Broker::new(rng.random());
    let world = World::new();
    let seen = Arc::downgrade(&world);
    broker.watch(move |event| {
        if let Some(world) = seen.upgrade() {
            world.see(event);
        }
    });
    let ends = broker.clone();
    let tending = tokio::spawn(async move { ends.run().await });
    let cluster = Cluster::new(&plan, &broker, &world, &mut rng);
    for number in 0..plan.workers {
        cluster.start(number);
    }
    let clients = client::Clients::start(&cluster, &mut rng);
    let mut faults = chaos::suffer(&cluster, &mut rng).await;
    cluster.calm();
    clients.ended().await;
    let checked = settle::settle(&cluster, &clients, &mut rng).await;
    tending.abort();
    faults += cluster.injected();
    let breaches = world.breaches();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    let seen = world.state().seen;
    let tally = Tally {
        seeds: 1,
        lives: cluster.starts(),
        opened: seen.opened,
        records: checked,
        duplicates: seen.duplicates,
        offsets: seen.offsets,
        faults,
        moves: seen.moves,
        leaders: seen.leaders,
        writes: clients.acknowledged(),
    };
    (tally, broker.trace())
}
