//! Bugs planted on purpose; see the sdk's.

pub(crate) use longshore_sdk::mutant;
