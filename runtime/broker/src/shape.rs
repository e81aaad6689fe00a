//! A walk over a request before it is decoded: every count and length has to fit the bytes that are there.
//!
//! The codec reserves room for as many array elements as a request announces. This check keeps a lying request from
//! reserving memory (limits before allocation): it bounds the elements of all arrays of a request together.

use bytes::Buf;
use kafka_protocol::messages::ApiKey;

/// Array elements of one request together.
const MAX_ELEMENTS: usize = 200_000;

/// Fields by width in bytes (`1 2 4 8`), `s` string, `b` bytes, `[..]` array, `#` tagged fields; `true`: the compact encoding.
fn shape(key: ApiKey, version: i16) -> Option<(&'static str, bool)> {
    use ApiKey as K;
    let plain = |s| Some((s, false));
    let compact = |s| Some((s, true));
    match (key, version) {
        (K::Produce, 3..=8) => plain("s24[s[4b]]"),
        (K::Fetch, 4) => plain("44441[s[484]]"),
        (K::Fetch, 5..=6) => plain("44441[s[4884]]"),
        (K::Fetch, 7..=8) => plain("4444144[s[4884]][s[4]]"),
        (K::Fetch, 9..=10) => plain("4444144[s[44884]][s[4]]"),
        (K::Fetch, 11) => plain("4444144[s[44884]][s[4]]s"),
        (K::ListOffsets, 1) => plain("4[s[48]]"),
        (K::ListOffsets, 2..=3) => plain("41[s[48]]"),
        (K::ListOffsets, 4..=5) => plain("41[s[448]]"),
        (K::Metadata, 0..=3) => plain("[s]"),
        (K::Metadata, 4..=7) => plain("[s]1"),
        (K::Metadata, 8) => plain("[s]111"),
        (K::OffsetCommit, 2..=4) => plain("s4s8[s[48s]]"),
        (K::OffsetCommit, 5) => plain("s4s[s[48s]]"),
        (K::OffsetCommit, 6) => plain("s4s[s[484s]]"),
        (K::OffsetCommit, 7) => plain("s4ss[s[484s]]"),
        (K::OffsetFetch, 1..=5) => plain("s[s[4]]"),
        (K::OffsetFetch, 6) => compact("s[s[4]#]#"),
        (K::OffsetFetch, 7) => compact("s[s[4]#]1#"),
        (K::OffsetDelete, 0) => plain("s[s[4]]"),
        (K::FindCoordinator, 0) => plain("s"),
        (K::FindCoordinator, 1..=2) => plain("s1"),
        (K::JoinGroup, 0) => plain("s4ss[sb]"),
        (K::JoinGroup, 1..=4) => plain("s44ss[sb]"),
        (K::JoinGroup, 5) => plain("s44sss[sb]"),
        (K::Heartbeat, 0..=2) => plain("s4s"),
        (K::Heartbeat, 3) => plain("s4ss"),
        (K::LeaveGroup, 0..=1) => plain("ss"),
        (K::SyncGroup, 0..=2) => plain("s4s[sb]"),
        (K::SyncGroup, 3) => plain("s4ss[sb]"),
        (K::DescribeGroups, 0..=2) => plain("[s]"),
        (K::DescribeGroups, 3..=4) => plain("[s]1"),
        (K::ListGroups, 0..=2) => plain(""),
        (K::ListGroups, 3) => compact("#"),
        (K::ListGroups, 4) => compact("[s]#"),
        (K::DeleteGroups, 0..=1) => plain("[s]"),
        (K::ApiVersions, 0..=2) => plain(""),
        (K::ApiVersions, 3) => compact("ss#"),
        (K::CreateTopics, 2..=4) => plain("[s42[4[4]][ss]]41"),
        (K::DeleteTopics, 1..=3) => plain("[s]4"),
        (K::CreatePartitions, 0..=1) => plain("[s4[[4]]]41"),
        (K::DeleteRecords, 0..=1) => plain("[s[48]]4"),
        (K::InitProducerId, 0..=1) => plain("s4"),
        (K::InitProducerId, 2) => compact("s4#"),
        (K::InitProducerId, 3..=4) => compact("s482#"),
        (K::AddPartitionsToTxn, 0..=2) => plain("s82[s[4]]"),
        (K::AddOffsetsToTxn, 0..=2) => plain("s82s"),
        (K::TxnOffsetCommit, 0..=1) => plain("ss82[s[48s]]"),
        (K::TxnOffsetCommit, 2) => plain("ss82[s[484s]]"),
        (K::TxnOffsetCommit, 3) => compact("ss824ss[s[484s#]#]#"),
        (K::EndTxn, 0..=2) => plain("s821"),
        (K::DescribeConfigs, 1..=2) => plain("[1s[s]]1"),
        (K::DescribeConfigs, 3) => plain("[1s[s]]11"),
        (K::AlterConfigs, 0..=1) => plain("[1s[ss]]1"),
        (K::IncrementalAlterConfigs, 0) => plain("[1s[s1s]]1"),
        _ => None,
    }
}

/// Whether the body can be decoded without reserving more than it holds.
pub(crate) fn fits(key: ApiKey, version: i16, body: &[u8]) -> bool {
    let Some((shape, compact)) = shape(key, version) else {
        return false;
    };
    let mut walk = Walk {
        body,
        compact,
        elements: 0,
    };
    walk.fields(shape).is_some()
}

struct Walk<'a> {
    body: &'a [u8],
    compact: bool,
    elements: usize,
}

