//! The host, with guests that behave and guests that do not. `cargo xtask guests` builds them and names their folder; it stands in
//! LONGSHORE_GUESTS.

mod bad_files;
mod figures;
mod grants;
mod hostile;
mod probes;
mod room;
mod sinks;
mod sources;
mod transforms;
