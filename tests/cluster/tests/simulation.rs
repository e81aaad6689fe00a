//! Thousands of seeds, in parts that run side by side.

use longshore_cluster_tests::{cluster, seeds, sink, source};

macro_rules! parts {
    ($($name:ident $world:ident $part:literal;)+) => {
        $(#[test]
        fn $name() {
            seeds::run(stringify!($world), $part, 4, $world::SEEDS, $world::simulate);
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
    cluster_0 cluster 0;
    cluster_1 cluster 1;
    cluster_2 cluster 2;
    cluster_3 cluster 3;
}

#[test]
fn a_seed_replays_exactly() {
    for simulate in [source::simulate, sink::simulate] {
        let (one, two) = (simulate(7), simulate(7));
        assert_eq!(format!("{one}"), format!("{two}"));
    }
}

/// Without the lots of tokio in hand a seed of whole workers repeats its faults, and not each step.
#[cfg(tokio_unstable)]
#[test]
fn a_seed_of_whole_workers_replays_exactly() {
    for seed in [7, 10, 16, 22, 23, 34] {
        assert_eq!(cluster::trace(seed), cluster::trace(seed), "seed {seed}");
        assert_ne!(
            cluster::trace(seed),
            cluster::trace(seed + 1),
            "seed {seed}"
        );
    }
}
