//! From a frame to its answer: which API, which version, which function.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use crate::api;
use crate::node::Peer;
use crate::shape;

/// An API and the versions the broker speaks.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    pub(crate) min: i16,
    pub(crate) max: i16,
}

const fn api(key: ApiKey, min: i16, max: i16) -> Api {
    Api { key, min, max }
}

/// What the broker speaks. Produce is advertised from 0 because clients derive features from it; none sends so old a version.
pub(crate) const APIS: &[Api] = &[
    api(ApiKey::Produce, 0, 8),
    api(ApiKey::Fetch, 4, 11),
    api(ApiKey::ListOffsets, 1, 5),
    api(ApiKey::Metadata, 0, 8),
    api(ApiKey::OffsetCommit, 2, 7),
    api(ApiKey::OffsetFetch, 1, 7),
    api(ApiKey::FindCoordinator, 0, 2),
    api(ApiKey::JoinGroup, 0, 5),
    api(ApiKey::Heartbeat, 0, 3),
    api(ApiKey::LeaveGroup, 0, 1),
    api(ApiKey::SyncGroup, 0, 3),
    api(ApiKey::DescribeGroups, 0, 4),
    api(ApiKey::ListGroups, 0, 4),
    api(ApiKey::ApiVersions, 0, 3),
    api(ApiKey::CreateTopics, 2, 4),
    api(ApiKey::DeleteTopics, 1, 3),
    api(ApiKey::DeleteRecords, 0, 1),
    api(ApiKey::InitProducerId, 0, 4),
    api(ApiKey::AddPartitionsToTxn, 0, 2),
    api(ApiKey::AddOffsetsToTxn, 0, 2),
    api(ApiKey::EndTxn, 0, 2),
    api(ApiKey::TxnOffsetCommit, 0, 3),
    api(ApiKey::DescribeConfigs, 1, 3),
    api(ApiKey::AlterConfigs, 0, 1),
    api(ApiKey::CreatePartitions, 0, 1),
    api(ApiKey::DeleteGroups, 0, 1),
    api(ApiKey::IncrementalAlterConfigs, 0, 0),
    api(ApiKey::OffsetDelete, 0, 0),
];

impl Api {
    /// The oldest version that is decoded.
    pub(crate) fn decoded(&self) -> i16 {
        if self.key == ApiKey::Produce {
            3
        } else {
            self.min
        }
    }
}

/// A request that cannot be answered; the connection is closed with this reason in the log.
#[derive(Debug)]
pub(crate) struct Bad(pub(crate) String);

/// What goes back to the client.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A whole frame, in pieces.
    Frame(Vec<Bytes>),
    /// `acks=0`: nothing.
    Silent,
}

/// One request, its header taken off.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    correlation_id: i32,
    pub(crate) client_id: String,
    body: Bytes,
}

impl Call {
    /// Reads the header of a frame.
    pub(crate) fn parse(mut frame: Bytes) -> Result<Call, Bad> {
        let bad = |what: &str| Bad(what.to_owned());
        let (key, version) = match frame.get(..4) {
            Some(&[a, b, c, d]) => (i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d])),
            _ => return Err(bad("frame too short for a header")),
        };
        let key = ApiKey::try_from(key).map_err(|()| Bad(format!("unknown api key {key}")))?;
        let supported = APIS
            .iter()
            .find(|a| a.key == key)
            .ok_or_else(|| Bad(format!("api {key:?} is not supported")))?;
        let speaks = (supported.decoded()..=supported.max).contains(&version);
        // An ApiVersions newer than ours still gets an answer, so its header must be read; only the fixed part is.
        let header_version = if speaks {
            key.request_header_version(version)
        } else {
            1
        };
        if !speaks && key != ApiKey::ApiVersions {
            return Err(Bad(format!(
                "api {key:?} version {version} is not supported"
            )));
        }
        let header = RequestHeader::decode(&mut frame, header_version)
            .map_err(|e| Bad(format!("header: {e}")))?;
        if speaks && !shape::fits(key, version, &frame) {
            return Err(Bad(format!(
                "api {key:?} version {version}: counts or lengths do not fit the frame"
            )));
        }
        let client_id = header.client_id.map(|s| s.to_string()).unwrap_or_default();
        Ok(Call {
            key,
            version,
            correlation_id: header.correlation_id,
            client_id,
            body: frame,
        })
    }

    /// Decodes the body.
    pub(crate) fn request<Q: Decodable>(&self) -> Result<Q, Bad> {
        Q::decode(&mut self.body.clone(), self.version)
            .map_err(|e| Bad(format!("api {:?} version {}: {e}", self.key, self.version)))
    }

    /// Encodes an answer in the version of the call.
    pub(crate) fn answer<A: Encodable + HeaderVersion>(&self, answer: &A) -> Result<Reply, Bad> {
        self.answer_in(self.version, answer)
    }

    pub(crate) fn answer_in<A: Encodable + HeaderVersion>(
        &self,
        version: i16,
        answer: &A,
    ) -> Result<Reply, Bad> {
        let mut out = BytesMut::with_capacity(256);
        out.put_i32(0);
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        header
            .encode(&mut out, A::header_version(version))
            .and_then(|()| answer.encode(&mut out, version))
            .map_err(|e| Bad(format!("answer to {:?} version {version}: {e}", self.key)))?;
        let length = (out.len() - 4) as i32;
        out[..4].copy_from_slice(&length.to_be_bytes());
        Ok(Reply::Frame(vec![out.freeze()]))
    }

    /// Frames a body that was encoded in pieces; for APIs before the compact encoding only.
    pub(crate) fn answer_pieces(&self, mut pieces: Vec<Bytes>) -> Reply {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        let mut head = BytesMut::with_capacity(8);
        head.put_i32((length + 4) as i32);
        head.put_i32(self.correlation_id);
        pieces.insert(0, head.freeze());
        Reply::Frame(pieces)
    }
}

