//! One module per family of requests: from the wire's words to the broker's and back.

pub(crate) mod configs;
pub(crate) mod fetch;
pub(crate) mod group_admin;
pub(crate) mod list_offsets;
pub(crate) mod membership;
pub(crate) mod metadata;
pub(crate) mod offsets;
pub(crate) mod produce;
pub(crate) mod topics;
pub(crate) mod transactions;
pub(crate) mod versions;

use kafka_protocol::error::ResponseError;

/// The protocol's error code of an outcome; 0 is none.
pub(crate) fn code<T>(outcome: &Result<T, ResponseError>) -> i16 {
    outcome.as_ref().err().map_or(0, ResponseError::code)
}
