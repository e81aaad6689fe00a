//! What a plugin wants kept beside its records: progress of a source without one, and the states of a sink's partitions. The engine takes it
//! from here, and commits it with the offsets.

use super::Services;
use crate::{
    bindings::host::longshore::connector::{
        state::Host,
        types::{Error as GuestError, ErrorKind},
    },
    columns::json_object,
};
use longshore_sdk::{Offset, Offsets, Partition, STATE_MAX, TopicPartition, TopicStates};
use std::collections::BTreeMap;
use wasmtime::component::Component;

/// Lanes that one poll may go on in without a record, and the bytes of all that it says about them.
const LANES_MAX: usize = 1_000;
const BYTES_MAX: usize = 1 << 20;

/// The interface; its version follows.
const INTERFACE: &str = "longshore:connector/state@";

/// Whether a component can keep anything.
pub(crate) fn is_imported(component: &Component) -> bool {
    let component_type = component.component_type();
    let mut imports = component_type.imports(component.engine());
    imports.any(|(name, _)| name.starts_with(INTERFACE))
}

/// What the plugin may keep right now.
#[derive(Default)]
pub(crate) enum Kept {
    /// Nothing: it is no task, or not in a call that may.
    #[default]
    Nothing,
    /// A source is being polled.
    Progress(Progress),
    /// A sink's task.
    States(States),
}

/// Where a source goes on, as one poll says.
pub(crate) struct Progress {
    lanes: BTreeMap<String, String>,
    bytes: usize,
    /// Of one lane or position.
    limit: usize,
}

impl Progress {
    /// Of a poll that begins. `limit`: bytes of one lane or position.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            lanes: BTreeMap::new(),
            bytes: 0,
            limit,
        }
    }
    fn advance(&mut self, lane: String, position: String) -> Result<(), String> {
        for (what, text) in [("lane", &lane), ("position", &position)] {
            if text.len() > self.limit {
                let (length, limit) = (text.len(), self.limit);
                return Err(format!(
                    "the {what} has {length} bytes, {limit} are allowed"
                ));
            }
            if !json_object(text.as_bytes()) {
                return Err(format!("the {what} is no JSON object"));
            }
        }
        let known = self.lanes.get(&lane).map(String::len);
        let bytes = match known {
            Some(before) => self.bytes - before + position.len(),
            None => self.bytes + lane.len() + position.len(),
        };
        // I6
        if known.is_none() && self.lanes.len() == LANES_MAX {
            return Err(format!("one poll may go on in {LANES_MAX} lanes"));
        }
        if bytes > BYTES_MAX {
            return Err(format!(
                "one poll may say {BYTES_MAX} bytes about its lanes"
            ));
        }
        self.bytes = bytes;
        self.lanes.insert(lane, position);
        Ok(())
    }
}

impl From<Progress> for Offsets {
    fn from(progress: Progress) -> Self {
        let lanes = progress.lanes.into_iter();
        let entry = |(lane, position): (String, String)| {
            let lane = Partition::from_json(lane.into());
            (lane, Offset::from_json(position.into()))
        };
        lanes.map(entry).collect()
    }
}

/// The states of the partitions that a sink's task has.
#[derive(Default)]
pub(crate) struct States {
    /// Those that are about to come.
    restored: TopicStates,
    /// By partition that is assigned; empty = none.
    now: TopicStates,
    changed: TopicStates,
    target_keeps: bool,
}

impl States {
    /// What was committed with the offsets of partitions that come.
    pub(crate) fn restored(&mut self, states: &TopicStates) {
        self.restored.clone_from(states);
    }
    /// They come.
    pub(crate) fn assigned(&mut self, at: &[TopicPartition]) {
        for at in at {
            let state = self.restored.remove(at).unwrap_or_default();
            self.now.insert(at.clone(), state);
        }
        self.restored.clear();
    }
    /// The target keeps the offsets, and with them the states.
    pub(crate) fn target_keeps(&mut self) {
        self.target_keeps = true;
        self.now.values_mut().for_each(String::clear);
        self.changed.clear();
    }
    /// They are gone.
    pub(crate) fn revoked(&mut self, at: &[TopicPartition]) {
        for at in at {
            self.now.remove(at);
            self.changed.remove(at);
        }
    }
    /// What has changed since the last time.
    pub(crate) fn take_changed(&mut self) -> TopicStates {
        std::mem::take(&mut self.changed)
    }
    fn get(&self, at: &TopicPartition) -> Result<Option<String>, String> {
        match self.now.get(at) {
            Some(state) => Ok(Some(state.clone()).filter(|state| !state.is_empty())),
            None => Err(format!("{at} is not assigned to this task")),
        }
    }
    fn set(&mut self, at: TopicPartition, state: String) -> Result<(), String> {
        // I6: brokers refuse an offset with more, and with it the whole commit.
        if state.len() > STATE_MAX {
            let length = state.len();
            return Err(format!(
                "the state of {at} has {length} bytes, {STATE_MAX} are allowed: keep what is larger in the target"
            ));
        }
        if self.target_keeps {
            return Err("the target keeps the offsets: it keeps the state, too".to_owned());
        }
        let Some(now) = self.now.get_mut(&at) else {
            return Err(format!("{at} is not assigned to this task"));
        };
        if *now != state {
            now.clone_from(&state);
            self.changed.insert(at, state);
        }
        Ok(())
    }
}

