//! What the world of many workers knows, and what it holds them to.

mod state;
mod targets;

use super::{LANES, PACE, plan::Kind};
use longshore_kit::memory::broker::{Seen, Slot};
use longshore_sdk::{Offsets, TopicOffsets, TopicPartition};
use state::State;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// A record of a source: lane and number.
pub(super) type Number = (u64, u64);

/// A row of a target: the record's partition, its offset, and what it says.
pub(super) type Row = (TopicPartition, i64, Number);

/// What is known; it survives every worker.
pub(super) struct World {
    pub(super) start: Instant,
    state: Mutex<State>,
}

/// What a run covered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) opened: u64,
    pub(super) moves: u64,
    pub(super) leaders: u64,
    pub(super) offsets: u64,
    pub(super) duplicates: u64,
}

/// Sinks refuse these.
pub(super) fn refused(number: Number) -> bool {
    (number.0 * 5 + number.1) % 13 == 7
}

fn parse(value: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(value).ok()?;
    let (lane, number) = text.split_once(':')?;
    Some((lane.parse().ok()?, number.parse().ok()?))
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            state: Mutex::default(),
        })
    }
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn breach(&self, what: String) {
        let at = self.start.elapsed();
        self.state().breach(format!("{at:?}: {what}"));
    }
    pub(super) fn breaches(&self) -> Vec<String> {
        self.state().breaches.clone()
    }
    /// Tells the story.
    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if super::verbose() {
            eprintln!("{:?} {}", self.start.elapsed(), what());
        }
    }
    /// How many numbers of a lane exist by now.
    pub(super) fn available(&self, lane: u64, each: u64) -> u64 {
        let pace = PACE + u32::try_from(lane).unwrap_or(0) * PACE / 7;
        let by_now = self.start.elapsed().as_millis() / pace.as_millis().max(1);
        u64::try_from(by_now).unwrap_or(u64::MAX).min(each)
    }
    pub(super) fn see(&self, seen: Seen<'_>) {
        match seen {
            Seen::Entry("offsets", _, slot) => self.stored(slot),
            Seen::Durable("offsets", slot) => self.durable(slot),
            Seen::Durable(..) => {}
            Seen::Entry(topic, at, slot) => {
                let Some(number) = slot.value.as_deref().and_then(parse) else {
                    return;
                };
                if let Some(connector) = topic.strip_prefix("data-") {
                    self.delivered(connector, number, slot);
                    let mut state = self.state();
                    let topic = state.topics.entry(topic.to_owned()).or_default();
                    let partition = topic.entry(at.partition).or_default();
                    partition.push((at.offset, number));
                } else if let Some(connector) = topic.strip_prefix("dlq-") {
                    let mut state = self.state();
                    let letters = state.letters.entry(connector.to_owned()).or_default();
                    letters.insert(number);
                }
            }
            Seen::Offsets(group, offsets) => self.committed(group, offsets),
            Seen::Leader(leader) => {
                self.say(|| format!("leader {leader:?}"));
                let mut state = self.state();
                let leader = leader.map(str::to_owned);
                if leader.is_some() && state.leader.is_some() && leader != state.leader {
                    state.seen.leaders += 1;
                }
                state.leader = leader.or(state.leader.take());
            }
        }
    }
    fn delivered(&self, connector: &str, (lane, number): Number, slot: &Slot) {
        let mut state = self.state();
        let source = state.sources.entry(connector.to_owned()).or_default();
        let of = source.delivered.entry(lane).or_default();
        let (next, fresh) = (of.len() as u64, of.insert(number));
        if Kind::of(connector) == Kind::ExactlyOnce && number != next {
            let what = if number < next { "twice" } else { "too early" };
            state.breach(format!(
                "{:?}: exactly once: {connector} {lane}:{number} came {what} (next is {next}), written by line {}",
                self.start.elapsed(),
                slot.worker
            ));
        } else if !fresh {
            state.seen.duplicates += 1;
        }
    }
    fn durable(&self, slot: &Slot) {
        let Some((connector, lane, upto)) = stored_offset(slot) else {
            return;
        };
        let mut state = self.state();
        let source = state.sources.entry(connector).or_default();
        let most = source.most_stored.entry(lane).or_default();
        *most = upto.max(*most);
    }
    /// I1 at the store: everything before a stored offset is delivered, at this instant; exactly once, an offset never goes back.
    fn stored(&self, slot: &Slot) {
        let Some((connector, lane, upto)) = stored_offset(slot) else {
            return;
        };
        let mut state = self.state();
        state.seen.offsets += 1;
        let source = state.sources.entry(connector.clone()).or_default();
        let delivered = source.delivered.entry(lane).or_default();
        let there = delivered.range(..upto).count() as u64;
        let before = source.stored.insert(lane, upto).unwrap_or(0);
        let (at, line) = (self.start.elapsed(), slot.worker);
        if there < upto {
            state.breach(format!(
                "{at:?}: I1: {connector} lane {lane} is stored up to {upto}, and {there} of these are delivered; by line {line}"
            ));
        } else if Kind::of(&connector) == Kind::ExactlyOnce && upto < before {
            state.breach(format!(
                "{at:?}: exactly once: {connector} lane {lane} goes back from {before} to {upto}; by line {line}"
            ));
        }
    }
    /// I2: only durable offsets come here.
    pub(super) fn told(&self, connector: &str, offsets: &Offsets) {
        let mut state = self.state();
        for (lane, upto) in entries(offsets) {
            let source = state.sources.entry(connector.to_owned()).or_default();
            let stored = source.most_stored.get(&lane).copied().unwrap_or(0);
            if upto > stored {
                state.breach(format!(
                    "I2: {connector} may forget lane {lane} up to {upto}, and {stored} is stored"
                ));
            }
        }
    }
    /// I1 and I3 at the commit: everything before an offset is durable in the target, at this instant; it never goes back.
    fn committed(&self, group: &str, offsets: &TopicOffsets) {
        let Some(connector) = group.strip_prefix("connect-") else {
            return;
        };
        let mut state = self.state();
        let mut found = Vec::new();
        for (at, upto) in offsets {
            let known = state.group_offsets.get(group);
            let before = known.and_then(|known| known.get(at)).copied().unwrap_or(0);
            if *upto < before {
                found.push(format!("{group} {at} went back from {before} to {upto}"));
            }
            if let Some(missing) = state.missing(connector, at, before, *upto) {
                found.push(format!(
                    "I1, I3: {group} {at} is committed up to {upto}, and {missing:?} is not done"
                ));
            }
            let known = state.group_offsets.entry(group.to_owned()).or_default();
            known.insert(at.clone(), before.max(*upto));
            state.seen.offsets += 1;
        }
        let at = self.start.elapsed();
        found
            .into_iter()
            .for_each(|what| state.breach(format!("{at:?}: {what}")));
    }

    pub(super) fn opened(&self, connector: &str, task: u32, line: u64, worker: &str) {
        self.say(|| format!("open {connector}-{task} on {worker} (line {line})"));
        let mut state = self.state();
        state.seen.opened += 1;
        let of = state.tasks.entry((connector.to_owned(), task)).or_default();
        of.opens += 1;
        let twice = of.open.iter().any(|(open, _)| *open == line);
        let moved = of.home.as_deref().is_some_and(|home| home != worker);
        of.home = Some(worker.to_owned());
        of.open.push((line, worker.to_owned()));
        state.seen.moves += u64::from(moved);
        if twice {
            // I4: a task is not opened again before its former life is over.
            state.breach(format!("I4: {connector}-{task} is open twice on {worker}"));
        }
    }
    pub(super) fn closed(&self, connector: &str, task: u32, line: u64) {
        self.say(|| format!("close {connector}-{task} (line {line})"));
        let mut state = self.state();
        let of = state.tasks.entry((connector.to_owned(), task)).or_default();
        if let Some(at) = of.open.iter().position(|(open, _)| *open == line) {
            of.open.remove(at);
            of.gaps += u64::from(of.open.is_empty());
        }
    }
    /// By task: where it is open, on these lines.
    pub(super) fn open_on(&self, lines: &[u64]) -> BTreeMap<(String, u32), Vec<String>> {
        let state = self.state();
        let tasks = state.tasks.iter().map(|(id, task)| {
            let open = task.open.iter().filter(|(line, _)| lines.contains(line));
            (
                id.clone(),
                open.map(|(_, worker)| worker.clone()).collect::<Vec<_>>(),
            )
        });
        tasks.filter(|(_, open)| !open.is_empty()).collect()
    }
    /// How often the tasks of all connectors but one were opened.
    pub(super) fn opens_but(&self, connector: &str) -> BTreeMap<(String, u32), u64> {
        let state = self.state();
        let tasks = state.tasks.iter().filter(|((of, _), _)| of != connector);
        tasks.map(|(id, task)| (id.clone(), task.opens)).collect()
    }

    /// What is not there yet.
    pub(super) fn unfinished(
        &self,
        connectors: &[String],
        each: u64,
        sunk: &BTreeMap<String, String>,
    ) -> Option<String> {
        let state = self.state();
        for connector in connectors {
            match sunk.get(connector) {
                None => {
                    let source = state.sources.get(connector);
                    for lane in 0..LANES {
                        let of = source.and_then(|source| source.delivered.get(&lane));
                        let delivered = of.map_or(0, BTreeSet::len) as u64;
                        let stored = source
                            .and_then(|source| source.stored.get(&lane))
                            .copied()
                            .unwrap_or(0);
                        if delivered < each || stored < each {
                            return Some(format!(
                                "{connector} lane {lane}: {delivered} delivered, {stored} stored, of {each}"
                            ));
                        }
                    }
                }
                Some(topic) => {
                    for (partition, values) in state.topics.get(topic).into_iter().flatten() {
                        let at = TopicPartition::new(topic.as_str(), *partition);
                        let group = state.group_offsets.get(&format!("connect-{connector}"));
                        let committed =
                            group.and_then(|group| group.get(&at)).copied().unwrap_or(0);
                        if let Some((last, number)) = values.last()
                            && committed <= *last
                        {
                            return Some(format!(
                                "{connector} {at}: committed {committed}, the last record is {number:?} at {last}"
                            ));
                        }
                    }
                }
            }
        }
        None
    }
    /// Looks for every record; answers how many were looked for.
    pub(super) fn verify(
        &self,
        connectors: &[String],
        each: u64,
        sunk: &BTreeMap<String, String>,
    ) -> u64 {
        let mut checked = 0;
        let mut state = self.state();
        let mut lost = Vec::new();
        for connector in connectors {
            for number in (0..LANES).flat_map(|lane| (0..each).map(move |number| (lane, number))) {
                checked += 1;
                let there = match sunk.get(connector) {
                    None => state
                        .sources
                        .get(connector)
                        .and_then(|source| source.delivered.get(&number.0))
                        .is_some_and(|of| of.contains(&number.1)),
                    Some(_) => state.is_done(connector, number),
                };
                if !there {
                    lost.push(format!("lost: {connector} {number:?}"));
                }
            }
        }
        lost.into_iter().for_each(|what| state.breach(what));
        checked
    }
}

/// Connector, lane and number of an entry of the offset topic.
fn stored_offset(slot: &Slot) -> Option<(String, u64, u64)> {
    let (connector, lane): (String, BTreeMap<String, u64>) =
        serde_json::from_slice(slot.key.as_deref()?).ok()?;
    let value: BTreeMap<String, u64> = serde_json::from_slice(slot.value.as_deref()?).ok()?;
    Some((connector, *lane.get("lane")?, *value.get("at")?))
}

fn entries(offsets: &Offsets) -> Vec<Number> {
    let number = |(lane, offset): (&longshore_sdk::Partition, &longshore_sdk::Offset)| {
        let lane = lane.parse::<BTreeMap<String, u64>>().ok()?.remove("lane")?;
        let at = offset.parse::<BTreeMap<String, u64>>().ok()?.remove("at")?;
        Some((lane, at))
    };
    offsets.iter().filter_map(number).collect()
}
