//! The sink world: two members of a group, a target that keeps only what was flushed, rebalances, zombies, and a dead letter queue.

mod oracle;
mod target;

use crate::{rules::chain, seeds::Tally};
use longshore_engine::{
    budget::Credit,
    metrics::TaskMeters,
    ports::{Bus, ConsumerSpec, ProducerSpec, Subscription},
    task::{
        DeadLetterSpec, ErrorPolicy, Outcome, Pace, Progress, Reaction, SinkTask, TaskId,
        TaskSettings, Unobserved,
    },
};
use longshore_kit::{
    faults::{At, Faults, Rates},
    memory::MemoryBus,
};
use longshore_sdk::{Direction, ErrorKind, TopicPartition};
use oracle::World;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use target::Target;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) const PARTITIONS: u64 = 4;
pub(crate) const EACH: u64 = 60;
pub(crate) const TOPIC: &str = "in";
pub(crate) const QUEUE: &str = "dlq";
pub(crate) const GROUP: &str = "connect-sim";
const MEMBERS: u32 = 2;

/// How many seeds a test run takes.
pub const SEEDS: u64 = 1_200;

/// What stays the same through all lives of a seed.
struct Plan {
    world: Arc<World>,
    bus: MemoryBus,
    faults: Arc<Faults>,
    settings: TaskSettings,
}

/// Runs one seed.
pub fn simulate(seed: u64) -> Tally {
    let mut rng = StdRng::seed_from_u64(seed);
    let faults = Faults::seeded(rng.random(), rates(&mut rng));
    let bus = MemoryBus::new(faults.clone());
    let (keeps, queue) = (rng.random_bool(0.3), rng.random_bool(0.6));
    let world = World::new(bus.clone(), keeps, queue);
    let plan = Plan {
        world,
        bus,
        faults,
        settings: settings(&mut rng, queue),
    };
    let lives = rng.random_range(2..6);
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
        let mut life_rng = StdRng::seed_from_u64(rng.random());
        if life < lives {
            let longest = if rng.random_bool(0.6) {
                600_000
            } else {
                8_000_000
            };
            let kill_after = Duration::from_micros(rng.random_range(500..longest));
            drop(runtime.block_on(async {
                tokio::time::timeout(kill_after, live(&plan, &mut life_rng, &mut tally)).await
            }));
            tally.faults += 1;
        } else {
            plan.faults.calm();
            let done = async {
                tokio::time::timeout(
                    Duration::from_secs(3600),
                    last(&plan, &mut life_rng, &mut tally),
                )
                .await
            };
            let ended = runtime.block_on(done);
            assert!(
                ended.is_ok(),
                "the last life, without faults, does not end: {}",
                plan.world.describe()
            );
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
        hold: rng.random_range(0..most * 2),
        throttle: rng.random_range(0..most),
        silence: 0,
        time_max: Duration::from_millis(rng.random_range(1..ms)),
    };
    vec![
        (At::Put, rates(120, 60)),
        (At::Flush, rates(40, 80)),
        (At::Assigned, rates(10, 40)),
        (At::ConsumerCommit, rates(60, 60)),
        (At::ConsumerPoll, rates(15, 30)),
        // The only producer of this world writes the dead letter queue.
        (
            At::Send,
            Rates {
                hold: 500,
                refuse: 15,
                silence: 5,
                ..rates(30, 60)
            },
        ),
        (
            At::Chain,
            Rates {
                refuse: 3,
                throttle: 3,
                time_max: Duration::from_millis(30),
                ..Rates::default()
            },
        ),
    ]
}

fn settings(rng: &mut StdRng, queue: bool) -> TaskSettings {
    let retry_timeout = if rng.random_bool(0.5) {
        Duration::ZERO
    } else {
        Duration::from_secs(10)
    };
    let dead_letter = queue.then(|| DeadLetterSpec {
        topic: QUEUE.into(),
        context_headers: rng.random_bool(0.5),
    });
    TaskSettings {
        commit_interval: Duration::from_millis(rng.random_range(5..150)),
        poll_wait: Duration::from_millis(rng.random_range(5..100)),
        retry_timeout: Duration::from_secs(20),
        grace: Duration::from_secs(2),
        errors: ErrorPolicy {
            tolerance_all: true,
            retry_timeout,
            dead_letter,
            ..ErrorPolicy::default()
        },
        ..TaskSettings::default()
    }
}

