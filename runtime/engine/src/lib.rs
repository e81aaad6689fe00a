//! Moving data and keeping it moving: task loops, supervisor, views, control.
//!
//! The engine knows no broker client and no HTTP: it talks to a broker through [`ports`] and is talked to through `control`.

pub mod crash_point;
pub mod metrics;
mod mutant;
pub mod ports;
pub mod control;
pub mod registry;
pub mod views;
pub mod task;
pub mod connector_config;
pub mod supervisor;
pub mod worker;
pub mod validate;
#[cfg(test)]
mod memory;
