//! A broker with transactions, sessions and a bad network, as many workers meet it: deterministic, on one paused clock.
//!
//! It does what brokers really do: the last init of a transactional id wins; an open transaction hides what stands behind it from readers of committed
//! records while the end is already further; a dead writer's transaction ends after its timeout; commits of partitions that a member does not own are accepted;
//! a member that is not heard of for the session timeout is out. Every client reaches it over the [`Link`] of its worker.

mod bus;
mod consumer;
mod keyed;
mod leadership;
mod link;
mod members;
mod peers;
mod producer;
mod state;
mod transactions;

pub use bus::BrokerBus;
pub use keyed::BrokerLog;
pub use leadership::BrokerLeadership;
pub use link::{Line, Link};
pub use members::BrokerMembership;
pub use peers::{Answers, PeerCalls, Switchboard};

use super::group::{Group, MemberId};
use bytes::Bytes;
use longshore_engine::ports::Version;
use longshore_sdk::{Error, Result, TopicOffsets, TopicPartition, TopicStates};
use members::Workers;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use transactions::{Closed, Transactions};

/// How long a member may be silent.
pub const SESSION: Duration = Duration::from_secs(6);
/// How long a transaction may be open.
pub const TRANSACTION_MAX: Duration = Duration::from_secs(10);
/// How often the broker looks at sessions and transactions.
const LOOK: Duration = Duration::from_millis(250);

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its transaction is open.
    Open,
    Committed,
    Aborted,
    /// The end of a transaction: it takes an offset, and holds nothing.
    Marker,
}

/// An entry of a partition; its place is its offset.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// See `Entry::request`.
    pub request: Option<Bytes>,
    /// The number of the worker's link.
    pub worker: u64,
    pub(super) fate: Fate,
}

#[derive(Default)]
pub(super) struct Partition {
    pub(super) slots: Vec<Slot>,
    /// By transaction: its first open offset.
    pub(super) open: BTreeMap<String, usize>,
    /// Up to here the watch was told.
    told: usize,
}

impl Partition {
    /// Up to here nothing is open.
    pub(super) fn stable(&self) -> usize {
        self.open
            .values()
            .copied()
            .min()
            .unwrap_or(self.slots.len())
    }
}

pub(super) struct Topic {
    pub(super) partitions: Vec<Partition>,
    pub(super) moved: Arc<Notify>,
}

/// What the test is told of, at the instant when it happens.
#[derive(Debug)]
pub enum Seen<'a> {
    /// An entry became readable by readers of committed records.
    Entry(&'a str, Version, &'a Slot),
    /// An entry is durable: committed, or written plainly. Something open may still hide it.
    Durable(&'a str, &'a Slot),
    /// A group's offsets were committed.
    Offsets(&'a str, &'a TopicOffsets),
    /// Another worker leads.
    Leader(Option<&'a str>),
}

type Watch = Box<dyn Fn(Seen<'_>) + Send>;

/// A broker in memory. Clones are handles of the same one.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    watch: Mutex<Option<Watch>>,
    start: Instant,
}

pub(super) struct State {
    pub(super) topics: BTreeMap<String, Topic>,
    transactions: Transactions,
    pub(super) groups: BTreeMap<String, Group>,
    members: BTreeMap<MemberId, Member>,
    workers: Workers,
    handles: u64,
    rng: StdRng,
    start: Instant,
    trace: DefaultHasher,
    calls: u64,
}

/// A member of a consumer group as the broker knows it.
struct Member {
    group: String,
    link: Link,
    /// Gone with the client: nobody sends heartbeats then.
    client: Weak<()>,
    heard: Instant,
}

