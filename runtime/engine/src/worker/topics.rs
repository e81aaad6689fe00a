//! Topics that a task meets: noted for `GET /connectors/x/topics`, and created where the connector says how.

use super::context::{Context, wall_clock_ms};
use crate::{
    connector_config::TopicCreation,
    task::{TaskId, TopicObserver},
};
use longshore_sdk::{Result, Topic, erased::Boxed};
use std::sync::Arc;

/// Notes and creates the topics of one task.
pub(super) struct Topics {
    pub(super) cx: Arc<Context>,
    pub(super) id: TaskId,
    pub(super) creation: Option<TopicCreation>,
}

impl TopicObserver for Topics {
    fn seen<'a>(&'a self, topic: &'a Topic) -> Boxed<'a, Result<()>> {
        Box::pin(async move {
            if let Some(creation) = &self.creation
                && self.cx.settings.topic_creation
                && self.cx.bus.ensure_topic(creation.spec(topic)).await?
            {
                tracing::info!(task = %self.id, %topic, "created a topic");
            }
            if self.cx.settings.topic_tracking {
                self.cx.status.topic_used(&self.id, topic, wall_clock_ms());
            }
            Ok(())
        })
    }
}
