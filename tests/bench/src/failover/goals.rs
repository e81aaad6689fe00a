//! The figures, their goals, and what Kafka Connect took for the same.

use anyhow::{Result, ensure};

/// All figures so far.
#[derive(Debug, Default)]
pub(crate) struct Goals {
    figures: u32,
    missed: Vec<String>,
}

impl Goals {
    /// Prints a figure that must be at most `goal`; `None` = it was never reached. `peer` says what Kafka Connect took.
    pub(crate) fn at_most(
        &mut self,
        what: &str,
        figure: Option<f64>,
        goal: f64,
        unit: &str,
        peer: &str,
    ) {
        let met = figure.is_some_and(|figure| figure <= goal);
        let shown = figure.map_or_else(|| "never".to_owned(), |figure| format!("{figure:.2}"));
        let verdict = if met { "met" } else { "MISSED" };
        let peer = if peer.is_empty() {
            String::new()
        } else {
            format!("   (Kafka Connect: {peer})")
        };
        println!("  {what:<62} {shown:>8} {unit:<5} goal <= {goal:<5} {verdict}{peer}");
        self.figures += 1;
        if !met {
            self.missed.push(format!("{what}: {shown} {unit}"));
        }
    }

    /// Errors: a goal was missed.
    pub(crate) fn verdict(&self) -> Result<()> {
        println!(
            "{} of {} goals met",
            self.figures as usize - self.missed.len(),
            self.figures
        );
        ensure!(
            self.missed.is_empty(),
            "missed goals:\n  {}",
            self.missed.join("\n  ")
        );
        Ok(())
    }
}

/// Prints a figure without a goal.
pub(crate) fn note(what: &str, figure: &str) {
    println!("  {what:<62} {figure}");
}
