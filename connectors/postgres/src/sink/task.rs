//! The sink's task: one connection, one transaction per `put`.

mod load;

use super::{Refusal, ledger::Ledger, link::Link, route::Routes, settings::Settings};
use crate::client::{Failure, Outcome};
use longshore_sdk::{
    Error, ErrorKind, Refused, Result, Sink, SinkRecord, TopicOffsets, TopicPartition,
};
use std::sync::Arc;

const OP: &str = "put";
/// A task of the sink.
#[derive(Debug)]
pub struct PostgresSinkTask {
    settings: Arc<Settings>,
    link: Link,
    /// `None`: the consumer group keeps the offsets, and every `put` commits.
    ledger: Option<Ledger>,
    routes: Routes,
    /// Staging tables get numbers, so that those of a table that was altered are not taken for the new ones.
    numbers: u32,
    /// The next offsets behind the records that the open transaction holds.
    written: TopicOffsets,
    /// Rows that were taken are lost: nothing but a new task can go on.
    broken: Option<&'static str>,
}

impl PostgresSinkTask {
    pub(super) fn new(settings: Settings, link: Link, ledger: Option<Ledger>) -> Self {
        Self {
            settings: Arc::new(settings),
            link,
            ledger,
            routes: Routes::default(),
            numbers: 0,
            written: TopicOffsets::new(),
            broken: None,
        }
    }

    /// A connection that can be used, with all claims on it.
    async fn connect(&mut self, op: &'static str) -> Result<()> {
        if let Some(broken) = self.broken {
            return Err(Error::transient(op, broken));
        }
        self.reconnect(op).await
    }

    async fn reconnect(&mut self, op: &'static str) -> Result<()> {
        if self.link.alive() {
            return Ok(());
        }
        if !self.written.is_empty() {
            return Err(self.give_up(op, "the connection broke with rows that were not committed: the task has to be opened again"));
        }
        self.link.connect(op).await?;
        if let Some(ledger) = &mut self.ledger
            && let Err(failure) = ledger.renew(&self.link, op).await
        {
            self.link.hang_up();
            return Err(failure.into());
        }
        Ok(())
    }

    fn give_up(&mut self, op: &'static str, why: &'static str) -> Error {
        self.broken = Some(why);
        self.link.hang_up();
        Error::transient(op, why)
    }

    /// A connection that broke may have been ended by whoever claimed the partitions: then the error says so.
    async fn blamed(&mut self, op: &'static str, error: Error) -> Error {
        let Some(ledger) = &mut self.ledger else {
            return error;
        };
        if error.kind() != ErrorKind::Transient || Box::pin(self.link.connect(op)).await.is_err() {
            return error;
        }
        let fenced = ledger
            .confirm(&self.link, op)
            .await
            .err()
            .filter(|failure| failure.kind() == ErrorKind::Fenced);
        self.link.hang_up();
        fenced.map_or(error, Error::from)
    }

    /// A record before the offset that the ledger has was written already, or its topic is not what it was.
    fn in_order(&self, batch: &[SinkRecord]) -> Result<()> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let mut last: Option<(&SinkRecord, Option<i64>)> = None;
        for record in batch {
            let next = match last {
                Some((before, next))
                    if before.at.partition == record.at.partition
                        && before.at.topic == record.at.topic =>
                {
                    next
                }
                _ => ledger
                    .claims
                    .get(&record.at.topic_partition())
                    .and_then(|claim| claim.next),
            };
            last = Some((record, next));
            if let Some(next) = next
                && record.at.offset < next
            {
                let text = format!(
                    "the ledger has this partition up to offset {next}, and a record before it comes: the topic was made anew, or the group was set back; \
                     delete or change the partition's row in {} while the connector is stopped",
                    super::ledger::TABLE
                );
                return Err(Error::config(OP, text).with("record", &record.at));
            }
        }
        Ok(())
    }

    /// Rolls back what failed. What earlier calls took is lost with it: the task cannot go on then.
    async fn roll_back(&mut self, failure: Failure) -> Error {
        for slot in &mut self.routes.slots {
            slot.rows.clear();
        }
        if self.written.is_empty() {
            self.link.rollback(OP).await;
            return failure.into();
        }
        let error: Error = failure.into();
        let why =
            "a write failed after others that were not committed: the task has to be opened again";
        if matches!(error.kind(), ErrorKind::Transient | ErrorKind::Throttled(_)) {
            return self.give_up(OP, why);
        }
        drop(self.give_up(OP, why));
        error
    }

    async fn commit_rows(&mut self) -> Outcome<()> {
        if self.link.is_open() {
            self.link.commit(OP).await?;
        }
        Ok(())
    }

    /// Moves the ledger and commits.
    async fn commit_offsets(&mut self, upto: &TopicOffsets) -> Outcome<()> {
        const OP: &str = "flush";
        let Some(ledger) = &mut self.ledger else {
            return Ok(());
        };
        // Rows and offsets are one: an offset behind its rows would bring them twice (I3).
        let mut moves = self.written.clone();
        for (at, next) in upto {
            let written = moves.get(at).copied();
            let known = ledger.claims.get(at).and_then(|claim| claim.next);
            let next = written.map_or(*next, |written| written.max(*next));
            if written.is_some() || known.is_none_or(|known| known < next) {
                moves.insert(at.clone(), next);
            }
        }
        if moves.is_empty() {
            return Ok(());
        }
        self.link.begin(OP).await?;
        ledger.advance(&self.link, &moves).await?;
        self.link.commit(OP).await?;
        ledger.advanced(&moves);
        Ok(())
    }
}

