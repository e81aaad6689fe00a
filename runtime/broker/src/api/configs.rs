//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    incremental_alter_configs_request as incremental, incremental_alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;

use crate::node::{NODE, Node};
use crate::settings::{self, Overrides};
use crate::topics::Refused;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const FROM_TOPIC: i8 = 1;
const FROM_FILE: i8 = 4;
const FROM_DEFAULT: i8 = 5;

pub(crate) fn describe(
    node: &Node,
    version: i16,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let mut answer = DescribeConfigsResponse::default();
    for resource in request.resources {
        let mut result =
            DescribeConfigsResult::default().with_resource_type(resource.resource_type);
        match rows(node, version, &resource, request.include_synonyms) {
            Ok(configs) => result.configs = configs,
            Err(Refused(error, text)) => {
                result.error_code = error.code();
                result.error_message = Some(text.into());
            }
        }
        answer
            .results
            .push(result.with_resource_name(resource.resource_name));
    }
    answer
}

fn rows(
    node: &Node,
    version: i16,
    resource: &DescribeConfigsResource,
    synonyms: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    let wanted = |name: &str| {
        resource
            .configuration_keys
            .as_ref()
            .is_none_or(|keys| keys.iter().any(|k| k.as_str() == name))
    };
    match resource.resource_type {
        TOPIC => {
            let configs = node
                .store()
                .model()
                .topics
                .get(resource.resource_name.as_str())
                .map(|t| t.configs.clone());
            let configs = configs.ok_or(ResponseError::UnknownTopicOrPartition)?;
            Ok(settings::rows(&configs)
                .filter(|r| wanted(r.name))
                .map(|r| topic_row(version, &r, synonyms))
                .collect())
        }
        BROKER
            if resource.resource_name.is_empty()
                || resource.resource_name.as_str() == NODE.0.to_string() =>
        {
            Ok(broker_rows(node)
                .into_iter()
                .filter(|(name, _)| wanted(name))
                .map(|(name, value)| broker_row(name, value))
                .collect())
        }
        BROKER => Err(Refused(
            ResponseError::InvalidRequest,
            format!("Unexpected broker id, expected {}", NODE.0),
        )),
        other => Err(Refused(
            ResponseError::InvalidRequest,
            format!("Resource type {other} has no configs here"),
        )),
    }
}

fn topic_row(
    version: i16,
    row: &settings::Row<'_>,
    synonyms: bool,
) -> DescribeConfigsResourceResult {
    let mut out =
        DescribeConfigsResourceResult::default().with_name(StrBytes::from_static_str(row.name));
    out.value = Some(row.value.to_owned().into());
    out.config_source = if row.overridden {
        FROM_TOPIC
    } else {
        FROM_DEFAULT
    };
    if version >= 3 {
        out.config_type = row.kind;
    }
    if synonyms {
        let synonym = |value: &str, source| {
            let of = DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_static_str(row.name))
                .with_source(source);
            of.with_value(Some(value.to_owned().into()))
        };
        out.synonyms
            .extend(row.overridden.then(|| synonym(row.value, FROM_TOPIC)));
        out.synonyms.push(synonym(row.default, FROM_DEFAULT));
    }
    out
}

/// What clients and tools ask a broker for.
fn broker_rows(node: &Node) -> Vec<(&'static str, String)> {
    let config = &node.config;
    let default = |name| settings::default_of(name).unwrap_or_default().to_owned();
    vec![
        (
            "auto.create.topics.enable",
            config.auto_create_topics.to_string(),
        ),
        ("broker.id", NODE.0.to_string()),
        ("default.replication.factor", "1".into()),
        (
            "group.initial.rebalance.delay.ms",
            config.group_initial_rebalance_delay_ms.to_string(),
        ),
        (
            "group.max.session.timeout.ms",
            config.group_max_session_timeout_ms.to_string(),
        ),
        (
            "group.min.session.timeout.ms",
            config.group_min_session_timeout_ms.to_string(),
        ),
        ("log.cleanup.policy", default("cleanup.policy")),
        ("log.retention.bytes", default("retention.bytes")),
        (
            "log.retention.check.interval.ms",
            config.log_check_interval.as_millis().to_string(),
        ),
        ("log.retention.ms", default("retention.ms")),
        ("log.segment.bytes", default("segment.bytes")),
        ("message.max.bytes", default("max.message.bytes")),
        ("min.insync.replicas", "1".into()),
        ("node.id", NODE.0.to_string()),
        ("num.partitions", config.num_partitions.to_string()),
        (
            "offset.metadata.max.bytes",
            config.limits.offset_metadata_bytes.to_string(),
        ),
        ("offsets.topic.replication.factor", "1".into()),
        (
            "socket.request.max.bytes",
            config.limits.request_bytes.to_string(),
        ),
        (
            "transaction.max.timeout.ms",
            config.transaction_max_timeout_ms.to_string(),
        ),
        ("transaction.state.log.replication.factor", "1".into()),
    ]
}

