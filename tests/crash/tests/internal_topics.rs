//! Internal topics that are deleted, and made anew, under running workers (I1, I2, I4).

use longshore_crash_tests::topic_faults::gone;

fn run(proof: fn() -> anyhow::Result<()>) {
    proof().unwrap_or_else(|error| panic!("{error:#}"));
}

#[test]
fn without_the_config_topic_everything_goes_on_and_no_connector_is_forgotten() {
    run(gone::config_topic);
}

#[test]
fn without_the_offset_topic_tasks_stand_still_and_their_places_can_be_put_back() {
    run(gone::offset_topic);
}

#[test]
fn without_the_coordination_topic_tasks_stand_still_until_all_workers_are_new() {
    run(gone::coordination_topic);
}

#[test]
fn without_the_status_topic_everything_goes_on_and_says_so_again() {
    run(gone::status_topic);
}
