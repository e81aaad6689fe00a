//! Workers that are stopped in order, one after another, while lines run from a file through Kafka into a file: each line arrives once, and what moves
//! stands still only for the moment in which it changes hands.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;

use crate::{Broker, Fleet, Home};

/// Workers of the cluster.
const WORKERS: usize = 3;
/// Between two lines.
const PACE: Duration = Duration::from_millis(5);
/// Between two looks at what has arrived.
const LOOK: Duration = Duration::from_millis(5);
/// How long records are watched after a worker has gone.
const AFTER: Duration = Duration::from_secs(5);
/// Until the last lines are there.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// A transfer with one partition, whose lines stay in order, and one with several.
const TRANSFERS: [(&str, u32); 2] = [("one", 1), ("many", 4)];

/// A group that was empty waits so long for further members, on a broker that nobody has tuned.
const EMPTY_GROUP: [(&str, &str); 1] = [("group.initial.rebalance.delay.ms", "3000")];

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many workers are stopped, each the one that runs a sink.
    pub stops: u32,
    /// An Apache Kafka of its own, with the delay of an empty group that it has by itself, where KAFKA_BOOTSTRAP names no broker; else
    /// `longshore broker`.
    pub apache: bool,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Lines that were checked.
    pub lines: u64,
    /// By stop: the longest time without a new line, and how long the worker took to end.
    pub stood: Vec<(Duration, Duration)>,
}

/// Runs the proof and prints it. Errors: a line lost, or there twice, or out of order where it has one; a worker that does not end in order.
pub fn prove(plan: &Plan) -> Result<Outcome> {
    let outside = std::env::var_os("KAFKA_BOOTSTRAP").is_some_and(|named| !named.is_empty());
    let broker = if outside || !plan.apache {
        Broker::start(false)?
    } else {
        Broker::start_own(true, &EMPTY_GROUP)?
    };
    println!(
        "prove departures: {} stops, {WORKERS} workers, {}",
        plan.stops,
        broker.name()
    );
    let keys = [
        ("session.timeout.ms", ""),
        ("consumer.session.timeout.ms", ""),
    ];
    let home = Home::cluster("departures", broker.bootstrap(), WORKERS, &keys)?;
    let mut fleet = Fleet::start(home)?;
    let mut lines = Lines::start(&fleet)?;
    for (name, partitions) in TRANSFERS {
        connect(&mut fleet, name, partitions)?;
    }
    let mut stood = Vec::new();
    for stop in 0..plan.stops {
        let (name, _) = TRANSFERS[stop as usize % TRANSFERS.len()];
        settle(&mut fleet)?;
        stood.push(stop_owner(&mut fleet, &lines, name)?);
    }
    let fed = lines.stop()?;
    for (name, _) in TRANSFERS {
        let out = output(fleet.home(), name);
        fleet.within(DRAIN_MAX, "the last lines", |_| {
            Ok(read(&out)?.len() as u64 >= fed)
        })?;
    }
    // What comes twice may come after the last line.
    for number in fleet.awake() {
        fleet.stop_one(number)?;
    }
    for (name, partitions) in TRANSFERS {
        let out = output(fleet.home(), name);
        check(&out, fed, partitions == 1).with_context(|| format!("the lines of {name}"))?;
    }
    println!("prove departures: {fed} lines, each once in both files");
    Ok(Outcome { lines: fed, stood })
}

/// Stops the worker that runs a sink, and starts it again.
fn stop_owner(fleet: &mut Fleet, lines: &Lines, name: &str) -> Result<(Duration, Duration)> {
    let sink = format!("{name}-sink");
    let owner = fleet.owner_when(&sink, 0, |_| true)?;
    let outputs = TRANSFERS.map(|(name, _)| output(fleet.home(), name));
    let watches = outputs.map(|path| Watch::start(&path));
    let begun = Instant::now();
    fleet.stop_one(owner)?;
    let took = begun.elapsed();
    std::thread::sleep(AFTER);
    let gaps = watches.map(Watch::stop);
    let longest = gaps.iter().copied().max().unwrap_or_default();
    println!(
        "  worker {owner} ended after {took:.1?}; without a new line for {:.2?} ({}) and {:.2?} ({}); {} lines so far",
        gaps[0],
        TRANSFERS[0].0,
        gaps[1],
        TRANSFERS[1].0,
        lines.fed()
    );
    fleet.owner_when(&sink, 0, |number| number != owner)?;
    fleet.raise(owner, None)?;
    fleet.until("the worker to be back", |fleet| Ok(fleet.healthy(owner)))?;
    Ok((longest, took))
}

