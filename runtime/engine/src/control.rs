//! The one door to a worker, for REST, CLI, UI and MCP. It writes desired state and reads the views; it commands nothing else (D4).

mod answers;
mod error;
mod judge;
mod offsets;
mod plugins;
mod read;
mod write;

pub use crate::views::config::TargetState;
pub use answers::{
    ActiveTopics, ConnectorInfo, ConnectorOffset, ConnectorOffsets, ConnectorState,
    ConnectorStateInfo, ConnectorType, Extra, Health, HealthStatus, PluginExtra, PluginInfo,
    PluginKind, ServerExtra, ServerInfo, Stored, TaskInfo, TaskName, TaskStateInfo, TopicList,
    Validated, Warning,
};
pub use error::{ControlError, ControlErrorKind};

use crate::{registry, views::config::Connector, worker::Context};
use longshore_sdk::{Direction, config::Flat};
use std::{future::Future, sync::Arc, time::Duration};

/// Result of a request.
pub type ControlResult<T> = std::result::Result<T, ControlError>;

/// The version of Apache Kafka Connect whose API this is.
const API_VERSION: &str = "4.1.0";
/// How long `GET /` waits for the broker.
const CLUSTER_ID_WAIT: Duration = Duration::from_secs(2);

/// The one door. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    cx: Arc<Context>,
    cluster_id: Arc<tokio::sync::OnceCell<String>>,
}

impl Control {
    pub(crate) fn new(cx: Arc<Context>) -> Self {
        Self {
            cx,
            cluster_id: Arc::default(),
        }
    }
    /// Returns once the worker has read its topics to the end.
    pub async fn ready(&self) {
        self.cx.config.ready().await;
        self.cx.status.log().ready().await;
        self.cx.offsets.ready().await;
    }
    /// `GET /`. Answers without the cluster id while the broker is away.
    pub async fn server_info(&self) -> ServerInfo {
        let ask = self.cluster_id.get_or_try_init(|| self.cx.bus.cluster_id());
        let id = match tokio::time::timeout(CLUSTER_ID_WAIT, ask).await {
            Ok(Ok(id)) => id.clone(),
            _ => String::new(),
        };
        ServerInfo {
            version: API_VERSION.to_owned(),
            commit: self.cx.settings.commit.clone(),
            kafka_cluster_id: id,
            x: ServerExtra {
                longshore: self.cx.settings.version.clone(),
            },
        }
    }
    /// `GET /health`.
    pub fn health(&self) -> Health {
        let ready = [
            self.cx.config.is_ready(),
            self.cx.status.log().is_ready(),
            self.cx.offsets.is_ready(),
        ];
        let view = self.cx.view();
        let (status, message) = if ready.contains(&false) {
            let text = "Worker is still starting up. The worker is currently initializing and reading to the end of internal topics.";
            (HealthStatus::Starting, text)
        } else if !view.members.contains(&view.me) {
            let text = "Worker was unable to handle this request and may be unable to handle other requests. The worker is not in its group.";
            (HealthStatus::Unhealthy, text)
        } else {
            let text = "Worker has completed startup and is ready to handle requests.";
            (HealthStatus::Healthy, text)
        };
        Health {
            status,
            message: message.to_owned(),
        }
    }
    /// Whether topic tracking is on; `topics` answers 403 without.
    pub fn topic_tracking(&self) -> bool {
        self.cx.settings.topic_tracking
    }
    /// Whether the topics of a connector may be reset; `topics_reset` answers 403 without.
    pub fn topic_tracking_reset(&self) -> bool {
        self.cx.settings.topic_tracking_reset
    }

    /// A connector, or 404 in the words of the route.
    fn find(&self, name: &str, otherwise: impl FnOnce() -> String) -> ControlResult<Connector> {
        let found = self.cx.config.read(|configs| configs.get(name));
        found.ok_or_else(|| ControlError::not_found(otherwise()))
    }
    fn plugin(&self, config: &Flat) -> Option<&registry::Connector> {
        let class = config.get("connector.class")?;
        self.cx.registry.connector(class)
    }
    fn kind(&self, config: &Flat) -> ConnectorType {
        match self.plugin(config).map(registry::Connector::direction) {
            Some(Direction::Source) => ConnectorType::Source,
            Some(Direction::Sink) => ConnectorType::Sink,
            None => ConnectorType::Unknown,
        }
    }
    /// Waits for what a request needs of the broker, no longer than a request may.
    async fn in_time<T>(
        &self,
        doing: &str,
        work: impl Future<Output = ControlResult<T>>,
    ) -> ControlResult<T> {
        let done = tokio::time::timeout(self.cx.settings.request_timeout, work).await;
        done.unwrap_or_else(|_| {
            let text = format!("Request timed out. The worker is currently {doing}");
            let error = ControlError::new(ControlErrorKind::Timeout, text);
            Err(error
                .suggest("look whether the broker answers; the request may still be carried out"))
        })
    }
}
