//! The state behind the journal, and the entries that change it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::settings::Overrides;

/// One partition by topic name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) partition: i32,
}

/// A group's offset for one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
    pub(crate) at_ms: i64,
}

/// A topic as it was created and altered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicRecord {
    /// Names the folder; a topic created again under the same name has another.
    pub(crate) id: String,
    pub(crate) partitions: i32,
    pub(crate) configs: Overrides,
    /// Log starts moved by deleted records.
    pub(crate) starts: BTreeMap<i32, i64>,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Empty,
    Ongoing,
    /// Decided, markers may be missing: a restart completes it.
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

/// A transactional id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// The epoch before the last bump that the producer itself asked for: a resent request carries it.
    pub(crate) last_epoch: i16,
    pub(crate) timeout_ms: i32,
    pub(crate) phase: Phase,
    pub(crate) started_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) partitions: BTreeSet<Place>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) offsets: BTreeMap<String, Vec<(Place, Committed)>>,
}

/// One change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Entry {
    Cluster {
        id: String,
    },
    /// Producer ids below are taken.
    ProducerIds {
        next: i64,
    },
    Topic {
        name: String,
        topic: TopicRecord,
    },
    TopicDeleted {
        name: String,
    },
    LogStart {
        topic: String,
        partition: i32,
        offset: i64,
    },
    Offsets {
        group: String,
        offsets: Vec<(Place, Committed)>,
    },
    OffsetsDeleted {
        group: String,
        places: Vec<Place>,
    },
    GroupDeleted {
        group: String,
    },
    /// The whole of a transactional id.
    Transaction {
        id: String,
        transaction: Transaction,
    },
    /// Partitions and groups that join an ongoing transaction; the first ones start it.
    Joined {
        id: String,
        partitions: Vec<Place>,
        groups: Vec<String>,
        at_ms: i64,
    },
    /// Offsets that take effect if the transaction commits.
    Pending {
        id: String,
        group: String,
        offsets: Vec<(Place, Committed)>,
    },
    /// All markers are written; pending offsets take effect with this entry, or never.
    Ended {
        id: String,
        commit: bool,
        at_ms: i64,
    },
    TransactionForgotten {
        id: String,
    },
}

/// Everything the journal says.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) cluster_id: Option<String>,
    pub(crate) next_producer_id: i64,
    pub(crate) topics: BTreeMap<String, TopicRecord>,
    pub(crate) transactions: HashMap<String, Transaction>,
    groups: BTreeMap<String, BTreeMap<Place, Committed>>,
}

impl Model {
    /// The offsets of a group; `None` when it never committed any.
    pub(crate) fn offsets(&self, group: &str) -> Option<&BTreeMap<Place, Committed>> {
        self.groups.get(group)
    }

