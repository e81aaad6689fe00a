//! What a worker is given: clients, logs, membership, and what it is told.

use super::peers::HttpPeers;
use crate::{
    rest,
    settings::{RestartPolicy, Store, WorkerSettings},
};
use anyhow::{Context, Result};
use longshore_engine::{
    ports::{KeyedLog, Member},
    worker::{self, InternalTopics, Logs, Ports},
};
use longshore_kafka::{
    Admin, ClientSettings, InternalTopic, KafkaBus, KafkaLeadership, KafkaLog, KafkaMembership,
    LeadershipSpec, LogSpec, MemberSpec,
};
use std::sync::Arc;

/// The ports of a worker.
pub(super) struct Parts {
    pub(super) ports: Ports,
}

/// Opens the clients, creates or checks the internal topics, joins the group as `me`.
pub(super) async fn open(
    settings: &WorkerSettings,
    clients: ClientSettings,
    me: &Member,
    peers: HttpPeers,
) -> Result<Parts> {
    let bus = KafkaBus::new(clients);
    let admin = bus.admin().await.context("Kafka cannot be reached")?;
    let group = &settings.group_id;
    let unusable = "the internal topics cannot be used";
    admin
        .ensure_internal(&[InternalTopic::coordination(group)])
        .await
        .context(unusable)?;
    let coordination = format!("{group}-coordination");
    let member = MemberSpec {
        group: group.clone(),
        worker_id: me.worker_id.clone(),
        https: me.https,
        incarnation: me.incarnation.clone(),
        session_timeout_ms: u32::try_from(settings.session_timeout().as_millis())
            .unwrap_or(u32::MAX),
        who: peers.who(),
    };
    let leadership = LeadershipSpec {
        group: group.clone(),
        config_topic: settings.topic(Store::Config),
        coordination_topic: coordination.clone(),
        offset_topic: settings.topic(Store::Offset),
    };
    let coordination = log(settings, admin, coordination, "assignments").await?;
    // Before it joins: a member gets tasks.
    let used = worker::agree(&topics(settings), coordination.as_ref())
        .await
        .context("the worker does not fit into its group")?;
    admin
        .ensure_internal(&internal_topics(settings, used))
        .await
        .context(unusable)?;
    let (membership, leadership, config, offset, status) = tokio::try_join!(
        async {
            let membership = KafkaMembership::join(admin, member).await;
            membership.context("the group of workers cannot be joined")
        },
        async {
            let leadership = KafkaLeadership::prepare(admin, leadership).await;
            leadership.context("the leader's producer cannot be opened")
        },
        log(settings, admin, settings.topic(Store::Config), "configs"),
        log(settings, admin, settings.topic(Store::Offset), "offsets"),
        log(settings, admin, settings.topic(Store::Status), "statuses"),
    )?;
    let logs = Logs {
        config,
        offset,
        status,
        coordination,
    };
    Ok(Parts {
        ports: Ports {
            bus: Arc::new(bus),
            logs,
            membership: Arc::new(membership),
            leadership: Arc::new(leadership),
            peers: Arc::new(peers),
        },
    })
}

/// The internal topics that all workers of the group must agree on.
fn topics(settings: &WorkerSettings) -> InternalTopics {
    InternalTopics {
        config: settings.topic(Store::Config),
        offset: settings.topic(Store::Offset),
        status: settings.topic(Store::Status),
    }
}

async fn log(
    settings: &WorkerSettings,
    admin: &Admin,
    topic: String,
    suffix: &str,
) -> Result<Arc<dyn KeyedLog>> {
    let spec = LogSpec {
        topic: topic.clone(),
        key: match suffix {
            "configs" => "config.storage.topic",
            "offsets" => "offset.storage.topic",
            "statuses" => "status.storage.topic",
            _ => "group.id",
        },
        client_id: format!("{}-{suffix}", settings.group_id),
        prompt: matches!(suffix, "configs" | "assignments"),
    };
    let log = KafkaLog::open(admin, spec)
        .await
        .with_context(|| format!("the topic {topic} cannot be opened"))?;
    Ok(Arc::new(log))
}

/// `used`: the group has written to them.
fn internal_topics(settings: &WorkerSettings, used: bool) -> [InternalTopic; 3] {
    let mut config = InternalTopic::configs(settings.topic(Store::Config));
    config.replication = replication(settings.config_replication);
    config.config.extend(settings.config_topic_configs.clone());
    let mut offset = InternalTopic::offsets(settings.topic(Store::Offset));
    offset.replication = replication(settings.offset_replication);
    offset.partitions = settings.offset_partitions;
    offset.config.extend(settings.offset_topic_configs.clone());
    let mut status = InternalTopic::statuses(settings.topic(Store::Status));
    status.replication = replication(settings.status_replication);
    status.partitions = settings.status_partitions;
    status.config.extend(settings.status_topic_configs.clone());
    // Statuses are said again by whoever runs something.
    (config.used, offset.used) = (used, used);
    [config, offset, status]
}

/// -1 means the broker's default in Kafka's settings; here it means ours: 3, or the number of brokers.
fn replication(factor: Option<i16>) -> Option<i16> {
    factor.filter(|factor| *factor > 0)
}

/// What the worker is told.
pub(super) fn told(settings: &WorkerSettings, worker_id: String) -> worker::WorkerSettings {
    worker::WorkerSettings {
        worker_id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: rest::COMMIT.to_owned(),
        group_id: settings.group_id.clone(),
        topics: topics(settings),
        rebalance_delay: settings.rebalance_delay(),
        converters: settings.converters(),
        exactly_once_sources: settings.source_support(),
        commit_interval: settings.offset_flush_interval(),
        grace: settings.shutdown_timeout(),
        retry_timeout: settings.retry_timeout(),
        restart_policy: match settings.restart_policy {
            RestartPolicy::OnTransient => worker::RestartPolicy::OnTransient,
            RestartPolicy::Always => worker::RestartPolicy::Always,
            RestartPolicy::Never => worker::RestartPolicy::Never,
        },
        stall_timeout: settings.stall_timeout(),
        memory: settings.memory(),
        unknown_keys: settings.unknown_keys_by_rest(),
        overrides: settings.overrides(),
        placeholders: settings.placeholders.clone(),
        session_key_ttl: settings.session_key_ttl(),
        topic_tracking: settings.topic_tracking,
        topic_tracking_reset: settings.topic_tracking_reset,
        topic_creation: settings.topic_creation,
        ..worker::WorkerSettings::default()
    }
}
