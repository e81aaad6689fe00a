//! The engine's door to a cluster.

use crate::{
    admin::Admin, awaited::Awaited, client::ClientSettings, consumer::GroupConsumer,
    producer::KafkaProducer,
};
use longshore_engine::ports::{Bus, Consumer, ConsumerSpec, Producer, ProducerSpec, TopicSpec};
use longshore_sdk::{Error, Result, TopicOffsets, erased::Boxed};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Opens clients of one cluster.
pub struct KafkaBus {
    settings: ClientSettings,
    admin: Arc<OnceCell<Admin>>,
    awaited: Arc<Awaited>,
}

impl KafkaBus {
    /// Nothing is opened before it is asked for.
    pub fn new(settings: ClientSettings) -> Self {
        let admin = Arc::default();
        Self {
            awaited: Awaited::new(settings.clone(), &admin),
            settings,
            admin,
        }
    }
    /// The settings that every client starts from.
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }
    /// The cluster's admin client, opened at the first call. Err (Transient): no broker answers at bootstrap.servers.
    pub async fn admin(&self) -> Result<&Admin> {
        self.admin
            .get_or_try_init(|| Admin::connect(&self.settings))
            .await
    }
}

impl Bus for KafkaBus {
    fn producer(&self, spec: ProducerSpec) -> Boxed<'_, Result<Box<dyn Producer>>> {
        Box::pin(async move {
            let producer = KafkaProducer::open(&self.settings, spec).await?;
            Ok(Box::new(producer) as Box<dyn Producer>)
        })
    }
    fn consumer(&self, spec: ConsumerSpec) -> Boxed<'_, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let consumer = GroupConsumer::open(&self.settings, &spec, &self.awaited)?;
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }
    fn ensure_topic(&self, topic: TopicSpec) -> Boxed<'_, Result<bool>> {
        Box::pin(async move { self.admin().await?.ensure_topic(&topic).await })
    }
    fn explain<'a>(&'a self, error: Error, beside: &'a str) -> Boxed<'a, Error> {
        Box::pin(async move {
            let mut context = error.context().iter();
            let named = context.find(|(name, _)| *name == "topic");
            let topic = named.map_or_else(|| beside.to_owned(), |(_, topic)| topic.clone());
            match self.admin().await {
                Ok(admin) => admin.why_unwritten(error, &topic).await,
                Err(_) => error,
            }
        })
    }
    fn committed<'a>(&'a self, group: &'a str) -> Boxed<'a, Result<TopicOffsets>> {
        Box::pin(async move { self.admin().await?.committed(group).await })
    }
    fn cluster_id(&self) -> Boxed<'_, Result<String>> {
        Box::pin(async move { self.admin().await?.cluster_id().await })
    }
}