impl Services {
    /// Begins what the plugin may keep in the calls that follow; what it could before is thrown away.
    pub(crate) fn keep(&mut self, kept: Kept) {
        self.kept = kept;
    }
    /// Where the poll that has ended goes on without records.
    pub(crate) fn take_progress(&mut self) -> Offsets {
        match std::mem::take(&mut self.kept) {
            Kept::Progress(progress) => progress.into(),
            Kept::Nothing | Kept::States(_) => Offsets::new(),
        }
    }
    /// The states of a sink's task.
    pub(crate) fn states(&mut self) -> Option<&mut States> {
        match &mut self.kept {
            Kept::States(states) => Some(states),
            Kept::Nothing | Kept::Progress(_) => None,
        }
    }
    fn states_of_sink(&mut self) -> Result<&mut States, String> {
        let problem = "only a sink's task has states, from assigned to revoked";
        self.states().ok_or_else(|| problem.to_owned())
    }
}

/// A broken promise: what the plugin called for cannot be.
fn fatal(function: &str, problem: String) -> GuestError {
    GuestError {
        kind: ErrorKind::Fatal,
        message: format!("state.{function}: {problem}"),
        retry_after_ms: None,
        context: Vec::new(),
    }
}

impl Host for Services {
    async fn advance(
        &mut self,
        lane: String,
        position: String,
    ) -> wasmtime::Result<Result<(), GuestError>> {
        let done = match &mut self.kept {
            Kept::Progress(progress) => progress.advance(lane, position),
            Kept::Nothing | Kept::States(_) => {
                Err("only a source has positions, and says so within poll".to_owned())
            }
        };
        Ok(done.map_err(|problem| fatal("advance", problem)))
    }
    async fn get(
        &mut self,
        topic: String,
        partition: i32,
    ) -> wasmtime::Result<Result<Option<String>, GuestError>> {
        let at = TopicPartition::new(topic, partition);
        let found = self.states_of_sink().and_then(|states| states.get(&at));
        Ok(found.map_err(|problem| fatal("get", problem)))
    }
    async fn set(
        &mut self,
        topic: String,
        partition: i32,
        state: String,
    ) -> wasmtime::Result<Result<(), GuestError>> {
        let at = TopicPartition::new(topic, partition);
        let done = self
            .states_of_sink()
            .and_then(|states| states.set(at, state));
        Ok(done.map_err(|problem| fatal("set", problem)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }
    fn problem<T>(result: Result<T, String>) -> String {
        result.err().expect("it must fail")
    }

    #[test]
    fn the_last_position_of_a_lane_counts_and_limits_hold() {
        let mut progress = Progress::new(100);
        let mut go =
            |lane: &str, position: &str| progress.advance(lane.to_owned(), position.to_owned());
        go("{}", "{\"n\":1}").expect("progress");
        go("{}", "{\"n\":2}").expect("progress");
        assert!(problem(go("[]", "{}")).contains("the lane is no JSON object"));
        assert!(problem(go("{}", "7")).contains("the position is no JSON object"));
        let long = format!("{{\"x\":\"{}\"}}", "y".repeat(100));
        assert!(problem(go("{}", &long)).contains("100 are allowed"));
        for lane in 1..LANES_MAX {
            go(&format!("{{\"lane\":{lane}}}"), "{}").expect("as many as allowed");
        }
        assert!(problem(go("{\"one\":\"more\"}", "{}")).contains("1000 lanes"));
        go("{}", "{\"n\":3}").expect("a lane that it knows");
        let offsets = Offsets::from(progress);
        assert_eq!(offsets.len(), LANES_MAX);
        let lane = Partition::from_json("{}".into());
        assert_eq!(offsets[&lane], Offset::from_json("{\"n\":3}".into()));
    }

    #[test]
    fn one_poll_says_so_many_bytes() {
        let mut progress = Progress::new(BYTES_MAX);
        let half = format!("{{\"x\":\"{}\"}}", "y".repeat(BYTES_MAX / 2));
        progress
            .advance("{}".to_owned(), half.clone())
            .expect("half of it");
        progress
            .advance("{}".to_owned(), half.clone())
            .expect("in place of it");
        let more = progress.advance("{\"a\":1}".to_owned(), half);
        assert!(problem(more).contains("1048576 bytes"));
    }

    #[test]
    fn a_state_belongs_to_a_partition_that_is_assigned() {
        let mut states = States::default();
        assert!(problem(states.get(&at(0))).contains("t-0 is not assigned"));
        assert!(problem(states.set(at(0), "a".to_owned())).contains("t-0 is not assigned"));
        states.restored(&[(at(0), "a".to_owned())].into());
        states.assigned(&[at(0), at(1)]);
        assert_eq!(states.get(&at(0)), Ok(Some("a".to_owned())));
        assert_eq!(states.get(&at(1)), Ok(None));
        states.set(at(0), "a".to_owned()).expect("as it was");
        states.set(at(1), "b".to_owned()).expect("assigned");
        assert!(problem(states.set(at(0), "x".repeat(STATE_MAX + 1))).contains("3072 are allowed"));
        assert_eq!(states.take_changed(), [(at(1), "b".to_owned())].into());
        assert_eq!(states.take_changed(), TopicStates::new());
        states.set(at(1), String::new()).expect("taken away");
        assert_eq!(states.get(&at(1)), Ok(None));
        states.revoked(&[at(1)]);
        assert_eq!(states.take_changed(), TopicStates::new());
        assert!(problem(states.get(&at(1))).contains("t-1 is not assigned"));
        states.target_keeps();
        assert_eq!(states.get(&at(0)), Ok(None));
        assert!(problem(states.set(at(0), "c".to_owned())).contains("the target keeps"));
    }
}
