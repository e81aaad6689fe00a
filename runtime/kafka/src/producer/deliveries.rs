//! What is on its way: delivery reports, the thread that serves them, and why records failed.

use crate::{
    alive::Alive,
    errors,
    native::{self, Line, give_back},
    oauth::{self, Bearer},
    refusal::{REFUSED_MAX, Refusal},
    writer::POLL,
};
use longshore_sdk::{Error, ErrorKind, Result};
use rdkafka::{
    ClientContext, Message,
    client::Client,
    config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext, PurgeConfig},
    types::RDKafka,
};
use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How long the library takes to give up its bootstrap connection.
const SETTLE: Duration = Duration::from_millis(10);

/// How soon an opening that was given up is noticed.
const NOTICE: Duration = Duration::from_secs(1);

/// Without a connection the library looks for a transactional id's coordinator only every half second: connect first, by a question about a
/// topic that is going to be written. Blocks for as long as that takes, at most `max`; whether it worked is seen by whatever comes next.
pub(crate) fn connect<C: ClientContext>(client: &Client<C>, topic: Option<&str>, max: Duration) {
    let started = Instant::now();
    let _ = client.fetch_metadata(topic, max);
    // That may have been answered over the bootstrap connection, which the library now gives up for one to the broker it has learned of.
    std::thread::sleep(SETTLE);
    let _ = client.fetch_metadata(topic, max.saturating_sub(started.elapsed()));
}

/// Fences the former owner of the transactional id. Once nobody waits for it any more it must not: by then somebody else may own the id, and the
/// last to ask has it. Blocks, at most `max`.
pub(crate) fn init<C: ProducerContext>(
    producer: &BaseProducer<C>,
    max: Duration,
    given_up: impl Fn() -> bool,
) -> Result<(), KafkaError> {
    let started = Instant::now();
    loop {
        if given_up() {
            return Err(KafkaError::Canceled);
        }
        let slice = max.saturating_sub(started.elapsed()).min(NOTICE);
        let asked = Instant::now();
        match producer.init_transactions(slice) {
            // The library goes on where it was when it is called again.
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && asked.elapsed() >= slice && started.elapsed() < max => {}
            answer => return answer,
        }
    }
}

/// How long reports are waited for that another thread serves, before they are served here: that thread may have ended.
const SERVED: Duration = Duration::from_millis(100);

/// Commits the open transaction, once all of its records are delivered. Blocks, at most `max` for each of the two.
pub(crate) fn commit<C: ProducerContext>(
    producer: &BaseProducer<C>,
    max: Duration,
) -> Result<(), KafkaError> {
    let until = Instant::now() + max;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if native::flush(producer.client().native_ptr(), left.min(SERVED)) {
            return producer.commit_transaction(max);
        }
        if left.is_zero() {
            return Err(KafkaError::Flush(Code::OperationTimedOut));
        }
        producer.poll(Duration::ZERO);
    }
}

/// The error that ended a producer for good, if one has.
pub(crate) fn fatal<C: ClientContext>(op: &'static str, client: &Client<C>) -> Option<Error> {
    let (code, text) = client.fatal_error()?;
    let error = errors::coded(op, code, &text);
    Some(match error.kind() {
        ErrorKind::Fenced | ErrorKind::Auth | ErrorKind::Config => error,
        _ => Error::transient(op, format!("the producer cannot go on: {text}")),
    })
}

/// Where delivery reports arrive, on the serving thread.
pub(crate) struct Deliveries {
    /// The client's name, for log lines.
    name: String,
    pub(super) line: Line,
    pub(super) moved: Notify,
    client: OnceLock<Weak<Inner>>,
    pub(super) refusal: Refusal,
    _alive: Alive,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        crate::handle::log_line(&self.name, level, facility, line);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", client = self.name, error = %error, "{reason}");
        self.refusal.note(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;
    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        // The payload is let go at the end, so that the message may still be looked at.
        let waiting = self.line.leave(place);
        if let Some((Some(receipt), _payload)) = waiting {
            receipt.answer(match result {
                Ok(_) => {
                    self.refusal.over();
                    Ok(())
                }
                Err((error, message)) => Err(self.refused(error, message)),
            });
        }
        self.moved.notify_one();
    }
}

