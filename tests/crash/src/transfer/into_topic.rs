//! Numbers into a topic: the lines of a file, by file-source, or the pages of a server, by the WASM plugin http-source.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::message::Message;
use serde_json::{Value, json};

use super::feed::{Feed, Lines};
use super::follower::Follower;
use super::web::{PAGE, Web};
use super::{Promise, Tally, Transfer};
use crate::Fleet;
use crate::postgres::rig::create_topic;
use crate::topic::each_message;

/// A backlog of a long run.
const ARRIVAL_MAX: Duration = Duration::from_secs(300);

/// The connector, what grows before it, and a reader of its topic.
pub(crate) struct IntoTopic {
    connector: String,
    bootstrap: String,
    offsets_topic: String,
    promise: Promise,
    feed: Feed,
    follower: Follower,
    /// A number that grows with what a stored offset stands for.
    place: fn(&Value) -> Option<u64>,
}

impl IntoTopic {
    /// Creates the connector on the fleet, and waits for its first records. `rate` is lines a second.
    pub(crate) fn start(
        fleet: &mut Fleet,
        bootstrap: &str,
        promise: Promise,
        rate: u64,
    ) -> Result<Self> {
        let word = match promise {
            Promise::ExactlyOnce => "once",
            Promise::AtLeastOnce => "least",
        };
        let connector = format!("lines-{word}-{}", fleet.home().group());
        let file = format!("{connector}.txt");
        let feed = Feed::start(0, rate, Lines::create(&fleet.home().path().join(&file))?)?;
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let config = json!({
            "connector.class": "file-source", "tasks.max": "1", "file": file, "topic": connector,
            "key.converter": string, "value.converter": string,
        });
        let place = |offset: &Value| offset["position"].as_u64();
        Self::connect(
            fleet,
            bootstrap,
            connector,
            (config, promise),
            (feed, place),
        )
    }

    /// The same out of a server.
    pub(crate) fn of_web(fleet: &mut Fleet, bootstrap: &str, web: &Web, rate: u64) -> Result<Self> {
        let connector = format!("pages-{}", fleet.home().group());
        let feed = Feed::start(0, rate, web.mouth())?;
        let config = json!({
            "connector.class": "http-source", "tasks.max": "1", "url": web.url(), "topic": connector,
            "page.size": PAGE.to_string(), "poll.interval.ms": "10",
        });
        let place = |offset: &Value| {
            let (page, index) = (offset["page"].as_u64()?, offset["index"].as_u64()?);
            Some(page * PAGE + index)
        };
        let config = (config, Promise::ExactlyOnce);
        Self::connect(fleet, bootstrap, connector, config, (feed, place))
    }

    fn connect(
        fleet: &mut Fleet,
        bootstrap: &str,
        connector: String,
        (mut config, promise): (Value, Promise),
        (feed, place): (Feed, fn(&Value) -> Option<u64>),
    ) -> Result<Self> {
        create_topic(bootstrap, &connector, 1)?;
        match promise {
            // It fails instead of promising less.
            Promise::ExactlyOnce => {
                config["exactly.once.support"] = "required".into();
                config["transaction.boundary"] = "interval".into();
                config["transaction.boundary.interval.ms"] = "100".into();
            }
            Promise::AtLeastOnce => config["longshore.exactly.once"] = "false".into(),
        }
        let mut transfer = Self {
            follower: Follower::new(bootstrap, &connector)?,
            offsets_topic: format!("{}-offsets", fleet.home().group()),
            bootstrap: bootstrap.to_owned(),
            connector,
            promise,
            feed,
            place,
        };
        fleet.put(&transfer.connector, &config)?;
        fleet.until("the first records", |_| Ok(transfer.marks()?[0] > 0))?;
        Ok(transfer)
    }

    /// The stored position has never gone back, in the order in which it was committed.
    fn offsets_never_back(&self) -> Result<()> {
        let (mut last, mut stored, mut back) = (0, 0_u64, 0_u64);
        each_message(&self.bootstrap, &self.offsets_topic, |message| {
            let key = message.key().unwrap_or_default();
            let key: Value = serde_json::from_slice(key).unwrap_or_default();
            if key[0] == *self.connector {
                let value: Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
                let position =
                    (self.place)(&value).with_context(|| format!("no position: {value}"))?;
                back += u64::from(position < last);
                (last, stored) = (position, stored + 1);
            }
            Ok(())
        })?;
        println!(
            "  {}: {stored} stored offsets, {back} of them back",
            self.connector
        );
        ensure!(stored > 0, "no offset of {} is stored", self.connector);
        ensure!(back == 0, "I3: the stored offset went back {back} times");
        Ok(())
    }
}

impl Transfer for IntoTopic {
    fn connector(&self) -> &str {
        &self.connector
    }

    fn tasks(&self) -> u64 {
        1
    }

    fn fed(&self) -> u64 {
        self.feed.fed()
    }

    fn marks(&mut self) -> Result<Vec<u64>> {
        Ok(vec![self.follower.look()?.max() as u64])
    }

    fn finish(&mut self, fleet: &mut Fleet) -> Result<Tally> {
        let fed = self.feed.stop()?;
        fleet.within(ARRIVAL_MAX, "every line in the topic", |_| {
            Ok(self.marks()?[0] >= fed)
        })?;
        fleet.settled(&self.connector)?;
        // Late repetitions have had their time. A fresh reader, so that nothing depends on what was read before a fault.
        let mut reader = Follower::new(&self.bootstrap, &self.connector)?;
        fleet.until("a fresh reader to see every line", |_| {
            Ok(reader.look()?.max() as u64 >= fed)
        })?;
        reader.look()?;
        let (ids, torn) = (reader.ids(), reader.out_of_order());
        println!(
            "  {}: {fed} lines fed; {} records, {} lost, {} duplicates, {torn} out of order",
            self.connector,
            ids.total(),
            ids.missing().len(),
            ids.duplicates(),
        );
        ids.without_gap("the topic")?;
        ensure!(
            ids.max() as u64 == fed,
            "I1: the topic ends with {}, the file with {fed}",
            ids.max()
        );
        if self.promise == Promise::ExactlyOnce {
            ensure!(
                ids.duplicates() == 0 && torn == 0,
                "I2: {} duplicates, {torn} records out of order",
                ids.duplicates()
            );
            self.offsets_never_back()?;
        }
        Ok(Tally {
            fed,
            duplicates: ids.duplicates(),
        })
    }
}
