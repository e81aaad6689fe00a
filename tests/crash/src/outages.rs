//! The broker or the database goes away under several workers, and comes back: everything heals alone, nothing is lost, and meanwhile no status
//! pretends that data moves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use longshore_kit::servers::Proxy;

use crate::postgres::place::Systems;
use crate::postgres::steer::by_task;
use crate::transfer::{IntoTable, IntoTopic, Promise, Transfer, Wish, all_moved};
use crate::{Fleet, Home};

/// Workers of the group.
const WORKERS: usize = 3;
/// From the end of a fault to moving data: the backoff of a restart may have grown as long as the fault.
const HEALING_MAX: Duration = Duration::from_secs(180);
/// How long a connector may take to notice that nothing answers, where the fault is shorter.
const NOTICE_MAX: Duration = Duration::from_secs(60);

/// What goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The broker is killed, and started again later.
    Broker,
    /// The broker answers nothing, and closes nothing; then it goes on.
    BrokerFrozen,
    /// Connections to Postgres are reset, new ones are refused.
    PostgresRefused,
    /// Postgres does not answer any more, and nothing closes.
    PostgresBlackHole,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Broker,
        Self::BrokerFrozen,
        Self::PostgresRefused,
        Self::PostgresBlackHole,
    ];
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One after the other.
    pub faults: Vec<Fault>,
    /// How long each lasts.
    pub lasts: Duration,
    /// Numbers a second, into the source and into the sink each.
    pub rate: u64,
    /// `connection.statement.timeout.ms`; `None` = the connector's own.
    pub statement_ms: Option<u64>,
    /// `longshore.stall.timeout.ms`; `None` = the worker's own.
    pub stall_ms: Option<u64>,
    /// An Apache Kafka of its own, else `longshore broker`; never the one that KAFKA_BOOTSTRAP names, which nobody may stop.
    pub apache: bool,
}

impl Plan {
    /// Each fault once for a minute, on Apache Kafka, with our own settings.
    pub fn long() -> Self {
        Self {
            faults: Fault::ALL.to_vec(),
            lasts: Duration::from_secs(60),
            rate: 300,
            statement_ms: None,
            stall_ms: None,
            apache: true,
        }
    }
}

/// Runs the proof and prints it. Errors: any breach, with what was seen.
pub fn prove(plan: &Plan) -> Result<()> {
    let mut systems = Systems::start_own(plan.apache)?;
    println!(
        "prove outage: {} faults of {} s, {WORKERS} workers, {}",
        plan.faults.len(),
        plan.lasts.as_secs(),
        systems.broker_name()
    );
    let proxy = Proxy::start(&format!("127.0.0.1:{}", systems.postgres.port()))?;
    let stall = plan.stall_ms.map(|stall| stall.to_string());
    let mut keys = vec![("exactly.once.source.support", "enabled")];
    keys.extend(
        stall
            .as_deref()
            .map(|stall| ("longshore.stall.timeout.ms", stall)),
    );
    let home = Home::cluster("outages", systems.bootstrap(), WORKERS, &keys)?;
    let mut fleet = Fleet::start(home)?;
    let bootstrap = systems.bootstrap();
    let mut source = IntoTopic::start(&mut fleet, &bootstrap, Promise::ExactlyOnce, plan.rate)?;
    let wish = Wish {
        promise: Promise::ExactlyOnce,
        tasks: 2,
        rate: plan.rate,
        port: proxy.port(),
        statement_ms: plan.statement_ms,
    };
    let (broker, postgres) = systems.parts();
    let mut sink = IntoTable::start_at(&mut fleet, &bootstrap, postgres, wish)?;
    for fault in &plan.faults {
        println!("  {fault:?}");
        let mut transfers: [&mut dyn Transfer; 2] = [&mut source, &mut sink];
        let hit = match fault {
            Fault::Broker => {
                broker.go_away()?;
                [true, true]
            }
            Fault::BrokerFrozen => {
                broker.freeze()?;
                [true, true]
            }
            Fault::PostgresRefused => {
                proxy.refuse()?;
                [false, true]
            }
            Fault::PostgresBlackHole => {
                proxy.black_hole();
                [false, true]
            }
        };
        suffer(&mut fleet, &mut transfers, hit, plan.lasts)
            .with_context(|| format!("{fault:?}"))?;
        match fault {
            Fault::Broker => broker.come_back()?,
            Fault::BrokerFrozen => broker.thaw()?,
            Fault::PostgresRefused | Fault::PostgresBlackHole => proxy.heal()?,
        }
        heal(&mut fleet, &mut transfers, hit).with_context(|| format!("after {fault:?}"))?;
    }
    source.finish(&mut fleet)?;
    sink.finish(&mut fleet)?;
    fleet.stop()?;
    println!(
        "prove outage: {} faults of running transfers, all healed alone, nothing lost, nothing twice",
        plan.faults.len()
    );
    Ok(())
}

