//! The host, with guests that behave and guests that do not. `cargo xtask guests` builds them and names their folder; it stands in
//! LONGSHORE_GUESTS.

mod bad_files;
mod cache;
mod grants;
mod hostile;
mod kept;
mod network;
mod probes;
mod promises;
mod room;
mod sinks;
mod sources;
mod transforms;
