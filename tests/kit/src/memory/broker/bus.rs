//! The bus at the end of a worker's line.

use super::{Broker, Link, consumer::BrokerConsumer, producer::BrokerProducer};
use longshore_engine::ports::{Bus, Consumer, ConsumerSpec, Producer, ProducerSpec, TopicSpec};
use longshore_sdk::{Result, TopicOffsets, erased::Boxed};

/// The broker as one worker reaches it.
#[derive(Clone)]
pub struct BrokerBus {
    pub(super) broker: Broker,
    pub(super) link: Link,
}

impl BrokerBus {
    /// The broker at the other end of `link`.
    pub fn new(broker: &Broker, link: &Link) -> Self {
        Self {
            broker: broker.clone(),
            link: link.clone(),
        }
    }
}

impl Bus for BrokerBus {
    fn producer(&self, spec: ProducerSpec) -> Boxed<'_, Result<Box<dyn Producer>>> {
        Box::pin(async move {
            let producer = BrokerProducer::open(self.clone(), spec).await?;
            Ok(Box::new(producer) as Box<dyn Producer>)
        })
    }
    fn consumer(&self, spec: ConsumerSpec) -> Boxed<'_, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let consumer = BrokerConsumer::join(self.clone(), spec).await?;
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }
    fn ensure_topic(&self, topic: TopicSpec) -> Boxed<'_, Result<bool>> {
        Box::pin(async move {
            let partitions = topic.partitions.and_then(|n| usize::try_from(n).ok());
            let create = || {
                let mut state = self.broker.state();
                let there = state.topics.contains_key(&topic.name);
                state.topic(&topic.name, partitions.unwrap_or(1));
                Ok(!there)
            };
            self.link.call("create topic", create).await
        })
    }
    fn committed<'a>(&'a self, group: &'a str) -> Boxed<'a, Result<TopicOffsets>> {
        let read = || Ok(self.broker.committed_offsets(group));
        Box::pin(self.link.call("committed", read))
    }
    fn cluster_id(&self) -> Boxed<'_, Result<String>> {
        Box::pin(async { Ok("memory".to_owned()) })
    }
}
