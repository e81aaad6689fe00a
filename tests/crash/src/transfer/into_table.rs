//! A topic of numbered records, by postgres-sink into a table without any key.

use std::time::Duration;

use anyhow::{Context, Result};
use longshore_kit::servers::Postgres;

use super::feed::{Feed, Records};
use super::{Promise, Tally, Transfer};
use crate::Fleet;
use crate::postgres::place::{PARTITIONS, Place, Systems, value};

/// A backlog of a long run.
const ARRIVAL_MAX: Duration = Duration::from_secs(300);

/// What is asked for.
pub(crate) struct Wish {
    /// What is checked at the end.
    pub(crate) promise: Promise,
    /// Tasks; each has some of the partitions.
    pub(crate) tasks: u64,
    /// Records a second.
    pub(crate) rate: u64,
    /// The port that the sink reaches Postgres by.
    pub(crate) port: u16,
    /// `connection.statement.timeout.ms`; `None` = the connector's own.
    pub(crate) statement_ms: Option<u64>,
}

/// The connector, its growing topic, and its table.
pub(crate) struct IntoTable<'a> {
    place: Place,
    postgres: &'a Postgres,
    wish: Wish,
    feed: Feed,
}

impl<'a> IntoTable<'a> {
    /// Creates the connector on the fleet, and waits for its first rows of every partition.
    pub(crate) fn start(fleet: &mut Fleet, systems: &'a Systems, wish: Wish) -> Result<Self> {
        Self::start_at(fleet, &systems.bootstrap(), &systems.postgres, wish)
    }

    /// The same where broker and database are looked after apart.
    pub(crate) fn start_at(
        fleet: &mut Fleet,
        bootstrap: &str,
        postgres: &'a Postgres,
        wish: Wish,
    ) -> Result<Self> {
        let place = Place::at(bootstrap, postgres)?;
        let mouth = Records::new(bootstrap, place.topic(), PARTITIONS.into(), |id| {
            value(id).to_string()
        })?;
        let mut connector = place.connector(&place.url(wish.port))["config"].take();
        connector["tasks.max"] = wish.tasks.to_string().into();
        if let Some(limit) = wish.statement_ms {
            connector["connection.statement.timeout.ms"] = limit.to_string().into();
        }
        if wish.promise == Promise::AtLeastOnce {
            connector["longshore.exactly.once"] = "false".into();
        }
        let mut transfer = Self {
            feed: Feed::start(0, wish.rate, mouth)?,
            postgres,
            place,
            wish,
        };
        fleet.put(&transfer.place.connector, &connector)?;
        fleet.until("the first rows of every partition", |_| {
            Ok(transfer.marks()?.iter().all(|mark| *mark > 0))
        })?;
        if transfer.wish.promise == Promise::ExactlyOnce {
            transfer.place.watch_ledger(transfer.postgres)?;
        }
        Ok(transfer)
    }
}

impl Transfer for IntoTable<'_> {
    fn connector(&self) -> &str {
        &self.place.connector
    }

    fn tasks(&self) -> u64 {
        self.wish.tasks
    }

    fn fed(&self) -> u64 {
        self.feed.fed()
    }

    fn marks(&mut self) -> Result<Vec<u64>> {
        self.place.marks(self.postgres)
    }

    fn finish(&mut self, fleet: &mut Fleet) -> Result<Tally> {
        let fed = self.feed.stop()?;
        self.place.was_fed(fed);
        let partitions = u64::from(PARTITIONS);
        fleet.within(ARRIVAL_MAX, "every record in the table", |_| {
            let marks = self.marks()?;
            // Partition p has the numbers p, p + 4, p + 8, ..
            let ends = (0..partitions).map(|at| (fed + partitions - 1 - at) / partitions);
            Ok(marks.iter().copied().eq(ends))
        })?;
        fleet.settled(&self.place.connector)?;
        let duplicates = match self.wish.promise {
            Promise::ExactlyOnce => {
                self.place.check(self.postgres)?;
                0
            }
            Promise::AtLeastOnce => self
                .place
                .check_none_lost(self.postgres)
                .context("at least once")?,
        };
        Ok(Tally { fed, duplicates })
    }
}
