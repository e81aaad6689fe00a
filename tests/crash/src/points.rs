//! A transfer, and dead letters beside it, killed at every named point of the code, again and again: nothing is lost.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_kit::servers::wait_until;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::Home;
use crate::drain::drain;
use crate::exactly_once::{self, Pair};
use crate::ids::Ids;
use crate::topic::ids_of_topic;

/// What `abort` in a crash point looks like from outside: 128 + SIGABRT.
pub(crate) const ABORTED: i32 = 134;
/// Records that no converter understands, written before every start.
const POISON: usize = 20;

/// Every named point that these connectors pass, with the latest hit at which a crash still comes soon: a few lines become one batch of dead letters.
pub const POINTS: [(&str, u32); 14] = [
    ("before-poll", 40),
    ("after-poll", 40),
    ("after-transform", 40),
    ("after-send", 20),
    ("before-offset-store", 5),
    ("after-offset-store", 5),
    ("after-commit", 5),
    ("before-put", 20),
    ("after-put", 20),
    ("before-flush", 5),
    ("after-flush", 5),
    ("before-dead-letter", 1),
    ("after-dead-letter", 1),
    ("on-assign", 2),
];

/// Points that no proof of real processes comes to often enough to be asked for, and why.
pub const ELSEWHERE: [(&str, &str); 1] = [(
    "on-revoke",
    "a killed worker's partitions go to its successor, without a revoke of anybody's: only a move for balance has one; the simulation crashes there",
)];

/// Whether a proof crashes at this point: this one, or `exactly_once`, whose workers are several.
pub fn is_crashed_at(name: &str) -> bool {
    let here = POINTS.iter().any(|(point, _)| *point == name);
    here || Pair::ALL
        .iter()
        .flat_map(|pair| exactly_once::points(*pair))
        .any(|(point, _)| point == name)
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names from [`POINTS`]; each is hit `rounds` times.
    pub points: Vec<String>,
    /// Kills per point.
    pub rounds: u32,
    /// The source of every random choice.
    pub seed: u64,
}

/// The names of all [`POINTS`].
pub fn all() -> Vec<String> {
    POINTS.map(|(name, _)| name.to_owned()).to_vec()
}

/// Runs the proof and prints it; the number of kills. Errors: a point that is never reached, a lost record or dead letter.
pub fn prove(plan: &Plan) -> Result<u32> {
    let home = Home::with_keys(
        "points",
        &[
            ("offset.flush.interval.ms", "200"),
            ("exactly.once.source.support", "disabled"),
        ],
    )?;
    let names = [
        home.unique("orders"),
        home.unique("poison"),
        home.unique("dead"),
    ];
    let output = home.path().join("out.ndjson");
    home.write("points.yaml", &yaml(&names))?;
    println!(
        "prove points: seed {}, {} points, {} kills each, {}",
        plan.seed,
        plan.points.len(),
        plan.rounds,
        home.broker_name()
    );
    let mut random = StdRng::seed_from_u64(plan.seed);
    let (mut kills, mut poison) = (0, 0);
    let mut counted = Ids::default();
    for _ in 0..plan.rounds {
        for point in &plan.points {
            let (_, latest) = POINTS
                .iter()
                .find(|(name, _)| name == point)
                .with_context(|| format!("no point {point}"))?;
            let at = format!("{point}:{}", random.random_range(1..=*latest));
            poison = add_poison(home.path(), poison)?;
            let mut worker = home.start(&["up", "worker.yaml", "points.yaml"], Some(&at))?;
            let ended = worker.ended(Duration::from_secs(60))?;
            let status =
                ended.with_context(|| format!("{at} is never reached:\n{}", worker.log_tail()))?;
            ensure!(
                status.code() == Some(ABORTED),
                "at {at} longshore ended with {status} instead of the crash:\n{}",
                worker.log_tail()
            );
            kills += 1;
            let now = Ids::of_file(&output, true)?;
            let fresh = now.duplicates().saturating_sub(counted.duplicates());
            println!(
                "  kill {kills:>3} at {at:<24} ids 1..{}, {fresh} new duplicates",
                now.max()
            );
            counted = now;
        }
    }
    poison = add_poison(home.path(), poison)?;
    let mut worker = home.start(&["up", "worker.yaml", "points.yaml"], None)?;
    worker.until("records after the last kill", || {
        Ok(Ids::of_file(&output, true)?.max() > counted.max())
    })?;
    let mut dead = Ids::default();
    let all_dead = wait_until(Duration::from_secs(60), || {
        dead = ids_of_topic(&home.bootstrap(), &names[2])?;
        Ok(dead.max() >= poison && dead.missing().is_empty())
    })?;
    let drained = drain(&home, &mut worker, &names[0], &output)?;
    worker.stop()?;
    drained.check(usize::MAX)?;
    println!(
        "  dead letters: {} of {poison}, {} lost, {} duplicates",
        dead.max(),
        dead.missing().len(),
        dead.duplicates()
    );
    ensure!(
        all_dead,
        "of {poison} bad records {} are no dead letters",
        poison - dead.max() + dead.missing().len()
    );
    println!(
        "prove points: {kills} kills, 0 lost, {} duplicates",
        drained.file.duplicates()
    );
    Ok(kills)
}

/// Appends lines that are no JSON; how many there are now.
fn add_poison(home: &Path, written: usize) -> Result<usize> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(home.join("poison.txt"))?;
    for id in written + 1..=written + POISON {
        writeln!(file, "!{{\"id\":{id}}}")?;
    }
    Ok(written + POISON)
}

fn yaml([orders, poison, dead]: &[String; 3]) -> String {
    let string = "org.apache.kafka.connect.storage.StringConverter";
    format!(
        r"connectors:
  orders:
    connector.class: datagen
    topic: {orders}
    generator: orders
    rate: 2000
  orders-to-file:
    connector.class: file-sink
    topics: [{orders}]
    file: ./out.ndjson
  poison:
    connector.class: file-source
    file: ./poison.txt
    topic: {poison}
    key.converter: {string}
    value.converter: {string}
  poison-to-file:
    connector.class: file-sink
    topics: [{poison}]
    file: ./good.ndjson
    errors.tolerance: all
    errors.deadletterqueue.topic.name: {dead}
    errors.deadletterqueue.topic.replication.factor: 1
    errors.deadletterqueue.context.headers.enable: true
"
    )
}
