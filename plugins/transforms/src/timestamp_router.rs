//! TimestampRouter.

use crate::{
    date_format::DateFormat,
    settings,
    side::{Change, Each},
    tag,
};
use longshore_sdk::{
    Error, Record, Result, Topic,
    config::{Definition, Flat},
    erased::{DynTransform, TransformPlugin},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Settings of TimestampRouter.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The new topic: `${topic}` stands for the old one, `${timestamp}` for the record's timestamp.
    #[serde(rename = "topic.format", default = "topic_format")]
    topic: String,
    /// How the timestamp is printed: a pattern of Java's SimpleDateFormat, in UTC.
    #[serde(rename = "timestamp.format", default = "timestamp_format")]
    timestamp: String,
}

fn topic_format() -> String {
    "${topic}-${timestamp}".into()
}
fn timestamp_format() -> String {
    "yyyyMMdd".into()
}

pub(crate) fn plugin() -> TransformPlugin {
    TransformPlugin {
        plugin: tag(
            "TimestampRouter",
            &["org.apache.kafka.connect.transforms.TimestampRouter"],
            "Makes the topic of the topic and the record's timestamp.",
            &[],
        ),
        definition: Arc::new(Definition::of::<Config>),
        build: Arc::new(build),
    }
}

fn build(flat: &Flat) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    Ok(Box::new(Each(TimestampRouter {
        topic: config.topic,
        format: DateFormat::new("timestamp.format", &config.timestamp)?,
        printed: String::new(),
        last: None,
    })))
}

struct TimestampRouter {
    topic: String,
    format: DateFormat,
    printed: String,
    /// The last topic, the printed timestamp and what came of them: records that follow each other mostly share theirs.
    last: Option<(Topic, String, Topic)>,
}

impl Change for TimestampRouter {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let Some(timestamp) = record.timestamp else {
            let problem = "TimestampRouter needs a timestamp, but the record has none";
            return Err(Error::data("transform", problem));
        };
        self.printed.clear();
        self.format.print(timestamp, &mut self.printed);
        if let Some((topic, printed, new)) = &self.last
            && *topic == record.topic
            && *printed == self.printed
        {
            record.topic = new.clone();
            return Ok(());
        }
        let new = self.topic.replace("${topic}", &record.topic);
        let new: Topic = new.replace("${timestamp}", &self.printed).into();
        let old = std::mem::replace(&mut record.topic, new.clone());
        self.last = Some((old, self.printed.clone(), new));
        Ok(())
    }
}
