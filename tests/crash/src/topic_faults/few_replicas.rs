//! A topic that wants more replicas in sync than there are takes no records. It is told by the topic and by min.insync.replicas, nothing is lost,
//! and everything goes on by itself once there are enough (I1, I2).

use anyhow::{Context, Result, ensure};
use longshore_kit::servers::{Kafka, KafkaOptions, Signal, wait_until};
use serde_json::{Value, json};

use super::{PATIENCE, Stage, admin, configure, create};
use crate::Home;

const FEW: &str = "min.insync.replicas";
const COMPACT: (&str, &str) = ("cleanup.policy", "compact");
/// With sessions as people have them: the suites' short ones are for brokers of their own, and a loaded machine loses them.
const KEYS: [(&str, &str); 3] = [
    ("exactly.once.source.support", "enabled"),
    ("session.timeout.ms", ""),
    ("consumer.session.timeout.ms", ""),
];

/// Runs all of it on two brokers of an Apache Kafka, one of which dies: the topics have one replica of two left. (A broker counts a topic's own
/// replicas only, so one that has but one never has too few.) Errors: any breach, by its name.
pub fn prove() -> Result<()> {
    let settings = [
        ("offsets.topic.replication.factor", "2"),
        ("transaction.state.log.replication.factor", "2"),
        // The controller notices a dead broker by these.
        ("broker.session.timeout.ms", "3000"),
        ("broker.heartbeat.interval.ms", "500"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let options = |beside| KafkaOptions {
        settings: settings.to_vec(),
        heap: "256m".to_owned(),
        beside,
        ..KafkaOptions::default()
    };
    let first = Kafka::start_with(&options(None))?;
    let mut second = Kafka::start_with(&options(Some(first.controller()?)))?;
    let bootstrap = first.bootstrap();
    let least = moving(&bootstrap, 1, false)?;
    let once = moving(&bootstrap, 1, true)?;
    let group = moving(&bootstrap, 2, true)?;
    let fresh = unused(&bootstrap)?;
    second.signal(Signal::Kill)?;
    alone(&bootstrap)?;
    // Side by side: each waits for time-outs most of the time.
    std::thread::scope(|scope| {
        let proofs = [
            ("at least once", scope.spawn(|| destination(least))),
            ("exactly once", scope.spawn(|| destination(once))),
            ("internal topics", scope.spawn(|| internal(group))),
            ("at the start", scope.spawn(|| at_start(&bootstrap, fresh))),
        ];
        proofs.into_iter().try_for_each(|(name, proof)| {
            let proof = proof.join().map_err(|_| anyhow::anyhow!("it panicked"));
            proof.flatten().context(name)
        })
    })
}

/// Waits until the controller has noticed that the other broker is gone: how clients fare until then is not looked at here.
fn alone(bootstrap: &str) -> Result<()> {
    let client = admin(bootstrap)?;
    let alone = wait_until(PATIENCE, || {
        let known = client.inner().fetch_metadata(None, PATIENCE / 30);
        Ok(known.is_ok_and(|known| known.brokers().len() == 1))
    })?;
    ensure!(alone, "the dead broker is still listed");
    Ok(())
}

/// A group whose lines move, through a topic of two replicas.
fn moving(bootstrap: &str, workers: usize, exactly_once: bool) -> Result<Stage> {
    let mut stage = Stage::at(bootstrap, workers, &KEYS)?;
    create(&stage.admin, &stage.topic, (1, 2), &[])?;
    stage.connect(match exactly_once {
        true => &[("exactly.once.support", "required")],
        // Two minutes by default.
        false => &[
            ("longshore.exactly.once", "false"),
            ("producer.override.delivery.timeout.ms", "4000"),
            ("producer.override.request.timeout.ms", "2000"),
        ],
    })?;
    Ok(stage)
}

/// The topic that a source writes.
fn destination(mut stage: Stage) -> Result<()> {
    let topic = stage.topic.clone();
    let pid = stage.fleet.worker(0)?.pid();
    stage.configure(&topic, &[(FEW, "2")])?;
    stage.shows_once_fed("in", &[FEW, &topic])?;
    stage.configure(&topic, &[(FEW, "1")])?;
    stage.arrives()?;
    stage.shows("in", &["RUNNING"])?;
    ensure!(stage.fleet.worker(0)?.pid() == pid, "it was started again");
    stage.is_quiet(FEW)?;
    stage.fleet.stop()
}

/// The internal topics of running workers: changes are refused with the reason, what runs waits or goes on, and then everything is as before.
fn internal(mut stage: Stage) -> Result<()> {
    let topics = ["configs", "offsets", "status", "coordination"].map(|what| stage.internal(what));
    for topic in &topics {
        stage.configure(topic, &[COMPACT, (FEW, "2")])?;
    }
    let config = changed(&stage);
    refused(&mut stage, 1, &config)?;
    // Its offsets cannot be stored: its transactions are not committed.
    stage.shows_once_fed("in", &[FEW, &topics[1]])?;
    for topic in &topics {
        stage.configure(topic, &[COMPACT, (FEW, "1")])?;
    }
    stage.arrives()?;
    for connector in ["in", "out"] {
        stage.shows(connector, &["RUNNING"])?;
    }
    stage.fleet.put("out", &config)?;
    stage.feed(100)?;
    stage.arrives()?;
    stage.is_quiet(FEW)?;
    stage.fleet.stop()
}

fn changed(stage: &Stage) -> Value {
    let mut config = stage.sink();
    config["consumer.override.fetch.max.wait.ms"] = json!("200");
    config
}

/// A change is answered 503 with the reason, sooner or later.
fn refused(stage: &mut Stage, number: usize, config: &Value) -> Result<()> {
    let topic = format!("the topic {}-", stage.fleet.home().group());
    let mut last = String::new();
    let refused = stage
        .fleet
        .within(PATIENCE, "the refusal to say why", |fleet| {
            let answer = fleet.answer(number, "PUT", "/connectors/out/config", Some(config))?;
            last = format!("{} {}", answer.status, answer.body);
            Ok(answer.status == 503 && last.contains(FEW) && last.contains(&topic))
        });
    refused.context(last)
}

/// A group that has never been: its topics, and no worker.
fn unused(bootstrap: &str) -> Result<Home> {
    let home = Home::cluster("topics", bootstrap.to_owned(), 1, &KEYS)?;
    let admin = admin(bootstrap)?;
    for (what, partitions) in [
        ("configs", 1),
        ("offsets", 25),
        ("status", 5),
        ("coordination", 1),
        ("lines", 1),
    ] {
        let config: &[(&str, &str)] = if what == "lines" { &[] } else { &[COMPACT] };
        let topic = format!("{}-{what}", home.group());
        create(&admin, &topic, (partitions, 2), config)?;
    }
    Ok(home)
}

/// Internal topics that take nothing when the first worker starts: it lives, and says why nothing can be done.
fn at_start(bootstrap: &str, home: Home) -> Result<()> {
    let topics = ["configs", "coordination"].map(|what| format!("{}-{what}", home.group()));
    let client = admin(bootstrap)?;
    for topic in &topics {
        configure(&client, topic, &[COMPACT, (FEW, "2")])?;
    }
    let mut stage = Stage::of(bootstrap, home)?;
    let sink = stage.sink();
    refused(&mut stage, 0, &sink)?;
    for topic in &topics {
        stage.configure(topic, &[COMPACT, (FEW, "1")])?;
    }
    stage.connect(&[])?;
    stage.is_quiet(FEW)?;
    stage.fleet.stop()
}
