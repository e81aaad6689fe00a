//! How figures are printed.

use crate::cells::Cell;
use crate::meter::Used;
use crate::transfer::Rounds;

/// Prints the best round of each system and holds Longshore's against the goal.
pub(crate) fn cell(cell: &Cell, all: &[Rounds]) {
    println!(
        "{} {} ({} records a round)",
        cell.workload, cell.name, cell.records
    );
    let mut figures = Vec::new();
    for rounds in all {
        let Some(best) = best(rounds) else {
            continue;
        };
        let us = micros(best.worker, cell.records);
        figures.push(us);
        let every: Vec<String> = rounds
            .used
            .iter()
            .map(|used| format!("{:.2}", micros(used.worker, cell.records)))
            .collect();
        let database = if best.database > 0.0 {
            format!("  postgres {:>5.2} us", micros(best.database, cell.records))
        } else {
            String::new()
        };
        println!(
            "  {:<14} {us:>6.2} us/record  {:>9.0} records/CPU-s  {:>9.0} records/s  broker {:>5.2} us{database}  peak {:>7.1} MB  others {:>3.0} %  rounds {}{}",
            rounds.name,
            1e6 / us,
            rate(best, cell.records),
            micros(best.broker, cell.records),
            best.peak_mb,
            100.0 * best.others / best.wall.as_secs_f64(),
            every.join(" "),
            if rounds.void > 0 {
                "  VOID: output differs"
            } else {
                ""
            }
        );
    }
    if let Some(own) = figures
        .first()
        .filter(|_| all.iter().any(|rounds| rounds.name == "longshore"))
    {
        let verdict = if *own <= cell.goal_us {
            "met"
        } else {
            "missed"
        };
        let times = figures
            .get(1)
            .map(|peer| {
                format!(
                    "; {:.1} x the records per CPU-second of kafka connect",
                    peer / own
                )
            })
            .unwrap_or_default();
        println!("  goal <= {:.2} us: {verdict}{times}", cell.goal_us);
        let database = all
            .first()
            .and_then(best)
            .map(|best| micros(best.database, cell.records));
        if let (Some(goal), Some(used)) = (cell.goal_database_us, database) {
            let verdict = if used <= goal { "met" } else { "missed" };
            println!("  goal of postgres <= {goal:.2} us: {verdict}");
        }
    }
}

/// The round that took least of the worker.
fn best(rounds: &Rounds) -> Option<&Used> {
    rounds
        .used
        .iter()
        .min_by(|a, b| a.worker.total_cmp(&b.worker))
}

fn micros(seconds: f64, records: u64) -> f64 {
    seconds * 1e6 / records as f64
}

fn rate(used: &Used, records: u64) -> f64 {
    records as f64 / used.wall.as_secs_f64()
}
