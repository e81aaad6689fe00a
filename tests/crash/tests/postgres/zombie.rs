//! A small `cargo xtask prove postgres --zombie`: a zombie writes nothing (I4), and a takeover repeats nothing.

use longshore_crash_tests::postgres::zombie::{Freeze, Plan, prove};

#[test]
fn a_thawed_worker_writes_nothing_that_another_one_wrote() {
    let plan = Plan {
        records: 8_000,
        freezes: Freeze::ALL.to_vec(),
        seed: 20_261_122,
        apache: false,
    };
    prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
}
