//! The protocol byte by byte: limits, bad frames, and every version that is advertised.

#[path = "wire/limits.rs"]
mod limits;
#[path = "wire/raw.rs"]
mod raw;
#[path = "wire/versions.rs"]
mod versions;
