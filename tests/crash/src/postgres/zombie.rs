//! A worker frozen in the middle of a flush, another one that takes over, and the first one thawed: nothing twice, the ledger never back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use longshore_kit::servers::{Hold, Holding, Proxy};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::place::{Place, Systems};
use crate::Home;

/// Records before the ledger is watched and the freeze prepared.
const FIRST: u64 = 400;

/// Where a worker is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freeze {
    /// Its COMMIT has left it and has not reached Postgres: it arrives after the thaw.
    CommitHeld,
    /// The same, and who takes over has no right to end the frozen one's connection: Postgres itself does, by its timeout.
    CommitHeldOtherUser,
    /// Its rows are in an open transaction and its ledger's statement has not reached Postgres; nobody may end its connection. Nothing
    /// stands in the way of the other worker, who writes the same rows: only the ledger's comparison keeps the zombie's rows out.
    LedgerHeldOtherUser,
    /// Postgres has committed, and the worker has not heard so.
    ReplyHeld,
    /// Wherever it happens to be.
    Anywhere,
}

impl Freeze {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::CommitHeld,
        Self::CommitHeldOtherUser,
        Self::LedgerHeldOtherUser,
        Self::ReplyHeld,
        Self::Anywhere,
    ];
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Records of a round: half of them before the freeze, half after the takeover.
    pub records: u64,
    /// One round for each.
    pub freezes: Vec<Freeze>,
    /// The source of every random choice.
    pub seed: u64,
    /// Starts an Apache Kafka where KAFKA_BOOTSTRAP names no broker; else `longshore broker`.
    pub apache: bool,
}

impl Plan {
    /// Each freeze five times, on Apache Kafka.
    pub fn long(seed: u64) -> Self {
        Self {
            records: 40_000,
            freezes: Freeze::ALL.repeat(5),
            seed,
            apache: true,
        }
    }
}

/// Runs the proof and prints it. Errors: any breach, with what was seen.
pub fn prove(plan: &Plan) -> Result<()> {
    let systems = Systems::start(plan.apache)?;
    println!(
        "prove postgres --zombie: seed {}, {} rounds, {}",
        plan.seed,
        plan.freezes.len(),
        systems.broker_name()
    );
    let mut random = StdRng::seed_from_u64(plan.seed);
    for (number, freeze) in plan.freezes.iter().enumerate() {
        println!("  round {}: {freeze:?}", number + 1);
        round(&systems, *freeze, plan.records, &mut random)?;
    }
    println!(
        "prove postgres --zombie: {} zombies, nothing twice, nothing lost, no ledger back",
        plan.freezes.len()
    );
    Ok(())
}

fn round(systems: &Systems, freeze: Freeze, records: u64, random: &mut StdRng) -> Result<()> {
    let postgres = &systems.postgres;
    let mut place = Place::new(systems)?;
    let proxy = Proxy::start(&format!("127.0.0.1:{}", postgres.port()))?;
    // Slow enough that a transfer is still running when it is frozen.
    proxy.delay(Duration::from_millis(5));
    let home = |name| Home::with(name, Some(systems.bootstrap()), &[]);
    let (first, second) = (home("zombie-a")?, home("zombie-b")?);
    let mut a = first.start(&["worker", "worker.yaml"], None)?;
    a.ready()?;
    // Both are up before the freeze: what is measured is the takeover, not a start.
    let mut b = second.start(&["worker", "worker.yaml"], None)?;
    b.ready()?;

    let [writer, successor] = match freeze {
        Freeze::CommitHeldOtherUser | Freeze::LedgerHeldOtherUser => {
            place.create_writers(postgres)?
        }
        Freeze::CommitHeld | Freeze::ReplyHeld | Freeze::Anywhere => ["postgres"; 2],
    };
    place.feed(FIRST)?;
    a.run(&place.connector(&place.url_of(writer, proxy.port())))?;
    a.until("the first rows", || Ok(place.rows(postgres)? == FIRST))?;
    place.watch_ledger(postgres)?;
    let holding = place_hold(freeze, &proxy, random);
    place.feed(records / 2 - FIRST)?;
    match &holding {
        Some(holding) => holding.wait(Duration::from_secs(30))?,
        None => {
            a.until("more rows", || Ok(place.rows(postgres)? > FIRST))?;
            std::thread::sleep(Duration::from_millis(random.random_range(0..100)));
        }
    }
    a.freeze()?;
    let before = place.rows(postgres)?;
    ensure!(
        before < place.fed(),
        "the freeze hit no running transfer: all {before} rows are there"
    );

    let frozen = Instant::now();
    b.run(&place.connector(&place.url_of(successor, postgres.port())))?;
    b.until("the takeover", || Ok(place.rows(postgres)? > before))?;
    println!(
        "    frozen with {before} of {} rows; the other worker writes after {:.1} s",
        place.fed(),
        frozen.elapsed().as_secs_f64()
    );
    // It must get all of it: the frozen one owns nothing any more.
    b.until("the other worker to write the rest", || {
        Ok(place.rows(postgres)? >= place.fed())
    })?;

    place.feed(records - place.fed())?;
    a.thaw()?;
    if let Some(holding) = &holding {
        ensure!(
            holding.is_holding(),
            "the held bytes have gone before their time"
        );
        holding.release();
    }
    b.until("every row", || Ok(place.rows(postgres)? >= records))?;
    for worker in [&mut a, &mut b] {
        worker.settled(&place.connector)?;
    }
    println!("    the zombie: {}", last_words(&first)?);
    place.check(postgres)?;
    a.stop()?;
    b.stop()
}

/// How the thawed worker learned that it was replaced.
fn last_words(home: &Home) -> Result<String> {
    let log = std::fs::read_to_string(home.path().join("longshore.log"))?;
    let ways = [
        ("another task has claimed", "refused by the ledger"),
        ("terminating connection", "its connection was ended"),
        ("partitions lost", "its partitions were lost"),
    ];
    let seen: Vec<&str> = ways
        .iter()
        .filter(|(sign, _)| log.contains(sign))
        .map(|(_, way)| *way)
        .collect();
    Ok(if seen.is_empty() {
        "nothing of it in its log".into()
    } else {
        seen.join(", ")
    })
}

/// Places what the freeze needs; somewhere among the next transactions.
fn place_hold(freeze: Freeze, proxy: &Proxy, random: &mut StdRng) -> Option<Holding> {
    let hold = match freeze {
        Freeze::CommitHeld | Freeze::CommitHeldOtherUser => Hold::client("COMMIT"),
        Freeze::LedgerHeldOtherUser => Hold::client("SET next_offset"),
        Freeze::ReplyHeld => Hold::server("COMMIT\0"),
        Freeze::Anywhere => return None,
    };
    Some(proxy.hold(hold.skip(random.random_range(0..8))))
}
