//! Topics and groups: create, check, ask.

use crate::{
    blocking::{Bounded, run},
    client::{ClientSettings, Properties, Resolved, Role},
    consumer, errors,
    handle::Handle,
    native, oauth,
    question::{Asked, Attempts},
    roster::Roster,
};
use longshore_engine::ports::TopicSpec;
use longshore_sdk::{Error, ErrorKind, Result, TopicOffsets, TopicPartition};
use rdkafka::{
    admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication, TopicResult},
    consumer::Consumer,
    error::RDKafkaErrorCode as Code,
    topic_partition_list::{Offset, TopicPartitionList},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long one question may take.
const ASK_MAX: Duration = Duration::from_secs(10);
/// How long after a refused login an answer may still come.
const REFUSED_MAX: Duration = Duration::from_secs(2);

/// Asks a cluster, and creates topics in it.
#[derive(Clone)]
pub struct Admin {
    pub(crate) settings: ClientSettings,
    /// A client that reads nothing: its thread also drains the library's log.
    client: Arc<Asker>,
    /// Where its OAUTHBEARER tokens come from.
    tokens: Option<Arc<oauth::Source>>,
}

struct Asker(Arc<Handle>);

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.begin_close(false);
    }
}

impl Admin {
    /// Opens a client and makes sure that a broker answers. Err (Transient): none does; the text names bootstrap.servers. Err (Auth): the
    /// brokers or the token endpoint refuse the login, or their certificates are not trusted.
    pub async fn connect(settings: &ClientSettings) -> Result<Self> {
        Self::connect_with(settings, &Properties::new()).await
    }
    /// The same with a connector's overrides (`admin.override.`).
    pub async fn connect_with(settings: &ClientSettings, overrides: &Properties) -> Result<Self> {
        let mut settings = settings.clone();
        settings.admin.extend(overrides.clone());
        let mut resolved = settings.resolve(Role::Admin, &Properties::new())?;
        asking(&mut resolved, "longshore-admin");
        if let Some(tokens) = &resolved.tokens {
            tokens.first(ASK_MAX).await?;
        }
        let client = Handle::open(&resolved.config(), "admin")?;
        let admin = Self {
            client: Arc::new(Asker(client)),
            tokens: resolved.tokens,
            settings,
        };
        admin.brokers().await?;
        Ok(admin)
    }

