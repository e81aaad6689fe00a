//! The audited corner: what the safe client API cannot do fast enough, through the C library's own functions. Unsafe code is allowed here only.

#![allow(unsafe_code)]

mod fetch;
mod flush;
mod group;
mod heap;
mod metadata;
mod produce;
mod token;

pub(crate) use fetch::{Batch, Readers, Seen, SharedQueue, cached_end};
pub(crate) use flush::flush;
pub(crate) use group::{Group, group};
pub use heap::cap_heap_arenas;
pub(crate) use heap::give_back;
pub(crate) use metadata::metadata;
pub(crate) use produce::{Line, Topics};
pub(crate) use token::set_token;
