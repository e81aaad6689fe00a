//! Receipts: the producer's promise to say what became of each record.

use longshore_sdk::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Names an open entry of one task's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What became of the record behind a ticket.
pub type Answer = (Ticket, Result<()>);

/// Where a task's receipts are answered. It holds at most one answer per record in flight, which the ledger bounds.
#[derive(Default)]
pub struct Inbox {
    answers: Mutex<Vec<Answer>>,
    arrived: Notify,
}

impl Inbox {
    /// An empty inbox.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }
    /// Everything answered since the last call, without waiting. Pass an empty vector: its memory is used again.
    pub fn drain(&self, into: &mut Vec<Answer>) {
        into.clear();
        std::mem::swap(
            into,
            &mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner),
        );
    }
    /// Returns once something is there to drain.
    pub async fn arrived(&self) {
        loop {
            let notified = self.arrived.notified();
            if !self
                .answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_empty()
            {
                return;
            }
            notified.await;
        }
    }
    fn push(&self, answer: Answer) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let first = answers.is_empty();
        answers.push(answer);
        drop(answers);
        if first {
            self.arrived.notify_one();
        }
    }
}

/// Must be answered once. Dropped unanswered it answers with an error: silence is never success (I5).
#[must_use = "a receipt that is not answered fails its task"]
pub struct Receipt {
    inbox: Option<Arc<Inbox>>,
    ticket: Ticket,
}

impl Receipt {
    /// A receipt that is answered into `inbox`.
    pub fn new(inbox: Arc<Inbox>, ticket: Ticket) -> Self {
        Self {
            inbox: Some(inbox),
            ticket,
        }
    }
    /// Says what became of the record: `Ok` = it is durable in the broker.
    pub fn answer(mut self, result: Result<()>) {
        if let Some(inbox) = self.inbox.take() {
            inbox.push((self.ticket, result));
        }
    }
    /// Takes the receipt apart, for clients that carry it through a C pointer without an allocation.
    /// Whoever calls this owes the inbox an answer: rebuild it with [`Receipt::new`].
    pub fn into_parts(mut self) -> Option<(Arc<Inbox>, Ticket)> {
        self.inbox.take().map(|inbox| (inbox, self.ticket))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            inbox.push((
                self.ticket,
                Err(Error::bug("send", "a receipt was dropped unanswered")),
            ));
        }
    }
}
