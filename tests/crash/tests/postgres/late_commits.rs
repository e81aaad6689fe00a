//! A small `cargo xtask prove postgres --late-commits`: a transaction that commits late is read all the same (I1).

use std::time::Duration;

use longshore_crash_tests::postgres::late_commits::{Plan, prove};

#[test]
fn what_is_committed_late_and_out_of_order_is_read_once() {
    let plan = Plan {
        writers: 6,
        lasts: Duration::from_secs(8),
        open_max: Duration::from_secs(2),
        seed: 20_261_122,
        apache: false,
    };
    let outcome = prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(outcome.committed > 50 && outcome.late > 0, "{outcome:?}");
}
