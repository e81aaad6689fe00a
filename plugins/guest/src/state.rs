//! Of a sink: a small state for each partition, committed with the partition's offset, so that it goes where the partition goes.
//!
//! It can be missing at any time, since whoever sets the group's offsets otherwise (another tool, another runtime) leaves it out: a sink must be
//! able to do without it, at the price of some more work. Where the target keeps the offsets there is none: there it keeps the state, too.
//! Off WASM, in unit tests, every partition has one, kept for the thread.

use crate::{Error, Result, log};
use serde::{Serialize, de::DeserializeOwned};

#[cfg(target_family = "wasm")]
mod host {
    use crate::Result;
    use crate::abi::longshore::connector::state;

    pub(super) fn advance(lane: &str, position: &str) -> Result<()> {
        Ok(state::advance(lane, position)?)
    }
    pub(super) fn get(topic: &str, partition: i32) -> Result<Option<String>> {
        Ok(state::get(topic, partition)?)
    }
    pub(super) fn set(topic: &str, partition: i32, state: &str) -> Result<()> {
        Ok(state::set(topic, partition, state)?)
    }
}

#[cfg(not(target_family = "wasm"))]
mod host {
    use crate::Result;
    use std::{cell::RefCell, collections::BTreeMap};

    thread_local! {
        static STATES: RefCell<BTreeMap<(String, i32), String>> = RefCell::default();
    }

    #[allow(clippy::unnecessary_wraps)]
    pub(super) fn advance(_: &str, _: &str) -> Result<()> {
        Ok(())
    }
    #[allow(clippy::unnecessary_wraps)]
    pub(super) fn get(topic: &str, partition: i32) -> Result<Option<String>> {
        let found =
            STATES.with_borrow(|states| states.get(&(topic.to_owned(), partition)).cloned());
        Ok(found.filter(|state| !state.is_empty()))
    }
    #[allow(clippy::unnecessary_wraps)]
    pub(super) fn set(topic: &str, partition: i32, state: &str) -> Result<()> {
        let key = (topic.to_owned(), partition);
        STATES.with_borrow_mut(|states| states.insert(key, state.to_owned()));
        Ok(())
    }
}

/// The state of a partition, from `assigned` to `revoked`: what was set since, else what was committed with its offset. None = there is none, or
/// it has another shape, as one that another version wrote: that is logged. Errors of kind fatal: the partition is not this task's.
pub fn get<S: DeserializeOwned>(topic: &str, partition: i32) -> Result<Option<S>> {
    let Some(text) = host::get(topic, partition)? else {
        return Ok(None);
    };
    match serde_json::from_str(&text) {
        Ok(state) => Ok(Some(state)),
        Err(error) => {
            log::warn(
                "the state of a partition has another shape and is not used",
                &[
                    ("topic", &topic),
                    ("partition", &partition),
                    ("error", &error),
                ],
            );
            Ok(None)
        }
    }
}

/// The state of a partition from now on, from `assigned` to `revoked`. What it is when `flush` returns is committed with the offset that this
/// flush returns for the partition, and must be true there: best set it within `flush`. Stored as JSON text of 3 KiB at most, in the plain. A
/// state alone makes no commit. Errors of kind fatal: it does not serialise, is too long, or the partition is not this task's.
pub fn set<S: Serialize + ?Sized>(topic: &str, partition: i32, state: &S) -> Result<()> {
    let text = serde_json::to_string(state)
        .map_err(|error| Error::fatal(format!("a state does not serialise: {error}")))?;
    host::set(topic, partition, &text)
}

/// Takes the state of a partition away.
pub fn clear(topic: &str, partition: i32) -> Result<()> {
    host::set(topic, partition, "")
}

pub(crate) fn advance(lane: &str, position: &str) -> Result<()> {
    host::advance(lane, position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_as_it_was_set_and_not_in_another_shape() {
        assert_eq!(get::<u32>("t", 0).expect("found"), None);
        set("t", 0, &7).expect("set");
        set("t", 1, "x").expect("set");
        assert_eq!(get::<u32>("t", 0).expect("found"), Some(7));
        assert_eq!(get::<u32>("t", 1).expect("found"), None);
        clear("t", 0).expect("cleared");
        assert_eq!(get::<u32>("t", 0).expect("found"), None);
    }
}
