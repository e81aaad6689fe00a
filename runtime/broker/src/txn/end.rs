//! Ending a transaction: decide, mark, complete; and finishing after a restart what was decided before.

use std::collections::HashMap;

use kafka_protocol::error::ResponseError;

use super::{Producer, Transactions, current, lock, storage};
use crate::clock::now_ms;
use crate::node::Node;
use crate::store::model::{Entry, Phase, Place, Transaction};

impl Transactions {
    /// Commits or rolls back the producer's transaction. Asked again after it is done, it says so again.
    pub(crate) fn end(
        &self,
        node: &Node,
        id: &str,
        producer: Producer,
        commit: bool,
    ) -> Result<(), ResponseError> {
        let gate = self.gate(id);
        let _gate = lock(&gate);
        let phase = current(&node.store(), id, producer)?.phase;
        match (phase, commit) {
            (Phase::Ongoing, _) => self.end_in_gate(node, id, commit, false),
            (Phase::PrepareCommit, true) | (Phase::PrepareAbort, false) => {
                self.complete_in_gate(node, id)
            }
            (Phase::CompleteCommit, true) | (Phase::CompleteAbort, false) => Ok(()),
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// Decides an ongoing transaction; with `fence` in the name of the next epoch, so that its producer is shut out.
    pub(super) fn end_in_gate(
        &self,
        node: &Node,
        id: &str,
        commit: bool,
        fence: bool,
    ) -> Result<(), ResponseError> {
        let mut store = node.store();
        let Some(mut transaction) = store.model().transactions.get(id).cloned() else {
            return Err(ResponseError::InvalidProducerIdMapping);
        };
        transaction.phase = if commit {
            Phase::PrepareCommit
        } else {
            Phase::PrepareAbort
        };
        transaction.updated_ms = now_ms();
        if fence {
            transaction.last_epoch = -1;
            transaction.epoch = transaction.epoch.saturating_add(1);
        }
        store
            .commit(Entry::Transaction {
                id: id.to_owned(),
                transaction: transaction.clone(),
            })
            .map_err(storage)?;
        drop(store);
        self.mark(node, id, &transaction, false)
    }

    /// Completes a decided transaction: markers that are there already are not written twice.
    pub(super) fn complete_in_gate(&self, node: &Node, id: &str) -> Result<(), ResponseError> {
        let transaction = node.store().model().transactions.get(id).cloned();
        match transaction {
            Some(t) if matches!(t.phase, Phase::PrepareCommit | Phase::PrepareAbort) => {
                self.mark(node, id, &t, true)
            }
            _ => Ok(()),
        }
    }

    /// Writes the markers, then the entry with which offsets take effect and the transaction is over.
    fn mark(
        &self,
        node: &Node,
        id: &str,
        transaction: &Transaction,
        only_open: bool,
    ) -> Result<(), ResponseError> {
        let commit = transaction.phase == Phase::PrepareCommit;
        let now = now_ms();
        for place in &transaction.partitions {
            // A partition deleted meanwhile has nothing left to mark.
            let Some(topic) = node.topics.get(&place.topic) else {
                continue;
            };
            let Some(partition) = topic.partition(place.partition) else {
                continue;
            };
            let settings = topic.settings();
            let mut log = partition.log();
            if !only_open || log.has_open(transaction.producer_id) {
                log.append_marker(
                    transaction.producer_id,
                    transaction.epoch,
                    commit,
                    &settings,
                    now,
                )
                .map_err(storage)?;
            }
        }
        node.store()
            .commit(Entry::Ended {
                id: id.to_owned(),
                commit,
                at_ms: now,
            })
            .map_err(storage)
    }

    /// After a restart: completes what was decided, and rolls back records that no transaction claims.
    pub(crate) fn recover(&self, node: &Node) -> Result<(), ResponseError> {
        let decided: Vec<String> = {
            let store = node.store();
            let half =
                |t: &Transaction| matches!(t.phase, Phase::PrepareCommit | Phase::PrepareAbort);
            store
                .model()
                .transactions
                .iter()
                .filter(|(_, t)| half(t))
                .map(|(id, _)| id.clone())
                .collect()
        };
        for id in decided {
            tracing::info!(
                transactional_id = id,
                "transaction is completed: it was decided before the restart"
            );
            self.complete_in_gate(node, &id)?;
        }
        let ongoing: HashMap<i64, Vec<Place>> = {
            let store = node.store();
            let open = store
                .model()
                .transactions
                .values()
                .filter(|t| t.phase == Phase::Ongoing);
            open.map(|t| (t.producer_id, t.partitions.iter().cloned().collect()))
                .collect()
        };
        for topic in node.topics.all() {
            for partition in topic.partitions().iter() {
                let place = Place {
                    topic: topic.name.clone(),
                    partition: partition.index,
                };
                let mut log = partition.log();
                for (producer_id, epoch) in log.open_producers() {
                    if !ongoing
                        .get(&producer_id)
                        .is_some_and(|places| places.contains(&place))
                    {
                        tracing::warn!(
                            topic = topic.name,
                            partition = partition.index,
                            producer_id,
                            "records without a transaction are rolled back"
                        );
                        log.append_marker(producer_id, epoch, false, &topic.settings(), now_ms())
                            .map_err(storage)?;
                    }
                }
            }
        }
        Ok(())
    }
}
