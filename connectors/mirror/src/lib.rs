//! Copies topics of another Kafka cluster, undecoded: keys, values, headers, timestamps and partitions stay as they are.
//!
//! Positions are source offsets, in MirrorMaker 2's form: `{"cluster":..,"partition":n,"topic":..}` -> `{"offset":n}`, where n is the offset of the
//! last record that was copied. No consumer group is joined.

mod config;
mod lanes;
mod selection;
mod source;

pub use config::Config;
pub use source::{Mirror, MirrorTask};