fn broker_row(name: &'static str, value: String) -> DescribeConfigsResourceResult {
    let row = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(name))
        .with_value(Some(value.into()));
    row.with_read_only(true).with_config_source(FROM_FILE)
}

pub(crate) fn alter(node: &Node, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut answer = AlterConfigsResponse::default();
    for resource in request.resources {
        let new: Overrides = resource
            .configs
            .iter()
            .filter_map(|c| Some((c.name.to_string(), c.value.as_ref()?.to_string())))
            .collect();
        let outcome = change(
            node,
            resource.resource_type,
            &resource.resource_name,
            request.validate_only,
            |configs| {
                *configs = new;
                Ok(())
            },
        );
        let mut row =
            AlterConfigsResourceResponse::default().with_resource_type(resource.resource_type);
        if let Err(Refused(error, text)) = outcome {
            row.error_code = error.code();
            row.error_message = Some(text.into());
        }
        answer
            .responses
            .push(row.with_resource_name(resource.resource_name));
    }
    answer
}

pub(crate) fn alter_incrementally(
    node: &Node,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut answer = IncrementalAlterConfigsResponse::default();
    for resource in request.resources {
        let outcome = change(
            node,
            resource.resource_type,
            &resource.resource_name,
            request.validate_only,
            |configs| resource.configs.iter().try_for_each(|c| apply(configs, c)),
        );
        let mut row = incremental_alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type);
        if let Err(Refused(error, text)) = outcome {
            row.error_code = error.code();
            row.error_message = Some(text.into());
        }
        answer
            .responses
            .push(row.with_resource_name(resource.resource_name));
    }
    answer
}

fn change(
    node: &Node,
    kind: i8,
    name: &str,
    only_check: bool,
    change: impl FnOnce(&mut Overrides) -> Result<(), Refused>,
) -> Result<(), Refused> {
    match kind {
        TOPIC => node.topics.configure(&node.store, name, only_check, change),
        _ => Err(Refused(
            ResponseError::InvalidRequest,
            "Only topic configs can be altered: the broker's are fixed at its start.".into(),
        )),
    }
}

/// One SET, DELETE, APPEND or SUBTRACT.
fn apply(configs: &mut Overrides, change: &incremental::AlterableConfig) -> Result<(), Refused> {
    let name = change.name.to_string();
    let value = change
        .value
        .as_ref()
        .map(|v| v.to_string())
        .unwrap_or_default();
    let listed = |configs: &Overrides| -> Vec<String> {
        let now = configs
            .get(&name)
            .map(String::as_str)
            .or_else(|| settings::default_of(&name))
            .unwrap_or_default();
        now.split(',')
            .map(|s| s.trim().to_owned())
            .filter(|s| !s.is_empty())
            .collect()
    };
    match change.config_operation {
        0 => drop(configs.insert(name, value)),
        1 => drop(configs.remove(&name)),
        2 | 3 if !settings::is_list(&name) => {
            return Err(Refused(
                ResponseError::InvalidConfig,
                format!("Config value append is not allowed for config key: {name}"),
            ));
        }
        2 => {
            let mut all = listed(configs);
            all.extend(
                value
                    .split(',')
                    .map(|s| s.trim().to_owned())
                    .filter(|v| !listed(configs).contains(v)),
            );
            configs.insert(name, all.join(","));
        }
        3 => {
            let rest: Vec<_> = listed(configs)
                .into_iter()
                .filter(|v| value.split(',').all(|gone| gone.trim() != v))
                .collect();
            configs.insert(name, rest.join(","));
        }
        other => {
            return Err(Refused(
                ResponseError::InvalidRequest,
                format!("Unknown config operation {other}"),
            ));
        }
    }
    Ok(())
}
