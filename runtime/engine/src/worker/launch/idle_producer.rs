//! A producer that holds a client only while there is something to send: a client costs threads, descriptors and memory, and most sources are quiet.

use super::{OPEN_MAX, reclaim::Reclaim};
use crate::ports::{Producer, ProducerSpec, Receipt, bus::SharedBus};
use bytes::Bytes;
use longshore_sdk::{Error, Record, Result, erased::Boxed};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How long a client is kept with nothing to do. A source that finds something every half minute does not open one for each batch, which costs a connection
/// and, with a transactional id, some hundred milliseconds more; hundreds of sources that find nothing hold none.
const IDLE: Duration = Duration::from_secs(60);
/// The same for a client that was opened with its task and has had nothing to do since: when many quiet sources start, few hold one at once.
const UNUSED: Duration = Duration::from_secs(3);

/// Opens its client at the first call that needs it, and gives it up after [`IDLE`] of rest ([`UNUSED`] where it was never needed). Nothing else is shared or retried: after an error it is as dead
/// as its client (I4).
pub(super) struct IdleProducer {
    bus: SharedBus,
    spec: ProducerSpec,
    /// An opening that takes its time gives way to it.
    stop: CancellationToken,
    /// With a transactional id: what must be as it was when the client is opened again.
    reclaim: Option<Reclaim>,
    client: Option<Box<dyn Producer>>,
    /// Since when it is told to rest.
    resting: Option<Instant>,
    /// Something was asked of it.
    used: bool,
    dead: bool,
}

impl IdleProducer {
    /// Without a client as yet, and without transactions.
    pub(super) fn new(bus: SharedBus, spec: ProducerSpec, stop: CancellationToken) -> Self {
        Self {
            bus,
            spec,
            stop,
            reclaim: None,
            client: None,
            resting: None,
            used: false,
            dead: false,
        }
    }
    /// With a client that was opened by `spec`, by the right that `reclaim` looks after.
    pub(super) fn transactional(self, client: Box<dyn Producer>, reclaim: Reclaim) -> Self {
        Self {
            reclaim: Some(reclaim),
            client: Some(client),
            ..self
        }
    }

    /// The client, opened now if it is not there.
    async fn client(&mut self) -> Result<&mut Box<dyn Producer>> {
        self.resting = None;
        self.used = true;
        let client = match self.client.take() {
            Some(client) => client,
            None => self.opened().await?,
        };
        Ok(self.client.insert(client))
    }

    /// An error's kind is the one of the opening that failed.
    async fn opened(&mut self) -> Result<Box<dyn Producer>> {
        if self.dead {
            return Err(dead());
        }
        // I4: should it fail, or be dropped midway, this task is opened anew from its first step.
        self.dead = true;
        let opening = open(&self.bus, self.spec.clone(), self.reclaim.as_ref());
        let opened = tokio::select! {
            // In this order: where nobody is asked there is nothing to wait for, and what is at hand is sent in spite of a stop.
            biased;
            opened = timeout(OPEN_MAX, opening) => opened.unwrap_or_else(|_| Err(late())),
            () = self.stop.cancelled() => Err(Error::transient("open", "the task stops before its producer is open")),
        }?;
        self.dead = false;
        Ok(opened)
    }

    async fn send(&mut self, batch: Vec<(Record, Receipt)>) -> Result<()> {
        let error = match self.client().await {
            Ok(client) => {
                let sent = client.send(batch).await;
                self.dead |= sent.is_err();
                return sent;
            }
            Err(error) => error,
        };
        // I5: who waits for these records hears why.
        for (_, receipt) in batch {
            receipt.answer(Err(Error::new(error.kind(), "send", error.message())));
        }
        Err(error)
    }

    async fn commit(&mut self, offsets: Vec<(Bytes, Option<Bytes>)>) -> Result<()> {
        let known = self.reclaim.as_ref().and_then(|now| now.copied(&offsets));
        let committed = self.client().await?.commit(offsets).await;
        self.dead |= committed.is_err();
        committed?;
        if let Some(reclaim) = &mut self.reclaim {
            reclaim.stored(known);
        }
        Ok(())
    }
}

impl Producer for IdleProducer {
    fn send(&mut self, batch: Vec<(Record, Receipt)>) -> Boxed<'_, Result<()>> {
        Box::pin(IdleProducer::send(self, batch))
    }
    fn flush(&mut self) -> Boxed<'_, Result<()>> {
        match &mut self.client {
            Some(client) => client.flush(),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }
    fn begin(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            let begun = self.client().await?.begin().await;
            self.dead |= begun.is_err();
            begun
        })
    }
    fn commit(&mut self, offsets: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<()>> {
        Box::pin(IdleProducer::commit(self, offsets))
    }
    fn abort(&mut self) -> Boxed<'_, Result<()>> {
        match &mut self.client {
            Some(client) => client.abort(),
            // A transaction has a client.
            None => Box::pin(std::future::ready(Err(dead()))),
        }
    }
    fn rest(&mut self) -> Option<Instant> {
        let reclaimable = self.reclaim.as_ref().is_none_or(Reclaim::is_possible);
        if self.client.is_none() || self.dead || !reclaimable {
            return None;
        }
        let now = Instant::now();
        let rest = if self.used { IDLE } else { UNUSED };
        let until = *self.resting.get_or_insert(now) + rest;
        if now < until {
            return Some(until);
        }
        tracing::debug!(client = %self.spec.client_id, "gives its client up, nothing is to be sent");
        self.client = None;
        None
    }
}

async fn open(
    bus: &SharedBus,
    spec: ProducerSpec,
    reclaim: Option<&Reclaim>,
) -> Result<Box<dyn Producer>> {
    if let Some(reclaim) = reclaim {
        reclaim.placed()?;
    }
    let client = bus.producer(spec).await?;
    if let Some(reclaim) = reclaim {
        reclaim.confirm().await?;
    }
    Ok(client)
}

fn dead() -> Error {
    Error::transient(
        "send",
        "this producer is dead since an earlier error: open another one",
    )
}

fn late() -> Error {
    let text = format!(
        "the producer did not open again within {} s",
        OPEN_MAX.as_secs()
    );
    Error::transient("open", text)
}

#[cfg(test)]
mod tests;
