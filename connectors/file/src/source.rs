//! The source connector and its task.

use crate::{
    SourceConfig, client, config,
    tail::{Found, Tail},
};
use longshore_sdk::{
    Capabilities, Datum, Guarantee, Level, Offset, Partition, Plugin, Record, Result, Share,
    Source, SourceConnector, SourceContext, SourceRecord, Topic, config::Finding,
};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};
use tokio::time::Instant;

/// No batch is larger, whatever `batch.size` says (I6).
const BATCH_RECORDS_MAX: usize = 5000;
/// How long a quiet file is left alone: doubled from the first to the second while nothing comes.
const QUIET_FIRST: Duration = Duration::from_millis(10);
const QUIET_MAX: Duration = Duration::from_millis(500);

/// The `file-source` connector.
#[derive(Debug)]
pub struct FileSource;

/// A lane, as Kafka's file source stores it.
#[derive(Serialize)]
struct Lane<'a> {
    filename: &'a str,
}

/// A stored offset, as Kafka's file source has it: bytes of whole lines, their ends included.
#[derive(Deserialize)]
struct At {
    position: u64,
}

impl SourceConnector for FileSource {
    const PLUGIN: Plugin = Plugin {
        name: "file-source",
        aliases: &["org.apache.kafka.connect.file.FileStreamSourceConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Reads a file line by line and follows it while it grows.",
        unsupported: &[],
        capabilities: Capabilities {
            ends: false,
            idempotent: false,
            keeps_offsets: false,
            refuses: false,
        },
    };
    type Config = SourceConfig;
    type Task = FileSourceTask;

    fn guarantee(_: &SourceConfig) -> Guarantee {
        Guarantee {
            level: Level::ExactlyOnce,
            method: "the stored offset is the byte position after the line".into(),
        }
    }

    async fn check(config: &SourceConfig) -> Vec<Finding> {
        let path = match file(config) {
            Ok(path) => path,
            Err(finding) => return vec![finding],
        };
        // One look answers what can be known now; a file that is not there yet is no finding.
        let mut tail = Some(Box::new(Tail::new(path, 0, config.line_bytes_max as usize)));
        match client::blocking(&mut tail, "check", |tail| tail.probe()).await {
            Ok(()) => Vec::new(),
            Err(error) => vec![Finding::new("file", error.to_string())],
        }
    }

    async fn plan(config: &SourceConfig, _: u32) -> Result<Vec<Share>> {
        file(config).map_err(|finding| config::refused(&finding))?;
        // One file, one order: one task.
        Ok(vec![Share::new()])
    }

    async fn open(config: SourceConfig, _: Share, cx: SourceContext) -> Result<FileSourceTask> {
        let path = file(&config).map_err(|finding| config::refused(&finding))?;
        let lane = Partition::new(&Lane {
            filename: config.file.as_deref().unwrap_or_default(),
        })?;
        let start = match cx.offset(&lane) {
            Some(offset) => offset.parse::<At>()?.position,
            None => 0,
        };
        let tail = Tail::new(path, start, config.line_bytes_max as usize);
        Ok(FileSourceTask {
            topic: config.topic.as_str().into(),
            lane,
            batch_max: (config.batch_size as usize).min(BATCH_RECORDS_MAX),
            tail: Some(Box::new(tail)),
            quiet: QUIET_FIRST,
            busy: false,
        })
    }
}

fn file(config: &SourceConfig) -> Result<PathBuf, Finding> {
    config::file(config.file.as_ref(), "standard input")
}

/// A task: follows one file.
#[derive(Debug)]
pub struct FileSourceTask {
    topic: Topic,
    lane: Partition,
    batch_max: usize,
    tail: Option<Box<Tail>>,
    quiet: Duration,
    /// The last look brought lines.
    busy: bool,
}

impl Source for FileSourceTask {
    async fn poll(&mut self, max_wait: Duration) -> Result<Vec<SourceRecord>> {
        let until = Instant::now() + max_wait;
        loop {
            let records = self.taken()?;
            if !records.is_empty() {
                self.quiet = QUIET_FIRST;
                return Ok(records);
            }
            if self.look().await? == Found::Lines {
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            tokio::time::sleep(self.quiet.min(left)).await;
            self.quiet = (self.quiet * 2).min(QUIET_MAX);
        }
    }

    async fn close(&mut self) -> Result<()> {
        self.tail = None;
        Ok(())
    }
}

impl FileSourceTask {
    async fn look(&mut self) -> Result<Found> {
        let now = Instant::now();
        let look = move |tail: &mut Tail| tail.look(now);
        let found = match self.busy {
            true => client::blocking(&mut self.tail, "poll", look).await?,
            // Hundreds of quiet files are looked at twice a second each.
            false => client::in_turn(&mut self.tail, "poll", look).await?,
        };
        self.busy = found == Found::Lines;
        Ok(found)
    }
    /// Lines that were read before: slices of the block that they were read in.
    fn taken(&mut self) -> Result<Vec<SourceRecord>> {
        let mut records = Vec::new();
        let Some(tail) = &mut self.tail else {
            return Ok(records);
        };
        if !tail.has_lines() {
            return Ok(records);
        }
        records.reserve(self.batch_max);
        tail.take(self.batch_max, |line, position| {
            let mut record = Record::new(self.topic.clone());
            record.value = Datum::Text(line);
            records.push(SourceRecord {
                record,
                lane: self.lane.clone(),
                offset: Offset::counter("position", position),
            });
        })?;
        Ok(records)
    }
}
