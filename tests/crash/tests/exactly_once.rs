//! Small versions of `cargo xtask prove exactly-once`: kills of running tasks lose nothing, and repeat nothing where that is promised (I1, I2, I3).

use longshore_crash_tests::exactly_once::{Outcome, Pair, Plan, points, prove};

fn run(pair: Pair, kills: u32, at_points: u32) -> Outcome {
    let plan = Plan {
        pairs: vec![pair],
        workers: 3,
        kills,
        at_points,
        only: Vec::new(),
        rate: 500,
        seed: 20_261_122,
        apache: false,
    };
    let outcome = prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(outcome.kills, kills);
    let named = u32::try_from(points(pair).len()).expect("few points");
    assert!(outcome.at_points >= at_points * named, "{outcome:?}");
    outcome
}

#[test]
fn each_line_is_in_the_topic_once_and_in_order() {
    assert_eq!(run(Pair::Source, 10, 1).duplicates, 0);
}

#[test]
fn each_record_is_in_the_table_once_and_in_order() {
    assert_eq!(run(Pair::Sink, 10, 1).duplicates, 0);
}

#[test]
fn without_transactions_no_line_is_lost() {
    run(Pair::SourceAtLeastOnce, 5, 0);
}

#[test]
fn without_a_ledger_no_record_is_lost() {
    run(Pair::SinkAtLeastOnce, 5, 0);
}

#[test]
fn each_number_of_a_plugin_is_in_the_topic_once_and_in_order() {
    assert_eq!(run(Pair::PluginSource, 10, 1).duplicates, 0);
}

#[test]
fn each_record_for_a_plugin_is_at_the_server_once_and_in_order() {
    assert_eq!(run(Pair::PluginSink, 10, 1).duplicates, 0);
}
