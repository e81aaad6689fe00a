//! A small `cargo xtask prove postgres --outage`: a database that went away costs time and no row (I1, I3).

use std::time::Duration;

use longshore_crash_tests::postgres::outage::{Fault, Plan, prove};

#[test]
fn a_database_that_goes_away_and_comes_back_costs_no_row() {
    let plan = Plan {
        records: 4_000,
        faults: Fault::ALL.to_vec(),
        lasts: Duration::from_secs(2),
        statement_ms: Some(2_000),
        apache: false,
    };
    prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
}
