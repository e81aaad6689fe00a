//! A growing file through a topic into a file, by file-source and file-sink; how long each line takes is measured.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::feed::{Feed, Mouth};
use crate::Fleet;
use crate::postgres::steer::complaints;

/// How often the output is looked at: what a delay is exact to.
const LOOK: Duration = Duration::from_millis(2);
const ARRIVAL_MAX: Duration = Duration::from_secs(120);
/// The two connectors; the topic is called after the first.
pub(crate) const GOOD: [&str; 2] = ["good-in", "good-out"];

/// The pair, its feed, and a watch over its output.
pub(crate) struct LineByLine {
    feed: Feed,
    watch: Watch,
}

impl LineByLine {
    /// Creates both connectors, and waits for the first lines. `rate` is lines a second.
    pub(crate) fn start(fleet: &mut Fleet, rate: u64) -> Result<Self> {
        let place = |name: &str| fleet.home().path().join(name);
        let (input, output) = (place("good-in.txt"), place("good-out.txt"));
        let start = Instant::now();
        let feed = Feed::start(0, rate, Stamped::create(&input, start)?)?;
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let pair = [
            json!({ "connector.class": "file-source", "file": input, "topic": GOOD[0] }),
            json!({ "connector.class": "file-sink", "file": output, "topics": GOOD[0] }),
        ];
        for (name, mut config) in GOOD.into_iter().zip(pair) {
            for key in ["key.converter", "value.converter"] {
                config[key] = string.into();
            }
            fleet.put(name, &config)?;
        }
        let watch = Watch::start(output, start)?;
        fleet.until("the first lines", |_| Ok(!watch.seen().delays.is_empty()))?;
        Ok(Self { feed, watch })
    }

    /// How many lines have arrived.
    pub(crate) fn arrived(&self) -> usize {
        self.watch.seen().delays.len()
    }

    /// How long the lines took that arrived after the first `since`. Errors: the output is not what was fed, line by line.
    pub(crate) fn delays_since(&self, since: usize) -> Result<Delays> {
        let seen = self.watch.seen();
        ensure!(seen.wrong.is_none(), "I1, I2: {:?}", seen.wrong);
        let mut delays: Vec<Duration> = seen.delays.iter().skip(since).copied().collect();
        delays.sort_unstable();
        Ok(Delays(delays))
    }

    /// Errors: a status says anything but RUNNING, or that something was wrong.
    pub(crate) fn content(&self, fleet: &Fleet) -> Result<()> {
        for name in GOOD {
            let said = complaints(&fleet.status(name)?);
            ensure!(said.is_empty(), "{name} saw an error: {said:?}");
        }
        ensure!(
            self.watch.seen().wrong.is_none(),
            "I1, I2: {:?}",
            self.watch.seen().wrong
        );
        Ok(())
    }

    /// Ends the feed and waits for the last line; how many there were. Errors: a line is lost, repeated, changed or out of order.
    pub(crate) fn finish(&mut self, fleet: &mut Fleet) -> Result<u64> {
        let fed = self.feed.stop()?;
        fleet.within(ARRIVAL_MAX, "the last line", |_| {
            Ok(self.arrived() as u64 >= fed)
        })?;
        for name in GOOD {
            fleet.settled(name)?;
        }
        self.content(fleet)?;
        let arrived = self.arrived() as u64;
        ensure!(arrived == fed, "I2: {fed} lines fed, {arrived} arrived");
        Ok(fed)
    }
}

/// How long lines took, in order of length.
pub(crate) struct Delays(Vec<Duration>);

impl Delays {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The delay that so many percent do not exceed.
    pub(crate) fn percent(&self, percent: usize) -> Duration {
        let at = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(at).copied().unwrap_or(Duration::MAX)
    }
}

/// Lines with their number, and the microseconds at which they were written.
struct Stamped {
    file: File,
    start: Instant,
}

impl Stamped {
    fn create(path: &Path, start: Instant) -> Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file, start })
    }
}

impl Mouth for Stamped {
    fn take(&mut self, numbers: Range<u64>) -> Result<()> {
        let at = self.start.elapsed().as_micros();
        let line = |number| format!("{{\"id\":{},\"at\":{at}}}\n", number + 1);
        let lines: String = numbers.map(line).collect();
        self.file.write_all(lines.as_bytes())?;
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Seen {
    /// Of line 1, line 2, ..
    delays: Vec<Duration>,
    /// The first line that was not the former one's successor.
    wrong: Option<String>,
}

/// A thread that reads the output as it grows. Dropped, it ends.
struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(output: PathBuf, start: Instant) -> Result<Self> {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (shared, told) = (seen.clone(), stop.clone());
        let run = move || {
            let read = follow(&output, start, &shared, &told);
            if let Err(error) = read {
                lock(&shared).wrong = Some(format!("{error:#}"));
            }
        };
        let thread = std::thread::Builder::new().name("watch".into()).spawn(run);
        Ok(Self {
            seen,
            stop,
            thread: Some(thread?),
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn follow(output: &Path, start: Instant, seen: &Mutex<Seen>, stop: &AtomicBool) -> Result<()> {
    while !output.exists() {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    let mut reader = BufReader::new(File::open(output)?);
    let mut line = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if reader.read_until(b'\n', &mut line)? == 0 || line.last() != Some(&b'\n') {
            std::thread::sleep(LOOK);
            continue;
        }
        let now = start.elapsed();
        let value: Value = serde_json::from_slice(&line)?;
        let at = value["at"].as_u64().ok_or_else(|| anyhow!("no at"))?;
        let mut seen = lock(seen);
        let expected = seen.delays.len() as u64 + 1;
        ensure!(
            value["id"] == expected,
            "line {expected} of the output is {value}"
        );
        let delay = now.saturating_sub(Duration::from_micros(at));
        seen.delays.push(delay);
        line.clear();
    }
    Ok(())
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
