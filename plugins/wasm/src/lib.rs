//! Third-party connectors and transforms as sandboxed WASM components.

#![warn(missing_docs)]

mod bindings;
mod cache;
pub mod check;
mod columns;
mod connector;
mod engine;
mod file;
pub mod grants;
mod installed;
mod load;
mod output;
mod refusal;
pub mod services;
mod settings;
mod sink;
mod source;
mod store;
mod told;
mod transform;
mod turns;
mod worlds;

pub use grants::{Ceilings, Denial, Grants};
pub use load::{Broken, Kind, Loaded, Registered, load};
pub use settings::{Limits, Settings};