impl Walk<'_> {
    fn fields(&mut self, shape: &str) -> Option<()> {
        let bytes = shape.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                width @ b'1'..=b'8' => self.skip(usize::from(width - b'0'))?,
                b's' => self.text(2)?,
                b'b' => self.text(4)?,
                b'#' => self.tags()?,
                b'[' => {
                    let end = at + closing(&bytes[at..])?;
                    let count = self.length(4)?;
                    self.elements = self
                        .elements
                        .checked_add(count)
                        .filter(|n| *n <= MAX_ELEMENTS)?;
                    for _ in 0..count {
                        self.fields(&shape[at + 1..end])?;
                    }
                    at = end;
                }
                _ => return None,
            }
            at += 1;
        }
        Some(())
    }

    fn text(&mut self, width: usize) -> Option<()> {
        let length = self.length(width)?;
        self.skip(length)
    }

    /// A length or count; null is 0.
    fn length(&mut self, width: usize) -> Option<usize> {
        let length = match (self.compact, width) {
            (true, _) => i64::from(self.varint()?) - 1,
            (false, 2) => i64::from(self.body.try_get_i16().ok()?),
            (false, _) => i64::from(self.body.try_get_i32().ok()?),
        };
        // Every element takes a byte at least, so a count beyond the rest is a lie.
        usize::try_from(length.max(0))
            .ok()
            .filter(|n| *n <= self.body.len())
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.body.try_get_u8().ok()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()? as usize;
            self.skip(length)?;
        }
        Some(())
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.body = self.body.get(count..)?;
        Some(())
    }
}

/// Where the bracket that `bytes` starts with is closed.
fn closing(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0;
    bytes.iter().position(|b| {
        match b {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::APIS;
    use bytes::{BufMut, BytesMut};
    use kafka_protocol::messages::*;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    #[test]
    fn every_advertised_version_has_a_shape() {
        for api in APIS {
            for version in api.decoded()..=api.max {
                assert!(shape(api.key, version).is_some(), "{:?} {version}", api.key);
            }
        }
    }

    fn exact(key: ApiKey, version: i16, request: &impl Encodable) {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).expect("encodes");
        assert!(fits(key, version, &body), "{key:?} {version}");
        assert!(
            body.is_empty() || !fits(key, version, &body[..body.len() - 1]),
            "{key:?} {version} cut short"
        );
    }

    fn text(s: &'static str) -> StrBytes {
        StrBytes::from_static_str(s)
    }

    #[test]
    fn shapes_take_exactly_what_the_codec_writes() {
        for v in 3..=8 {
            let data = produce_request::PartitionProduceData::default()
                .with_records(Some(bytes::Bytes::from_static(b"abc")));
            let topic = produce_request::TopicProduceData::default()
                .with_name(TopicName(text("t")))
                .with_partition_data(vec![data]);
            exact(
                ApiKey::Produce,
                v,
                &ProduceRequest::default().with_topic_data(vec![topic]),
            );
        }
        for v in 4..=11 {
            let topic = fetch_request::FetchTopic::default()
                .with_topic(TopicName(text("t")))
                .with_partitions(vec![fetch_request::FetchPartition::default()]);
            exact(
                ApiKey::Fetch,
                v,
                &FetchRequest::default().with_topics(vec![topic]),
            );
        }
        for v in 1..=5 {
            let p = list_offsets_request::ListOffsetsPartition::default();
            let topic = list_offsets_request::ListOffsetsTopic::default()
                .with_name(TopicName(text("t")))
                .with_partitions(vec![p]);
            exact(
                ApiKey::ListOffsets,
                v,
                &ListOffsetsRequest::default().with_topics(vec![topic]),
            );
        }
        for v in 2..=7 {
            let p = offset_commit_request::OffsetCommitRequestPartition::default()
                .with_committed_metadata(Some(text("m")));
            let topic = offset_commit_request::OffsetCommitRequestTopic::default()
                .with_name(TopicName(text("t")))
                .with_partitions(vec![p]);
            exact(
                ApiKey::OffsetCommit,
                v,
                &OffsetCommitRequest::default().with_topics(vec![topic]),
            );
        }
        for v in 1..=7 {
            let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
                .with_name(TopicName(text("t")))
                .with_partition_indexes(vec![1, 2]);
            exact(
                ApiKey::OffsetFetch,
                v,
                &OffsetFetchRequest::default().with_topics(Some(vec![topic])),
            );
        }
        for v in 0..=5 {
            let p =
                join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
            exact(
                ApiKey::JoinGroup,
                v,
                &JoinGroupRequest::default()
                    .with_group_id(GroupId(text("g")))
                    .with_protocols(vec![p]),
            );
        }
        for v in 0..=3 {
            let p = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default();
            let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
                .with_name(TopicName(text("t")))
                .with_partitions(vec![p]);
            exact(
                ApiKey::TxnOffsetCommit,
                v,
                &TxnOffsetCommitRequest::default().with_topics(vec![topic]),
            );
        }
        for v in 2..=4 {
            let c = create_topics_request::CreatableTopicConfig::default()
                .with_name(text("a"))
                .with_value(Some(text("b")));
            let topic = create_topics_request::CreatableTopic::default()
                .with_name(TopicName(text("t")))
                .with_configs(vec![c]);
            exact(
                ApiKey::CreateTopics,
                v,
                &CreateTopicsRequest::default().with_topics(vec![topic]),
            );
        }
    }

    #[test]
    fn a_lying_count_is_refused() {
        let mut body = BytesMut::new();
        body.put_i32(i32::MAX);
        body.put_slice(&[0; 64]);
        assert!(!fits(ApiKey::Metadata, 1, &body));
        // Honest but absurd.
        let mut body = BytesMut::new();
        body.put_i32(MAX_ELEMENTS as i32 + 1);
        body.put_slice(&vec![0; 2 * MAX_ELEMENTS + 4]);
        assert!(!fits(ApiKey::Metadata, 1, &body));
    }
}
