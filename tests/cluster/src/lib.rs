//! Seeded simulation: memory ports, a paused clock, and an oracle that checks the invariants I1..I5.
//!
//! Three worlds: [`source`] and [`sink`] are single task loops through several lives; [`cluster`] is whole workers of one group.
//! `cargo xtask simulate` runs them with optimisation; `LONGSHORE_SEEDS=n` runs another number of seeds of each world, and `LONGSHORE_SEED=n`
//! exactly that one. With `--features mutants` and `LONGSHORE_MUTANT=<name>` the same suite must fail, for every name in [`MUTANTS`].

pub mod cluster;
pub mod rules;
pub mod seeds;
pub mod sink;
pub mod source;

/// The bugs that can be planted in the engine (its `mutant!`), each with the world that must catch it. The engine's own tests catch
/// `init-without-check`, `ambiguous-commit-retried`, `resume-without-reread`, `store-after-loss` and `secrets-are-shown`, too or alone.
pub const MUTANTS: [(&str, &str); 19] = [
    ("source-commit-before-store", "source"),
    ("advance-overtakes", "source"),
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
    ("state-not-carried", "sink"),
    ("stale-end", "cluster"),
    ("leader-ignores-fencing", "cluster"),
    ("restart-without-lanes", "cluster"),
    ("unowned-commit", "cluster"),
    ("refused-forgotten", "cluster"),
];
