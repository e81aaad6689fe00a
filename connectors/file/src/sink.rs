//! The sink connector and its task.

use crate::{Format, SinkConfig, claim::Claim, client, config, render};
use longshore_sdk::{
    Capabilities, Guarantee, Level, Plugin, Refused, Result, Share, Sink, SinkConnector,
    SinkContext, SinkRecord, TopicOffsets, TopicPartition, config::Finding,
};
use std::{collections::BTreeSet, path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep};

/// A buffer that grew beyond this for one batch is given back (I6).
const BUFFER_KEPT_MAX: usize = 4 * 1024 * 1024;
/// How long a task whose partitions came waits for the one that had them, which has still to let go of the file (I6), and how often it looks. One that is
/// frozen holds the file until it is gone: whoever waits for it is opened again.
const HELD_MAX: Duration = Duration::from_secs(4);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The `file-sink` connector.
#[derive(Debug)]
pub struct FileSink;

impl SinkConnector for FileSink {
    const PLUGIN: Plugin = Plugin {
        name: "file-sink",
        aliases: &["org.apache.kafka.connect.file.FileStreamSinkConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Appends records to a file, a line each, exactly once.",
        unsupported: &[],
        capabilities: Capabilities {
            ends: false,
            idempotent: false,
            keeps_offsets: true,
            refuses: true,
        },
    };
    type Config = SinkConfig;
    type Task = FileSinkTask;

    fn guarantee(_: &SinkConfig) -> Guarantee {
        Guarantee {
            level: Level::ExactlyOnce,
            method: "the offsets are kept beside the file; what they do not cover is cut off"
                .into(),
        }
    }

    async fn check(config: &SinkConfig) -> Vec<Finding> {
        file(config).err().into_iter().collect()
    }

    async fn plan(config: &SinkConfig, _: u32) -> Result<Vec<Share>> {
        file(config).map_err(|finding| config::refused(&finding))?;
        // One file has one writer.
        Ok(vec![Share::new()])
    }

    async fn open(config: SinkConfig, _: Share, cx: SinkContext) -> Result<FileSinkTask> {
        let path = file(&config).map_err(|finding| config::refused(&finding))?;
        let mut opened = Some(Box::new(None));
        client::blocking(&mut opened, "open", move |opened| {
            *opened = Some(Claim::new(path, &cx.connector, &cx.group)?);
            Ok(())
        })
        .await?;
        Ok(FileSinkTask {
            format: config.format,
            claim: opened.and_then(|claim| *claim).map(Box::new),
            owned: BTreeSet::new(),
            buffer: Vec::new(),
            taken: TopicOffsets::new(),
        })
    }
}

fn file(config: &SinkConfig) -> Result<PathBuf, Finding> {
    config::file(config.file.as_ref(), "standard output")
}

/// A task: the only writer of its file while it owns partitions.
#[derive(Debug)]
pub struct FileSinkTask {
    format: Format,
    claim: Option<Box<Claim>>,
    owned: BTreeSet<TopicPartition>,
    /// The lines of a batch; kept for its capacity.
    buffer: Vec<u8>,
    /// The next offset of each partition whose records were written since the last flush.
    taken: TopicOffsets,
}

impl Sink for FileSinkTask {
    async fn assigned(&mut self, at: &[TopicPartition]) -> Result<Option<TopicOffsets>> {
        let until = Instant::now() + HELD_MAX;
        loop {
            let (wanted, last) = (at.to_vec(), Instant::now() >= until);
            let taken = client::blocking(&mut self.claim, "assigned", move |claim| {
                if let Some(target) = claim.take()? {
                    return Ok(Some(target.offsets(&wanted)));
                }
                if last {
                    return Err(claim.held("assigned"));
                }
                Ok(None)
            });
            if let Some(offsets) = taken.await? {
                self.owned.extend(at.iter().cloned());
                return Ok(Some(offsets));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn put(&mut self, batch: &[SinkRecord]) -> Result<Vec<Refused>> {
        let mut lines = std::mem::take(&mut self.buffer);
        lines.clear();
        let mut refused = Vec::new();
        for (index, record) in batch.iter().enumerate() {
            let start = lines.len();
            if let Err(error) = render::line(self.format, &record.record.value, &mut lines) {
                lines.truncate(start);
                refused.push(Refused { index, error });
            }
        }
        self.buffer = client::blocking(&mut self.claim, "put", move |claim| {
            claim.target("put")?.append(&lines)?;
            lines.shrink_to(BUFFER_KEPT_MAX);
            Ok(lines)
        })
        .await?;
        note(&mut self.taken, batch);
        Ok(refused)
    }

    async fn flush(&mut self, upto: &TopicOffsets) -> Result<TopicOffsets> {
        // The ledger covers all that is in the file (I3): an offset behind it would bring lines twice.
        let mut covered = upto.clone();
        for (at, offset) in &self.taken {
            let entry = covered.entry(at.clone()).or_insert(*offset);
            *entry = (*entry).max(*offset);
        }
        client::blocking(&mut self.claim, "flush", move |claim| {
            claim.target("flush")?.commit(&covered)
        })
        .await?;
        self.taken.clear();
        Ok(upto.clone())
    }

    async fn revoked(&mut self, at: &[TopicPartition]) -> Result<()> {
        self.owned.retain(|owned| !at.contains(owned));
        let (none_left, lost) = (
            self.owned.is_empty(),
            at.iter().any(|at| self.taken.contains_key(at)),
        );
        if !none_left && !lost {
            return Ok(());
        }
        // Lost without a flush: these records come again, so that their lines have to go.
        let alone = self.taken.keys().all(|taken| at.contains(taken));
        self.taken.clear();
        client::blocking(&mut self.claim, "revoked", move |claim| {
            if none_left {
                claim.let_go();
                return Ok(());
            }
            let target = claim.target("revoked")?;
            if alone {
                return target.revert();
            }
            target.give_up(
                "lines of lost and of kept partitions are mixed: the task has to be opened again",
            );
            Ok(())
        })
        .await
    }

    async fn close(&mut self) -> Result<()> {
        let mut slot = self.claim.take();
        if slot.is_none() {
            return Ok(());
        }
        client::blocking(&mut slot, "close", |claim| {
            claim.let_go();
            Ok(())
        })
        .await
    }
}

/// Notes the next offsets after a batch; partitions come in runs, so that most records cost two comparisons.
fn note(taken: &mut TopicOffsets, batch: &[SinkRecord]) {
    let mut records = batch.iter().peekable();
    while let Some(record) = records.next() {
        let runs_on = records.peek().is_some_and(|next| {
            next.at.partition == record.at.partition && next.at.topic == record.at.topic
        });
        if !runs_on {
            taken.insert(record.at.topic_partition(), record.at.offset + 1);
        }
    }
}
