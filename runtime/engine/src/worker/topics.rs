//! Topics that a task meets: noted for `GET /connectors/x/topics`, and created where the connector says how.

use super::context::Context;
use crate::{
    connector_config::TopicCreation,
    task::{TaskId, TopicObserver},
};
use longshore_sdk::{Result, Topic, erased::Boxed};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Notes and creates the topics of one task.
pub(super) struct Topics {
    pub(super) cx: Arc<Context>,
    pub(super) id: TaskId,
    pub(super) creation: Option<TopicCreation>,
    /// The topics that the task has met.
    pub(super) met: Mutex<BTreeSet<Topic>>,
}

impl Topics {
    /// Notes them again: they were reset, and the task goes on.
    pub(super) fn note_again(&self) {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.iter().for_each(|topic| self.note(topic));
    }
    fn note(&self, topic: &Topic) {
        let now_ms = self.cx.wall_clock_ms();
        self.cx.status.topic_used(&self.id, topic, now_ms);
    }
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
                self.note(topic);
                let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
                met.insert(topic.clone());
            }
            Ok(())
        })
    }
}
