//! Readers of everything that the tasks write, in threads of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::lanes::{Connector, Kind, share_of};
use super::series::{Series, now};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// A connector's name and the number of its task.
pub(crate) type Task = (String, u32);

/// A task was placed: when, which, and on which start of which worker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Move {
    pub(crate) at: f64,
    pub(crate) task: Task,
    /// `None`: it was taken off.
    pub(crate) to: Option<(String, String)>,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) tasks: BTreeMap<Task, Series>,
    /// What the bench feeds, by topic and partition.
    pub(crate) fed: BTreeMap<Task, Series>,
    pub(crate) moves: Vec<Move>,
}

/// The running readers.
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    readers: Vec<JoinHandle<Result<()>>>,
}

/// What a partition's records are.
#[derive(Clone, Debug)]
enum Meaning {
    Made(String),
    Copied(String),
    Fed,
    Placements,
}

impl Watch {
    /// Reads the topics and files of all connectors, and the placements in the topic `coordination`.
    pub(crate) fn start(
        bootstrap: &str,
        connectors: &[Connector],
        folder: &std::path::Path,
        coordination: &str,
    ) -> Result<Self> {
        let (mut meanings, mut files) = (BTreeMap::new(), Vec::new());
        meanings.insert(coordination.to_owned(), (Meaning::Placements, 1));
        for connector in connectors {
            let name = &connector.name;
            if let Some((topic, partitions)) = connector.fed() {
                meanings.insert(topic.to_owned(), (Meaning::Fed, partitions));
            }
            match &connector.kind {
                Kind::Made { topic } => {
                    meanings.insert(topic.clone(), (Meaning::Made(name.clone()), 1));
                }
                Kind::Copied { topic, .. } => {
                    let meaning = Meaning::Copied(name.clone());
                    meanings.insert(topic.clone(), (meaning, connector.tasks));
                }
                Kind::Kept { file, .. } => files.push((name.clone(), folder.join(file))),
            }
        }
        let (seen, stop) = (Arc::default(), Arc::default());
        let topics = {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            let consumer = reader(bootstrap, &meanings)?;
            std::thread::spawn(move || read(&consumer, &meanings, &seen, &stop))
        };
        let looks = {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            std::thread::spawn(move || look(&files, &seen, &stop))
        };
        Ok(Self {
            seen,
            stop,
            readers: vec![topics, looks],
        })
    }

    /// Looks at what was seen so far. Errors: a reader has ended.
    pub(crate) fn see<T>(&self, look: impl FnOnce(&Seen) -> T) -> Result<T> {
        if self.readers.iter().any(JoinHandle::is_finished) {
            return Err(anyhow!("a reader has ended; its error comes at the end"));
        }
        Ok(look(
            &self.seen.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// Ends the readers. Errors: one had ended before.
    pub(crate) fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for reader in self.readers {
            reader.join().map_err(|_| anyhow!("a reader panicked"))??;
        }
        Ok(())
    }
}

fn reader(bootstrap: &str, meanings: &BTreeMap<String, (Meaning, u32)>) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench-watch")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "100")
        .create()?;
    let mut list = TopicPartitionList::new();
    for (topic, (_, partitions)) in meanings {
        for partition in 0..i32::try_from(*partitions)? {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

fn read(
    consumer: &BaseConsumer,
    meanings: &BTreeMap<String, (Meaning, u32)>,
    seen: &Mutex<Seen>,
    stop: &AtomicBool,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let message = match consumer.poll(Duration::from_millis(100)) {
            None => continue,
            Some(Ok(message)) => message,
            // The client goes on by itself.
            Some(Err(error)) => {
                eprintln!("the bench's reader: {error}");
                continue;
            }
        };
        let (meaning, _) = meanings
            .get(message.topic())
            .context("a record of a topic that was not asked for")?;
        note(
            &message,
            meaning,
            &mut seen.lock().unwrap_or_else(PoisonError::into_inner),
        )?;
    }
    Ok(())
}

fn note(message: &BorrowedMessage<'_>, meaning: &Meaning, seen: &mut Seen) -> Result<()> {
    let at = message.timestamp().to_millis().context("no time")? as f64;
    let partition = u32::try_from(message.partition())?;
    match meaning {
        Meaning::Made(name) => {
            let share = message.payload().and_then(share_of).context("no share")?;
            seen.tasks.entry((name.clone(), share)).or_default().add(at);
        }
        Meaning::Copied(name) => {
            let task = (name.clone(), partition);
            seen.tasks.entry(task).or_default().add(at);
        }
        Meaning::Fed => {
            let fed = (message.topic().to_owned(), partition);
            seen.fed.entry(fed).or_default().add(at);
        }
        Meaning::Placements => {
            if let Some(task) = message.key().and_then(placed) {
                let to = message.payload().map(serde_json::from_slice::<Value>);
                let to = to.transpose()?.map(|to| {
                    let text = |key: &str| to[key].as_str().unwrap_or_default().to_owned();
                    (text("worker"), text("incarnation"))
                });
                seen.moves.push(Move { at, task, to });
            }
        }
    }
    Ok(())
}

/// The task of a key of the coordination topic.
fn placed(key: &[u8]) -> Option<Task> {
    let (name, task) = std::str::from_utf8(key)
        .ok()?
        .strip_prefix("task-")?
        .rsplit_once('-')?;
    Some((name.to_owned(), task.parse().ok()?))
}

fn look(files: &[(String, PathBuf)], seen: &Mutex<Seen>, stop: &AtomicBool) -> Result<()> {
    let mut sizes = vec![0; files.len()];
    let mut before = vec![now(); files.len()];
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK_EVERY);
        for (index, (name, path)) in files.iter().enumerate() {
            let asked = now();
            let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
            // It shrinks when a task that took over cuts off what was not flushed: no record came by that.
            if size > sizes[index] {
                let answered = now();
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let series = seen.tasks.entry((name.clone(), 0)).or_default();
                series.add_between(before[index], answered);
            }
            sizes[index] = size;
            before[index] = asked;
        }
    }
    Ok(())
}
