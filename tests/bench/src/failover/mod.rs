//! What a cluster of three workers does to its tasks when something happens to it: gaps, moves, times until data flows again.
//!
//! Every time is the broker's: topics stamp records when they are appended, so that no reader's delay shows in a figure. Files are looked
//! at every few milliseconds, and a gap counts as long as it was for certain. A figure that misses its goal is printed all the same, and
//! the bench fails in the end.

mod events;
mod goals;
mod lanes;
mod rolling;
mod series;
mod stage;
mod watch;

use anyhow::{Result, ensure};
use longshore_kit::servers::{Kafka, KafkaOptions};

use crate::meter;
use goals::Goals;
use stage::Stage;

/// What the broker's makers ship, where the starter for tests chooses otherwise.
const DEFAULTS: [(&str, &str); 7] = [
    ("group.initial.rebalance.delay.ms", "3000"),
    ("group.min.session.timeout.ms", "6000"),
    ("offsets.topic.num.partitions", "50"),
    ("transaction.state.log.num.partitions", "50"),
    ("log.retention.check.interval.ms", "300000"),
    ("log.cleaner.backoff.ms", "15000"),
    ("log.cleaner.min.cleanable.ratio", "0.5"),
];

/// Which of the events happen.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// In failover: records a second of each of the 40 tasks.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// In failover: only these events: add, put, restart, rolling, kill.
    #[arg(long, value_delimiter = ',')]
    events: Vec<String>,
}

const EVENTS: [&str; 5] = ["add", "put", "restart", "rolling", "kill"];

/// Runs all events and prints the figures. Errors: a goal is missed; something does not heal at all.
pub(crate) fn run(options: &Options) -> Result<()> {
    for event in &options.events {
        ensure!(
            EVENTS.contains(&event.as_str()),
            "no event {event}; there are {}",
            EVENTS.join(", ")
        );
    }
    let settings = DEFAULTS.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let kafka = Kafka::start_with(&KafkaOptions {
        heap: "1g".into(),
        settings: settings.to_vec(),
        ..KafkaOptions::default()
    })?;
    println!(
        "failover: three workers, 12 connectors, 40 tasks of {} records/s, Apache Kafka 4.1.0 with its default settings; load average {}",
        options.rate,
        meter::load()?
    );
    let asked =
        |event: &str| options.events.is_empty() || options.events.iter().any(|e| e == event);
    let mut goals = Goals::default();
    let mut stage = Stage::build(&kafka, options.rate)?;
    events::quiet(&mut stage, &mut goals)?;
    if asked("add") {
        events::add(&mut stage, &mut goals)?;
    }
    if asked("put") {
        events::put_unchanged(&mut stage, &mut goals)?;
    }
    // From an even start, as after any quiet minute.
    if asked("rolling") {
        rolling::restart_all(&mut stage, &mut goals)?;
    }
    if asked("restart") {
        events::restart(&mut stage, &mut goals)?;
    }
    if asked("kill") {
        events::kill(&mut stage, &mut goals, true)?;
        events::kill(&mut stage, &mut goals, false)?;
    }
    stage.end()?;
    println!("load average {}", meter::load()?);
    goals.verdict()
}
