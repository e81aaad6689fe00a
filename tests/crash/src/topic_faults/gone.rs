//! An internal topic is deleted under running workers, and an empty one is created in its place. Nothing runs twice, nothing is lost, nobody ends,
//! and what is wrong is told by the topic and the key that names it (I1, I2, I4).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{PATIENCE, Stage, create};
use crate::Broker;

const COMPACT: [(&str, &str); 1] = [("cleanup.policy", "compact")];
/// With sessions as people have them: the suites' short ones are for brokers of their own, and a loaded machine loses them.
const KEYS: [(&str, &str); 3] = [
    ("exactly.once.source.support", "enabled"),
    ("session.timeout.ms", ""),
    ("consumer.session.timeout.ms", ""),
];
/// How long tasks are watched that must not move.
const STANDS: Duration = Duration::from_secs(3);
/// Of a worker that must refuse its start.
const END_MAX: Duration = Duration::from_secs(60);

fn stage() -> Result<Stage> {
    let mut stage = Stage::start(Broker::start(false)?, 2, &KEYS)?;
    stage.connect(&[])?;
    Ok(stage)
}

/// `config.storage.topic`: what runs goes on, nothing can be changed, no connector is taken to be deleted, and a worker that starts does not make
/// an empty topic.
pub fn config_topic() -> Result<()> {
    let mut stage = stage()?;
    let topic = stage.internal("configs");
    let named = format!("{topic} (config.storage.topic)");
    stage.delete(&topic)?;
    for number in 0..2 {
        stage.ails(number, &[&named, "does not exist"])?;
    }
    stage.feed(100)?;
    stage.arrives()?;
    let refused = stage
        .fleet
        .answer(1, "PUT", "/connectors/new/config", Some(&stage.sink()))?;
    ensure!(
        refused.status == 503 && refused.body.contains(&named),
        "{} {}",
        refused.status,
        refused.body
    );
    let group = stage.fleet.home().group().to_owned();
    let leader = crate::cluster::leader(&stage.fleet, &group)?;
    let other = 1 - leader;
    stage.fleet.kill(other)?;
    starts_in_vain(&mut stage, other, &[&named, "was deleted"])?;

    create(&stage.admin, &topic, (1, 1), &COMPACT)?;
    stage.ails(leader, &[&named, "deleted or cut", "restart all workers"])?;
    let names = stage.fleet.ask(leader, "GET", "/connectors", None)?;
    ensure!(names == json!(["in", "out"]), "{names}");
    stage.is_quiet(&topic)?;

    // Somebody has created the empty topic: once all workers are new, that is the truth. The offsets know where each connector was.
    stage.fleet.stop_one(leader)?;
    for number in 0..2 {
        stage.fleet.raise(number, None)?;
    }
    let healthy = |fleet: &mut crate::Fleet| Ok((0..2).all(|number| fleet.healthy(number)));
    stage
        .fleet
        .within(PATIENCE, "every worker to be healthy", healthy)?;
    let names = stage.fleet.rest("GET", "/connectors", None)?;
    ensure!(names == json!([]), "{names}");
    let (source, sink) = (stage.source(&[]), stage.sink());
    stage.fleet.put("in", &source)?;
    stage.fleet.put("out", &sink)?;
    stage.feed(100)?;
    stage.arrives()?;
    stage.fleet.stop()
}

/// `offset.storage.topic`: tasks stand still and say why; what the workers know can be asked for and put back.
pub fn offset_topic() -> Result<()> {
    let mut stage = stage()?;
    let topic = stage.internal("offsets");
    let named = format!("{topic} (offset.storage.topic)");
    // What no worker has read yet, none can miss, and what is being written would begin the new topic.
    let end = std::fs::metadata(stage.input())?.len();
    stage
        .fleet
        .within(PATIENCE, "every worker to know the offsets", |fleet| {
            let known = |number| {
                let answer = fleet.ask(number, "GET", "/connectors/in/offsets", None);
                answer.is_ok_and(|answer| answer["offsets"][0]["offset"]["position"] == end)
            };
            Ok((0..2).all(known))
        })?;
    stage.delete(&topic)?;
    for number in 0..2 {
        stage.ails(number, &[&named, "does not exist"])?;
    }
    stage.shows("in", &["FAILED", &named])?;
    create(&stage.admin, &topic, (25, 1), &COMPACT)?;
    for number in 0..2 {
        stage.ails(number, &[&named, "deleted or cut"])?;
    }
    // Not before: a poll that was under way may still bring a batch, whose offsets would stand in the new topic as they should.
    stage.feed(100)?;
    std::thread::sleep(STANDS);
    let output = stage.output();
    ensure!(
        output.lines().count() == 100,
        "I2: records moved without a place for their offsets"
    );
    stage.is_quiet(&topic)?;

    let offsets = stage
        .fleet
        .rest("GET", "/connectors/in/offsets", None)
        .context("what the workers know")?;
    stage.fleet.rest("PUT", "/connectors/in/stop", None)?;
    stage.restart()?;
    stage
        .fleet
        .rest("PATCH", "/connectors/in/offsets", Some(&offsets))
        .context("put back")?;
    stage.fleet.rest("PUT", "/connectors/in/resume", None)?;
    stage.arrives()?;
    stage.fleet.stop()
}

/// `<group.id>-coordination`: tasks stand still, since nobody knows any more who runs what; after a restart of all they go on where they were.
pub fn coordination_topic() -> Result<()> {
    let mut stage = stage()?;
    let topic = stage.internal("coordination");
    let named = format!("{topic} (group.id)");
    stage.delete(&topic)?;
    for number in 0..2 {
        stage.ails(number, &[&named, "does not exist"])?;
    }
    stage.shows("in", &["FAILED", &named])?;
    stage.feed(100)?;
    create(&stage.admin, &topic, (1, 1), &COMPACT)?;
    for number in 0..2 {
        stage.ails(number, &[&named, "deleted or cut"])?;
    }
    stage.is_quiet(&topic)?;
    stage.restart()?;
    stage.arrives()?;
    stage.fleet.stop()
}

/// `status.storage.topic`: what runs goes on, and says how it is again as soon as there is a topic.
pub fn status_topic() -> Result<()> {
    let mut stage = stage()?;
    let topic = stage.internal("status");
    stage.delete(&topic)?;
    for number in 0..2 {
        stage.ails(number, &[&topic, "status.storage.topic", "does not exist"])?;
    }
    stage.feed(100)?;
    stage.arrives()?;
    create(&stage.admin, &topic, (5, 1), &COMPACT)?;
    let healthy = |fleet: &mut crate::Fleet| Ok((0..2).all(|number| fleet.healthy(number)));
    stage
        .fleet
        .within(PATIENCE, "every worker to be healthy", healthy)?;
    for connector in ["in", "out"] {
        stage.shows(connector, &["RUNNING"])?;
    }
    stage.is_quiet(&topic)?;
    stage.feed(100)?;
    stage.arrives()?;
    stage.fleet.stop()
}

/// A worker ends by itself, and says why.
fn starts_in_vain(stage: &mut Stage, number: usize, parts: &[&str]) -> Result<()> {
    let mut worker = stage.fleet.home().start_worker(number, None)?;
    let status = worker.ended(END_MAX)?.context("it does not end")?;
    let tail = worker.log_tail();
    ensure!(
        !status.success() && parts.iter().all(|part| tail.contains(part)),
        "{status}, without {parts:?}:\n{tail}"
    );
    Ok(())
}
