//! A small `cargo xtask prove outage`: broker or database away, and several workers heal alone (I1, I2, I3).

use std::time::Duration;

use longshore_crash_tests::outages::{Fault, Plan, prove};

#[test]
fn workers_heal_alone_when_broker_or_database_come_back() {
    let plan = Plan {
        faults: Fault::ALL.to_vec(),
        lasts: Duration::from_secs(5),
        rate: 200,
        statement_ms: Some(2_000),
        stall_ms: Some(2_000),
        apache: false,
    };
    prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
}
