//! The producer of a source: with a transactional id where exactly once is promised.

use super::{Launch, Ownership, reclaim::Reclaim};
use crate::{
    connector_config::ConnectorConfig,
    crash_point::crash_point,
    guarantee::{self, Delivery},
    mutant::mutant,
    ports::{Producer, ProducerSpec},
    supervisor::transactional_id,
    task::{Failure, Reaction, TransactionSettings},
    views::offset::StoredOffsets,
};
use longshore_sdk::{Error, ErrorKind, Offsets, Result};
use std::time::Duration;

/// How long a task waits for the fencing round of its task set.
const FENCED_MAX: Duration = Duration::from_secs(120);
/// How many stored offsets the first transaction writes again at most (I6).
const RESTATED_MAX: usize = 1_000;

/// Where a source's records go, and how its offsets do.
pub(super) struct Way {
    pub(super) producer: Box<dyn Producer>,
    pub(super) transactions: Option<TransactionSettings>,
}

/// What hangs on a task's transactions.
#[derive(Clone, Copy)]
pub(super) struct Stakes {
    /// Somebody insists on exactly once.
    pub(super) insisted: bool,
    /// errors.tolerance = all.
    pub(super) tolerant: bool,
}

impl Launch {
    /// What comes before the source itself is opened: the producer, which fences the one before; is the task still ours; the lanes' offsets.
    /// None: the task is not ours any more.
    pub(super) async fn first_steps(
        &self,
        config: &ConnectorConfig,
        delivery: Delivery,
        owned: Ownership,
    ) -> Result<Option<(Way, Offsets)>> {
        let (cx, name) = (&self.cx, &self.id.connector);
        let mut way = self.way(config, delivery).await?;
        // I4: the last init wins, whoever is placed later. So who comes late must see here that it came late.
        let holds = async {
            Ok(mutant!("init-without-check") || owned.holds(cx, &self.id, &self.config).await?)
        };
        // Read to the end: what this task's former life stored last must be seen.
        let stored = async {
            cx.offsets.ready().await;
            if mutant!("restart-without-lanes") {
                return Ok(());
            }
            cx.offsets.refresh().await
        };
        let (holds, ()) = tokio::try_join!(holds, stored)?;
        tracing::debug!(task = %self.id, holds, "ownership and offsets were read to their ends");
        if !holds {
            return Ok(None);
        }
        if let Some(transactions) = way.transactions.as_mut().filter(|_| owned.tasks == 1) {
            // Among several tasks nobody can tell whose lanes are whose; each writes its own as it meets them.
            let again = |stored: &StoredOffsets| stored.again(name, RESTATED_MAX);
            transactions.restated = cx.offsets.read(again);
        }
        if way.transactions.is_some() {
            let reclaim = Reclaim::new(cx, &self.id, &self.config, owned);
            let idle = self.idle(self.transactional(config));
            way.producer = Box::new(idle.transactional(way.producer, reclaim));
        }
        let offsets = cx.offsets.read(|stored| stored.of(name));
        Ok(Some((way, offsets)))
    }

    /// Opens the producer; one with a transactional id fences the one before (I4).
    async fn way(&self, config: &ConnectorConfig, delivery: Delivery) -> Result<Way> {
        let told = self.cx.lowered.take(&self.id);
        let Delivery::Transactions { insisted } = delivery else {
            return Ok(self.beside(config));
        };
        if let Some(reason) = told.filter(|_| !insisted) {
            self.cx.lowered.now(&self.id, reason);
            return Ok(self.beside(config));
        }
        let (settings, shortened) = config
            .transactions
            .settings(self.cx.settings.commit_interval);
        if let Some(wanted) = shortened {
            tracing::warn!(
                task = %self.id,
                wanted_ms = wanted.as_millis(),
                interval_ms = settings.interval.as_millis(),
                "the interval of transactions is shortened to half of transaction.timeout.ms; producer.override.transaction.timeout.ms raises that"
            );
        }
        self.fenced().await?;
        let spec = self.transactional(config);
        crash_point("before-init");
        let producer = match self.cx.bus.producer(spec).await {
            Ok(producer) => producer,
            Err(error) if is_right(&error) && !insisted => {
                let reason = reason(&error);
                tracing::warn!(task = %self.id, %error, "the brokers do not let this source write exactly once; it delivers at least once");
                self.cx.lowered.now(&self.id, reason);
                return Ok(self.beside(config));
            }
            Err(error) => return Err(self.insisted(error)),
        };
        crash_point("after-init");
        tracing::debug!(task = %self.id, "its producer is ready, the one before is fenced");
        Ok(Way {
            producer,
            transactions: Some(settings),
        })
    }

    fn transactional(&self, config: &ConnectorConfig) -> ProducerSpec {
        ProducerSpec {
            client_id: format!("connector-producer-{}", self.id),
            transactional_id: Some(transactional_id(&self.cx, &self.id)),
            overrides: config.producer_overrides.clone(),
            offsets_topic: Some(self.cx.settings.topics.offset.clone()),
        }
    }

    fn beside(&self, config: &ConnectorConfig) -> Way {
        Way {
            producer: self.producer("connector-producer", config),
            transactions: None,
        }
    }

    /// Returns once the leader has fenced every producer of the former task sets: it inits ids that this set uses again, so it must come first.
    async fn fenced(&self) -> Result<()> {
        let mut changes = self.cx.config.changes();
        let name = &self.id.connector;
        let fenced = || {
            let now = self.cx.config.read(|configs| configs.get(name));
            // Without its connector the task is told to stop.
            now.is_none_or(|now| now.fenced)
        };
        match tokio::time::timeout(FENCED_MAX, changes.wait_for(|_| fenced())).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::transient(
                "open",
                "the leader has not fenced the former tasks of this source yet; exactly.once.source.support must be the same on every worker",
            )),
        }
    }

    fn insisted(&self, error: Error) -> Error {
        if !is_right(&error) {
            return error;
        }
        let id = transactional_id(&self.cx, &self.id);
        guarantee::insisted(error, &id, &self.cx.settings.topics.offset)
    }

    /// What follows a failure that exactly once is the cause of: where nobody insisted on it, the next life goes without.
    pub(super) fn lower(&self, mut failure: Failure, stakes: Stakes) -> Failure {
        let right = failure.op == "transaction" && is_right(&failure.error);
        // A transaction that lacks a record cannot be committed; without one errors.tolerance leaves the record out.
        let record =
            failure.op == "send" && failure.error.kind() == ErrorKind::Data && stakes.tolerant;
        if stakes.insisted {
            if right {
                failure.error = self.insisted(failure.error);
            }
        } else if right || record {
            let reason = if right {
                reason(&failure.error)
            } else {
                let error = &failure.error;
                format!(
                    "errors.tolerance=all leaves a record out, which a transaction cannot: {error}"
                )
            };
            self.cx.lowered.next(&self.id, reason);
            failure.reaction = Reaction::Reopen(Duration::ZERO);
        }
        failure
    }
}

/// Whether the brokers will not allow it, however often they are asked.
fn is_right(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Auth | ErrorKind::Config)
}

fn reason(error: &Error) -> String {
    format!("the brokers do not allow transactions here: {error}")
}
