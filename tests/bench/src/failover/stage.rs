//! The cluster that things happen to: workers, connectors, a feeder, readers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use futures::executor::block_on;
use longshore_crash_tests::cluster::leader;
use longshore_crash_tests::{Fleet, Home};
use longshore_kit::servers::Kafka;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::Value;

use super::goals::note;
use super::lanes::Connector;
use super::series::{Window, now};
use super::watch::{Task, Watch};

/// Longer than anything that heals by itself takes.
pub(crate) const HEAL_MAX: Duration = Duration::from_secs(90);
/// Until what was appended by then has been read: a transaction's interval, and some.
const READ_UP: Duration = Duration::from_secs(3);
/// The three workers of the cluster, and a spare one for the rolling restart.
pub(crate) const WORKERS: usize = 3;
pub(crate) const SPARE: usize = 3;

pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) connectors: Vec<Connector>,
    pub(crate) watch: Watch,
    pub(crate) rate: u32,
    feeder: (Arc<AtomicBool>, JoinHandle<Result<()>>),
}

/// Where each task runs, as a status says: only those that are RUNNING.
pub(crate) type Places = BTreeMap<Task, usize>;

impl Stage {
    /// Starts everything, and waits until every task moves records.
    pub(crate) fn build(kafka: &Kafka, rate: u32) -> Result<Self> {
        let bootstrap = kafka.bootstrap();
        let connectors = Connector::all(&bootstrap, rate);
        let admin = ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .create()?;
        for (topic, partitions) in connectors.iter().flat_map(Connector::topics) {
            create(&admin, topic, partitions)?;
        }
        // As people run it: the crash suites' short sessions are for brokers that allow them.
        let keys = [
            ("session.timeout.ms", "6000"),
            ("consumer.session.timeout.ms", "8000"),
            ("offset.flush.interval.ms", "1000"),
        ];
        let home = Home::cluster("failover", bootstrap.clone(), WORKERS + 1, &keys)?;
        let (group, folder) = (home.group().to_owned(), home.path().to_owned());
        let mut fleet = Fleet::start(home)?;
        fleet.stop_one(SPARE)?;
        let coordination = format!("{group}-coordination");
        let stage = Self {
            watch: Watch::start(&bootstrap, &connectors, &folder, &coordination)?,
            feeder: feed(&bootstrap, &connectors, rate)?,
            fleet,
            connectors,
            rate,
        };
        for (number, connector) in stage.connectors.iter().enumerate() {
            let body = serde_json::json!({ "name": connector.name, "config": connector.config });
            stage
                .fleet
                .ask(number % WORKERS, "POST", "/connectors", Some(&body))?;
        }
        let mut stage = stage;
        stage.settle("after the start")?;
        Ok(stage)
    }