/// Answers one call. Waits only for Fetch, JoinGroup and SyncGroup.
pub(crate) async fn dispatch(peer: &Peer, call: &Call) -> Result<Reply, Bad> {
    match call.key {
        ApiKey::ApiVersions => api::versions::answer(peer, call),
        ApiKey::Fetch => Box::pin(api::fetch::fetch(peer, call)).await,
        ApiKey::JoinGroup => Box::pin(api::membership::join(peer, call)).await,
        ApiKey::SyncGroup => Box::pin(api::membership::sync(peer, call)).await,
        ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::OffsetCommit
        | ApiKey::OffsetFetch
        | ApiKey::OffsetDelete => group(peer, call),
        ApiKey::DescribeGroups
        | ApiKey::ListGroups
        | ApiKey::DeleteGroups
        | ApiKey::FindCoordinator => group_admin(peer, call),
        ApiKey::InitProducerId
        | ApiKey::AddPartitionsToTxn
        | ApiKey::AddOffsetsToTxn
        | ApiKey::TxnOffsetCommit
        | ApiKey::EndTxn => transaction(peer, call),
        _ => data_and_topics(peer, call),
    }
}

fn data_and_topics(peer: &Peer, call: &Call) -> Result<Reply, Bad> {
    let node = &peer.node;
    match call.key {
        ApiKey::Produce => api::produce::produce(node, call),
        ApiKey::ListOffsets => call.answer(&api::list_offsets::list(
            node,
            call.version,
            call.request()?,
        )),
        ApiKey::Metadata => call.answer(&api::metadata::metadata(
            peer,
            call.version,
            call.request()?,
        )),
        ApiKey::CreateTopics => call.answer(&api::topics::create(node, call.request()?)),
        ApiKey::DeleteTopics => call.answer(&api::topics::delete(node, call.request()?)),
        ApiKey::CreatePartitions => call.answer(&api::topics::grow(node, call.request()?)),
        ApiKey::DeleteRecords => call.answer(&api::topics::delete_records(node, call.request()?)),
        ApiKey::DescribeConfigs => {
            call.answer(&api::configs::describe(node, call.version, call.request()?))
        }
        ApiKey::AlterConfigs => call.answer(&api::configs::alter(node, call.request()?)),
        ApiKey::IncrementalAlterConfigs => {
            call.answer(&api::configs::alter_incrementally(node, call.request()?))
        }
        key => Err(Bad(format!("api {key:?} has no answer"))),
    }
}

fn group(peer: &Peer, call: &Call) -> Result<Reply, Bad> {
    match call.key {
        ApiKey::Heartbeat => call.answer(&api::membership::heartbeat(&peer.node, &call.request()?)),
        ApiKey::LeaveGroup => call.answer(&api::membership::leave(&peer.node, &call.request()?)),
        ApiKey::OffsetDelete => call.answer(&api::offsets::delete(&peer.node, call.request()?)),
        ApiKey::OffsetCommit => call.answer(&api::offsets::commit(&peer.node, call.request()?)),
        _ => call.answer(&api::offsets::fetch(
            &peer.node,
            call.version,
            call.request()?,
        )),
    }
}

fn group_admin(peer: &Peer, call: &Call) -> Result<Reply, Bad> {
    match call.key {
        ApiKey::DescribeGroups => call.answer(&api::group_admin::describe(
            &peer.node,
            call.version,
            call.request()?,
        )),
        ApiKey::ListGroups => call.answer(&api::group_admin::list(
            &peer.node,
            call.version,
            &call.request()?,
        )),
        ApiKey::DeleteGroups => call.answer(&api::group_admin::delete(&peer.node, call.request()?)),
        _ => call.answer(&api::group_admin::find_coordinator(peer, &call.request()?)),
    }
}

fn transaction(peer: &Peer, call: &Call) -> Result<Reply, Bad> {
    let node = &peer.node;
    match call.key {
        ApiKey::InitProducerId => call.answer(&api::transactions::init_producer_id(
            node,
            call.version,
            &call.request()?,
        )),
        ApiKey::AddPartitionsToTxn => call.answer(&api::transactions::add_partitions(
            node,
            call.version,
            call.request()?,
        )),
        ApiKey::AddOffsetsToTxn => call.answer(&api::transactions::add_offsets(
            node,
            call.version,
            &call.request()?,
        )),
        ApiKey::TxnOffsetCommit => {
            call.answer(&api::transactions::commit_offsets(node, call.request()?))
        }
        _ => call.answer(&api::transactions::end(
            node,
            call.version,
            &call.request()?,
        )),
    }
}
