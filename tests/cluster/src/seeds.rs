//! Runs many seeds, says what they covered, and names the one that failed.

use std::{
    fmt,
    io::Write,
    ops::AddAssign,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// What a simulation covered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Runs of a world from its first to its last life.
    pub seeds: u64,
    /// Starts of the process.
    pub lives: u64,
    /// Starts of a task.
    pub opened: u64,
    /// Records that had to arrive, and were looked for.
    pub records: u64,
    /// Records that arrived more than once.
    pub duplicates: u64,
    /// Checks of an offset against what was durable at that instant.
    pub offsets: u64,
    /// Faults that struck, kills included.
    pub faults: u64,
    /// Rebalances and evictions; tasks that went to another worker.
    pub moves: u64,
    /// How often another worker led.
    pub leaders: u64,
    /// Acknowledged requests of users.
    pub writes: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.lives += other.lives;
        self.opened += other.opened;
        self.records += other.records;
        self.duplicates += other.duplicates;
        self.offsets += other.offsets;
        self.faults += other.faults;
        self.moves += other.moves;
        self.leaders += other.leaders;
        self.writes += other.writes;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seeds,
            lives,
            opened,
            records,
            duplicates,
            offsets,
            faults,
            moves,
            leaders,
            writes,
        } = self;
        write!(
            f,
            "{seeds} seeds, {lives} lives, {opened} tasks opened, {records} records checked, {duplicates} duplicates, {offsets} offsets checked, {faults} faults, {moves} moves"
        )?;
        if *writes > 0 {
            write!(
                f,
                ", {leaders} leader changes, {writes} writes acknowledged"
            )?;
        }
        Ok(())
    }
}

/// Runs this part's share of the seeds. A failure names its seed; a run without records, offsets or faults fails as well: its green would mean nothing.
/// `LONGSHORE_SEEDS` says another number of them than `seeds`, `LONGSHORE_SEED` the only one.
pub fn run(world: &str, part: u64, parts: u64, seeds: u64, simulate: fn(u64) -> Tally) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("the variable holds a number"))
    };
    let seeds: Vec<u64> = match number("LONGSHORE_SEED") {
        Some(seed) if part == 0 => vec![seed],
        Some(_) => return,
        None => (0..number("LONGSHORE_SEEDS").unwrap_or(seeds))
            .filter(|seed| seed % parts == part)
            .collect(),
    };
    let alone = seeds.len() == 1;
    let mut total = Tally::default();
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| simulate(seed))) {
            Ok(tally) => total += tally,
            Err(panic) => {
                eprintln!(
                    "{world}: seed {seed} failed; replay it with cargo xtask simulate {world} --seed {seed}"
                );
                resume_unwind(panic);
            }
        }
    }
    // Past the capture of the test harness: what was covered is to be seen where all is well, too. A closed pipe loses the line and no more.
    let _ = writeln!(
        std::io::stdout(),
        "simulation {world}, part {part}: {total}"
    );
    assert!(
        total.records > 0 && total.offsets > 0,
        "{world}: nothing was checked"
    );
    assert!(alone || total.faults > 0, "{world}: no fault struck");
    let still = total.writes > 0 && (total.moves == 0 || total.leaders == 0);
    assert!(
        alone || !still,
        "{world}: no task moved, or nobody else ever led"
    );
}
