//! Waits for records in flight, as long as it takes and no longer. The safe client's own wait lasts for a tenth of a second at least.

use rdkafka::{
    bindings as sys,
    types::{RDKafka, RDKafkaRespErr},
};
use std::time::Duration;

/// Sends what is in line at once and blocks until every delivery report has been served, by another thread, or `max` is over. True = all have been.
/// `producer` must be alive.
pub(crate) fn flush(producer: *mut RDKafka, max: Duration) -> bool {
    let millis = i32::try_from(max.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the producer is alive for the whole of the call.
    let code = unsafe { sys::rd_kafka_flush(producer, millis) };
    code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
}
