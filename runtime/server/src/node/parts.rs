//! What a worker is given: clients, logs, membership, and what it is told.

use crate::{
    rest,
    settings::{RestartPolicy, Store, WorkerSettings},
};
use anyhow::{Context, Result};
use longshore_engine::{
    ports::{KeyedLog, Membership, bus::SharedBus},
    worker::{self, Logs},
};
use longshore_kafka::{
    Admin, ClientSettings, InternalTopic, KafkaBus, KafkaLog, KafkaMembership, LogSpec, MemberSpec,
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The ports of a worker.
pub(super) struct Parts {
    pub(super) bus: SharedBus,
    pub(super) logs: Logs,
    pub(super) membership: Arc<dyn Membership>,
}

/// Opens the clients, creates or checks the internal topics, joins the group.
pub(super) async fn open(
    settings: &WorkerSettings,
    clients: ClientSettings,
    worker_id: &str,
) -> Result<Parts> {
    let bus = KafkaBus::new(clients);
    let admin = bus.admin().await.context("Kafka cannot be reached")?;
    admin
        .ensure_internal(&internal_topics(settings))
        .await
        .context("the internal topics cannot be used")?;
    let group = &settings.group_id;
    let member = MemberSpec {
        group: group.clone(),
        worker_id: worker_id.to_owned(),
        incarnation: uuid::Uuid::new_v4().to_string(),
        session_timeout_ms: u32::try_from(settings.session_timeout().as_millis())
            .unwrap_or(u32::MAX),
    };
    // Only a member of the group may take over the config log: that fences its former owner.
    let (joined, join) = oneshot::channel();
    let is_member = async {
        if join.await.is_err() {
            // Joining has failed, and with it the start.
            std::future::pending::<()>().await;
        }
    };
    let writer = Some(format!("connect-cluster-{group}"));
    let now = || std::future::ready(());
    let (membership, config, offset, status) = tokio::try_join!(
        async {
            let membership = KafkaMembership::join(admin, member).await;
            let membership = membership.context("the group of workers cannot be joined")?;
            let _ = joined.send(());
            Ok(membership)
        },
        log(settings, admin, Store::Config, writer, is_member),
        log(settings, admin, Store::Offset, None, now()),
        log(settings, admin, Store::Status, None, now()),
    )?;
    let logs = Logs {
        config,
        offset,
        status,
    };
    Ok(Parts {
        bus: Arc::new(bus),
        logs,
        membership: Arc::new(membership),
    })
}

async fn log(
    settings: &WorkerSettings,
    admin: &Admin,
    store: Store,
    transactional_id: Option<String>,
    allowed: impl Future<Output = ()>,
) -> Result<Arc<dyn KeyedLog>> {
    let topic = settings.topic(store);
    let suffix = match store {
        Store::Config => "configs",
        Store::Offset => "offsets",
        Store::Status => "statuses",
    };
    let spec = LogSpec {
        topic: topic.clone(),
        client_id: format!("{}-{suffix}", settings.group_id),
        transactional_id,
    };
    let log = KafkaLog::open_after(admin, spec, allowed)
        .await
        .with_context(|| format!("the topic {topic} cannot be opened"))?;
    Ok(Arc::new(log))
}

fn internal_topics(settings: &WorkerSettings) -> [InternalTopic; 4] {
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
    [
        config,
        offset,
        status,
        InternalTopic::coordination(&settings.group_id),
    ]
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
        converters: settings.converters(),
        commit_interval: settings.offset_flush_interval(),
        grace: settings.shutdown_timeout(),
        retry_timeout: settings.retry_timeout(),
        restart_policy: match settings.restart_policy {
            RestartPolicy::OnTransient => worker::RestartPolicy::OnTransient,
            RestartPolicy::Always => worker::RestartPolicy::Always,
            RestartPolicy::Never => worker::RestartPolicy::Never,
        },
        stall_timeout: settings.stall_timeout(),
        unknown_keys: settings.unknown_keys_by_rest(),
        overrides: settings.overrides(),
        placeholders: settings.placeholders.clone(),
        topic_tracking: settings.topic_tracking,
        topic_tracking_reset: settings.topic_tracking_reset,
        topic_creation: settings.topic_creation,
        ..worker::WorkerSettings::default()
    }
}
