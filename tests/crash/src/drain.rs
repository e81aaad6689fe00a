//! The end of every proof: the source stops, the sink catches up, and topic and file are compared.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use longshore_kit::servers::wait_until;

use crate::ids::Ids;
use crate::topic::ids_of_topic;
use crate::{Home, Worker};

/// What topic and file hold once everything has arrived.
pub(crate) struct Drained {
    pub(crate) topic: Ids,
    pub(crate) file: Ids,
}

/// Stops every source, and waits until the file holds as many records as the topic.
pub(crate) fn drain(
    home: &Home,
    worker: &mut Worker,
    topic: &str,
    output: &Path,
) -> Result<Drained> {
    worker.ready()?;
    for source in worker.connectors("source")? {
        worker.rest("PUT", &format!("/connectors/{source}/stop"), None)?;
        let status = format!("/connectors/{source}/status");
        let stopped = wait_until(Duration::from_secs(30), || {
            let status = worker.rest("GET", &status, None)?;
            Ok(status["connector"]["state"] == "STOPPED"
                && status["tasks"].as_array().is_some_and(Vec::is_empty))
        })?;
        ensure!(stopped, "{source} does not stop");
    }
    let topic = ids_of_topic(&home.bootstrap(), topic)?;
    worker.until("the file to hold every record of the topic", || {
        Ok(Ids::of_file(output, true)?.total() >= topic.total())
    })?;
    Ok(Drained {
        file: Ids::of_file(output, true)?,
        topic,
    })
}

impl Drained {
    /// Prints the counts; fails when a record is lost, or when one above `settled`, which no kill can have touched, is there twice.
    pub(crate) fn check(&self, settled: usize) -> Result<()> {
        for (place, ids) in [("topic", &self.topic), ("file", &self.file)] {
            println!(
                "  {place:<5}: ids 1..{}, {} records, {} lost, {} duplicates",
                ids.max(),
                ids.total(),
                ids.missing().len(),
                ids.duplicates()
            );
        }
        self.topic.without_gap("the topic")?;
        self.file.without_gap("the file")?;
        ensure!(
            self.file.max() == self.topic.max(),
            "the topic ends with id {}, the file with {}",
            self.topic.max(),
            self.file.max()
        );
        let late = self.file.duplicates_above(settled);
        ensure!(
            late == 0,
            "{late} duplicates above id {settled}, long after the last kill"
        );
        Ok(())
    }
}