impl Broker {
    /// An empty broker. Within a tokio runtime.
    pub fn new(seed: u64) -> Self {
        let state = State {
            topics: BTreeMap::new(),
            transactions: Transactions::default(),
            groups: BTreeMap::new(),
            members: BTreeMap::new(),
            workers: Workers::default(),
            handles: 0,
            rng: StdRng::seed_from_u64(seed),
            start: Instant::now(),
            trace: DefaultHasher::new(),
            calls: 0,
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            watch: Mutex::new(None),
            start: Instant::now(),
        }))
    }
    /// Calls `watch` at each event, within the broker: it must not call the broker.
    pub fn watch(&self, watch: impl Fn(Seen<'_>) + Send + 'static) {
        *self.0.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(watch));
    }
    /// Makes sure that a topic exists.
    pub fn create(&self, topic: &str, partitions: usize) {
        self.state().topic(topic, partitions);
    }
    /// Writes as a client without transactions.
    pub(super) fn append(&self, topic: &str, partition: usize, slot: Slot) -> Version {
        let mut state = self.state();
        self.say(Seen::Durable(topic, &slot));
        let version = state.append(topic, partition, slot);
        self.tell(&mut state, topic, partition);
        version
    }
    /// The true end of each partition: the high watermark.
    pub(super) fn end(&self, topic: &str) -> Vec<Version> {
        let mut state = self.state();
        let partitions = &state.topic(topic, 1).partitions;
        let ends = partitions.iter().enumerate();
        ends.map(|(at, partition)| version(at, partition.slots.len()))
            .collect()
    }
    /// How many entries that are no markers and not aborted each partition has, and how many of its first offsets are settled.
    pub fn stable_ends(&self, topic: &str) -> Vec<i64> {
        let state = self.state();
        let Some(topic) = state.topics.get(topic) else {
            return Vec::new();
        };
        topic
            .partitions
            .iter()
            .map(|partition| i64::try_from(partition.stable()).unwrap_or(i64::MAX))
            .collect()
    }
    /// A group's committed offsets.
    pub fn committed_offsets(&self, group: &str) -> TopicOffsets {
        let state = self.state();
        state
            .groups
            .get(group)
            .map(|group| group.committed.clone())
            .unwrap_or_default()
    }
    /// Moves a partition of a group to another member, or drops a member for a while, as dice say.
    pub fn shake(&self, group: &str) {
        let mut state = self.state();
        let State { groups, rng, .. } = &mut *state;
        let Some(found) = groups.get_mut(group) else {
            return;
        };
        let members = found.members();
        if members.is_empty() {
            return;
        }
        let member = members[rng.random_range(0..members.len())];
        let owned: Vec<TopicPartition> = found.owner.keys().cloned().collect();
        if owned.is_empty() || rng.random_bool(0.3) {
            found.evict(member);
        } else {
            let at = owned[rng.random_range(0..owned.len())].clone();
            found.give(&at, member);
        }
    }
    /// The address of the worker that leads.
    pub fn leader(&self) -> Option<String> {
        let state = self.state();
        let leader = state.workers.leader();
        leader.map(|member| member.worker_id.clone())
    }
    /// What a replay must repeat: everything that was written, by whom and when.
    pub fn trace(&self) -> u64 {
        self.state().trace.finish()
    }
    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }
    /// What a broker does by itself: sessions and transactions that time out. Runs for ever.
    pub async fn run(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look();
        }
    }

    fn look(&self) {
        let now = Instant::now();
        let mut state = self.state();
        for closed in state.expire(now) {
            self.closed(&mut state, closed);
        }
        let State {
            members, groups, ..
        } = &mut *state;
        members.retain(|id, member| {
            let gone = member.link.is_dead() || member.client.strong_count() == 0;
            if member.link.is_up() && !gone {
                member.heard = now;
            }
            if now - member.heard < SESSION {
                return true;
            }
            let group = groups.get_mut(&member.group);
            if gone {
                group.into_iter().for_each(|group| group.leave(*id));
                return false;
            }
            group.into_iter().for_each(|group| group.evict(*id));
            true
        });
        let State { workers, rng, .. } = &mut *state;
        let changed = workers.look(now, rng);
        if changed {
            let leader = workers.leader().map(|member| member.worker_id.clone());
            state.note(leader.as_deref().unwrap_or("nobody").as_bytes());
            self.say(Seen::Leader(leader.as_deref()));
        }
    }
    fn say(&self, seen: Seen<'_>) {
        let watch = self.0.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = &*watch {
            watch(seen);
        }
    }
    /// Commits or aborts a transaction.
    pub(super) fn end_transaction(&self, id: &str, epoch: u64, commit: bool) -> Result<()> {
        let mut state = self.state();
        let closed = state.end_transaction(id, epoch, commit)?;
        self.closed(&mut state, closed);
        Ok(())
    }
    /// The last init wins.
    pub(super) fn init(&self, id: &str) -> u64 {
        let mut state = self.state();
        let (epoch, closed) = state.init(id);
        self.closed(&mut state, closed);
        epoch
    }
    fn closed(&self, state: &mut State, closed: Closed) {
        for (topic, slot) in &closed.durable {
            self.say(Seen::Durable(topic, slot));
        }
        for (topic, partition) in closed.touched {
            self.tell(state, &topic, partition);
        }
    }
    /// Tells the watch what became readable, and wakes the readers.
    pub(super) fn tell(&self, state: &mut State, topic: &str, partition: usize) {
        let Some(found) = state.topics.get_mut(topic) else {
            return;
        };
        let of = &mut found.partitions[partition];
        let stable = of.stable();
        for (at, slot) in of.slots[..stable].iter().enumerate().skip(of.told) {
            if slot.fate == Fate::Committed {
                self.say(Seen::Entry(topic, version(partition, at), slot));
            }
        }
        of.told = stable;
        found.moved.notify_waiters();
    }
    pub(super) fn commit_offsets(
        &self,
        group: &str,
        member: MemberId,
        offsets: &TopicOffsets,
        metadata: &TopicStates,
    ) -> Result<()> {
        let mut state = self.state();
        let Some(found) = state
            .groups
            .get_mut(group)
            .filter(|group| group.is_in(member))
        else {
            return Err(Error::transient(
                "commit",
                "the group does not know this member any more",
            ));
        };
        // A broker looks at the member's generation only: whether it owns the partition is not asked.
        found.take(offsets, metadata);
        self.say(Seen::Offsets(group, offsets));
        Ok(())
    }
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn moved(&self, topic: &str) -> Arc<Notify> {
        Arc::clone(&self.state().topic(topic, 1).moved)
    }
    /// Since the broker started.
    pub fn now(&self) -> Duration {
        self.0.start.elapsed()
    }
}

pub(super) fn version(partition: usize, offset: usize) -> Version {
    Version {
        partition: i32::try_from(partition).unwrap_or(i32::MAX),
        offset: i64::try_from(offset).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests;
