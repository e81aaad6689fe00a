//! From poll to the broker and back: chain, send, receipts.

use super::{Call, Count, Failure, Next, Place, Running, Work, react};
use crate::{crash_point::crash_point, mutant::mutant, ports::Receipt, task::flow::Refusal};
use longshore_sdk::{Record, Result, Topic};

impl Running {
    /// Moves the batch at hand through the chain and hands it to the producer; a retryable error leaves it at hand.
    pub(super) async fn move_on(&mut self) -> Result<(), Failure> {
        let Some(mut work) = self.work.take() else {
            return Ok(());
        };
        if let Err(error) = self.prepare(&mut work).await {
            let (place, op, error) = error;
            self.work = Some(work);
            return self.retry(place, op, error).map(drop);
        }
        self.recovered(Place::Chain);
        crash_point("after-transform");
        let Work { flow, tickets } = work;
        self.task.meters.add(Count::Errors, flow.errors);
        self.task.meters.add(Count::Retries, flow.retries);
        self.task.meters.add(Count::Dropped, flow.drops);
        let left_out = flow.drops + flow.refused.len();
        for refusal in flow.refused {
            self.skipped(&refusal);
        }
        if left_out > 0 {
            // I1: a record that was left out is settled like one that was delivered. Both lists rise.
            let mut sent = flow.ordinals.iter().peekable();
            for (ordinal, ticket) in (0u32..).zip(&tickets) {
                if sent.next_if_eq(&&ordinal).is_none() {
                    self.settled(*ticket)?;
                }
            }
        }
        let mut batch = Vec::with_capacity(flow.records.len());
        for (record, ordinal) in flow.records.into_iter().zip(flow.ordinals) {
            batch.push((
                record,
                Receipt::new(self.inbox.clone(), tickets[ordinal as usize]),
            ));
        }
        self.send(batch).await
    }

    async fn prepare(
        &mut self,
        work: &mut Work,
    ) -> Result<(), (Place, &'static str, longshore_sdk::Error)> {
        self.task.progress.enter(Call::Chain);
        let moved = self
            .task
            .chain
            .advance(&mut work.flow, &self.task.settings.errors)
            .await;
        self.task.progress.leave(moved.is_ok());
        moved.map_err(|error| (Place::Chain, "transform", error))?;
        self.announce(&work.flow.records)
            .await
            .map_err(|error| (Place::Put, "create topic", error))
    }

    /// Tells of topics that were not written before.
    async fn announce(&mut self, records: &[Record]) -> Result<()> {
        let mut last: Option<&Topic> = None;
        for record in records {
            if last == Some(&record.topic) {
                continue;
            }
            last = Some(&record.topic);
            if !self.known.contains(&record.topic) {
                self.task.topics.seen(&record.topic).await?;
                self.known.insert(record.topic.clone());
            }
        }
        Ok(())
    }

    async fn send(&mut self, batch: Vec<(Record, Receipt)>) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        self.enlist(&batch).await?;
        self.outstanding += batch.len();
        self.task.progress.enter(Call::Send);
        let sent = self.task.producer.send(batch).await;
        self.task.progress.leave(sent.is_ok());
        crash_point("after-send");
        sent.map_err(|error| {
            self.producer_died();
            let next = react(Place::Send, error.kind(), &self.task.settings.errors);
            // The producer is dead, whatever it died of.
            Failure::new(
                "send",
                error,
                if next == Next::Skip { Next::Fail } else { next },
            )
        })
    }

    /// Takes the receipts that have arrived (I5). All are taken, even behind a failed one: what is safe gets stored.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        let mut answers = std::mem::take(&mut self.answers);
        self.inbox.drain(&mut answers);
        if answers.is_empty() {
            self.answers = answers;
            return Ok(());
        }
        self.outstanding = self.outstanding.saturating_sub(answers.len());
        let (mut failure, mut delivered, mut bytes) = (None, 0, 0);
        for (ticket, answer) in answers.drain(..) {
            let settled = match answer {
                Ok(()) => {
                    delivered += 1;
                    self.settled(ticket)
                }
                Err(_) if mutant!("receipt-dropped") => self.settled(ticket),
                Err(error) => match react(Place::Send, error.kind(), &self.task.settings.errors) {
                    // A transaction that lacks a record cannot be committed, so errors.tolerance does not reach this far.
                    Next::Skip if self.transactions.is_some() => {
                        Err(Failure::new("send", error, Next::Fail))
                    }
                    Next::Skip => {
                        self.task.meters.add(Count::Errors, 1);
                        self.skipped(&Refusal {
                            ordinal: 0,
                            stage: "KAFKA_PRODUCE",
                            name: "producer".into(),
                            error,
                        });
                        self.settled(ticket)
                    }
                    next => Err(Failure::new("send", error, next)),
                },
            };
            match settled {
                Ok(size) => bytes += size,
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        if failure.is_some() {
            self.spoil_transaction();
        }
        self.answers = answers;
        self.task.meters.add(Count::Written, delivered);
        self.task.meters.add(Count::Bytes, bytes);
        self.task.progress.moved(delivered, bytes);
        if delivered > 0 {
            self.task.progress.leave(true);
        }
        self.show_active();
        failure.map_or(Ok(()), Err)
    }

    fn settled(&mut self, ticket: crate::ports::Ticket) -> Result<usize, Failure> {
        self.ledger
            .settle(ticket)
            .map_err(|error| Failure::new("settle", error, Next::Fail))
    }

    /// Counts and logs a record that errors.tolerance = all leaves out.
    fn skipped(&self, refusal: &Refusal) {
        self.task.meters.add(Count::Failures, 1);
        self.task.meters.add(Count::Skipped, 1);
        self.task.meters.failed_now();
        if self.task.settings.errors.log_enable {
            self.task.meters.add(Count::Logged, 1);
            tracing::error!(task = %self.task.id, stage = refusal.stage, plugin = %refusal.name, error = %refusal.error, "record is skipped");
        }
    }
}