    /// Waits until all tasks run, as every worker says, move records, and nothing was moved for three seconds.
    pub(crate) fn settle(&mut self, what: &str) -> Result<()> {
        let start = Instant::now();
        let mut quiet = Instant::now();
        let mut moves = 0;
        loop {
            let now_moves = self.watch.see(|seen| seen.moves.len())?;
            if now_moves != moves || !self.all_move()? {
                (moves, quiet) = (now_moves, Instant::now());
            }
            if quiet.elapsed() > Duration::from_secs(3) {
                return Ok(());
            }
            ensure!(
                start.elapsed() < HEAL_MAX,
                "{what} the tasks do not settle within {HEAL_MAX:?}: {}\n{}",
                self.standing()?,
                self.fleet.log_tails()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Whether every task has written within the last two seconds and runs as every worker says.
    fn all_move(&self) -> Result<bool> {
        self.is_fed()?;
        let (tasks, since) = (self.tasks(), now() - 2000.0);
        let wrote = self.watch.see(|seen| {
            tasks.iter().all(|task| {
                let last = seen.tasks.get(task).and_then(super::series::Series::last);
                last.is_some_and(|last| last > since)
            })
        })?;
        let all = self.fleet.awake().into_iter().all(|worker| {
            let places = self.places(worker);
            places.is_ok_and(|places| places.len() == tasks.len())
        });
        Ok(wrote && all)
    }

    /// Which tasks have not written lately, and what the statuses say of those that do not run.
    fn standing(&self) -> Result<String> {
        let since = now() - 2000.0;
        let still = self.watch.see(|seen| {
            let stands = |task: &Task| {
                let last = seen.tasks.get(task).and_then(super::series::Series::last);
                last.is_none_or(|last| last <= since)
            };
            self.tasks().into_iter().filter(stands).collect::<Vec<_>>()
        })?;
        let runs = self.fleet.awake().into_iter().map(|worker| {
            let running = self.places(worker).map_or(0, |places| places.len());
            format!("worker {worker} says {running} run")
        });
        Ok(format!(
            "standing still: {still:?}; {:?}",
            runs.collect::<Vec<_>>()
        ))
    }

    /// Every task there should be.
    pub(crate) fn tasks(&self) -> BTreeSet<Task> {
        let of = |connector: &Connector| {
            let name = connector.name.clone();
            (0..connector.tasks).map(move |task| (name.clone(), task))
        };
        self.connectors.iter().flat_map(of).collect()
    }

    /// Which of the twelve connectors' tasks are RUNNING, and where, as `worker` says.
    pub(crate) fn places(&self, worker: usize) -> Result<Places> {
        let all = self
            .fleet
            .ask(worker, "GET", "/connectors?expand=status", None)?;
        let mut places = Places::new();
        for connector in &self.connectors {
            let tasks = &all[&connector.name]["status"]["tasks"];
            for task in tasks.as_array().map_or(&[][..], Vec::as_slice) {
                let number = task["id"].as_u64().context("a task without a number")?;
                let at = self.fleet.number_of(&task["worker_id"]);
                if let Some(at) = at.filter(|_| task["state"] == "RUNNING") {
                    places.insert((connector.name.clone(), u32::try_from(number)?), at);
                }
            }
        }
        Ok(places)
    }

    /// Errors: the feeder has ended. Without it mirrors and sinks stand still, whatever the workers do.
    pub(crate) fn is_fed(&self) -> Result<()> {
        ensure!(
            !self.feeder.1.is_finished(),
            "the bench's own feeder has ended; its error comes at the end"
        );
        Ok(())
    }

    /// The worker that leads.
    pub(crate) fn leader(&self) -> Result<usize> {
        leader(&self.fleet, self.fleet.home().group())
    }

    /// Lets the readers catch up with what has been written by now.
    pub(crate) fn read_up(&self) {
        std::thread::sleep(READ_UP);
    }

    /// The largest gap of the tasks that `of` names, in seconds, and whose it was.
    pub(crate) fn gap(
        &self,
        window: Window,
        of: impl Fn(&Task) -> bool,
    ) -> Result<Option<(f64, Task)>> {
        self.watch.see(|seen| {
            let gaps = seen
                .tasks
                .iter()
                .filter(|(task, _)| of(task))
                .map(|(task, series)| (series.largest_gap(window) / 1e3, task.clone()));
            gaps.max_by(|a, b| a.0.total_cmp(&b.0))
        })
    }

    /// Prints the largest gap between the records that the bench itself fed: what a task cannot be better than.
    pub(crate) fn note_feed(&self, window: Window) -> Result<()> {
        self.is_fed()?;
        let own = self.watch.see(|seen| {
            let gaps = seen.fed.values().map(|series| series.largest_gap(window));
            gaps.fold(0.0, f64::max)
        })?;
        note(
            "  (largest gap of the bench's own feed meanwhile)",
            &format!("{own:>8.0} ms"),
        );
        Ok(())
    }

    /// How often a worker has opened a task, as the logs say.
    pub(crate) fn opens(&self) -> usize {
        let count = |worker| {
            let log = std::fs::read(self.fleet.home().log(worker)).unwrap_or_default();
            String::from_utf8_lossy(&log)
                .lines()
                .filter(|line| line.contains(" starting") && line.contains("task="))
                .count()
        };
        (0..self.fleet.len()).map(count).sum()
    }

    /// Ends everything. Errors: a reader or the feeder had failed.
    pub(crate) fn end(self) -> Result<()> {
        let (stop, feeder) = self.feeder;
        stop.store(true, Ordering::Relaxed);
        feeder
            .join()
            .map_err(|_| anyhow!("the feeder panicked"))??;
        self.watch.end()
    }
}

fn create(admin: &AdminClient<DefaultClientContext>, topic: &str, partitions: u32) -> Result<()> {
    let new = NewTopic::new(
        topic,
        i32::try_from(partitions)?,
        TopicReplication::Fixed(1),
    )
    .set("message.timestamp.type", "LogAppendTime");
    for made in block_on(admin.create_topics([&new], &AdminOptions::new()))? {
        made.map_err(|(topic, code)| anyhow!("the topic {topic} cannot be created: {code}"))?;
    }
    Ok(())
}

/// Writes `rate` records a second to every partition that mirrors and sinks read, until told to stop.
fn feed(
    bootstrap: &str,
    connectors: &[Connector],
    rate: u32,
) -> Result<(Arc<AtomicBool>, JoinHandle<Result<()>>)> {
    // One with a thread of its own for delivery reports: those that nobody takes count as records in its queue.
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "0")
        .create()?;
    let fed: Vec<(String, i32)> = connectors
        .iter()
        .filter_map(Connector::fed)
        .flat_map(|(topic, partitions)| {
            (0..partitions).map(move |partition| (topic.to_owned(), partition.cast_signed()))
        })
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&stop);
    let feeder = std::thread::spawn(move || {
        let every = Duration::from_secs(1) / rate.max(1);
        let start = Instant::now();
        let mut number = 0_u32;
        while !until.load(Ordering::Relaxed) {
            for (topic, partition) in &fed {
                let value = format!("line {number} of {topic}-{partition}");
                let record = BaseRecord::<(), str>::to(topic)
                    .partition(*partition)
                    .payload(&value);
                producer.send(record).map_err(|(error, _)| error)?;
            }
            number += 1;
            let next = every * number;
            std::thread::sleep(next.saturating_sub(start.elapsed()));
        }
        producer.flush(Duration::from_secs(30))?;
        Ok(())
    });
    Ok((stop, feeder))
}

/// What a status answers, for reports: connector, state, worker.
pub(crate) fn state_of(status: &Value) -> String {
    let task = |task: &Value| format!("{} on {}", task["state"], task["worker_id"]);
    let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
    format!(
        "{}; {:?}",
        status["connector"]["state"],
        tasks.iter().map(task).collect::<Vec<_>>()
    )
}
