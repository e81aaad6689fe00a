//! A small `cargo xtask prove hostile`: plugins that do what no plugin may harm nobody else (I1, I2, I6, I8).

use std::time::Duration;

use longshore_crash_tests::hostile::{Plan, prove};

#[test]
fn hostile_plugins_are_contained_and_named_and_their_neighbours_go_on() {
    let plan = Plan {
        rate: 200,
        calm: Duration::from_secs(4),
        attack: Duration::from_secs(4),
        call_timeout_ms: 2_000,
        // A debug build beside other tests: the long proof is strict.
        factor: 10,
        floor: Duration::from_secs(5),
        patience: Duration::from_secs(30),
    };
    prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
}