impl Sink for PostgresSinkTask {
    async fn assigned(&mut self, at: &[TopicPartition]) -> Result<Option<TopicOffsets>> {
        const OP: &str = "assigned";
        if self.ledger.is_none() {
            return Ok(None);
        }
        if at.is_empty() {
            return Ok(Some(TopicOffsets::new()));
        }
        if self.link.is_open() {
            return Err(self.give_up(
                OP,
                "partitions came between put and flush: the task has to be opened again",
            ));
        }
        // A task that cannot go on says so at its next put and flush; who claims is told what the ledger has.
        self.reconnect(OP).await?;
        let Some(ledger) = &mut self.ledger else {
            return Ok(None);
        };
        Ok(Some(ledger.claim(&self.link, at).await?))
    }

    async fn put(&mut self, batch: &[SinkRecord]) -> Result<Vec<Refused>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.connect(OP).await?;
        self.in_order(batch)?;
        let mut again = true;
        let refusals = loop {
            let mut done = Box::pin(self.put_all(batch)).await;
            if done.is_ok()
                && self.ledger.is_none()
                && let Err(failure) = self.commit_rows().await
            {
                done = Err(failure);
            }
            match done {
                Ok(refusals) => break refusals,
                Err(failure) => {
                    let stale = stale(&failure) && self.written.is_empty();
                    let error = self.roll_back(failure).await;
                    if stale {
                        // Somebody altered a table: it is read again, once.
                        self.routes = Routes::default();
                        if std::mem::take(&mut again) {
                            self.connect(OP).await?;
                            continue;
                        }
                    }
                    return Err(error);
                }
            }
        };
        for slot in &mut self.routes.slots {
            slot.rows.clear();
        }
        if self.ledger.is_some() {
            note(&mut self.written, batch);
        }
        let refused = refusals
            .into_iter()
            .map(|(index, Refusal(error))| Refused { index, error });
        Ok(refused.collect())
    }

    async fn flush(&mut self, upto: &TopicOffsets) -> Result<TopicOffsets> {
        const OP: &str = "flush";
        if self.ledger.is_none() {
            // Every put has committed.
            return Ok(upto.clone());
        }
        if let Some(broken) = self.broken {
            return Err(Error::transient(OP, broken));
        }
        if !self.written.is_empty() && !self.link.alive() {
            let error = self.give_up(
                OP,
                "the connection broke before the commit: what was not committed comes again",
            );
            return Err(self.blamed(OP, error).await);
        }
        self.connect(OP).await?;
        if let Err(failure) = self.commit_offsets(upto).await {
            // Whether a commit that got no answer happened is for the next claim to read.
            drop(self.give_up(OP, "a flush failed: the task has to be opened again"));
            return Err(self.blamed(OP, failure.into()).await);
        }
        self.written.clear();
        Ok(upto.clone())
    }

    async fn revoked(&mut self, at: &[TopicPartition]) -> Result<()> {
        const OP: &str = "revoked";
        if at.iter().any(|at| self.written.contains_key(at)) {
            // Lost without a flush: these records come again, so that their rows have to go.
            if self.written.keys().any(|written| !at.contains(written)) {
                drop(self.give_up(OP, "rows of lost and of kept partitions are mixed: the task has to be opened again"));
            } else {
                self.link.rollback(OP).await;
            }
            self.written.clear();
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.release(&self.link, at).await;
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.link.rollback("close").await;
        self.link.hang_up();
        if !self.written.is_empty() {
            self.broken = Some("the task is closed");
        }
        Ok(())
    }
}

/// Notes the next offsets behind a batch; partitions come in runs.
fn note(written: &mut TopicOffsets, batch: &[SinkRecord]) {
    let mut records = batch.iter().peekable();
    while let Some(record) = records.next() {
        let runs_on = records.peek().is_some_and(|next| {
            next.at.partition == record.at.partition && next.at.topic == record.at.topic
        });
        if !runs_on {
            written.insert(record.at.topic_partition(), record.at.offset + 1);
        }
    }
}

/// Whether a failure says that a table is not what it was when it was read.
fn stale(failure: &Failure) -> bool {
    let code = failure.code().map(tokio_postgres::error::SqlState::code);
    matches!(
        code,
        Some("42P01" | "42703" | "42804" | "42P10" | "22P03" | "08P01" | "0A000" | "428C9")
    )
}
