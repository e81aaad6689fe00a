//! A worker frozen while it leads, while it runs a source, or in the middle of a sink's flush; its tasks run elsewhere; thawed, it writes nothing
//! twice, sets nothing back, and closes what is no longer its own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use longshore_kit::servers::{Hold, Holding, Proxy};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::cluster::leader as leads;
use crate::postgres::place::Systems;
use crate::transfer::{IntoTable, IntoTopic, Promise, Transfer, Wish, all_moved};
use crate::{Fleet, Home};

/// Workers of the group.
const WORKERS: usize = 3;
/// Until a frozen worker's tasks move data elsewhere.
const TAKEOVER_MAX: Duration = Duration::from_secs(60);
/// Until a thawed worker knows what has happened.
const WAKING_MAX: Duration = Duration::from_secs(60);

/// Who is frozen, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freeze {
    /// The worker that leads the group, at any instant.
    Leader,
    /// The worker that runs the source, at any instant.
    Source,
    /// The worker that runs the sink, whose COMMIT has left it and arrives after the thaw.
    SinkCommitHeld,
    /// The same worker; Postgres has committed, and it has not heard so.
    SinkReplyHeld,
    /// The same worker at any instant.
    Sink,
    /// The worker that runs the source, at a named point of the code (a binary with the feature `crash-points`).
    SourceAt(&'static str),
    /// The worker that runs the sink, at a named point.
    SinkAt(&'static str),
}

impl Freeze {
    /// Those at any instant, and those that the network's delay makes.
    pub const ALL: [Self; 5] = [
        Self::Leader,
        Self::Source,
        Self::SinkCommitHeld,
        Self::SinkReplyHeld,
        Self::Sink,
    ];

    /// Where one that has lost its task must not go on as if nothing had happened.
    pub const AT_POINTS: [Self; 8] = [
        Self::SourceAt("before-init"),
        Self::SourceAt("after-init"),
        Self::SourceAt("txn-begin"),
        Self::SourceAt("before-txn-commit"),
        Self::SourceAt("after-txn-commit"),
        Self::SinkAt("before-put"),
        Self::SinkAt("before-flush"),
        Self::SinkAt("after-flush"),
    ];

    /// All of them, those at named points where asked for.
    pub fn all(at_points: bool) -> Vec<Self> {
        let named = if at_points { &Self::AT_POINTS[..] } else { &[] };
        [&Self::ALL, named].concat()
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One round for each.
    pub freezes: Vec<Freeze>,
    /// How long a worker stands still: many times its session.
    pub lasts: Duration,
    /// Numbers a second, into the source and into the sink each.
    pub rate: u64,
    /// The source of every random choice.
    pub seed: u64,
    /// Starts an Apache Kafka where KAFKA_BOOTSTRAP names no broker; else `longshore broker`.
    pub apache: bool,
}

/// Runs the proof and prints it. Errors: any breach, with what was seen.
pub fn prove(plan: &Plan) -> Result<()> {
    let systems = Systems::start(plan.apache)?;
    println!(
        "prove zombies: seed {}, {} rounds of {} s, {WORKERS} workers, {}",
        plan.seed,
        plan.freezes.len(),
        plan.lasts.as_secs(),
        systems.broker_name()
    );
    let proxy = Proxy::start(&format!("127.0.0.1:{}", systems.postgres.port()))?;
    let keys = [("exactly.once.source.support", "enabled")];
    let home = Home::cluster("zombies", systems.bootstrap(), WORKERS, &keys)?;
    let mut fleet = Fleet::start(home)?;
    let source = IntoTopic::start(
        &mut fleet,
        &systems.bootstrap(),
        Promise::ExactlyOnce,
        plan.rate,
    )?;
    let wish = Wish {
        promise: Promise::ExactlyOnce,
        tasks: 1,
        rate: plan.rate,
        port: proxy.port(),
        statement_ms: None,
    };
    let sink = IntoTable::start(&mut fleet, &systems, wish)?;
    let mut scene = Scene {
        fleet,
        source,
        sink,
        proxy,
        lasts: plan.lasts,
        random: StdRng::seed_from_u64(plan.seed),
        made: 0,
    };
    for (number, freeze) in plan.freezes.iter().enumerate() {
        println!("  round {}: {freeze:?}", number + 1);
        scene
            .round(*freeze)
            .with_context(|| format!("round {}, {freeze:?}", number + 1))?;
    }
    scene.source.finish(&mut scene.fleet)?;
    scene.sink.finish(&mut scene.fleet)?;
    scene.fleet.stop()?;
    println!(
        "prove zombies: {} zombies, nothing lost, nothing twice, nothing back",
        plan.freezes.len()
    );
    Ok(())
}

struct Scene<'a> {
    fleet: Fleet,
    source: IntoTopic,
    sink: IntoTable<'a>,
    proxy: Proxy,
    lasts: Duration,
    random: StdRng,
    /// Connectors created during freezes.
    made: u32,
}

impl Scene<'_> {
    fn round(&mut self, freeze: Freeze) -> Result<()> {
        self.one_each()?;
        let (zombie, holding) = self.freeze(freeze)?;
        let frozen = Instant::now();
        let before = [self.source.marks()?, self.sink.marks()?];
        self.elsewhere(zombie)?;
        self.both_move(&before)?;
        println!(
            "    worker {zombie} stands still; every task moves data elsewhere after {:.1} s",
            frozen.elapsed().as_secs_f64()
        );
        let made = self.change(zombie)?;
        while frozen.elapsed() < self.lasts {
            let before = [self.source.marks()?, self.sink.marks()?];
            self.both_move(&before)?;
        }

        self.fleet.worker(zombie)?.thaw()?;
        let thawed = Instant::now();
        if let Some(holding) = &holding {
            ensure!(
                holding.is_holding(),
                "the held bytes have gone before their time"
            );
            holding.release();
        }
        self.one_each()?;
        self.agree(zombie, &made)?;
        println!(
            "    thawed: each task on one worker, and all of one mind, after {:.1} s",
            thawed.elapsed().as_secs_f64()
        );
        self.fleet
            .rest("DELETE", &format!("/connectors/{made}"), None)?;
        let before = [self.source.marks()?, self.sink.marks()?];
        self.both_move(&before)
    }

    /// Freezes a worker at its instant; which one, and what keeps its bytes back.
    fn freeze(&mut self, freeze: Freeze) -> Result<(usize, Option<Holding>)> {
        let [source, sink] = self.connectors();
        let (connector, hold) = match freeze {
            Freeze::SourceAt(point) => return Ok((self.freeze_at(&source, point)?, None)),
            Freeze::SinkAt(point) => return Ok((self.freeze_at(&sink, point)?, None)),
            Freeze::SinkCommitHeld => (Some(sink), Some(Hold::client("COMMIT"))),
            Freeze::SinkReplyHeld => (Some(sink), Some(Hold::server("COMMIT\0"))),
            Freeze::Sink => (Some(sink), None),
            Freeze::Source => (Some(source), None),
            Freeze::Leader => (None, None),
        };
        let zombie = match connector {
            Some(connector) => self.fleet.owner_when(&connector, 0, |_| true)?,
            None => self.leader()?,
        };
        let skip = self.random.random_range(0..8);
        let holding = hold.map(|hold| self.proxy.hold(hold.skip(skip)));
        match &holding {
            Some(holding) => holding.wait(Duration::from_secs(30))?,
            None => std::thread::sleep(Duration::from_millis(self.random.random_range(0..300))),
        }
        self.fleet.worker(zombie)?.freeze()?;
        Ok((zombie, holding))
    }

    fn leader(&mut self) -> Result<usize> {
        let mut leader = None;
        self.fleet.until("a leader", |fleet| {
            leader = leads(fleet, fleet.home().group()).ok();
            Ok(leader.is_some())
        })?;
        leader.context("somebody leads")
    }

    /// Every worker that does not run the task is started again, armed; the one that runs it is killed. Who gets the task freezes at the point.
    fn freeze_at(&mut self, connector: &str, point: &str) -> Result<usize> {
        let owner = self.fleet.owner_when(connector, 0, |_| true)?;
        let others: Vec<usize> = (0..WORKERS).filter(|number| *number != owner).collect();
        for number in &others {
            let nth = self
                .random
                .random_range(1..=if point.ends_with("init") { 1 } else { 10 });
            self.fleet.kill(*number)?;
            self.fleet
                .raise(*number, Some(&format!("{point}:{nth}:freeze")))?;
        }
        let frozen = |fleet: &mut Fleet| -> Result<Option<usize>> {
            for number in &others {
                if fleet.worker(*number)?.is_frozen() {
                    return Ok(Some(*number));
                }
            }
            Ok(None)
        };
        let mut zombie = None;
        self.fleet
            .until("the armed workers to be healthy", |fleet| {
                zombie = frozen(fleet)?;
                Ok(zombie.is_some() || others.iter().all(|number| fleet.healthy(*number)))
            })?;
        // One may have got the task already, for the sake of balance.
        let killed = zombie.is_none();
        if killed {
            self.fleet.kill(owner)?;
        }
        self.fleet
            .until(&format!("a worker to freeze at {point}"), |fleet| {
                zombie = frozen(fleet)?;
                Ok(zombie.is_some())
            })?;
        let zombie = zombie.context("one is frozen")?;
        // The task must not meet the same point again before the thaw.
        for number in others.into_iter().filter(|number| *number != zombie) {
            self.fleet.kill(number)?;
            self.fleet.raise(number, None)?;
        }
        if killed {
            self.fleet.raise(owner, None)?;
        }
        Ok(zombie)
    }

    /// Waits until the status of both tasks says that they run, and not on the zombie; then its word is true.
    fn elsewhere(&mut self, zombie: usize) -> Result<()> {
        for connector in self.connectors() {
            self.fleet
                .owner_when(&connector, 0, |owner| owner != zombie)?;
        }
        Ok(())
    }

    fn connectors(&self) -> [String; 2] {
        [
            self.source.connector().to_owned(),
            self.sink.connector().to_owned(),
        ]
    }

    fn both_move(&mut self, before: &[Vec<u64>; 2]) -> Result<()> {
        let (source, sink) = (&mut self.source, &mut self.sink);
        self.fleet
            .within(TAKEOVER_MAX, "both tasks to move data", |_| {
                Ok(
                    all_moved(&before[0], &source.marks()?)
                        && all_moved(&before[1], &sink.marks()?),
                )
            })
    }

    /// A connector made while the zombie stands still, which needs a leader, and which the zombie knows nothing of; its name.
    fn change(&mut self, zombie: usize) -> Result<String> {
        self.made += 1;
        let name = format!("made-{}-{}", self.made, self.fleet.home().group());
        let config = json!({"connector.class": "datagen", "topic": name, "rate": 10});
        self.fleet.put(&name, &config)?;
        let owner = self.fleet.owner(&name, 0)?;
        ensure!(owner != Some(zombie), "{name} runs on a frozen worker");
        Ok(name)
    }

    /// Waits until each task is held by exactly one worker, by what the workers themselves say: the zombie has closed what is no longer its own.
    fn one_each(&mut self) -> Result<()> {
        for connector in self.connectors() {
            self.fleet
                .within(WAKING_MAX, "one holder of each task", |fleet| {
                    let holders = fleet.holders(&connector, 0)?;
                    Ok(holders.len() == 1 && fleet.owner(&connector, 0)? == Some(holders[0]))
                })?;
        }
        Ok(())
    }

    /// Waits until the thawed worker answers as the others do, for what was there before and for what was made meanwhile.
    fn agree(&mut self, zombie: usize, made: &str) -> Result<()> {
        let [source, sink] = self.connectors();
        for connector in [&*source, &*sink, made] {
            let (status, config) = (
                format!("/connectors/{connector}/status"),
                format!("/connectors/{connector}/config"),
            );
            self.fleet
                .within(WAKING_MAX, "the zombie to agree with the others", |fleet| {
                    let mut answers = Vec::new();
                    for number in fleet.awake() {
                        let Ok(status) = fleet.ask(number, "GET", &status, None) else {
                            return Ok(false);
                        };
                        let Ok(config) = fleet.ask(number, "GET", &config, None) else {
                            return Ok(false);
                        };
                        let task = &status["tasks"][0];
                        answers.push([task["state"].clone(), task["worker_id"].clone(), config]);
                    }
                    Ok(answers.len() == WORKERS
                        && answers[0][0] == "RUNNING"
                        && answers.iter().all(|answer| *answer == answers[zombie]))
                })?;
        }
        Ok(())
    }
}
