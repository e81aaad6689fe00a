//! Bad input of every kind: one clear answer with the place, and nothing lost beside it.

mod support;

#[path = "bad_input/files.rs"]
mod files;
#[path = "bad_input/records.rs"]
mod records;
#[path = "bad_input/requests.rs"]
mod requests;
#[path = "bad_input/systems.rs"]
mod systems;
