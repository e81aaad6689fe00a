//! ApiVersions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;

use crate::dispatch::{APIS, Bad, Call, Reply};

/// Tells the versions; a client newer than the broker gets error 35 in the oldest form, and asks again.
pub(crate) fn answer(call: &Call) -> Result<Reply, Bad> {
    let rows = APIS.iter().map(|a| {
        ApiVersion::default()
            .with_api_key(a.key as i16)
            .with_min_version(a.min)
            .with_max_version(a.max)
    });
    let answer = ApiVersionsResponse::default().with_api_keys(rows.collect());
    if call.version > 3 {
        return call.answer_in(
            0,
            &answer.with_error_code(ResponseError::UnsupportedVersion.code()),
        );
    }
    call.answer(&answer)
}
