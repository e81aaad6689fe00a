//! The source world: an upstream with several lanes that forgets what was committed, and a broker that answers when it likes.

mod oracle;
mod upstream;

use crate::{rules::chain, seeds::Tally};
use longshore_engine::{
    budget::Credit,
    metrics::TaskMeters,
    ports::{Bus, ProducerSpec},
    task::{
        ErrorPolicy, Outcome, Pace, Progress, Reaction, SourceTask, TaskId, TaskSettings,
        Unobserved,
    },
};
use longshore_kit::{
    faults::{At, Faults, Rates},
    memory::MemoryBus,
};
use longshore_sdk::{Direction, ErrorKind};
use oracle::{Store, World};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use upstream::Upstream;

/// Lanes of the upstream.
pub(crate) const LANES: u64 = 3;
/// Records of each lane.
pub(crate) const EACH: u64 = 70;
pub(crate) const TOPIC: &str = "out";

/// How many seeds a test run takes.
pub const SEEDS: u64 = 1_200;

/// What stays the same through all lives of a seed.
struct Plan {
    world: Arc<World>,
    bus: MemoryBus,
    faults: Arc<Faults>,
    settings: TaskSettings,
    ends: bool,
}

/// Runs one seed.
pub fn simulate(seed: u64) -> Tally {
    let mut rng = StdRng::seed_from_u64(seed);
    let faults = Faults::seeded(rng.random(), rates(&mut rng));
    let bus = MemoryBus::new(faults.clone());
    bus.create(TOPIC, usize::try_from(LANES).expect("few"));
    let world = World::new(bus.clone(), faults.clone());
    let settings = settings(&mut rng);
    let plan = Plan {
        world,
        bus,
        faults,
        settings,
        ends: rng.random_bool(0.5),
    };
    let lives = rng.random_range(2..7);
    let mut tally = Tally {
        seeds: 1,
        lives,
        ..Tally::default()
    };
    for life in 1..=lives {
        // A runtime per life: dropping it is the crash, and nothing survives but the world.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let life_rng = StdRng::seed_from_u64(rng.random());
        if life < lives {
            let longest = if rng.random_bool(0.6) {
                400_000
            } else {
                8_000_000
            };
            let kill_after = Duration::from_micros(rng.random_range(500..longest));
            let killed = runtime.block_on(async {
                tokio::time::timeout(kill_after, live(&plan, life_rng, &mut tally))
                    .await
                    .is_err()
            });
            tally.faults += u64::from(killed);
        } else {
            plan.faults.calm();
            let done = async {
                tokio::time::timeout(Duration::from_secs(3600), last(&plan, life_rng, &mut tally))
                    .await
            };
            runtime
                .block_on(done)
                .expect("the last life, without faults, ends");
        }
        drop(runtime);
    }
    tally.faults += plan.faults.injected();
    plan.world.verify(&mut tally);
    tally
}

fn rates(rng: &mut StdRng) -> Vec<(At, Rates)> {
    let mut rates = |most: u32, ms: u64| Rates {
        refuse: rng.random_range(0..most),
        fail_after_write: rng.random_range(0..most),
        lose_reply: rng.random_range(0..most),
        hold: rng.random_range(0..most * 8),
        throttle: rng.random_range(0..most),
        silence: 0,
        time_max: Duration::from_millis(rng.random_range(1..ms)),
    };
    let mut send = rates(8, 80);
    send.silence = 2;
    vec![
        (At::Send, send),
        (At::Store, rates(60, 60)),
        (At::SourceCommit, rates(60, 60)),
        (At::SourcePoll, rates(40, 40)),
        (
            At::Chain,
            Rates {
                refuse: 4,
                throttle: 4,
                time_max: Duration::from_millis(30),
                ..Rates::default()
            },
        ),
    ]
}

