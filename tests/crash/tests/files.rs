//! A small `cargo xtask prove files`: the bytes of a file come out of Kafka as they went in, in bounded memory (I6).

use longshore_crash_tests::files::{Plan, prove};

#[test]
fn a_file_through_kafka_keeps_its_bytes() {
    // A debug build is larger; the long proof holds the release binary to 100 MB.
    let plan = Plan {
        bytes: 16_000_000,
        seed: 20_261_122,
        memory_kb_max: 200_000,
    };
    prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
}
