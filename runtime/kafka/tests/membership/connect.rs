//! A Kafka Connect worker, as far as its group's coordinator can tell.

use crate::raw::Raw;
use bytes::Bytes;
use kafka_protocol::{
    messages::{
        GroupId, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
        join_group_request::JoinGroupRequestProtocol,
        sync_group_request::SyncGroupRequestAssignment,
    },
    protocol::StrBytes,
};

/// Of JoinGroup, SyncGroup and LeaveGroup: before members were given their ids first, and old enough for plain headers.
const VERSIONS: [i16; 3] = [3, 2, 1];
const TYPE: &str = "connect";

pub(crate) struct ConnectWorker {
    broker: Raw,
    member: StrBytes,
}

fn id(group: &str) -> GroupId {
    StrBytes::from_string(group.to_owned()).into()
}

impl ConnectWorker {
    pub(crate) const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;

    /// The broker is the coordinator of every group: there is one.
    pub(crate) fn open(bootstrap: &str) -> Self {
        Self {
            broker: Raw::open(bootstrap),
            member: StrBytes::default(),
        }
    }

    /// Err: the broker's error code.
    pub(crate) fn join(&mut self, group: &str) -> Result<(), i16> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("sessioned"))
            .with_metadata(Bytes::from_static(b"\0\x02"));
        let join = JoinGroupRequest::default()
            .with_group_id(id(group))
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(StrBytes::from_static_str(TYPE))
            .with_protocols(vec![protocol]);
        let joined = loop {
            let joined = self.broker.call(VERSIONS[0], &join);
            // The coordinator of a broker that has just started.
            if !matches!(joined.error_code, 14..=16) {
                break joined;
            }
        };
        if joined.error_code != 0 {
            return Err(joined.error_code);
        }
        self.member = joined.member_id;
        let assigned = SyncGroupRequestAssignment::default()
            .with_member_id(self.member.clone())
            .with_assignment(Bytes::from_static(b"\0\x02"));
        let sync = SyncGroupRequest::default()
            .with_group_id(id(group))
            .with_generation_id(joined.generation_id)
            .with_member_id(self.member.clone())
            .with_assignments(vec![assigned]);
        match self.broker.call(VERSIONS[1], &sync).error_code {
            0 => Ok(()),
            code => Err(code),
        }
    }

    pub(crate) fn leave(&mut self, group: &str) {
        let leave = LeaveGroupRequest::default()
            .with_group_id(id(group))
            .with_member_id(self.member.clone());
        assert_eq!(self.broker.call(VERSIONS[2], &leave).error_code, 0);
    }
}
