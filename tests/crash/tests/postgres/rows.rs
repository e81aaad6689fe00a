//! A small `cargo xtask prove postgres`: kills lose and repeat nothing, and the way back is equal (I1, I2, I3).

use longshore_crash_tests::postgres::rows::{Plan, prove};

#[test]
fn kills_lose_and_repeat_no_row_and_the_way_back_is_equal() {
    let plan = Plan {
        rows: 20_000,
        kills: 3,
        step: 2_000,
        seed: 20_261_122,
        apache: false,
    };
    let outcome = prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!((outcome.kills, outcome.rows), (6, 20_000));
}
