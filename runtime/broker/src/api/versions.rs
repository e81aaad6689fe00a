//! ApiVersions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};

use crate::dispatch::{APIS, Bad, Call, Reply};
use crate::node::Peer;

/// Tells the versions; a client newer than the broker gets error 35 in the oldest form, and asks again.
pub(crate) fn answer(peer: &Peer, call: &Call) -> Result<Reply, Bad> {
    let none = peer.node.config.limits.transactional_ids == 0;
    let told = APIS.iter().filter(|a| !(none && of_transactions(a.key)));
    let rows = told.map(|a| {
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

/// What a producer needs for transactions, or to be told apart from others.
fn of_transactions(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::InitProducerId
            | ApiKey::AddPartitionsToTxn
            | ApiKey::AddOffsetsToTxn
            | ApiKey::EndTxn
            | ApiKey::TxnOffsetCommit
    )
}