/// Waits until all tasks run and lines arrive.
fn settle(fleet: &mut Fleet) -> Result<()> {
    for (name, _) in TRANSFERS {
        for connector in [format!("{name}-source"), format!("{name}-sink")] {
            fleet.owner_when(&connector, 0, |_| true)?;
        }
        let out = output(fleet.home(), name);
        let before = length(&out);
        fleet.until("new lines", |_| Ok(length(&out) > before))?;
    }
    Ok(())
}

fn connect(fleet: &mut Fleet, name: &str, partitions: u32) -> Result<()> {
    let string = "org.apache.kafka.connect.storage.StringConverter";
    let topic = fleet.home().unique(name);
    let source = json!({
        "connector.class": "FileStreamSource", "file": input(fleet.home()), "topic": topic,
        "topic.creation.default.partitions": partitions.to_string(), "topic.creation.default.replication.factor": "1",
        "transaction.boundary": "interval", "transaction.boundary.interval.ms": "100",
        "key.converter": string, "value.converter": string,
    });
    let sink = json!({
        "connector.class": "FileStreamSink", "file": output(fleet.home(), name), "topics": topic,
        "key.converter": string, "value.converter": string,
    });
    fleet.put(&format!("{name}-source"), &source)?;
    fleet.put(&format!("{name}-sink"), &sink)
}

fn input(home: &Home) -> PathBuf {
    home.path().join("in.txt")
}

fn output(home: &Home, name: &str) -> PathBuf {
    home.path().join(format!("out-{name}.txt"))
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

/// The numbers that stand in a file.
fn read(path: &Path) -> Result<Vec<u64>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    BufReader::new(file)
        .lines()
        .map(|line| Ok(line?.parse()?))
        .collect()
}

fn check(path: &Path, fed: u64, ordered: bool) -> Result<()> {
    let mut found = read(path)?;
    if !ordered {
        found.sort_unstable();
    }
    let wrong = found
        .iter()
        .zip(0..)
        .find(|(found, number)| *found != number);
    ensure!(
        wrong.is_none() && found.len() as u64 == fed,
        "{} lines of {fed}; the first that is lost, there twice or out of order: {wrong:?}",
        found.len()
    );
    Ok(())
}

/// A file that grows by the numbers 0, 1, 2, ..
struct Lines {
    stop: Arc<AtomicBool>,
    fed: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Lines {
    fn start(fleet: &Fleet) -> Result<Self> {
        let path = input(fleet.home());
        let mut file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(path)?;
        let (stop, fed) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (told, count) = (stop.clone(), fed.clone());
        let run = move || {
            let mut number = 0_u64;
            while !told.load(Ordering::Relaxed) {
                writeln!(file, "{number}")?;
                number += 1;
                count.store(number, Ordering::Relaxed);
                std::thread::sleep(PACE);
            }
            Ok(())
        };
        let thread = Some(
            std::thread::Builder::new()
                .name("lines".into())
                .spawn(run)?,
        );
        Ok(Self { stop, fed, thread })
    }
    fn fed(&self) -> u64 {
        self.fed.load(Ordering::Relaxed)
    }
    fn stop(&mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the lines panicked"))??;
        }
        Ok(self.fed())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

/// Looks at a file that grows: the longest time in which it did not.
struct Watch {
    stop: Arc<AtomicBool>,
    longest: Arc<Mutex<Duration>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(path: &Path) -> Self {
        let (stop, longest) = (
            Arc::new(AtomicBool::new(false)),
            Arc::<Mutex<Duration>>::default(),
        );
        let (told, seen, path) = (stop.clone(), longest.clone(), path.to_owned());
        let run = move || {
            let (mut had, mut since) = (length(&path), Instant::now());
            while !told.load(Ordering::Relaxed) {
                let has = length(&path);
                let mut longest = seen.lock().unwrap_or_else(PoisonError::into_inner);
                *longest = since.elapsed().max(*longest);
                drop(longest);
                if has != had {
                    (had, since) = (has, Instant::now());
                }
                std::thread::sleep(LOOK);
            }
        };
        let thread = Some(std::thread::spawn(run));
        Self {
            stop,
            longest,
            thread,
        }
    }
    fn stop(mut self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it has seen counts, however it ended.
            drop(thread.join());
        }
        *self.longest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
