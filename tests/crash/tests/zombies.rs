//! A small `cargo xtask prove zombies`: one that was frozen writes nothing twice and sets nothing back (I2, I3, I4).

use std::time::Duration;

use longshore_crash_tests::zombies::{Freeze, Plan, prove};

#[test]
fn a_thawed_worker_of_a_group_finds_its_tasks_elsewhere_and_lets_them_be() {
    let at_points = [
        Freeze::SourceAt("after-init"),
        Freeze::SourceAt("before-txn-commit"),
        Freeze::SinkAt("before-flush"),
    ];
    let plan = Plan {
        freezes: [&Freeze::ALL[..], &at_points].concat(),
        // Six sessions.
        lasts: Duration::from_secs(3),
        rate: 200,
        seed: 20_261_122,
        apache: false,
    };
    prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
}
