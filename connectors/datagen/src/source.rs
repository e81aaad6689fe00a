//! The connector and its task.

use crate::{Config, generate::Writer, pace::Pace};
use bytes::Bytes;
use longshore_sdk::{
    Capabilities, Datum, Error, Guarantee, Level, Offset, Partition, Plugin, Record, Result, Share,
    Source, SourceConnector, SourceContext, SourceRecord, Topic,
};
use serde::{Deserialize, Serialize};
use std::{ops::Range, time::Duration};

/// The share's number, in the share's entries.
const SHARE: &str = "longshore.datagen.share";
/// A batch ends at whichever limit comes first (I6).
const BATCH_RECORDS_MAX: u64 = 2000;
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Shares differ in a 32-bit number; more tasks than this are of no use to anybody.
const TASKS_MAX: u32 = 10_000;

/// The `datagen` source connector.
#[derive(Debug)]
pub struct Datagen;

/// A share's lane, as it is stored.
#[derive(Serialize)]
struct Lane {
    generator: &'static str,
    share: u32,
}

/// A stored offset: the id of the newest delivered record.
#[derive(Deserialize)]
struct At {
    id: u64,
}

impl SourceConnector for Datagen {
    const PLUGIN: Plugin = Plugin {
        name: "datagen",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Makes up records: for quick starts, tests and benches.",
        unsupported: &[],
        capabilities: Capabilities {
            ends: true,
            idempotent: false,
            keeps_offsets: false,
            refuses: false,
        },
    };
    type Config = Config;
    type Task = DatagenTask;

    fn guarantee(_: &Config) -> Guarantee {
        Guarantee {
            level: Level::ExactlyOnce,
            method: "records follow from seed and id, and the stored offset is the id".into(),
        }
    }

    async fn plan(_: &Config, tasks_max: u32) -> Result<Vec<Share>> {
        let shares = (0..tasks_max.clamp(1, TASKS_MAX))
            .map(|number| Share::from([(SHARE.to_owned(), number.to_string())]));
        Ok(shares.collect())
    }

    async fn open(config: Config, share: Share, cx: SourceContext) -> Result<DatagenTask> {
        let share = match share.get(SHARE) {
            Some(text) => text.parse().map_err(|_| {
                Error::bug("open", "the share's number is not a number").with(SHARE, text)
            })?,
            None => 0,
        };
        let generator = config.generator;
        let lane = Partition::new(&Lane {
            generator: generator.name(),
            share,
        })?;
        let done = match cx.offset(&lane) {
            Some(offset) => offset.parse::<At>()?.id,
            None => 0,
        };
        Ok(DatagenTask {
            topic: config.topic.as_str().into(),
            lane,
            last: if config.count == 0 {
                u64::MAX
            } else {
                config.count
            },
            done,
            pace: Pace::new(config.rate),
            writer: Writer::new(generator, config.seed, share, config.record_bytes),
            spans: Vec::new(),
            bytes_expected: 0,
        })
    }
}

/// A task: makes up the records of one share.
#[derive(Debug)]
pub struct DatagenTask {
    topic: Topic,
    lane: Partition,
    /// The last id there is.
    last: u64,
    /// The newest id that was handed out.
    done: u64,
    pace: Pace,
    writer: Writer,
    /// Where each record of the batch stands in its buffer: (the id's digits, the end). Kept for its capacity.
    spans: Vec<(Range<usize>, usize)>,
    /// The size of the former batch: what the next buffer starts with.
    bytes_expected: usize,
}

impl Source for DatagenTask {
    async fn poll(&mut self, max_wait: Duration) -> Result<Vec<SourceRecord>> {
        if self.done >= self.last {
            return Err(Error::end("poll", "all records are made").with("count", self.last));
        }
        let mut due = self.pace.due();
        if due == 0 {
            tokio::time::sleep(self.pace.wait().min(max_wait)).await;
            due = self.pace.due();
        }
        let count = due.min(BATCH_RECORDS_MAX).min(self.last - self.done);
        Ok(self.batch(count))
    }
}

impl DatagenTask {
    /// The next records, at most `count`: one buffer that all keys and values are slices of.
    fn batch(&mut self, count: u64) -> Vec<SourceRecord> {
        if count == 0 {
            return Vec::new();
        }
        let mut text = Vec::with_capacity(self.bytes_expected);
        self.spans.clear();
        for id in self.done + 1..=self.done + count {
            let digits = self.writer.write(id, &mut text);
            self.spans.push((digits, text.len()));
            if text.len() >= BATCH_BYTES_MAX {
                break;
            }
        }
        // Room for ids that grow by a digit, and for names of other lengths.
        self.bytes_expected = text.len() + text.len() / 16;
        let text = Bytes::from(text);
        let mut records = Vec::with_capacity(self.spans.len());
        let mut start = 0;
        for (digits, end) in self.spans.drain(..) {
            self.done += 1;
            let mut record = Record::new(self.topic.clone());
            record.key = Datum::Json(text.slice(digits));
            record.value = Datum::Json(text.slice(start..end));
            start = end;
            records.push(SourceRecord {
                record,
                lane: self.lane.clone(),
                offset: Offset::counter("id", self.done),
            });
        }
        self.pace.spend(records.len() as u64);
        records
    }
}
