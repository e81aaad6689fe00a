//! Typed views over the keyed logs: configs, offsets, statuses (D6). They write Kafka Connect's records byte for byte and read them tolerantly.

pub mod assignment;
pub mod config;
pub mod fold;
pub mod offset;
mod requests;
pub mod status;
mod text;

#[cfg(test)]
mod recorded;
