//! Transactions: producer ids and epochs, which partitions and groups a transaction touches, how it ends.
//!
//! Everything about one transactional id happens under its gate, synchronously: a batch is either in the log before the
//! markers, or refused after them. The decision is journaled before the first marker, so a restart completes what was decided.

mod end;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use tokio::sync::Notify;

use crate::clock::now_ms;
use crate::log::Appended;
use crate::log::batch::Header;
use crate::node::Node;
use crate::store::Store;
use crate::store::model::{Entry, Phase, Place, Transaction};

/// Producer ids taken from the journal at a time.
const ID_BLOCK: i64 = 1000;
/// A transactional id unused for this long is forgotten, as in Kafka.
const FORGOTTEN_AFTER_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Gates kept; beyond, those nobody holds are dropped.
const MAX_GATES: usize = 20_000;

/// A producer as a client names itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// All transactional ids; what must survive is in the store.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    gates: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    /// The next producer id, and the first that is not ours yet.
    ids: Mutex<(i64, i64)>,
    timer: Notify,
    /// When the timer goes off next; later starts need not ring.
    timer_at_ms: AtomicI64,
}

fn storage(error: io::Error) -> ResponseError {
    tracing::error!(%error, "journaling a transaction failed");
    ResponseError::KafkaStorageError
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transactions {
    fn gate(&self, id: &str) -> Arc<Mutex<()>> {
        let mut gates = lock(&self.gates);
        if gates.len() >= MAX_GATES {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        gates.entry(id.to_owned()).or_default().clone()
    }

    fn new_producer_id(&self, store: &Mutex<Store>) -> Result<i64, ResponseError> {
        let mut ids = lock(&self.ids);
        if ids.0 >= ids.1 {
            let mut store = lock(store);
            let first = store.model().next_producer_id;
            store
                .commit(Entry::ProducerIds {
                    next: first + ID_BLOCK,
                })
                .map_err(storage)?;
            *ids = (first, first + ID_BLOCK);
        }
        ids.0 += 1;
        Ok(ids.0 - 1)
    }

    /// Appends a transactional batch if its partition is part of the producer's ongoing transaction.
    pub(crate) fn produce(
        &self,
        store: &Mutex<Store>,
        id: &str,
        header: &Header,
        place: &Place,
        append: impl FnOnce() -> Result<Appended, ResponseError>,
    ) -> Result<Appended, ResponseError> {
        let gate = self.gate(id);
        let _gate = lock(&gate);
        {
            let store = lock(store);
            let producer = Producer {
                id: header.producer_id,
                epoch: header.producer_epoch,
            };
            let transaction = current(&store, id, producer).map_err(|error| match error {
                ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
                other => other,
            })?;
            if transaction.phase != Phase::Ongoing || !transaction.partitions.contains(place) {
                return Err(ResponseError::InvalidTxnState);
            }
        }
        append()
    }

    /// Gives a producer its id and epoch. For a transactional id this fences earlier producers and rolls back what they left open.
    pub(crate) fn init(
        &self,
        node: &Node,
        id: Option<&str>,
        timeout_ms: i32,
        claimed: Option<Producer>,
    ) -> Result<Producer, ResponseError> {
        let Some(id) = id else {
            return Ok(Producer {
                id: self.new_producer_id(&node.store)?,
                epoch: 0,
            });
        };
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        if timeout_ms <= 0 || timeout_ms > node.config.transaction_max_timeout_ms {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let gate = self.gate(id);
        let _gate = lock(&gate);
        let known = node.store().model().transactions.get(id).cloned();
        let Some(mut known) = known else {
            if claimed.is_some() {
                return Err(ResponseError::InvalidProducerIdMapping);
            }
            if node.store().model().transactions.len() >= node.config.limits.transactional_ids {
                tracing::warn!(
                    limit = node.config.limits.transactional_ids,
                    "no more transactional ids"
                );
                return Err(ResponseError::PolicyViolation);
            }
            let fresh = blank(self.new_producer_id(&node.store)?, timeout_ms);
            return save(node, id, fresh);
        };
        if let Some(claimed) = claimed {
            // Asked twice: the first answer was lost.
            if claimed.id == known.producer_id && claimed.epoch == known.last_epoch {
                return Ok(Producer {
                    id: known.producer_id,
                    epoch: known.epoch,
                });
            }
            check(&known, claimed)?;
        }
        self.settle(node, id, &mut known)?;
        if known.epoch >= i16::MAX - 1 {
            let fresh = blank(self.new_producer_id(&node.store)?, timeout_ms);
            return save(node, id, fresh);
        }
        known.last_epoch = if claimed.is_some() { known.epoch } else { -1 };
        known.epoch += 1;
        (known.timeout_ms, known.phase) = (timeout_ms, Phase::Empty);
        save(node, id, known)
    }

    /// Ends whatever is open or half done, so that the id can be given away anew.
    fn settle(&self, node: &Node, id: &str, known: &mut Transaction) -> Result<(), ResponseError> {
        match known.phase {
            // Rolled back in the name of the next epoch: the fence stands before the new producer has its answer.
            Phase::Ongoing => self.end_in_gate(node, id, false, true)?,
            Phase::PrepareCommit | Phase::PrepareAbort => self.complete_in_gate(node, id)?,
            Phase::Empty | Phase::CompleteCommit | Phase::CompleteAbort => return Ok(()),
        }
        if let Some(now) = node.store().model().transactions.get(id) {
            *known = now.clone();
        }
        Ok(())
    }

    /// Makes partitions and groups part of the producer's transaction; the first ones start it.
    pub(crate) fn add(
        &self,
        node: &Node,
        id: &str,
        producer: Producer,
        partitions: Vec<Place>,
        groups: Vec<String>,
    ) -> Result<(), ResponseError> {
        let gate = self.gate(id);
        let _gate = lock(&gate);
        let mut store = node.store();
        let transaction = current(&store, id, producer)?;
        if matches!(
            transaction.phase,
            Phase::PrepareCommit | Phase::PrepareAbort
        ) {
            return Err(ResponseError::ConcurrentTransactions);
        }
        let ongoing = transaction.phase == Phase::Ongoing;
        if ongoing
            && partitions
                .iter()
                .all(|p| transaction.partitions.contains(p))
            && groups.iter().all(|g| transaction.groups.contains(g))
        {
            return Ok(());
        }
        let now = now_ms();
        let deadline = now + i64::from(transaction.timeout_ms);
        store
            .commit(Entry::Joined {
                id: id.to_owned(),
                partitions,
                groups,
                at_ms: now,
            })
            .map_err(storage)?;
        drop(store);
        if !ongoing && deadline < self.timer_at_ms.load(Ordering::Acquire) {
            self.timer.notify_one();
        }
        Ok(())
    }

    /// Runs `write` if the producer has an ongoing transaction that `group` is part of.
    pub(crate) fn with_group<T>(
        &self,
        node: &Node,
        id: &str,
        producer: Producer,
        group: &str,
        write: impl FnOnce() -> Result<T, ResponseError>,
    ) -> Result<T, ResponseError> {
        let gate = self.gate(id);
        let _gate = lock(&gate);
        {
            let store = node.store();
            let transaction = current(&store, id, producer)?;
            if transaction.phase != Phase::Ongoing || !transaction.groups.contains(group) {
                return Err(ResponseError::InvalidTxnState);
            }
        }
        write()
    }

    /// Rolls back transactions whose time is over, as long as the node runs.
    pub(crate) async fn watch(node: Arc<Node>) {
        loop {
            let (due, next) = node.transactions.timeouts(&node, now_ms());
            for id in due {
                node.transactions.time_out(&node, &id);
            }
            let wait = Duration::from_millis((next - now_ms()).max(0) as u64);
            tokio::select! {
                () = node.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = node.transactions.timer.notified() => {}
            }
        }
    }

    /// Ids that are due, and when to look again.
    fn timeouts(&self, node: &Node, now: i64) -> (Vec<String>, i64) {
        let store = node.store();
        let mut next = now + 60_000;
        let mut due = Vec::new();
        for (id, transaction) in store
            .model()
            .transactions
            .iter()
            .filter(|(_, t)| t.phase == Phase::Ongoing)
        {
            let deadline = transaction.started_ms + i64::from(transaction.timeout_ms);
            if deadline <= now {
                due.push(id.clone());
            } else {
                next = next.min(deadline);
            }
        }
        // Stored under the store's lock: a transaction that starts after it sees this time.
        self.timer_at_ms.store(next, Ordering::Release);
        (due, next)
    }

    fn time_out(&self, node: &Node, id: &str) {
        let gate = self.gate(id);
        let _gate = lock(&gate);
        let overdue = node.store().model().transactions.get(id).is_some_and(|t| {
            t.phase == Phase::Ongoing && t.started_ms + i64::from(t.timeout_ms) <= now_ms()
        });
        if overdue {
            tracing::info!(
                transactional_id = id,
                "transaction is rolled back: its timeout is over"
            );
            if let Err(error) = self.end_in_gate(node, id, false, true) {
                tracing::error!(transactional_id = id, %error, "rolling back a transaction failed");
            }
        }
    }

    /// Forgets transactional ids that nobody used for a week.
    pub(crate) fn forget_idle(&self, node: &Node) -> io::Result<()> {
        let before = now_ms() - FORGOTTEN_AFTER_MS;
        let idle = |t: &Transaction| {
            t.updated_ms < before
                && matches!(
                    t.phase,
                    Phase::Empty | Phase::CompleteCommit | Phase::CompleteAbort
                )
        };
        let ids: Vec<String> = node
            .store()
            .model()
            .transactions
            .iter()
            .filter(|(_, t)| idle(t))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            let gate = self.gate(&id);
            let _gate = lock(&gate);
            let mut store = node.store();
            if store.model().transactions.get(&id).is_some_and(&idle) {
                store.commit(Entry::TransactionForgotten { id })?;
            }
        }
        Ok(())
    }
}

/// The transaction of `id`, if `producer` is its present producer.
fn current<'a>(
    store: &'a Store,
    id: &str,
    producer: Producer,
) -> Result<&'a Transaction, ResponseError> {
    let transaction = store
        .model()
        .transactions
        .get(id)
        .ok_or(ResponseError::InvalidProducerIdMapping)?;
    check(transaction, producer)?;
    Ok(transaction)
}

fn check(transaction: &Transaction, producer: Producer) -> Result<(), ResponseError> {
    if transaction.producer_id != producer.id {
        return Err(ResponseError::InvalidProducerIdMapping);
    }
    if transaction.epoch != producer.epoch {
        return Err(ResponseError::ProducerFenced);
    }
    Ok(())
}

fn blank(producer_id: i64, timeout_ms: i32) -> Transaction {
    Transaction {
        producer_id,
        epoch: 0,
        last_epoch: -1,
        timeout_ms,
        phase: Phase::Empty,
        started_ms: 0,
        updated_ms: now_ms(),
        partitions: BTreeSet::new(),
        groups: BTreeSet::new(),
        offsets: BTreeMap::new(),
    }
}

fn save(node: &Node, id: &str, transaction: Transaction) -> Result<Producer, ResponseError> {
    let producer = Producer {
        id: transaction.producer_id,
        epoch: transaction.epoch,
    };
    node.store()
        .commit(Entry::Transaction {
            id: id.to_owned(),
            transaction,
        })
        .map_err(storage)?;
    Ok(producer)
}
