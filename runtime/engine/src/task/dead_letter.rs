//! The dead letter queue of a sink task.

use super::{DeadLetterSpec, TaskId, flow::Refusal};
use crate::{
    crash_point::crash_point,
    metrics::{Count, TaskMeters},
    mutant::mutant,
    ports::{Answer, Inbox, Producer, Receipt, Ticket},
    providers::scrub,
};
use bytes::Bytes;
use longshore_sdk::{Datum, Error, Header, Record, Result, TopicOffset};
use std::sync::Arc;

/// How many letters may wait for their acknowledgement before the task waits, too (I6).
const OPEN_MAX: usize = 2_000;

/// Names of the context headers, in Kafka Connect's order.
const HEADERS: [&str; 10] = [
    "__connect.errors.topic",
    "__connect.errors.partition",
    "__connect.errors.offset",
    "__connect.errors.connector.name",
    "__connect.errors.task.id",
    "__connect.errors.stage",
    "__connect.errors.class.name",
    "__connect.errors.exception.class.name",
    "__connect.errors.exception.message",
    "__connect.errors.exception.stacktrace",
];

/// Writes bad records as they were read, and knows when all of them are there.
pub(super) struct DeadLetters {
    producer: Box<dyn Producer>,
    spec: DeadLetterSpec,
    id: TaskId,
    names: [Arc<str>; HEADERS.len()],
    inbox: Arc<Inbox>,
    answers: Vec<Answer>,
    sent: u64,
    open: usize,
    meters: Arc<TaskMeters>,
}

impl DeadLetters {
    pub(super) fn new(
        producer: Box<dyn Producer>,
        spec: DeadLetterSpec,
        id: TaskId,
        meters: Arc<TaskMeters>,
    ) -> Self {
        let names = HEADERS.map(Arc::from);
        Self {
            producer,
            spec,
            id,
            names,
            inbox: Inbox::new(),
            answers: Vec::new(),
            sent: 0,
            open: 0,
            meters,
        }
    }
    /// Sends records with what was wrong with them. Their acknowledgement is waited for in [`DeadLetters::settled`].
    pub(super) async fn send(
        &mut self,
        letters: Vec<(Record, TopicOffset, Refusal)>,
    ) -> Result<()> {
        if self.open >= OPEN_MAX {
            self.settled().await?;
        }
        crash_point("before-dead-letter");
        let mut batch = Vec::with_capacity(letters.len());
        for (raw, at, why) in letters {
            batch.push((
                self.letter(raw, &at, &why),
                Receipt::new(self.inbox.clone(), Ticket(self.sent)),
            ));
            self.sent += 1;
        }
        self.open += batch.len();
        self.meters.add(Count::DeadLetters, batch.len());
        self.producer.send(batch).await
    }
    /// Returns when every letter is acknowledged. An error = one is not: nothing behind it may be flushed or committed (I1).
    pub(super) async fn settled(&mut self) -> Result<()> {
        while self.open > 0 {
            self.inbox.arrived().await;
            self.inbox.drain(&mut self.answers);
            self.open = self.open.saturating_sub(self.answers.len());
            for (_, answer) in self.answers.drain(..) {
                if let Err(error) = answer {
                    self.meters.add(Count::DeadLetterFailures, 1);
                    if !mutant!("dead-letter-failure-ignored") {
                        return Err(error.with("dead letter queue", &self.spec.topic));
                    }
                }
            }
        }
        crash_point("after-dead-letter");
        Ok(())
    }
    /// Lets the producer rest while no letter is on its way.
    pub(super) fn rest(&mut self) {
        if self.open == 0 {
            // A sink's loop comes by after each poll, so that it needs no time.
            let _ = self.producer.rest();
        }
    }
    fn letter(&self, raw: Record, at: &TopicOffset, why: &Refusal) -> Record {
        let mut headers = raw.headers;
        if self.spec.context_headers {
            let values = [
                at.topic.to_string(),
                at.partition.to_string(),
                at.offset.to_string(),
                self.id.connector.to_string(),
                self.id.task.to_string(),
                why.stage.to_owned(),
                why.name.to_string(),
                class_of(&why.error),
                // I8: the topic outlives the secret.
                scrub(why.error.message()).into_owned(),
                scrub(&why.error.trace()).into_owned(),
            ];
            let named = self.names.iter().zip(values);
            headers.extend(named.map(|(key, value)| Header {
                key: key.clone(),
                value: Datum::Bytes(Bytes::from(value)),
            }));
        }
        // The partition is left to the producer: the queue need not have as many as the topic.
        Record {
            topic: self.spec.topic.clone(),
            partition: None,
            headers,
            ..raw
        }
    }
}

