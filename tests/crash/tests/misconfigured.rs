//! Clusters that are set up wrongly: what is wrong is named with the setting that mends it, and nothing is lost or repeated.

use std::time::Duration;

use longshore_broker::{Broker, Config, Limits};
use longshore_crash_tests::{Home, topic_faults::astray};
use longshore_kit::servers::http;
use serde_json::json;

const WHY: &str = "know no transactions";
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker of this process, on threads of its own.
fn broker(limits: Limits) -> (tokio::runtime::Runtime, Broker) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config {
        limits,
        ..Config::default()
    };
    let broker = runtime.block_on(Broker::start(config)).expect("a broker");
    (runtime, broker)
}

fn log_of(home: &Home, number: usize) -> String {
    std::fs::read_to_string(home.log(number)).expect("the log")
}

#[test]
fn brokers_without_transactions_are_named_at_the_start() {
    let limits = Limits {
        transactional_ids: 0,
        ..Limits::default()
    };
    let (_runtime, broker) = broker(limits);
    let bootstrap = broker.address().to_string();
    let home = Home::with("plain", Some(bootstrap), &[]).expect("a home");
    let mut worker = home.start_worker(0, None).expect("starts");
    worker.ready().expect("REST answers");
    let (mut health, mut refusal) = (String::new(), String::new());
    let named = worker.within(PATIENCE, "its health and its answers to say why", || {
        let answer = http(home.port(0), "GET", "/health", None)?;
        health = format!("{} {}", answer.status, answer.body);
        let config = json!({ "connector.class": "datagen", "topic": "t", "generator": "users" });
        let path = "/connectors/numbers/config";
        let answer = http(home.port(0), "PUT", path, Some(&config))?;
        refusal = format!("{} {}", answer.status, answer.body);
        let told = |text: &str| text.contains(WHY);
        Ok(health.starts_with("500")
            && told(&health)
            && refusal.starts_with("503")
            && told(&refusal))
    });
    let log = log_of(&home, 0);
    assert!(named.is_ok(), "{named:?}: {health}, {refusal}\n{log}");
    let lines = log.lines().filter(|line| line.contains(WHY)).count();
    assert!((1..100).contains(&lines), "I6: {lines} lines about it");
    worker.stop().expect("an end in order");
}

#[test]
fn an_advertised_address_that_nobody_reaches_is_named_and_stops_no_task() {
    let (_runtime, broker) = broker(Limits::default());
    astray::prove(&broker.address().to_string()).unwrap_or_else(|error| panic!("{error:#}"));
}
