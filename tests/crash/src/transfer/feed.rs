//! Numbers that keep coming, at a steady pace, until they are told to stop.

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Between two portions.
const PACE: Duration = Duration::from_millis(10);
/// Longer than any outage of a proof.
const PATIENCE: Duration = Duration::from_secs(180);

/// Whoever takes the numbers.
pub(super) trait Mouth: Send + 'static {
    /// Takes these. They may be on their way still when it returns.
    fn take(&mut self, numbers: Range<u64>) -> Result<()>;

    /// Returns when all of them have arrived.
    fn close(&mut self) -> Result<()>;
}

/// A thread that feeds 0, 1, 2, .. Dropped, it ends.
pub(super) struct Feed {
    stop: Arc<AtomicBool>,
    fed: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Feed {
    /// Starts with the number `first`; about `rate` numbers a second.
    pub(super) fn start(first: u64, rate: u64, mut mouth: impl Mouth) -> Result<Self> {
        let (stop, fed) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(first)),
        );
        let (told, count) = (stop.clone(), fed.clone());
        let run = move || {
            let start = Instant::now();
            let mut next = first;
            while !told.load(Ordering::Relaxed) {
                std::thread::sleep(PACE);
                let due = first + (start.elapsed().as_secs_f64() * rate as f64) as u64;
                if due > next {
                    mouth.take(next..due)?;
                    next = due;
                    count.store(next, Ordering::Relaxed);
                }
            }
            mouth.close()
        };
        let thread = std::thread::Builder::new().name("feed".into()).spawn(run)?;
        Ok(Self {
            stop,
            fed,
            thread: Some(thread),
        })
    }

    /// How many numbers were fed: all below this.
    pub(super) fn fed(&self) -> u64 {
        self.fed.load(Ordering::Relaxed)
    }

    /// Ends it; how many numbers were fed. Errors: it had failed.
    pub(super) fn stop(&mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .map_err(|_| anyhow!("the feed panicked"))?
                .context("the feed")?;
        }
        Ok(self.fed())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // Whoever wanted to know its end has called stop.
        drop(self.stop());
    }
}

/// A file that grows: one line of JSON for each number, with an `id` from 1 on.
pub(super) struct Lines {
    file: std::fs::File,
}

impl Lines {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file })
    }
}

impl Mouth for Lines {
    fn take(&mut self, numbers: Range<u64>) -> Result<()> {
        let lines: String = numbers
            .map(|number| format!("{{\"id\":{}}}\n", number + 1))
            .collect();
        self.file.write_all(lines.as_bytes())?;
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A topic that grows: number n is offset n / partitions of partition n % partitions, if the topic has had those before it.
pub(super) struct Records {
    producer: BaseProducer,
    topic: String,
    partitions: u64,
    value: fn(u64) -> String,
}

impl Records {
    pub(super) fn new(
        bootstrap: &str,
        topic: &str,
        partitions: u64,
        value: fn(u64) -> String,
    ) -> Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("linger.ms", "5")
            // Order and number survive a broker's absence.
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.messages", "500000")
            .create()?;
        Ok(Self {
            producer,
            topic: topic.to_owned(),
            partitions,
            value,
        })
    }
}

impl Mouth for Records {
    fn take(&mut self, numbers: Range<u64>) -> Result<()> {
        for number in numbers {
            let value = (self.value)(number);
            let mut record = BaseRecord::<(), str>::to(&self.topic)
                .partition(i32::try_from(number % self.partitions)?)
                .payload(&value);
            while let Err((error, again)) = self.producer.send(record) {
                match error {
                    KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => {
                        self.producer.poll(Duration::from_millis(50))
                    }
                    error => return Err(error.into()),
                };
                record = again;
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.producer.flush(PATIENCE)?;
        let left = self.producer.in_flight_count();
        ensure!(left == 0, "{left} records were never acknowledged");
        Ok(())
    }
}
