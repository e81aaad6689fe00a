//! Small versions of `cargo xtask prove cluster` and `prove rest-storm`: nothing is lost, nothing comes twice, no change is lost (I1 - I5).

use std::time::Duration;

use longshore_crash_tests::cluster::{Plan, prove, storm};

#[test]
fn a_cluster_under_faults_loses_nothing_and_writes_nothing_twice() {
    let plan = Plan {
        time: Duration::from_secs(20),
        kills: 3,
        seed: 20_261_122,
        apache: false,
        state: None,
        postgres: true,
    };
    let outcome = prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(outcome.kills >= 3, "only {} kills", outcome.kills);
    assert!(outcome.records > 1000, "only {} records", outcome.records);
}

#[test]
fn no_update_is_lost_while_the_leader_is_killed() {
    let plan = storm::Plan {
        time: Duration::from_secs(12),
        clients: 20,
        connectors: 60,
        seed: 20_261_122,
        apache: false,
    };
    let outcome = storm::prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(outcome.writes > 100, "only {} writes", outcome.writes);
}
