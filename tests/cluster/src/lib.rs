//! Seeded simulation of the task loops: memory ports, a paused clock, several lives per seed, and an oracle that checks the invariants I1..I5.
//!
//! `cargo test -p longshore-cluster-tests` runs [`seeds::SEEDS`] seeds of each world; `LONGSHORE_SEEDS=n` runs another number of them, and
//! `LONGSHORE_SEED=n` exactly that one. With `--features mutants` and `LONGSHORE_MUTANT=<name>` the same command must fail, for every
//! name in [`MUTANTS`].

pub mod rules;
pub mod seeds;
pub mod sink;
pub mod source;

/// The bugs that can be planted (the engine's `mutant!`), each with the test that must catch it.
pub const MUTANTS: [(&str, &str); 12] = [
    ("source-commit-before-store", "source"),
    ("receipt-dropped", "source"),
    ("ledger-out-of-order", "source"),
    ("commit-before-flush", "sink"),
    ("wrong-refused-index", "sink"),
    ("taken-ignored", "sink"),
    ("flush-before-dead-letter", "sink"),
    ("dead-letter-failure-ignored", "sink"),
    ("drop-on-retry", "sink"),
    ("flush-error-ignored", "sink"),
    ("lost-kept", "sink"),
    ("offset-off-by-one", "sink"),
];
