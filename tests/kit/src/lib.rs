//! What tests share: memory ports, faults, the behaviour suite, starters of real servers.

pub mod behaviour;
pub mod faults;
pub mod memory;
pub mod servers;
