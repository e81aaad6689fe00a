//! Moving data and keeping it moving: task loops, supervisor, views, control.
//!
//! The engine knows no broker client and no HTTP: it talks to a broker through [`ports`] and is talked to through `control`.

pub mod budget;
pub mod connector_config;
pub mod control;
pub use longshore_sdk::crash_point;
pub mod guarantee;
#[cfg(test)]
mod memory;
pub mod metrics;
mod mutant;
pub mod ports;
pub mod providers;
pub mod registry;
pub mod supervisor;
pub mod task;
pub mod validate;
pub mod views;
pub mod worker;
