//! Write sources, sinks and transforms for Longshore as WASM plugins.
//!
//! A plugin is one type with one trait, and one line that exports it:
//!
//! ```
//! use longshore_guest::prelude::*;
//!
//! /// Counts.
//! #[derive(Deserialize, JsonSchema)]
//! struct Settings {
//!     /// The topic to publish to.
//!     topic: String,
//!     /// How far to count.
//!     #[serde(default = "hundred")]
//!     limit: u64,
//! }
//! fn hundred() -> u64 {
//!     100
//! }
//!
//! struct Counter {
//!     settings: Settings,
//!     next: u64,
//! }
//!
//! impl Source for Counter {
//!     type Config = Settings;
//!     type Position = u64Position;
//!     const INFO: Info = Info::new("counter", "1.0.0", "Counts up to a limit.").ends();
//!
//!     fn start(settings: Settings, stored: Positions<u64Position>) -> Result<Self> {
//!         let next = stored.of(&Lane::only()).map_or(0, |position| position.next);
//!         Ok(Self { settings, next })
//!     }
//!     fn poll(&mut self, _max_wait: Duration, batch: &mut Batch<u64Position>) -> Result<Next> {
//!         while self.next < self.settings.limit {
//!             if batch.is_full() {
//!                 return Ok(Next::More);
//!             }
//!             let row = batch.record(&self.settings.topic).value_json(&self.next)?;
//!             self.next += 1;
//!             row.emit(&Lane::only(), &u64Position { next: self.next })?;
//!         }
//!         Ok(Next::Finished)
//!     }
//! }
//! #[derive(Serialize, Deserialize)]
//! #[allow(non_camel_case_types)]
//! struct u64Position {
//!     next: u64,
//! }
//!
//! longshore_guest::export_source!(Counter);
//! # fn main() {}
//! ```
//!
//! Calls come one at a time. A call that panics or exceeds its deadline ends the task: the host throws the instance away.
//! Off WASM, in unit tests, [`http`] asks [`testing`] and the clocks are the machine's.

mod batch;
mod column;
mod config;
mod connection;
mod context;
mod dictionary;
mod edit;
mod error;
mod export;
pub mod http;
mod info;
pub mod json;
mod lane;
pub mod log;
pub mod metrics;
mod records;
mod secret;
mod sink;
mod source;
pub mod state;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod transform;

/// What the ABI file says, as Rust: every name here is the file's.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
pub mod abi {
    wit_bindgen::generate!({
        path: "wit/connector.wit",
        world: "host",
        generate_unused_types: true,
    });
}

pub use batch::{Batch, Row};
pub use column::ColumnBuilder;
pub use connection::{Connection, Scheme};
pub use context::{
    TaskInfo, monotonic_ns, now_ms, random, request_replan, sleep, stopping, task, time_left,
};
pub use edit::Edit;
pub use error::{Error, ErrorKind, PutError, Result};
pub use info::{Columns, Format, Guarantee, Info, Level, Problem, Share};
pub use lane::{Lane, Positions};
pub use records::{Record, Records};
pub use schemars;
pub use secret::Secret;
pub use serde;
pub use serde_json;
pub use sink::{Refused, Sink, TopicOffset, TopicPartition};
pub use source::{Next, Source};
pub use transform::Transform;
#[doc(hidden)]
pub use wit_bindgen;

/// What plugins normally use.
pub mod prelude {
    pub use crate::{
        Batch, Columns, Connection, Edit, Error, Format, Guarantee, Info, Lane, Level, Next,
        Positions, Problem, PutError, Records, Refused, Result, Secret, Share, Sink, Source,
        TopicOffset, TopicPartition, Transform, http, log, state,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use std::time::Duration;
}

/// What the exporting macros call.
#[doc(hidden)]
pub mod exported {
    pub use crate::config::{parsed, schema};
    pub use crate::lane::positions;
    pub use crate::sink::{put_error, taken};
    pub use crate::source::{Polled, polled};
    pub use crate::transform::{Edited, applied, started};
}

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