fn settings(rng: &mut StdRng) -> TaskSettings {
    let retry_timeout = if rng.random_bool(0.5) {
        Duration::ZERO
    } else {
        Duration::from_secs(10)
    };
    let in_flight_bytes_max = rng.random_range(40..2000);
    TaskSettings {
        in_flight_max: rng.random_range(5..80),
        in_flight_bytes_max,
        // From each lane that moves to all of them together.
        offsets_bytes_max: in_flight_bytes_max * 2,
        commit_interval: Duration::from_millis(rng.random_range(5..120)),
        poll_wait: Duration::from_millis(rng.random_range(5..100)),
        retry_timeout: Duration::from_secs(20),
        grace: Duration::from_secs(2),
        transactions: None,
        errors: ErrorPolicy {
            tolerance_all: true,
            retry_timeout,
            ..ErrorPolicy::default()
        },
    }
}

/// A life with faults: the task is opened again after failures, paused and resumed, sometimes stopped; until the life is killed, or all is done.
async fn live(plan: &Plan, mut rng: StdRng, tally: &mut Tally) {
    loop {
        let (pace, stop) = (watch::Sender::new(Pace::Run), CancellationToken::new());
        let run = tokio::spawn(open(plan, &mut rng, &pace, &stop, tally).await.run());
        let stop_after = Duration::from_millis(rng.random_range(50..1500));
        let meddle = async {
            tokio::time::sleep(Duration::from_millis(rng.random_range(1..100))).await;
            pace.send_replace(Pace::Pause);
            tokio::time::sleep(Duration::from_millis(rng.random_range(1..60))).await;
            pace.send_replace(Pace::Run);
            tokio::time::sleep(stop_after).await;
            stop.cancel();
        };
        let (outcome, ()) = tokio::join!(run, meddle);
        if after(outcome.expect("the task does not panic")).await {
            return;
        }
    }
}

/// The last life: no faults any more; it ends when everything is stored.
async fn last(plan: &Plan, mut rng: StdRng, tally: &mut Tally) {
    loop {
        let (pace, stop) = (watch::Sender::new(Pace::Run), CancellationToken::new());
        let run = tokio::spawn(open(plan, &mut rng, &pace, &stop, tally).await.run());
        while !plan.ends && !run.is_finished() && !plan.world.all_stored() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if !plan.ends {
            stop.cancel();
        }
        after(run.await.expect("the task does not panic")).await;
        if plan.world.all_stored() {
            return;
        }
    }
}

/// What a supervisor would do. True = the task has finished.
async fn after(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Finished => return true,
        Outcome::Stopped => {}
        Outcome::Failed(failure) => match failure.reaction {
            Reaction::Reopen(after) => tokio::time::sleep(after).await,
            Reaction::Fail => {
                // The one defect that the plan injects; a person would restart the task.
                let unanswered = failure.error.kind() == ErrorKind::Bug
                    && failure.error.message().contains("dropped unanswered");
                assert!(
                    unanswered,
                    "I5: the task failed for another reason: {failure:?}"
                );
            }
        },
    }
    false
}

async fn open(
    plan: &Plan,
    rng: &mut StdRng,
    pace: &watch::Sender<Pace>,
    stop: &CancellationToken,
    tally: &mut Tally,
) -> SourceTask {
    tally.opened += 1;
    let id = TaskId::new("sim", 0);
    SourceTask {
        source: Box::new(Upstream::open(
            plan.world.clone(),
            plan.faults.clone(),
            plan.ends,
        )),
        chain: chain(&plan.faults, false),
        producer: plan
            .bus
            .producer(ProducerSpec::default())
            .await
            .expect("a producer"),
        offsets: Arc::new(Store(plan.world.clone(), plan.faults.clone())),
        settings: plan.settings.clone(),
        meters: TaskMeters::detached(&id, Direction::Source),
        progress: Progress::new(),
        topics: Arc::new(Unobserved),
        credit: Credit::unlimited(),
        pace: pace.subscribe(),
        stop: stop.clone(),
        seed: rng.random(),
        id,
    }
}
