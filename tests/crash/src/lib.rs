//! The real binary: killed, started again, and what it wrote counted.
//!
//! Every proof prints its seed, what it counted and how many faults hit a running transfer; it fails on a lost record, and when fewer
//! faults hit than were asked for. `cargo xtask prove` runs the long versions, the tests of this crate run small ones of the same code.

pub mod binary;
mod drain;
pub mod files;
pub mod ids;
pub mod points;
pub mod postgres;
pub mod quickstart;
mod topic;
mod worker;

pub use worker::{Home, Worker};
