//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use tokio::time::Instant;

use super::code;
use crate::dispatch::{Bad, Call, Reply};
use crate::groups::Joining;
use crate::groups::state::Who;
use crate::node::{Node, Peer};

pub(crate) async fn join(peer: &Peer, call: &Call) -> Result<Reply, Bad> {
    let request: JoinGroupRequest = call.request()?;
    let joining = Joining {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.map(|i| i.to_string()),
        client_id: call.client_id.clone(),
        client_host: format!("/{}", peer.remote.ip()),
        session_ms: request.session_timeout_ms,
        rebalance_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            .map(|p| (p.name.to_string(), p.metadata))
            .collect(),
        id_first: call.version >= 4,
    };
    let reply = peer.node.groups.join(&request.group_id, joining).await;
    let mut answer = JoinGroupResponse::default()
        .with_error_code(code(&reply.outcome))
        .with_member_id(reply.member_id.into());
    answer.generation_id = -1;
    answer.protocol_name = Some("".into());
    if let Ok(joined) = reply.outcome {
        answer.generation_id = joined.generation;
        answer.protocol_name = Some(joined.protocol.into());
        answer.leader = joined.leader.into();
        answer.members = joined
            .members
            .into_iter()
            .map(|(id, instance, metadata)| {
                let row = JoinGroupResponseMember::default()
                    .with_member_id(id.into())
                    .with_metadata(metadata);
                row.with_group_instance_id(instance.filter(|_| call.version >= 5).map(Into::into))
            })
            .collect();
    }
    call.answer(&answer)
}

pub(crate) async fn sync(peer: &Peer, call: &Call) -> Result<Reply, Bad> {
    let request: SyncGroupRequest = call.request()?;
    let who = Who {
        member_id: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    let assignments = request
        .assignments
        .iter()
        .map(|a| (a.member_id.to_string(), a.assignment.clone()))
        .collect();
    let outcome = peer
        .node
        .groups
        .sync(&request.group_id, &who, assignments)
        .await;
    let answer = SyncGroupResponse::default()
        .with_error_code(code(&outcome))
        .with_assignment(outcome.unwrap_or_default());
    call.answer(&answer)
}

pub(crate) fn heartbeat(node: &Node, request: &HeartbeatRequest) -> HeartbeatResponse {
    let who = Who {
        member_id: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    let outcome = match node.groups.get(&request.group_id) {
        Some(group) => group.state().heartbeat(&who, Instant::now()),
        None => Err(ResponseError::UnknownMemberId),
    };
    HeartbeatResponse::default().with_error_code(code(&outcome))
}

pub(crate) fn leave(node: &Node, request: &LeaveGroupRequest) -> LeaveGroupResponse {
    let outcome = match node.groups.get(&request.group_id) {
        Some(group) => {
            let outcome = group.state().leave(&request.member_id, Instant::now());
            group.deadlines_changed();
            outcome
        }
        None => Err(ResponseError::UnknownMemberId),
    };
    LeaveGroupResponse::default().with_error_code(code(&outcome))
}