/// Lets the fault last. Transfers that it hits come to a stand, and their status says why, whichever worker is asked; the others go on; every worker
/// lives and answers.
fn suffer(
    fleet: &mut Fleet,
    transfers: &mut [&mut dyn Transfer],
    hit: [bool; 2],
    lasts: Duration,
) -> Result<()> {
    let start = Instant::now();
    for (transfer, hit) in transfers.iter_mut().zip(hit) {
        let name = transfer.connector().to_owned();
        if !hit {
            let before = transfer.marks()?;
            fleet.within(NOTICE_MAX, "a transfer without a fault to go on", |_| {
                Ok(all_moved(&before, &transfer.marks()?))
            })?;
            continue;
        }
        let tasks = transfer.tasks();
        let mut said: BTreeMap<(u64, usize), (String, Duration)> = BTreeMap::new();
        let mut last = Vec::new();
        let noticed = fleet.within(
            lasts.max(NOTICE_MAX),
            "the status to say what is wrong",
            |fleet| {
                last = fleet.statuses(&name)?;
                for (worker, status) in &last {
                    for (task, words) in by_task(status) {
                        let said = said.entry((task, *worker));
                        said.or_insert_with(|| (words, start.elapsed()));
                    }
                }
                let mut workers = fleet.awake().into_iter();
                Ok(workers.all(|at| (0..tasks).all(|task| said.contains_key(&(task, at)))))
            },
        );
        noticed.with_context(|| format!("{name}: {last:?}"))?;
        for ((task, worker), (words, after)) in said {
            let words: String = words.chars().take(250).collect();
            println!(
                "    {name}-{task}: after {:.1} s worker {worker} says: {}",
                after.as_secs_f64(),
                words.replace('\n', " ")
            );
        }
    }
    let rest = lasts.saturating_sub(start.elapsed());
    let end = Instant::now() + rest;
    fleet.within(rest + NOTICE_MAX, "the fault's end", |fleet| {
        for number in fleet.awake() {
            fleet.ask(number, "GET", "/", None)?;
        }
        Ok(Instant::now() >= end)
    })
}

/// Everything moves again, without a person.
fn heal(fleet: &mut Fleet, transfers: &mut [&mut dyn Transfer], hit: [bool; 2]) -> Result<()> {
    let start = Instant::now();
    for (transfer, _) in transfers.iter_mut().zip(hit).filter(|(_, hit)| *hit) {
        let before = transfer.marks()?;
        fleet.within(HEALING_MAX, "every partition to move again", |_| {
            Ok(all_moved(&before, &transfer.marks()?))
        })?;
        let name = transfer.connector().to_owned();
        fleet.within(HEALING_MAX, "the status to be content again", |fleet| {
            let all = fleet.statuses(&name)?;
            Ok(all.iter().all(|(_, status)| by_task(status).is_empty()))
        })?;
        println!(
            "    {} healed alone, {:.1} s after the fault's end",
            transfer.connector(),
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