impl Deliveries {
    fn refused(&self, error: &KafkaError, message: &impl Message) -> Error {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let inner = self.client.get().and_then(Weak::upgrade);
        // What is purged after a fatal error failed for that error's reason.
        let victim = matches!(code, Code::Fatal | Code::PurgeQueue | Code::PurgeInflight);
        let fatal = inner.filter(|_| victim);
        let error = match fatal.and_then(|inner| inner.fatal("send")) {
            Some(fatal) => fatal,
            None if code == Code::MessageSizeTooLarge => {
                let part = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
                let size = part(message.payload()) + part(message.key());
                return errors::too_large(message.topic(), size);
            }
            None if victim || code == Code::MessageTimedOut => {
                self.refusal.explain(errors::coded("send", code, ""))
            }
            None => errors::coded("send", code, ""),
        };
        error
            .with("topic", message.topic())
            .with("partition", message.partition())
    }
}

/// The client, and the thread that serves it until it is told to stop.
pub(crate) struct Inner {
    pub(super) producer: BaseProducer<Deliveries>,
    pub(super) stop: AtomicBool,
}

impl Inner {
    pub(super) fn open(config: &ClientConfig, name: &str) -> Result<Arc<Self>> {
        let context = Deliveries {
            name: name.to_owned(),
            line: Line::default(),
            moved: Notify::new(),
            client: OnceLock::new(),
            refusal: Refusal::of(config),
            _alive: Alive::default(),
        };
        let producer = BaseProducer::from_config_and_context(config, context)
            .map_err(|error| errors::from_client("open", error))?;
        let inner = Arc::new(Self {
            producer,
            stop: AtomicBool::new(false),
        });
        // Set once, right after creation.
        let _ = inner.deliveries().client.set(Arc::downgrade(&inner));
        oauth::attach(config, &inner);
        let served = Arc::clone(&inner);
        std::thread::Builder::new()
            .name("kafka produce".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                served.serve();
                // The last one to hold the client closes it.
                drop(served);
                give_back();
            })
            .map_err(|error| Error::transient("open", "no thread for a producer").because(error))?;
        Ok(inner)
    }

    pub(super) fn fatal(&self, op: &'static str) -> Option<Error> {
        fatal(op, self.producer.client())
    }

    fn serve(&self) {
        let mut stuck: Option<Instant> = None;
        while !self.stop.load(Ordering::Acquire) {
            self.producer.poll(POLL);
            let deliveries = self.deliveries();
            if !deliveries.refusal.is() || deliveries.line.len() == 0 {
                stuck = None;
            } else if stuck.get_or_insert_with(Instant::now).elapsed() > REFUSED_MAX {
                // Without this each record would wait for the whole of delivery.timeout.ms.
                let all = PurgeConfig::default().queue().inflight();
                self.producer.purge(all);
            }
        }
        // Whoever waits for these records gets an error now: they may have been written or not.
        self.producer
            .purge(PurgeConfig::default().queue().inflight());
        let _ = self.producer.flush(Duration::from_secs(1));
    }
}

impl Bearer for Inner {
    fn native(&self) -> *mut RDKafka {
        self.producer.client().native_ptr()
    }
    fn shut_out(&self, error: Error) {
        self.deliveries().refusal.shut_out(error.message());
    }
}

impl Inner {
    pub(super) fn deliveries(&self) -> &Arc<Deliveries> {
        self.producer.context()
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        // The client is gone: no report will come (I5).
        for receipt in self.line.abandoned() {
            receipt.answer(Err(Error::transient(
                "send",
                "the producer was closed before the record was acknowledged",
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::{Timestamp, message::OwnedMessage};

    #[test]
    fn records_that_wait_for_a_login_in_vain_say_so() {
        let deliveries = Deliveries {
            name: String::new(),
            line: Line::default(),
            moved: Notify::new(),
            client: OnceLock::new(),
            refusal: Refusal::default(),
            _alive: Alive::default(),
        };
        let late = KafkaError::MessageProduction(Code::MessageTimedOut);
        let place = ("t".to_owned(), 0, 0);
        let record = OwnedMessage::new(
            None,
            None,
            place.0,
            Timestamp::NotAvailable,
            place.1,
            place.2,
            None,
        );
        let kind = || deliveries.refused(&late, &record).kind();
        assert_eq!(kind(), ErrorKind::Transient);
        deliveries.error(KafkaError::Global(Code::BrokerTransportFailure), "gone");
        assert_eq!(kind(), ErrorKind::Transient);
        deliveries.error(
            KafkaError::Global(Code::Authentication),
            "SASL authentication failed",
        );
        assert_eq!(kind(), ErrorKind::Auth, "time does not heal it");
        let refused = deliveries.refused(&late, &record).to_string();
        assert!(refused.contains("SASL authentication failed"), "{refused}");
        deliveries.error(KafkaError::Global(Code::BrokerTransportFailure), "gone");
        assert_eq!(kind(), ErrorKind::Transient, "the network, this time");
    }
}
