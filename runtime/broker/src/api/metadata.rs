//! Metadata: the node, the topics, and creating those that are asked for.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};

use crate::node::{NODE, Peer};
use crate::settings::Overrides;
use crate::topics::Refused;

/// Describes the cluster; an unknown topic is created when both the client and the config allow it.
pub(crate) fn metadata(peer: &Peer, version: i16, request: MetadataRequest) -> MetadataResponse {
    let node = &peer.node;
    let create =
        node.config.auto_create_topics && (version < 4 || request.allow_auto_topic_creation);
    let (host, port) = peer.advertised();
    let mut answer = MetadataResponse::default().with_controller_id(NODE);
    answer.brokers.push(
        MetadataResponseBroker::default()
            .with_node_id(NODE)
            .with_host(host)
            .with_port(port),
    );
    answer.cluster_id = Some(node.cluster_id.clone().into());
    let asked = request
        .topics
        .filter(|topics| version > 0 || !topics.is_empty());
    answer.topics = match asked {
        None => node
            .topics
            .all()
            .iter()
            .map(|t| row(&t.name.clone().into(), Ok(t.partitions().len() as i32)))
            .collect(),
        Some(topics) => topics
            .into_iter()
            .filter_map(|t| t.name)
            .map(|name| row(&name.0.clone(), count(peer, &name, create)))
            .collect(),
    };
    answer
}

fn count(peer: &Peer, name: &TopicName, create: bool) -> Result<i32, ResponseError> {
    let node = &peer.node;
    if let Some(topic) = node.topics.get(name) {
        return Ok(topic.partitions().len() as i32);
    }
    if !create {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    match node.topics.create(
        &node.store,
        name,
        node.config.num_partitions,
        Overrides::new(),
        false,
    ) {
        Ok(topic) => {
            tracing::info!(
                topic = name.as_str(),
                partitions = node.config.num_partitions,
                "topic created because it was asked for"
            );
            Ok(topic.partitions().len() as i32)
        }
        // Another connection was faster: the client asks again.
        Err(Refused(ResponseError::TopicAlreadyExists, _)) => {
            Err(ResponseError::LeaderNotAvailable)
        }
        Err(Refused(error, _)) => Err(error),
    }
}

fn row(
    name: &kafka_protocol::protocol::StrBytes,
    partitions: Result<i32, ResponseError>,
) -> MetadataResponseTopic {
    let mut row = MetadataResponseTopic::default()
        .with_name(Some(TopicName(name.clone())))
        .with_error_code(super::code(&partitions));
    row.partitions = (0..partitions.unwrap_or(0))
        .map(|index| {
            let mut p = MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(NODE)
                .with_leader_epoch(0);
            (p.replica_nodes, p.isr_nodes) = (vec![NODE], vec![NODE]);
            p
        })
        .collect();
    row
}