    async fn ask<T: Send + 'static>(
        &self,
        op: &'static str,
        call: impl FnOnce(&Handle) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let client = Arc::clone(&self.client);
        let bound = Bounded(ASK_MAX + Duration::from_secs(2));
        let events = self.client.0.events();
        // Told before this question: it explains a time-out, and proves nothing about now.
        let before = events.trouble();
        let refused = async {
            loop {
                if let Some(trouble) = events.trouble() {
                    // Another broker may know us.
                    tokio::time::sleep(REFUSED_MAX).await;
                    return trouble;
                }
                events.wake().notified().await;
            }
        };
        let error = tokio::select! {
            answer = run(op, bound, move || call(&client.0)) => match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            },
            trouble = refused => return Err(trouble),
        };
        if error.kind() != ErrorKind::Transient {
            return Err(error);
        }
        // A refused login is known better than the time-out that follows it.
        let tokens = || self.tokens.as_ref()?.trouble();
        let known = events.trouble().or(before).or_else(tokens);
        Err(known.unwrap_or_else(|| {
            Error::transient(
                op,
                format!(
                    "no broker answers at bootstrap.servers={}: {}",
                    self.settings.bootstrap(),
                    error.message()
                ),
            )
        }))
    }

    /// How many brokers the cluster has.
    pub async fn brokers(&self) -> Result<usize> {
        self.ask("metadata", |client| Ok(all_topics(client)?.brokers().len()))
            .await
    }

    /// The cluster's id.
    pub async fn cluster_id(&self) -> Result<String> {
        self.ask("cluster_id", |client| {
            let id = client.consumer().client().fetch_cluster_id(ASK_MAX);
            id.ok_or_else(|| {
                Error::transient("cluster_id", "the broker did not tell its cluster's id")
            })
        })
        .await
    }

    /// All topics with their numbers of partitions.
    pub async fn topics(&self) -> Result<BTreeMap<String, i32>> {
        self.ask("metadata", |client| {
            let metadata = all_topics(client)?;
            let topics = metadata.topics().iter().filter(|t| t.error().is_none());
            Ok(topics
                .map(|t| (t.name().to_owned(), count(t.partitions().len())))
                .collect())
        })
        .await
    }

    /// The number of partitions of a topic; `None` = there is no such topic. Asking does not create it.
    pub async fn partitions(&self, topic: &str) -> Result<Option<i32>> {
        Ok(self.topics().await?.remove(topic))
    }

    /// Makes sure that a topic exists; `Ok(true)` if this call created it.
    pub async fn ensure_topic(&self, topic: &TopicSpec) -> Result<bool> {
        if self.partitions(&topic.name).await?.is_some() {
            return Ok(false);
        }
        let brokers = i32::try_from(self.brokers().await?).unwrap_or(i32::MAX);
        let replication = topic.replication.map_or(-1, |n| i32::from(n).min(brokers));
        let mut new = NewTopic::new(
            &topic.name,
            topic.partitions.unwrap_or(-1),
            TopicReplication::Fixed(replication),
        );
        for (key, value) in &topic.config {
            new = new.set(key, value);
        }
        for result in self.create(&new).await? {
            match result {
                Ok(_) => {}
                Err((_, Code::TopicAlreadyExists)) => {
                    // Another worker has made it a moment ago: the broker may not list it yet.
                    self.await_leaders(&topic.name).await?;
                    return Ok(false);
                }
                Err((name, code)) => {
                    return Err(errors::coded("create_topic", code, "").with("topic", name));
                }
            }
        }
        self.await_leaders(&topic.name).await?;
        Ok(true)
    }

    async fn create(&self, topic: &NewTopic<'_>) -> Result<Vec<TopicResult>> {
        let mut attempts = Attempts::new();
        loop {
            let max = Some(attempts.max());
            let options = AdminOptions::new()
                .operation_timeout(max)
                .request_timeout(max);
            let asked = Asked::open(&self.settings)?;
            // A late answer that was not waited for is seen as a topic that another worker has made.
            match asked.client().create_topics([topic], &options).await {
                Ok(results) => return Ok(results),
                Err(error) if attempts.again(&error).await => {}
                Err(error) => return Err(errors::from_client("create_topic", error)),
            }
        }
    }

    /// A new topic can be used once each partition has a leader.
    async fn await_leaders(&self, topic: &str) -> Result<()> {
        for _ in 0..500 {
            let name = topic.to_owned();
            let ready = self.ask("metadata", move |client| {
                let metadata = all_topics(client)?;
                let mut found = metadata.topics().iter().filter(|t| t.name() == name);
                Ok(found.any(|t| {
                    !t.partitions().is_empty() && t.partitions().iter().all(|p| p.leader() >= 0)
                }))
            });
            if ready.await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(
            Error::transient("create_topic", "the new topic has no leaders yet")
                .with("topic", topic),
        )
    }

    /// The offsets that a group has committed.
    pub async fn committed(&self, group: &str) -> Result<TopicOffsets> {
        let mut resolved = self.settings.resolve(Role::Consumer, &Properties::new())?;
        asking(&mut resolved, group);
        let topics = self.topics().await?;
        let asker = Asker(Handle::open(&resolved.config(), "committed")?);
        run("committed", Bounded(ASK_MAX * 2), move || {
            let mut list = TopicPartitionList::new();
            for (topic, partitions) in &topics {
                for partition in 0..*partitions {
                    list.add_partition(topic, partition);
                }
            }
            if list.count() == 0 {
                return Ok(TopicOffsets::new());
            }
            let list = asker
                .0
                .consumer()
                .committed_offsets(list, ASK_MAX)
                .map_err(|error| errors::from_client("committed", error))?;
            let elements = list.elements();
            let known = elements.iter().filter_map(|e| match e.offset() {
                Offset::Offset(offset) => {
                    Some((TopicPartition::new(e.topic(), e.partition()), offset))
                }
                _ => None,
            });
            Ok(known.collect())
        })
        .await
    }

    /// The names of all consumer groups.
    pub async fn groups(&self) -> Result<Vec<String>> {
        self.ask("groups", |client| {
            let list = client
                .consumer()
                .fetch_group_list(None, ASK_MAX)
                .map_err(|error| errors::from_client("groups", error))?;
            Ok(list.groups().iter().map(|g| g.name().to_owned()).collect())
        })
        .await
    }

    /// The fewest in-sync replicas of the topic's partitions. `Some(None)` = one has no leader; `None` = no such topic.
    pub(crate) async fn in_sync_replicas(&self, topic: &str) -> Result<Option<Option<usize>>> {
        let name = topic.to_owned();
        self.ask("metadata", move |client| {
            let metadata = all_topics(client)?;
            let mut found = metadata.topics().iter().filter(|t| t.name() == name);
            Ok(found.next().map(|topic| {
                let led = topic.partitions().iter().all(|p| p.leader() >= 0);
                let replicas = topic.partitions().iter().map(|p| p.isr().len()).min();
                replicas.filter(|_| led)
            }))
        })
        .await
    }

    /// A group's members; blocks.
    pub(crate) fn roster_now(&self, group: &str, max: Duration) -> Result<Roster> {
        let group = native::group(&self.client.0, group, max);
        group
            .map(Roster::of)
            .map_err(|code| errors::coded("members", code, ""))
    }

    /// The brokers' group.min.session.timeout.ms; `None` = they do not tell.
    pub(crate) async fn session_timeout_min(&self) -> Result<Option<u32>> {
        let broker = self
            .ask("metadata", |client| {
                let metadata = all_topics(client)?;
                Ok(metadata.brokers().first().map(|broker| broker.id()))
            })
            .await?;
        let Some(broker) = broker else {
            return Ok(None);
        };
        let resource = ResourceSpecifier::Broker(broker);
        let value = self
            .config_value(resource, "group.min.session.timeout.ms")
            .await?;
        Ok(value.and_then(|value| value.parse().ok()))
    }

    /// The end of each partition, uncommitted records included.
    pub(crate) async fn ends(&self, topic: &str, partitions: i32) -> Result<Vec<i64>> {
        let topic = topic.to_owned();
        self.ask("end", move |client| {
            let mut list = TopicPartitionList::new();
            for partition in 0..partitions {
                list.add_partition_offset(&topic, partition, Offset::End)
                    .map_err(|error| errors::from_client("end", error))?;
            }
            let list = client
                .consumer()
                .offsets_for_times(list, ASK_MAX)
                .map_err(|error| errors::from_client("end", error))?;
            let mut ends = Vec::with_capacity(list.count());
            for element in list.elements() {
                element
                    .error()
                    .map_err(|error| errors::from_client("end", error))?;
                match element.offset() {
                    Offset::Offset(offset) => ends.push(offset),
                    _ => {
                        return Err(Error::transient(
                            "end",
                            "the broker did not tell the end of a partition",
                        ));
                    }
                }
            }
            Ok(ends)
        })
        .await
    }
}

/// Settings of a client that only asks. The library wants a group's name; no group is joined.
fn asking(resolved: &mut Resolved, group: &str) {
    resolved.preset("client.id", "longshore-admin");
    resolved.force("group.id", group);
    consumer::defaults(resolved);
    // Ends are asked for with what open transactions have written.
    resolved.force("isolation.level", "read_uncommitted");
    resolved.force("allow.auto.create.topics", false);
}

fn all_topics(client: &Handle) -> Result<rdkafka::metadata::Metadata> {
    client
        .consumer()
        .fetch_metadata(None, ASK_MAX)
        .map_err(|error| errors::from_client("metadata", error))
}

fn count(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}
