//! min.insync.replicas not met, on two brokers of an Apache Kafka (I1, I2).

use longshore_crash_tests::topic_faults::few_replicas::prove;

#[test]
fn topics_that_want_more_replicas_than_there_are_are_named_and_nothing_is_lost() {
    prove().unwrap_or_else(|error| panic!("{error:#}"));
}
