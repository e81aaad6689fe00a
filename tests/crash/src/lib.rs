//! The real binary: killed, started again, and what it wrote counted.
//!
//! Every proof prints its seed, what it counted and how many faults hit a running transfer; it fails on a lost record, and when fewer
//! faults hit than were asked for. `cargo xtask prove` runs the long versions, the tests of this crate run small ones of the same code.

pub mod binary;
mod broker;
pub mod cluster;
pub mod departures;
mod drain;
pub mod exactly_once;
pub mod files;
mod fleet;
mod home;
pub mod hostile;
pub mod ids;
pub mod outages;
pub mod points;
pub mod postgres;
pub mod quickstart;
mod topic;
pub mod topic_faults;
mod transfer;
mod worker;
pub mod zombies;

pub use broker::Broker;
pub use fleet::Fleet;
pub use home::Home;
pub use transfer::plugins;
pub use worker::Worker;