    /// Groups that have offsets.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &String> {
        self.groups.keys()
    }

    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Whether a transaction that is not decided yet would change this offset.
    pub(crate) fn is_pending(&self, group: &str, place: &Place) -> bool {
        let undecided = |t: &&Transaction| {
            matches!(
                t.phase,
                Phase::Ongoing | Phase::PrepareCommit | Phase::PrepareAbort
            )
        };
        let pending = |t: &Transaction| {
            t.offsets
                .get(group)
                .is_some_and(|o| o.iter().any(|(p, _)| p == place))
        };
        self.transactions.values().filter(undecided).any(pending)
    }

    /// Applies one entry. Entries about things that are gone change nothing.
    pub(crate) fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Cluster { id } => self.cluster_id = Some(id),
            Entry::ProducerIds { next } => self.next_producer_id = next,
            Entry::Topic { name, mut topic } => {
                // A change of shape or configs says nothing about log starts that moved meanwhile.
                if let Some(old) = self.topics.get_mut(&name).filter(|old| old.id == topic.id) {
                    topic.starts = std::mem::take(&mut old.starts);
                }
                self.topics.insert(name, topic);
            }
            Entry::TopicDeleted { name } => self.delete_topic(&name),
            Entry::LogStart {
                topic,
                partition,
                offset,
            } => {
                if let Some(topic) = self.topics.get_mut(&topic) {
                    topic.starts.insert(partition, offset);
                }
            }
            Entry::Offsets { group, offsets } => {
                self.groups.entry(group).or_default().extend(offsets)
            }
            Entry::OffsetsDeleted { group, places } => {
                if let Some(offsets) = self.groups.get_mut(&group) {
                    offsets.retain(|place, _| !places.contains(place));
                }
            }
            Entry::GroupDeleted { group } => drop(self.groups.remove(&group)),
            Entry::Transaction { id, transaction } => {
                drop(self.transactions.insert(id, transaction))
            }
            Entry::Joined {
                id,
                partitions,
                groups,
                at_ms,
            } => {
                let Some(transaction) = self.transactions.get_mut(&id) else {
                    return;
                };
                if transaction.phase != Phase::Ongoing {
                    (transaction.phase, transaction.started_ms) = (Phase::Ongoing, at_ms);
                }
                transaction.updated_ms = at_ms;
                transaction.partitions.extend(partitions);
                transaction.groups.extend(groups);
            }
            Entry::Pending { id, group, offsets } => {
                let Some(transaction) = self.transactions.get_mut(&id) else {
                    return;
                };
                let pending = transaction.offsets.entry(group).or_default();
                pending.retain(|(place, _)| !offsets.iter().any(|(p, _)| p == place));
                pending.extend(offsets);
            }
            Entry::Ended { id, commit, at_ms } => self.end(&id, commit, at_ms),
            Entry::TransactionForgotten { id } => drop(self.transactions.remove(&id)),
        }
    }

    fn delete_topic(&mut self, name: &str) {
        self.topics.remove(name);
        for offsets in self.groups.values_mut() {
            offsets.retain(|place, _| place.topic != name);
        }
        self.groups.retain(|_, offsets| !offsets.is_empty());
        for transaction in self.transactions.values_mut() {
            transaction.partitions.retain(|place| place.topic != name);
        }
    }

    fn end(&mut self, id: &str, commit: bool, at_ms: i64) {
        let Some(transaction) = self.transactions.get_mut(id) else {
            return;
        };
        transaction.phase = if commit {
            Phase::CompleteCommit
        } else {
            Phase::CompleteAbort
        };
        transaction.updated_ms = at_ms;
        transaction.partitions.clear();
        transaction.groups.clear();
        let offsets = std::mem::take(&mut transaction.offsets);
        if commit {
            for (group, offsets) in offsets {
                let live: Vec<_> = offsets
                    .into_iter()
                    .filter(|(place, _)| self.topics.contains_key(&place.topic))
                    .collect();
                self.groups.entry(group).or_default().extend(live);
            }
        }
    }

    /// Entries that build this model from nothing.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let cluster = self
            .cluster_id
            .iter()
            .map(|id| Entry::Cluster { id: id.clone() });
        let ids = std::iter::once(Entry::ProducerIds {
            next: self.next_producer_id,
        });
        let topics = self.topics.iter().map(|(name, topic)| Entry::Topic {
            name: name.clone(),
            topic: topic.clone(),
        });
        let groups = self.groups.iter().map(|(group, offsets)| Entry::Offsets {
            group: group.clone(),
            offsets: offsets
                .iter()
                .map(|(p, c)| (p.clone(), c.clone()))
                .collect(),
        });
        let transactions = self
            .transactions
            .iter()
            .map(|(id, transaction)| Entry::Transaction {
                id: id.clone(),
                transaction: transaction.clone(),
            });
        cluster
            .chain(ids)
            .chain(topics)
            .chain(groups)
            .chain(transactions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            topic: "t".into(),
            partition: 0,
        }
    }

    fn committed(offset: i64) -> Committed {
        Committed {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
            at_ms: 0,
        }
    }

    fn with_pending() -> Model {
        let mut model = Model::default();
        let topic = TopicRecord {
            id: "x".into(),
            partitions: 1,
            configs: Overrides::new(),
            starts: BTreeMap::new(),
        };
        model.apply(Entry::Topic {
            name: "t".into(),
            topic,
        });
        let transaction = Transaction {
            producer_id: 1,
            epoch: 0,
            last_epoch: -1,
            timeout_ms: 1000,
            phase: Phase::Empty,
            started_ms: 0,
            updated_ms: 0,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            offsets: BTreeMap::new(),
        };
        model.apply(Entry::Transaction {
            id: "x".into(),
            transaction,
        });
        model.apply(Entry::Joined {
            id: "x".into(),
            partitions: vec![place()],
            groups: vec!["g".into()],
            at_ms: 5,
        });
        model.apply(Entry::Pending {
            id: "x".into(),
            group: "g".into(),
            offsets: vec![(place(), committed(7))],
        });
        model
    }

    #[test]
    fn pending_offsets_take_effect_with_the_commit_only() {
        let mut model = with_pending();
        assert!(model.is_pending("g", &place()) && model.offsets("g").is_none());
        let mut aborted = with_pending();
        aborted.apply(Entry::Ended {
            id: "x".into(),
            commit: false,
            at_ms: 9,
        });
        assert!(!aborted.is_pending("g", &place()) && aborted.offsets("g").is_none());
        model.apply(Entry::Ended {
            id: "x".into(),
            commit: true,
            at_ms: 9,
        });
        assert!(!model.is_pending("g", &place()));
        assert_eq!(
            model.offsets("g").and_then(|o| o.get(&place())),
            Some(&committed(7))
        );
    }

    #[test]
    fn the_entries_of_a_model_build_it_again() {
        let model = with_pending();
        let mut again = Model::default();
        for entry in model.entries() {
            let json = serde_json::to_string(&entry).expect("encodes");
            again.apply(serde_json::from_str(&json).expect("decodes"));
        }
        assert_eq!(again.topics, model.topics);
        assert_eq!(again.transactions, model.transactions);
        assert_eq!(again.groups, model.groups);
    }

    #[test]
    fn a_deleted_topic_takes_its_offsets_along() {
        let mut model = with_pending();
        model.apply(Entry::Offsets {
            group: "h".into(),
            offsets: vec![(place(), committed(1))],
        });
        model.apply(Entry::TopicDeleted { name: "t".into() });
        assert!(model.offsets("h").is_none());
        model.apply(Entry::Ended {
            id: "x".into(),
            commit: true,
            at_ms: 9,
        });
        assert!(model.offsets("g").is_none_or(BTreeMap::is_empty));
    }
}
