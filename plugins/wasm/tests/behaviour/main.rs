//! The behaviour suite over sources and sinks that are WASM components, each with a real HTTP server behind it. `cargo xtask guests` builds
//! them and names their folder; it stands in LONGSHORE_GUESTS.

mod checks;
mod plugins;
mod sinks;
mod sources;
mod web;