/// A life with faults: members fail and come back, die, are stopped; partitions move; the broker evicts members that are not dead at all.
async fn live(plan: &Plan, rng: &mut StdRng, tally: &mut Tally) {
    let mut members: Vec<Member> = (0..MEMBERS)
        .map(|number| Member::start(plan, number, rng))
        .collect();
    loop {
        tokio::time::sleep(Duration::from_micros(rng.random_range(300..60_000))).await;
        tally.moves += 1;
        let ids = plan.bus.members(GROUP);
        let some = if ids.is_empty() {
            0
        } else {
            ids[rng.random_range(0..ids.len())]
        };
        let number = rng.random_range(0..MEMBERS);
        match rng.random_range(0..20) {
            0..10 => {
                let partition = i32::try_from(rng.random_range(0..PARTITIONS)).expect("few");
                plan.bus
                    .give(GROUP, &TopicPartition::new(TOPIC, partition), some);
            }
            10..15 => plan.bus.evict(GROUP, some),
            15 => {
                let member = &mut members[number as usize];
                member.run.abort();
                *member = Member::start(plan, number, rng);
                tally.faults += 1;
            }
            16 => {
                let member = &mut members[number as usize];
                member.stop.cancel();
                // It is not waited for: the next one of the same number may be up before it is gone.
                *member = Member::start(plan, number, rng);
            }
            17 => drop(members[number as usize].pace.send(Pace::Pause)),
            _ => drop(members[number as usize].pace.send(Pace::Run)),
        }
        tally.opened = plan.world.opened();
    }
}

/// The last life: no faults any more; it ends when everything is committed.
async fn last(plan: &Plan, rng: &mut StdRng, tally: &mut Tally) {
    let members: Vec<Member> = (0..MEMBERS)
        .map(|number| Member::start(plan, number, rng))
        .collect();
    while !plan.world.all_committed() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        for member in &members {
            assert!(
                !member.run.is_finished(),
                "a member has ended without being told to"
            );
        }
    }
    for member in members {
        member.stop.cancel();
        member.run.await.expect("the member does not panic");
    }
    tally.opened = plan.world.opened();
}

/// A worker that runs one task of the connector, and opens it again when it fails.
struct Member {
    run: tokio::task::JoinHandle<()>,
    pace: watch::Sender<Pace>,
    stop: CancellationToken,
}

impl Member {
    fn start(plan: &Plan, number: u32, rng: &mut StdRng) -> Self {
        let (pace, stop) = (watch::Sender::new(Pace::Run), CancellationToken::new());
        let opener = Opener {
            world: plan.world.clone(),
            bus: plan.bus.clone(),
            faults: plan.faults.clone(),
            settings: plan.settings.clone(),
            number,
        };
        let run = tokio::spawn(opener.keep_running(
            pace.subscribe(),
            stop.clone(),
            StdRng::seed_from_u64(rng.random()),
        ));
        Self { run, pace, stop }
    }
}

struct Opener {
    world: Arc<World>,
    bus: MemoryBus,
    faults: Arc<Faults>,
    settings: TaskSettings,
    number: u32,
}

impl Opener {
    async fn keep_running(
        self,
        pace: watch::Receiver<Pace>,
        stop: CancellationToken,
        mut rng: StdRng,
    ) {
        while !stop.is_cancelled() {
            let task = self.open(pace.clone(), stop.clone(), rng.random()).await;
            match task.run().await {
                Outcome::Stopped => {}
                Outcome::Finished => self.world.breach("a sink has finished".to_owned()),
                Outcome::Failed(failure) => match failure.reaction {
                    Reaction::Reopen(after) => tokio::time::sleep(after).await,
                    Reaction::Fail => {
                        // The one defect that the plan injects; a person would restart the task.
                        let unanswered = failure.error.kind() == ErrorKind::Bug
                            && failure.error.message().contains("dropped unanswered");
                        if !unanswered {
                            self.world.breach(format!(
                                "I5: the task failed for another reason: {failure:?}"
                            ));
                        }
                    }
                },
            }
        }
    }
    async fn open(
        &self,
        pace: watch::Receiver<Pace>,
        stop: CancellationToken,
        seed: u64,
    ) -> SinkTask {
        self.world.count_opened();
        let id = TaskId::new("sim", self.number);
        let spec = ConsumerSpec {
            client_id: String::new(),
            group: GROUP.to_owned(),
            subscription: Subscription::Topics(vec![TOPIC.to_owned()]),
            overrides: std::collections::BTreeMap::new(),
            buffer_bytes: None,
        };
        SinkTask {
            class: "sim".into(),
            consumer: self.bus.consumer(spec).await.expect("a consumer"),
            chain: chain(&self.faults, true),
            sink: Box::new(Target::open(self.world.clone(), self.faults.clone(), seed)),
            dead_letters: Some(
                self.bus
                    .producer(ProducerSpec::default())
                    .await
                    .expect("a producer"),
            ),
            settings: self.settings.clone(),
            meters: TaskMeters::detached(&id, Direction::Sink),
            progress: Progress::new(),
            topics: Arc::new(Unobserved),
            credit: Credit::unlimited(),
            pace,
            stop,
            seed,
            id,
        }
    }
}
