//! A member of a consumer group: rebalances in band, commits filtered by ownership.

mod metadata;

use crate::{
    awaited::{self, Awaited, Awaiting},
    blocking::{Bounded, run},
    client::{ClientSettings, Resolved, Role},
    errors,
    handle::{self, Event, Handle},
    lanes::Lanes,
    pattern,
};
use longshore_engine::ports::{self, ConsumerSpec, Lag, Polled, Subscription};
use longshore_sdk::{Error, Result, TopicOffsets, TopicPartition, TopicStates, erased::Boxed};
use rdkafka::{
    consumer::{CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    topic_partition_list::{Offset, TopicPartitionList},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Records of one batch unless max.poll.records says otherwise.
const RECORDS_MAX: usize = 5000;
/// How many queues the partitions of a consumer are spread over, at most.
pub(crate) const QUEUES_MAX: usize = 16;
/// Records that wait in a queue of the client's before it fetches more.
const QUEUED_MIN: usize = 20_000;
/// About what the client adds to each small record that waits.
const RECORD_COST: usize = 400;
/// No answer to a commit within this time = Transient.
const COMMIT_MAX: Duration = Duration::from_secs(30);
/// Never found by a pattern.
const INTERNAL_TOPICS: &str = "^__consumer_offsets$,^__transaction_state$,^__share_group_state$";
/// How soon a consumer learns of new topics, if its owner says so.
const METADATA_AGE: &str = "metadata.max.age.ms";
/// The same for one whose login is its own: nobody else can ask for it.
const METADATA_AGE_OWN_MS: u32 = 10_000;
const SEEK_MAX: Duration = Duration::from_secs(30);
const SEEK_AGAIN: Duration = Duration::from_millis(20);

pub(crate) struct GroupConsumer {
    client: Arc<Handle>,
    lanes: Lanes,
    /// Everything that this member may commit.
    owned: BTreeSet<TopicPartition>,
    /// The rebalance that the caller has seen and not answered yet.
    unanswered: Option<Event>,
    paused: bool,
    records_max: usize,
    awaiting: Option<Arc<Awaiting>>,
}

/// What every consumer of ours has in common; users may change it.
pub(crate) fn defaults(resolved: &mut Resolved) {
    resolved.preset("auto.offset.reset", "earliest");
    resolved.preset("isolation.level", "read_committed");
    // Of each queue.
    resolved.preset("queued.max.messages.kbytes", 4 * 1024);
    resolved.preset("fetch.wait.max.ms", 100);
    // With a full queue the library looks again only after this long; its own second would leave a fast sink without records.
    resolved.preset("fetch.queue.backoff.ms", 10);
    // Its own 100,000 records of 100 B cost four times their bytes; two fetches ahead are enough.
    resolved.preset("queued.min.messages", QUEUED_MIN);
    resolved.quick_to_connect();
    resolved.force("enable.auto.commit", false);
    resolved.force("enable.auto.offset.store", false);
}

/// How many queues of partitions a buffer of `bytes` is shared by: each holds a whole batch of a producer at least, whatever its limit.
fn queues(bytes: usize) -> usize {
    (bytes / 3 * 2 / (1 << 20)).clamp(1, QUEUES_MAX)
}

/// What the client fetches ahead, over all partitions, comes to about `bytes`: two thirds in its queues, one third on its way from a broker. A record
/// that is larger is fetched all the same, alone.
fn fetch_ahead(resolved: &mut Resolved, bytes: usize) {
    let queued = bytes / 3 * 2 / queues(bytes);
    resolved.preset(
        "queued.max.messages.kbytes",
        (queued / 1024).clamp(1, 1 << 20),
    );
    resolved.preset(
        "queued.min.messages",
        (queued / RECORD_COST * 2).clamp(1000, QUEUED_MIN),
    );
    let fetched = (bytes / 3).clamp(64 << 10, 50 << 20);
    if !resolved.native.contains_key("fetch.max.bytes") {
        resolved.preset("fetch.max.bytes", fetched);
        // The library insists on message <= fetch.
        resolved.preset("message.max.bytes", fetched.min(1_000_000));
    }
    resolved.preset("max.partition.fetch.bytes", queued.clamp(64 << 10, 1 << 20));
}

/// Longer than a worker's session and the placing of its tasks elsewhere (6 s, 1 s): so the member that takes over from a killed worker's joins while that
/// one is still listed. A group that has become empty makes its first member wait for group.initial.rebalance.delay.ms, 3 s by default.
const SESSION_MS: u32 = 8_000;

impl GroupConsumer {
    /// `awaited` looks for topics that are created later.
    pub(crate) fn open(
        settings: &ClientSettings,
        spec: &ConsumerSpec,
        awaited: &Arc<Awaited>,
    ) -> Result<Self> {
        let mut resolved = settings.resolve(Role::Consumer, &spec.overrides)?;
        resolved.preset("client.id", &spec.client_id);
        resolved.preset("group.id", &spec.group);
        if let Some(bytes) = spec.buffer_bytes {
            fetch_ahead(&mut resolved, bytes);
        }
        defaults(&mut resolved);
        // With KIP-848 the session belongs to the broker, and the client refuses these keys.
        if resolved.native.get("group.protocol").map(String::as_str) != Some("consumer") {
            resolved.preset("partition.assignment.strategy", "cooperative-sticky");
            resolved.preset("session.timeout.ms", SESSION_MS);
            let session = resolved.native["session.timeout.ms"].parse::<u32>();
            let heartbeat = session.map_or(500, |ms| (ms / 3).clamp(1, 500));
            resolved.preset("heartbeat.interval.ms", heartbeat);
        }
        // The thread polls whatever the sink does: this bounds how long the others wait for our answer to a rebalance.
        let session = resolved.native.get("session.timeout.ms");
        let session = session.and_then(|ms| ms.parse::<u32>().ok());
        resolved.preset(
            "max.poll.interval.ms",
            session.map_or(60_000, |ms| ms.max(60_000)),
        );
        let names: Vec<String> = match &spec.subscription {
            Subscription::Topics(topics) => topics.clone(),
            Subscription::Regex(regex) => {
                // As a Java consumer has it: what the broker keeps for itself is not data.
                resolved.preset("topic.blacklist", INTERNAL_TOPICS);
                vec![pattern::posix(regex)?]
            }
        };
        let told = [&settings.consumer, &spec.overrides]
            .iter()
            .any(|layer| layer.contains_key(METADATA_AGE));
        let shared = awaited::same_login(settings, &resolved)?;
        if !shared && !told {
            resolved.preset("topic.metadata.refresh.interval.ms", METADATA_AGE_OWN_MS);
        }
        let client = Handle::open(&resolved.config(), &spec.client_id)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if let Err(error) = client.consumer().subscribe(&names) {
            client.begin_close(false);
            return Err(Error::config("subscribe", error.to_string()));
        }
        let awaiting =
            shared.then(|| awaited.wait((&client, &spec.client_id), &spec.subscription, !told));
        Ok(Self {
            client,
            lanes: Lanes::new(
                spec.buffer_bytes.map(|bytes| bytes / 2),
                spec.buffer_bytes.map_or(QUEUES_MAX, queues),
            ),
            owned: BTreeSet::new(),
            unanswered: None,
            paused: false,
            records_max: resolved.records_max.unwrap_or(RECORDS_MAX),
            awaiting,
        })
    }

    async fn poll(&mut self, max_wait: Duration) -> Result<Polled> {
        let deadline = tokio::time::Instant::now() + max_wait;
        let client = Arc::clone(&self.client);
        let events = client.events();
        loop {
            if let Some(error) = events.trouble() {
                return Err(error);
            }
            if let Some(event) = events.next(self.unanswered.is_some()) {
                return Ok(self.rebalanced(event));
            }
            if !self.paused {
                let mut records = Vec::new();
                let round = self.lanes.fill(self.records_max, &mut records);
                if !records.is_empty() {
                    if let Some(error) = round.trouble {
                        tracing::warn!(error = %error, "a partition cannot be read");
                    }
                    return Ok(Polled::Batch(records));
                }
                if let Some(error) = round.trouble {
                    return Err(error);
                }
            }
            let wake = events.wake().notified();
            if tokio::time::timeout_at(deadline, wake).await.is_err() {
                return Ok(Polled::Batch(Vec::new()));
            }
        }
    }

    fn rebalanced(&mut self, event: Event) -> Polled {
        match event {
            Event::Assigned(at) => {
                self.unanswered = Some(Event::Assigned(at.clone()));
                Polled::Assigned(at)
            }
            Event::Revoked(at) => {
                self.lanes.hold(&at);
                self.unanswered = Some(Event::Revoked(at.clone()));
                Polled::Revoked(at)
            }
            Event::Lost(at) => {
                self.give_up(&at);
                if let Some(Event::Revoked(waiting)) = &self.unanswered
                    && waiting.iter().all(|partition| at.contains(partition))
                {
                    self.unanswered = None;
                }
                Polled::Lost(at)
            }
        }
    }

    fn give_up(&mut self, at: &[TopicPartition]) {
        self.lanes.remove(at);
        for partition in at {
            self.owned.remove(partition);
        }
    }

    async fn start(&mut self, at: &TopicOffsets) -> Result<()> {
        let Some(Event::Assigned(partitions)) = self.unanswered.take() else {
            return Err(Error::bug("start", "there is no assignment to answer"));
        };
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in &partitions {
            let start = at.get(partition).copied();
            self.lanes.add(&self.client, partition.clone(), start)?;
            // Invalid = the committed offset, or auto.offset.reset.
            let offset = start.map_or(Offset::Invalid, Offset::Offset);
            list.add_partition_offset(&partition.topic, partition.partition, offset)
                .map_err(|error| errors::from_client("start", error))?;
        }
        let client = Arc::clone(&self.client);
        run("start", Bounded::secs(30), move || {
            handle::assign(client.consumer(), &list)
        })
        .await?;
        self.owned.extend(partitions);
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        let Some(Event::Revoked(partitions)) = self.unanswered.take() else {
            // Lost overtook the revocation: there is nothing left to give back.
            return Ok(());
        };
        self.give_up(&partitions);
        let list = listed(partitions.iter().map(|at| (at, Offset::Invalid)))?;
        let client = Arc::clone(&self.client);
        run("release", Bounded::secs(30), move || {
            handle::unassign(client.consumer(), &list)
        })
        .await
    }

    /// Brokers accept commits of partitions that a member no longer owns, so what is not owned right now is left out (I4).
    async fn commit(&mut self, offsets: &TopicOffsets, metadata: &TopicStates) -> Result<()> {
        if self.client.consumer().assignment_lost() {
            return Ok(());
        }
        let owned = offsets
            .iter()
            .filter(|(at, _)| self.owned.contains(at) && !self.client.events().has_lost(at))
            .map(|(at, offset)| (at, Offset::Offset(*offset)));
        let mut list = listed(owned)?;
        if list.count() == 0 {
            return Ok(());
        }
        metadata::annotate(&mut list, metadata);
        let client = Arc::clone(&self.client);
        run("commit", Bounded(COMMIT_MAX), move || {
            client
                .consumer()
                .commit(&list, CommitMode::Sync)
                .map_err(|error| errors::from_client("commit", error))
        })
        .await
    }

    async fn seek(&mut self, at: &TopicOffsets) -> Result<()> {
        let owned: Vec<_> = at
            .iter()
            .filter(|(at, _)| self.owned.contains(at))
            .collect();
        let list = listed(
            owned
                .iter()
                .map(|(at, offset)| (*at, Offset::Offset(**offset))),
        )?;
        if list.count() == 0 {
            return Ok(());
        }
        for (at, offset) in owned {
            self.lanes.sought(at, *offset);
        }
        let client = Arc::clone(&self.client);
        run("seek", Bounded(SEEK_MAX), move || {
            let until = std::time::Instant::now() + SEEK_MAX / 2;
            loop {
                let sought = seek(&client, &list);
                // A partition that has just been started is not fetched yet: the library says so with this code.
                let early = |error: &KafkaError| error.rdkafka_error_code() == Some(Code::State);
                match sought {
                    Err(error) if early(&error) && std::time::Instant::now() < until => {
                        std::thread::sleep(SEEK_AGAIN);
                    }
                    sought => return sought.map_err(|error| errors::from_client("seek", error)),
                }
            }
        })
        .await
    }

    fn begin_close(&mut self) {
        self.lanes.clear();
        self.owned.clear();
        self.client.begin_close(self.unanswered.take().is_some());
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.begin_close();
    }
}

impl ports::Consumer for GroupConsumer {
    fn poll(&mut self, max_wait: Duration) -> Boxed<'_, Result<Polled>> {
        Box::pin(GroupConsumer::poll(self, max_wait))
    }
    fn start(&mut self, at: &TopicOffsets) -> Boxed<'_, Result<()>> {
        let at = at.clone();
        Box::pin(async move { GroupConsumer::start(self, &at).await })
    }
    fn release(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(GroupConsumer::release(self))
    }
    fn commit_with<'a>(
        &'a mut self,
        offsets: &'a TopicOffsets,
        metadata: &'a TopicStates,
    ) -> Boxed<'a, Result<()>> {
        Box::pin(GroupConsumer::commit(self, offsets, metadata))
    }
    fn metadata<'a>(&'a mut self, at: &'a [TopicPartition]) -> Boxed<'a, Result<TopicStates>> {
        Box::pin(GroupConsumer::metadata(self, at))
    }
    fn pause(&mut self) -> Result<()> {
        self.paused = true;
        Ok(())
    }
    fn resume(&mut self) -> Result<()> {
        self.paused = false;
        Ok(())
    }
    fn seek<'a>(&'a mut self, at: &'a TopicOffsets) -> Boxed<'a, Result<()>> {
        Box::pin(GroupConsumer::seek(self, at))
    }
    fn lag(&self) -> Vec<Lag> {
        self.lanes.lag(&self.client)
    }
    fn missing(&self) -> Vec<String> {
        self.awaiting
            .as_ref()
            .map_or_else(Vec::new, |one| one.missing())
    }
    fn close(mut self: Box<Self>) -> Boxed<'static, Result<()>> {
        self.begin_close();
        let client = Arc::clone(&self.client);
        drop(self);
        Box::pin(async move { client.closed().await })
    }
}

fn seek(client: &Handle, list: &TopicPartitionList) -> std::result::Result<(), KafkaError> {
    let result = client.consumer().seek_partitions(list.clone(), SEEK_MAX)?;
    result
        .elements()
        .iter()
        .try_for_each(|element| element.error())
}

pub(crate) fn listed<'a>(
    entries: impl Iterator<Item = (&'a TopicPartition, Offset)>,
) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (at, offset) in entries {
        list.add_partition_offset(&at.topic, at.partition, offset)
            .map_err(|error| errors::from_client("offsets", error))?;
    }
    Ok(list)
}
