//! What tests share: memory ports, faults, the behaviour suite, starters of real servers.

pub mod behaviour;
pub mod faults;
pub mod memory;
#[cfg(feature = "servers")]
pub mod servers;

/// The engine's ports, for the tests of connectors that bring a client of their own.
pub use longshore_engine::ports;
