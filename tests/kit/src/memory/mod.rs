//! The engine's ports over memory: deterministic, scriptable, gone with the test.

pub mod broker;
mod bus;
mod consumer;
mod group;
mod log;
mod membership;
mod producer;

pub use bus::{MemoryBus, Stored};
pub use group::MemberId;
pub use log::MemoryLog;
pub use membership::MemoryMembership;
