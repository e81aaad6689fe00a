//! What came out of a run.

use crate::{allow::Allowed, corpus::Case};
use anyhow::Result;
use std::{collections::BTreeMap, fmt};

/// Differences that a report shows in full.
const SHOWN: usize = 20;

/// Counts of cases that were equal and that differed, and what is wrong with them.
#[derive(Debug)]
pub struct Report<'a> {
    allowed: &'a [Allowed],
    /// How many cases each entry of the list covered.
    covered: Vec<usize>,
    /// By group and class.
    counts: BTreeMap<(&'static str, String), Count>,
    /// Differences that are not listed.
    pub unlisted: Vec<String>,
    /// Cases that are listed and do not differ.
    pub stale: Vec<String>,
}

#[derive(Debug, Default)]
struct Count {
    cases: usize,
    allowed: usize,
    void: usize,
    unlisted: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(allowed: &'a [Allowed]) -> Self {
        Self {
            allowed,
            covered: vec![0; allowed.len()],
            counts: BTreeMap::new(),
            unlisted: Vec::new(),
            stale: Vec::new(),
        }
    }
    pub(crate) fn add(&mut self, group: &'static str, case: &Case, result: Result<()>) {
        let class = case
            .class
            .trim_end_matches("$Key")
            .trim_end_matches("$Value");
        let count = self.counts.entry((group, class.to_owned())).or_default();
        count.cases += 1;
        let place = format!(
            "{group} {} {} {}",
            case.place, case.class, case.line["config"]
        );
        let listed = self.allowed.iter().position(|allowed| allowed.covers(case));
        match (listed, result) {
            (None, Ok(())) => {}
            (None, Err(difference)) => {
                count.unlisted += 1;
                self.unlisted.push(format!("{place}: {difference:#}"));
            }
            (Some(at), Err(_)) => {
                self.covered[at] += 1;
                if self.allowed[at].void {
                    count.void += 1;
                } else {
                    count.allowed += 1;
                }
            }
            (Some(at), Ok(())) => {
                let reason = &self.allowed[at].reason;
                self.stale
                    .push(format!("{place}: is listed ({reason}), but equal"));
            }
        }
    }
    /// Cases of the recordings, those whose records were replayed again as JSON text aside.
    pub fn cases(&self) -> usize {
        self.own().map(|count| count.cases).sum()
    }
    /// How many of them differ and are listed, those aside that cannot be put here at all.
    pub fn allowed(&self) -> usize {
        self.own().map(|count| count.allowed).sum()
    }
    /// How many of them are listed as cases that cannot be put here.
    pub fn void(&self) -> usize {
        self.own().map(|count| count.void).sum()
    }
    fn own(&self) -> impl Iterator<Item = &Count> {
        let counts = self.counts.iter();
        counts
            .filter(|((group, _), _)| !group.contains(','))
            .map(|(_, count)| count)
    }
    /// Entries of the list that no case was covered by.
    pub fn idle(&self) -> Vec<&str> {
        let entries = self.allowed.iter().zip(&self.covered);
        let idle = entries.filter(|(_, covered)| **covered == 0);
        idle.map(|(allowed, _)| allowed.reason.as_str()).collect()
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<44} {:>6} {:>6} {:>8} {:>5}",
            "", "cases", "equal", "allowed", "void"
        )?;
        for ((group, class), count) in &self.counts {
            let Count {
                cases,
                allowed,
                void,
                unlisted,
            } = count;
            let equal = cases - allowed - void - unlisted;
            let name = format!("{group}: {class}");
            writeln!(f, "{name:<44} {cases:>6} {equal:>6} {allowed:>8} {void:>5}")?;
        }
        let void = self.void();
        writeln!(
            f,
            "{} cases, {} differences allowed, {void} void",
            self.cases(),
            self.allowed()
        )?;
        for (allowed, covered) in self.allowed.iter().zip(&self.covered) {
            let what = if allowed.void { "void" } else { "allowed" };
            writeln!(
                f,
                "  {covered:>4} {what}: {} ({})",
                allowed.reason, allowed.class
            )?;
        }
        for (what, list) in [
            ("differ", &self.unlisted),
            ("are listed, but equal", &self.stale),
        ] {
            if !list.is_empty() {
                writeln!(f, "{} {what}:", list.len())?;
            }
            for line in list.iter().take(SHOWN) {
                writeln!(f, "  {}", line.chars().take(1500).collect::<String>())?;
            }
        }
        Ok(())
    }
}
