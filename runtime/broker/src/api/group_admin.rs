//! FindCoordinator, DescribeGroups, ListGroups, DeleteGroups.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, ListGroupsRequest,
    ListGroupsResponse,
};

use crate::groups::state::Phase;
use crate::node::{NODE, Node, Peer};
use crate::store::model::Entry;

/// This node, for groups and transactions alike.
pub(crate) fn find_coordinator(peer: &Peer, _: &FindCoordinatorRequest) -> FindCoordinatorResponse {
    let (host, port) = peer.advertised();
    FindCoordinatorResponse::default()
        .with_node_id(NODE)
        .with_host(host)
        .with_port(port)
}

pub(crate) fn describe(
    node: &Node,
    version: i16,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let groups = request
        .groups
        .into_iter()
        .map(|id| describe_one(node, version, id))
        .collect();
    DescribeGroupsResponse::default().with_groups(groups)
}

fn describe_one(node: &Node, version: i16, id: GroupId) -> DescribedGroup {
    let mut row = DescribedGroup::default();
    if let Some(group) = node.groups.get(&id) {
        let state = group.state();
        row.group_state = state.phase.name().into();
        row.protocol_type = state.protocol_type.clone().unwrap_or_default().into();
        row.protocol_data = state.protocol.clone().unwrap_or_default().into();
        row.members = state
            .members
            .iter()
            .map(|(id, m)| {
                let mut member = DescribedGroupMember::default().with_member_id(id.clone().into());
                member.client_id = m.client_id.clone().into();
                member.client_host = m.client_host.clone().into();
                if state.phase == Phase::Stable {
                    member.member_metadata = m.metadata(state.protocol.as_deref());
                    member.member_assignment = m.assignment.clone();
                }
                member.with_group_instance_id(
                    m.instance.clone().filter(|_| version >= 4).map(Into::into),
                )
            })
            .collect();
    } else {
        let phase = if node.store().model().offsets(&id).is_some() {
            Phase::Empty
        } else {
            Phase::Dead
        };
        row.group_state = phase.name().into();
    }
    row.with_group_id(id)
}

pub(crate) fn list(node: &Node, version: i16, request: &ListGroupsRequest) -> ListGroupsResponse {
    let mut all: BTreeMap<String, (Phase, String)> = node
        .store()
        .model()
        .groups()
        .map(|id| (id.clone(), (Phase::Empty, String::new())))
        .collect();
    for (id, group) in node.groups.all() {
        let state = group.state();
        if state.phase != Phase::Dead {
            all.insert(
                id,
                (state.phase, state.protocol_type.clone().unwrap_or_default()),
            );
        }
    }
    let wanted = |phase: Phase| {
        request.states_filter.is_empty()
            || request
                .states_filter
                .iter()
                .any(|s| s.eq_ignore_ascii_case(phase.name()))
    };
    let rows = all
        .into_iter()
        .filter(|(_, (phase, _))| wanted(*phase))
        .map(|(id, (phase, protocol_type))| {
            let row = ListedGroup::default()
                .with_group_id(GroupId(id.into()))
                .with_protocol_type(protocol_type.into());
            if version >= 4 {
                row.with_group_state(phase.name().into())
            } else {
                row
            }
        });
    ListGroupsResponse::default().with_groups(rows.collect())
}

pub(crate) fn delete(node: &Node, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut answer = DeleteGroupsResponse::default();
    for id in request.groups_names {
        let outcome = delete_one(node, &id);
        answer.results.push(
            DeletableGroupResult::default()
                .with_group_id(id)
                .with_error_code(super::code(&outcome)),
        );
    }
    answer
}

fn delete_one(node: &Node, id: &str) -> Result<(), ResponseError> {
    let had_members = match node.groups.delete(id) {
        Ok(()) => true,
        Err(ResponseError::GroupIdNotFound) => false,
        Err(error) => return Err(error),
    };
    let mut store = node.store();
    if store.model().offsets(id).is_none() {
        return if had_members {
            Ok(())
        } else {
            Err(ResponseError::GroupIdNotFound)
        };
    }
    store
        .commit(Entry::GroupDeleted {
            group: id.to_owned(),
        })
        .map_err(|error| {
            tracing::error!(%error, "deleting a group failed");
            ResponseError::KafkaStorageError
        })
}
