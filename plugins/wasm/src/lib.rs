//! Third-party connectors and transforms as sandboxed WASM components.

#![warn(missing_docs)]

mod bindings;
mod cache;
pub mod check;
mod checks;
mod columns;
mod connector;
mod edits;
mod engine;
mod file;
pub mod grants;
mod installed;
mod load;
mod loaded;
mod output;
mod refusal;
pub mod services;
mod settings;
mod sink;
mod source;
mod store;
mod stored;
mod told;
mod transform;
mod turns;
mod worlds;

pub use file::{Candidate, Pin};
pub use grants::{Ceilings, Denial, Grants};
pub use load::load;
pub use loaded::{Broken, Kind, Loaded, Registered};
pub use settings::{Limits, Settings};
