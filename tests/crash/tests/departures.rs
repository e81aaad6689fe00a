//! Workers that are stopped in order hand their tasks over: each line of a file arrives once in another (I1, I4).

use longshore_crash_tests::departures::{Plan, prove};

#[test]
fn no_line_is_lost_or_there_twice_while_workers_are_stopped_in_order() {
    let plan = Plan {
        stops: 4,
        apache: false,
    };
    let outcome = prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(outcome.lines > 100, "only {} lines", outcome.lines);
}
