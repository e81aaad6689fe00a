//! Makes up records: a source for quick starts, tests and benches.
//!
//! What a record holds follows from the seed, the share and the record's id alone, so that reading on after a stored offset gives
//! the records that an undisturbed run would have given.

mod config;
mod generate;
mod pace;
mod source;

pub use config::{Config, Generator};
pub use source::{Datagen, DatagenTask};
