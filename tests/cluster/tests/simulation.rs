//! Thousands of seeds, in parts that run side by side.

use longshore_cluster_tests::{seeds, sink, source};

macro_rules! parts {
    ($($name:ident $world:ident $part:literal;)+) => {
        $(#[test]
        fn $name() {
            seeds::run(stringify!($world), $part, 4, $world::simulate);
        })+
    };
}

parts! {
    source_0 source 0;
    source_1 source 1;
    source_2 source 2;
    source_3 source 3;
    sink_0 sink 0;
    sink_1 sink 1;
    sink_2 sink 2;
    sink_3 sink 3;
}

#[test]
fn a_seed_replays_exactly() {
    for simulate in [source::simulate, sink::simulate] {
        let (one, two) = (simulate(7), simulate(7));
        assert_eq!(format!("{one}"), format!("{two}"));
    }
}
