//! What a task tells others: offsets that became safe, topics that it touched.

use longshore_sdk::{Offsets, Result, Topic, erased::Boxed};

/// Keeps the offsets of a source task.
pub trait OffsetStore: Send + Sync {
    /// Returns once the offsets are durable. After an error the task calls again with the same or newer ones.
    fn put<'a>(&'a self, offsets: &'a Offsets) -> Boxed<'a, Result<()>>;
}

/// Is told of each topic before the task's first record of it is written (source) or put (sink).
pub trait TopicObserver: Send + Sync {
    /// It may create the topic. Transient errors are retried; after `Ok` the topic is not told again by this task.
    fn seen<'a>(&'a self, topic: &'a Topic) -> Boxed<'a, Result<()>>;
}

/// Observes nothing: topic tracking and topic creation are off.
pub struct Unobserved;

impl TopicObserver for Unobserved {
    fn seen<'a>(&'a self, _: &'a Topic) -> Boxed<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
