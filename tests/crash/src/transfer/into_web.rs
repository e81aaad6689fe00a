//! A topic of numbered records, by the WASM plugin http-sink to an HTTP server.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::feed::{Feed, Records};
use super::{Tally, Transfer, Web};
use crate::Fleet;
use crate::postgres::place::PARTITIONS;
use crate::postgres::rig::create_topic;

/// A backlog of a long run.
const ARRIVAL_MAX: Duration = Duration::from_secs(300);
const TASKS: u64 = 2;

/// The connector, its growing topic, and the server.
pub(crate) struct IntoWeb<'a> {
    connector: String,
    web: &'a Web,
    feed: Feed,
}

impl<'a> IntoWeb<'a> {
    /// Creates the connector on the fleet, and waits for its first records of every partition. `rate` is records a second.
    pub(crate) fn start(
        fleet: &mut Fleet,
        bootstrap: &str,
        web: &'a Web,
        rate: u64,
    ) -> Result<Self> {
        let connector = format!("sent-{}", fleet.home().group());
        create_topic(bootstrap, &connector, PARTITIONS.try_into()?)?;
        let mouth = Records::new(bootstrap, &connector, PARTITIONS.into(), |number| {
            json!({ "id": number + 1 }).to_string()
        })?;
        let config = json!({
            "connector.class": "http-sink", "tasks.max": TASKS.to_string(), "topics": connector, "url": web.url(),
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        });
        let mut transfer = Self {
            feed: Feed::start(0, rate, mouth)?,
            connector,
            web,
        };
        fleet.put(&transfer.connector, &config)?;
        fleet.until("the first records of every partition", |_| {
            Ok(transfer.marks()?.iter().all(|mark| *mark > 0))
        })?;
        Ok(transfer)
    }
}

impl Transfer for IntoWeb<'_> {
    fn connector(&self) -> &str {
        &self.connector
    }

    fn tasks(&self) -> u64 {
        TASKS
    }

    fn fed(&self) -> u64 {
        self.feed.fed()
    }

    fn marks(&mut self) -> Result<Vec<u64>> {
        Ok(self.web.sent().counts(PARTITIONS))
    }

    fn finish(&mut self, fleet: &mut Fleet) -> Result<Tally> {
        let fed = self.feed.stop()?;
        fleet.within(ARRIVAL_MAX, "every record at the server", |_| {
            Ok(self.marks()?.iter().sum::<u64>() >= fed)
        })?;
        fleet.settled(&self.connector)?;
        let sent = self.web.sent();
        let (ids, torn) = (&sent.ids, sent.out_of_order);
        println!(
            "  {}: {fed} records fed; {} requests with new keys, {} lost, {} duplicates, {torn} out of order; {} with known keys",
            self.connector,
            ids.total(),
            ids.missing().len(),
            ids.duplicates(),
            sent.repeated,
        );
        ids.without_gap("the server")?;
        ensure!(
            ids.max() as u64 == fed,
            "I1: the server has up to {}, the topic {fed}",
            ids.max()
        );
        ensure!(
            ids.duplicates() == 0 && torn == 0,
            "I2: {} duplicates, {torn} records out of order",
            ids.duplicates()
        );
        Ok(Tally { fed, duplicates: 0 })
    }
}
