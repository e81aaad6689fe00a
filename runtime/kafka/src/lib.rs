//! The only crate that links a Kafka client; it implements the engine's ports.
//!
//! [`KafkaBus`] opens producers and group consumers, [`KafkaLog`] is a compacted topic as a keyed log, [`Admin`] creates and checks topics,
//! [`Reader`] reads partitions by hand. [`ClientSettings`] holds client properties in the Java clients' names.

#![warn(missing_docs)]

mod admin;
mod alive;
mod awaited;
mod blocking;
mod bus;
mod client;
mod consumer;
mod described;
mod errors;
mod handle;
mod internal;
mod keys;
mod lanes;
mod leadership;
mod log;
mod membership;
mod native;
mod oauth;
mod pattern;
mod producer;
mod question;
mod reader;
mod refusal;
mod roster;
mod security;
mod unwritten;
mod writer;

pub use admin::Admin;
pub use alive::all_closed;
pub use bus::KafkaBus;
pub use client::{ClientSettings, Properties, check_overrides};
pub use internal::InternalTopic;
pub use leadership::{KafkaLeadership, LeadershipSpec};
pub use log::{KafkaLog, LogSpec};
pub use membership::{KafkaMembership, MemberSpec, Who};
pub use native::cap_heap_arenas;
pub use reader::{Reader, Start, Taken};
