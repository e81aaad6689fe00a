//! The one door to a worker, for REST, CLI, UI and MCP. It writes desired state and reads the views; it commands nothing else (D4).
//!
//! Any worker of a group takes any request: reads are local, and what only the leader may write, or only a task's owner may do, goes there
//! ([`Peers`](crate::ports::Peers)). The answer comes once the view of the worker that was asked shows what was written.

mod answers;
mod called;
mod carry_out;
mod command;
mod error;
mod forward;
mod judge;
mod leave;
mod offsets;
mod plugins;
mod read;
mod session;
mod status;
mod told;
mod write;

pub use crate::views::config::{SessionKey, TargetState};
pub use answers::{
    ActiveTopics, ConnectorInfo, ConnectorOffset, ConnectorOffsets, ConnectorState,
    ConnectorStateInfo, ConnectorType, Extra, Health, HealthStatus, PluginExtra, PluginInfo,
    PluginKind, ServerExtra, ServerInfo, Stored, TaskInfo, TaskName, TaskStateInfo, TopicList,
    Validated, Warning,
};
pub use called::{Answered, Forwarded};
pub use error::{ControlError, ControlErrorKind};
pub(crate) use session::keep_session_key;

use crate::{ports::Member, registry, views::config::Connector, worker::Context};
use called::Calls;
use longshore_sdk::{Direction, config::Flat};
use std::{future::Future, sync::Arc, time::Duration};

/// Result of a request.
pub type ControlResult<T> = std::result::Result<T, ControlError>;

/// The version of Apache Kafka Connect whose API this is.
const API_VERSION: &str = "4.1.0";
/// How long a connector that is not in this worker's view is looked for in the topic.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long `GET /` waits for the broker.
const CLUSTER_ID_WAIT: Duration = Duration::from_secs(2);

/// The one door. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    cx: Arc<Context>,
    cluster_id: Arc<tokio::sync::OnceCell<String>>,
    calls: Arc<Calls>,
    /// Who asks, where that is known: for the audit log of the worker that carries it out.
    user: Option<Arc<str>>,
}

impl Control {
    pub(crate) fn new(cx: Arc<Context>) -> Self {
        Self {
            cx,
            cluster_id: Arc::default(),
            calls: Arc::default(),
            user: None,
        }
    }
    /// The same door for somebody: the worker that a request goes to notes who asked.
    #[must_use]
    pub fn on_behalf_of(&self, user: &Arc<str>) -> Self {
        Self {
            user: Some(Arc::clone(user)),
            ..self.clone()
        }
    }
    /// This worker as its group knows it.
    pub fn me(&self) -> Member {
        self.cx.view().me
    }
    /// Returns once the worker has read its topics to the end.
    pub async fn ready(&self) {
        self.cx.config.ready().await;
        self.cx.status.log().ready().await;
        self.cx.offsets.ready().await;
        self.cx.assignments.ready().await;
    }
    /// Whether this worker leads its group and has taken over: the others forward to it.
    pub fn leads(&self) -> bool {
        self.cx.leading.is_held()
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
                broken_plugins: self.cx.registry.broken().to_vec(),
            },
        }
    }
    /// `GET /health`.
    pub fn health(&self) -> Health {
        let ready = [
            self.cx.config.is_ready(),
            self.cx.status.log().is_ready(),
            self.cx.offsets.is_ready(),
            self.cx.assignments.is_ready(),
        ];
        let view = self.cx.view();
        let trouble = self.cx.trouble();
        // A hurdle of another time: whoever leads now has taken it.
        let barred = || self.cx.leading.barred().filter(|_| view.leading());
        let trouble = trouble.or_else(barred);
        let (status, message) = if let Some(trouble) = &trouble {
            (HealthStatus::Unhealthy, &**trouble)
        } else if ready.contains(&false) {
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
        self.cx.connector(config)
    }
    fn kind(&self, config: &Flat) -> ConnectorType {
        match self.plugin(config).map(registry::Connector::direction) {
            Some(Direction::Source) => ConnectorType::Source,
            Some(Direction::Sink) => ConnectorType::Sink,
            None => ConnectorType::Unknown,
        }
    }
    /// The same for what is to be changed. One that was created through another worker a moment ago may not be in this one's view yet: it is read to the end.
    async fn find_now(
        &self,
        name: &str,
        otherwise: impl FnOnce() -> String,
    ) -> ControlResult<Connector> {
        if !self.cx.config.read(|configs| configs.contains(name))
            && self.cx.view().members.len() > 1
        {
            let refreshed = tokio::time::timeout(LOOK_AGAIN, self.cx.config.refresh()).await;
            if !matches!(refreshed, Ok(Ok(()))) {
                tracing::debug!(
                    connector = name,
                    "the config topic could not be read to its end"
                );
            }
        }
        self.find(name, otherwise)
    }
    /// Waits for what a request needs of the broker, no longer than a request may.
    async fn in_time<T>(
        &self,
        doing: &str,
        work: impl Future<Output = ControlResult<T>>,
    ) -> ControlResult<T> {
        let done = tokio::time::timeout(self.cx.settings.request_timeout, work).await;
        done.unwrap_or_else(|_| Err(command::timed_out(doing)))
    }
}
