//! The workers of a group: started, killed, started again.

use super::{
    connectors::{self, Place},
    oracle::World,
    plan::Plan,
};
use longshore_engine::{
    control::{Answered, Control},
    guarantee::SourceSupport,
    metrics::Metrics,
    ports::Member,
    worker::{InternalTopics, Logs, Ports, Worker, WorkerSettings},
};
use longshore_kit::memory::broker::{
    Answers, Broker, BrokerBus, BrokerLeadership, BrokerLog, BrokerMembership, Line, Link,
    PeerCalls, Switchboard,
};
use longshore_sdk::{Error, ErrorKind, config::Flat};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The workers and what is around them. Clones are handles of the same.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) plan: Arc<Plan>,
    pub(super) broker: Broker,
    pub(super) world: Arc<World>,
    board: Switchboard,
    state: Arc<Mutex<State>>,
}

struct State {
    rng: StdRng,
    alive: Vec<Option<Alive>>,
    starts: u64,
    line: Line,
    /// Faults of lines whose workers are gone.
    injected: u64,
    calm: bool,
}

/// A worker that runs.
pub(super) struct Alive {
    worker: Worker,
    pub(super) control: Control,
    pub(super) link: Link,
    pub(super) worker_id: String,
}

impl Cluster {
    pub(super) fn new(
        plan: &Arc<Plan>,
        broker: &Broker,
        world: &Arc<World>,
        rng: &mut StdRng,
    ) -> Self {
        for topic in ["config", "offsets", "status", "coordination"] {
            broker.create(topic, 1);
        }
        for connector in &plan.connectors {
            let lanes = usize::try_from(super::LANES).expect("few");
            broker.create(&format!("data-{connector}"), lanes);
        }
        let state = State {
            rng: StdRng::seed_from_u64(rng.random()),
            alive: (0..plan.workers).map(|_| None).collect(),
            starts: 0,
            line: plan.line,
            injected: 0,
            calm: false,
        };
        Self {
            plan: Arc::clone(plan),
            broker: broker.clone(),
            world: Arc::clone(world),
            board: Switchboard::default(),
            state: Arc::new(Mutex::new(state)),
        }
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Starts the worker of this number; another incarnation than before.
    pub(super) fn start(&self, number: usize) {
        let (line, seed, starts) = {
            let mut state = self.state();
            if state.alive[number].is_some() {
                return;
            }
            state.starts += 1;
            (state.line, state.rng.random(), state.starts)
        };
        let link = Link::new(starts, seed, line);
        let member = Member {
            worker_id: format!("w{number}:8083"),
            incarnation: starts.to_string(),
            https: false,
        };
        self.world
            .say(|| format!("start {} (line {starts})", member.worker_id));
        let alive = self.run(member, link, seed);
        self.state().alive[number] = Some(alive);
    }
    fn run(&self, member: Member, link: Link, seed: u64) -> Alive {
        let (broker, worker_id) = (&self.broker, member.worker_id.clone());
        let log = |topic: &str| Arc::new(BrokerLog::new(broker, &link, topic));
        let ports = Ports {
            bus: Arc::new(BrokerBus::new(broker, &link)),
            logs: Logs {
                config: log("config"),
                offset: log("offsets"),
                status: log("status"),
                coordination: log("coordination"),
            },
            membership: Arc::new(BrokerMembership::join(broker, &link, member)),
            leadership: Arc::new(BrokerLeadership::new(
                broker,
                &link,
                ["config", "coordination", "offsets"],
            )),
            peers: Arc::new(PeerCalls::new(&self.board, &link)),
        };
        let place = Place {
            world: Arc::clone(&self.world),
            link: link.clone(),
            worker_id: worker_id.clone(),
        };
        let raw = ["key.converter", "value.converter", "header.converter"];
        let converters = raw.map(|key| (key.to_owned(), "raw".to_owned()));
        let settings = WorkerSettings {
            worker_id: worker_id.clone(),
            group_id: "sim".to_owned(),
            converters: Flat::from(converters),
            commit_interval: self.plan.commit_interval,
            grace: self.plan.grace,
            retry_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(10),
            exactly_once_sources: SourceSupport::Enabled,
            topics: InternalTopics {
                offset: "offsets".to_owned(),
                ..InternalTopics::of("sim")
            },
            leader_wait: Duration::from_secs(8),
            rebalance_delay: self.plan.rebalance_delay,
            seed: Some(seed),
            clock_off_ms: clock_off_ms(seed),
            ..WorkerSettings::default()
        };
        let registry = connectors::registry(&place);
        let worker = Worker::start(settings, ports, registry, Metrics::new());
        self.board
            .connect(&worker_id, &link, answers(worker.control()));
        Alive {
            control: worker.control(),
            worker,
            link,
            worker_id,
        }
    }
    /// The worker is gone at once; others learn it when its session ends.
    pub(super) fn kill(&self, number: usize) {
        let taken = self.take(number);
        if let Some(alive) = taken {
            self.world.say(|| format!("kill {}", alive.worker_id));
            alive.link.kill();
            drop(alive.worker);
        }
    }
    /// The worker drains its tasks and leaves.
    pub(super) async fn shut_down(&self, number: usize) {
        let taken = self.take(number);
        if let Some(alive) = taken {
            self.world.say(|| format!("shut down {}", alive.worker_id));
            alive.worker.shutdown().await;
            alive.link.kill();
        }
    }
    fn take(&self, number: usize) -> Option<Alive> {
        let mut state = self.state();
        let taken = state.alive[number].take();
        state.injected += taken.as_ref().map_or(0, |alive| alive.link.injected());
        taken
    }
    /// The number of the worker that leads, if it runs.
    pub(super) fn leader(&self) -> Option<usize> {
        let leader = self.broker.leader()?;
        let state = self.state();
        let mut alive = state.alive.iter();
        alive.position(|alive| {
            alive
                .as_ref()
                .is_some_and(|alive| alive.worker_id == leader)
        })
    }
    pub(super) fn link(&self, number: usize) -> Option<Link> {
        let state = self.state();
        state.alive[number].as_ref().map(|alive| alive.link.clone())
    }
    /// The doors of the workers that run, with the numbers of their lines and their addresses.
    pub(super) fn doors(&self) -> Vec<(Control, u64, String)> {
        let state = self.state();
        let alive = state.alive.iter().flatten();
        alive
            .map(|alive| {
                (
                    alive.control.clone(),
                    alive.link.number(),
                    alive.worker_id.clone(),
                )
            })
            .collect()
    }
    /// No faults any more: lines are good, who is dead comes back.
    pub(super) fn calm(&self) {
        self.world.say(|| "calm".to_owned());
        {
            let mut state = self.state();
            state.line = Line::default();
            state.calm = true;
            for alive in state.alive.iter().flatten() {
                alive.link.set_line(Line::default());
                alive.link.cut(false);
                alive.link.freeze(false);
            }
        }
        for number in 0..self.plan.workers {
            self.start(number);
        }
    }
    pub(super) fn is_calm(&self) -> bool {
        self.state().calm
    }
    pub(super) fn starts(&self) -> u64 {
        self.state().starts
    }
    pub(super) fn injected(&self) -> u64 {
        let state = self.state();
        let alive = state.alive.iter().flatten();
        state.injected + alive.map(|alive| alive.link.injected()).sum::<u64>()
    }
}

/// Clocks of workers are up to two hours apart, another one's at each start. A choice of its own: it changes no other of the seed.
fn clock_off_ms(seed: u64) -> i64 {
    StdRng::seed_from_u64(seed ^ 0xC10C).random_range(-3_600_000..=3_600_000)
}

/// What a worker's server does with the calls of other workers: it looks at the signature, and hands them on.
fn answers(control: Control) -> Answers {
    Arc::new(move |key, body| {
        let control = control.clone();
        let refused = |why: &str| Err(Error::new(ErrorKind::Auth, "ask", why));
        Box::pin(async move {
            let mut known = control.session_keys().into_iter();
            if !known.any(|known| known.expose() == &*key) {
                return refused("the signature is of another key");
            }
            match control.answer(&body).await {
                Answered::Reply(reply, _) => Ok(reply),
                Answered::Refused(why) => refused(why),
            }
        })
    })
}