/// Stands where a JVM worker names the exception's class.
fn class_of(error: &Error) -> String {
    format!("longshore.errors.{}", error.kind().name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_sdk::{Direction, erased::Boxed};
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Queue(Arc<Mutex<Vec<Record>>>, Arc<Mutex<Vec<Receipt>>>);

    impl Producer for Queue {
        fn send(&mut self, batch: Vec<(Record, Receipt)>) -> Boxed<'_, Result<()>> {
            for (record, receipt) in batch {
                self.0.lock().expect("lock").push(record);
                self.1.lock().expect("lock").push(receipt);
            }
            Box::pin(async { Ok(()) })
        }
        fn flush(&mut self) -> Boxed<'_, Result<()>> {
            Box::pin(async { Ok(()) })
        }
        fn begin(&mut self) -> Boxed<'_, Result<()>> {
            self.flush()
        }
        fn commit(&mut self, _: Vec<(Bytes, Option<Bytes>)>) -> Boxed<'_, Result<()>> {
            self.flush()
        }
        fn abort(&mut self) -> Boxed<'_, Result<()>> {
            self.flush()
        }
    }

    fn letter() -> (Record, TopicOffset, Refusal) {
        let mut raw = Record::new("orders".into());
        raw.partition = Some(3);
        raw.key = Datum::Bytes("k".into());
        raw.value = Datum::Bytes("{".into());
        raw.timestamp = Some(5);
        raw.headers = vec![Header {
            key: "own".into(),
            value: Datum::Null,
        }];
        let error = Error::data("convert", "this is not JSON").because("it ends early");
        let why = Refusal {
            ordinal: 0,
            stage: "VALUE_CONVERTER",
            name: "json".into(),
            error,
        };
        (
            raw,
            TopicOffset {
                topic: "orders".into(),
                partition: 3,
                offset: 42,
            },
            why,
        )
    }

    fn queue(context_headers: bool) -> (DeadLetters, Queue) {
        let (queue, id) = (Queue::default(), TaskId::new("c", 1));
        let spec = DeadLetterSpec {
            topic: "dlq".into(),
            context_headers,
        };
        let meters = TaskMeters::detached(&id, Direction::Sink);
        (
            DeadLetters::new(Box::new(queue.clone()), spec, id, meters),
            queue,
        )
    }

    #[tokio::test]
    async fn a_letter_is_the_record_as_it_was_with_its_story_in_headers() {
        let (mut letters, sent) = queue(true);
        letters.send(vec![letter()]).await.expect("sent");
        let record = sent.0.lock().expect("lock").pop().expect("one letter");
        assert_eq!(
            (&*record.topic, record.partition, record.timestamp),
            ("dlq", None, Some(5))
        );
        assert_eq!(
            (record.key, record.value),
            (Datum::Bytes("k".into()), Datum::Bytes("{".into()))
        );
        let text = |datum: &Datum| match datum {
            Datum::Bytes(bytes) => String::from_utf8(bytes.to_vec()).expect("UTF-8"),
            other => format!("{other:?}"),
        };
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|h| (&*h.key, text(&h.value)))
            .collect();
        let trace = "data error at convert: this is not JSON\ncaused by: it ends early";
        let values = [
            "orders",
            "3",
            "42",
            "c",
            "1",
            "VALUE_CONVERTER",
            "json",
            "longshore.errors.data",
            "this is not JSON",
            trace,
        ];
        let mut expected = vec![("own", "Null".to_owned())];
        expected.extend(HEADERS.iter().copied().zip(values.map(str::to_owned)));
        assert_eq!(headers, expected);
    }

    #[tokio::test]
    async fn without_context_it_adds_nothing_and_an_unanswered_letter_is_an_error() {
        let (mut letters, sent) = queue(false);
        letters.send(vec![letter(), letter()]).await.expect("sent");
        assert_eq!(sent.0.lock().expect("lock")[0].headers.len(), 1);
        let mut receipts = std::mem::take(&mut *sent.1.lock().expect("lock"));
        receipts.pop().expect("two").answer(Ok(()));
        drop(receipts);
        assert!(
            letters.settled().await.is_err(),
            "I1, I5: silence is not an acknowledgement"
        );
    }
}
