//! What a seed draws before it begins.

use longshore_kit::memory::broker::Line;
use longshore_sdk::config::Flat;
use rand::{Rng, rngs::StdRng};
use std::{collections::BTreeMap, time::Duration};

/// What a connector promises; its name says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A source, exactly once.
    ExactlyOnce,
    /// A source, at least once.
    AtLeastOnce,
    /// A sink whose target keeps the offsets.
    Ledger,
    /// A sink whose target does not.
    Plain,
}

impl Kind {
    pub(super) fn of(connector: &str) -> Self {
        match &connector[..1] {
            "e" => Self::ExactlyOnce,
            "a" => Self::AtLeastOnce,
            "l" => Self::Ledger,
            _ => Self::Plain,
        }
    }
    pub(super) fn is_source(self) -> bool {
        matches!(self, Self::ExactlyOnce | Self::AtLeastOnce)
    }
}

/// What goes wrong, as often as it is named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Kill,
    KillLeader,
    Leave,
    Freeze,
    FreezeLeader,
    Cut,
    CutLeader,
    Shake,
}

pub(super) struct Plan {
    pub(super) workers: usize,
    pub(super) connectors: Vec<String>,
    /// By sink: the topic that it reads.
    pub(super) sunk: BTreeMap<String, String>,
    /// How many numbers each lane has.
    pub(super) each: u64,
    pub(super) faults: Vec<Fault>,
    /// The mean time between two of them.
    pub(super) every: Duration,
    pub(super) line: Line,
    pub(super) chaos: Duration,
    pub(super) commit_interval: Duration,
    pub(super) grace: Duration,
    pub(super) rebalance_delay: Duration,
}

impl Plan {
    pub(super) fn draw(rng: &mut StdRng) -> Self {
        let mut connectors = vec!["e0".to_owned()];
        let mut sunk = BTreeMap::new();
        if rng.random_bool(0.5) {
            connectors.push(if rng.random_bool(0.5) { "e1" } else { "a1" }.to_owned());
        }
        for (sink, odds) in [("l0", 0.6), ("p0", 0.4)] {
            if rng.random_bool(odds) {
                let from = &connectors[rng.random_range(0..connectors.len())];
                if Kind::of(from).is_source() {
                    sunk.insert(sink.to_owned(), format!("data-{from}"));
                    connectors.push(sink.to_owned());
                }
            }
        }
        let all = [
            Fault::Kill,
            Fault::KillLeader,
            Fault::Leave,
            Fault::Freeze,
            Fault::FreezeLeader,
            Fault::Cut,
            Fault::CutLeader,
            Fault::Shake,
        ];
        let faults = all.into_iter().filter(|_| rng.random_bool(0.45)).collect();
        let mut rate = |odds: f64, most: u32| {
            if rng.random_bool(odds) {
                rng.random_range(1..=most)
            } else {
                0
            }
        };
        let line = Line {
            refuse: rate(0.4, 25),
            deny: rate(0.3, 10),
            lose: rate(0.4, 10),
            slow: rate(0.4, 30),
        };
        Self {
            workers: rng.random_range(1..=5),
            connectors,
            sunk,
            each: rng.random_range(10..25),
            faults,
            every: Duration::from_millis(rng.random_range(700..4_000)),
            line,
            chaos: Duration::from_millis(rng.random_range(6_000..16_000)),
            commit_interval: Duration::from_millis(rng.random_range(100..1_500)),
            grace: Duration::from_millis(rng.random_range(500..2_500)),
            rebalance_delay: Duration::from_millis(rng.random_range(200..4_000)),
        }
    }
    /// A connector's config; `version` tells one write from another.
    pub(super) fn config(&self, name: &str, version: u64, tasks_max: u32) -> Flat {
        let class = match Kind::of(name) {
            Kind::ExactlyOnce => "once-source",
            Kind::AtLeastOnce => "least-source",
            Kind::Ledger => "ledger-sink",
            Kind::Plain => "plain-sink",
        };
        let mut config = Flat::from([
            ("name".to_owned(), name.to_owned()),
            ("connector.class".to_owned(), class.to_owned()),
            ("tasks.max".to_owned(), tasks_max.to_string()),
            ("version".to_owned(), version.to_string()),
        ]);
        match self.sunk.get(name) {
            None => {
                config.insert("topic".to_owned(), format!("data-{name}"));
                config.insert("each".to_owned(), self.each.to_string());
            }
            Some(topic) => {
                config.insert("topics".to_owned(), topic.clone());
                config.insert("errors.tolerance".to_owned(), "all".to_owned());
                config.insert(
                    "errors.deadletterqueue.topic.name".to_owned(),
                    format!("dlq-{name}"),
                );
            }
        }
        config
    }
}
