//! Over a memory bus that counts its producers, with a paused clock.

use super::*;
use crate::{
    memory::SharedMemoryBus,
    ports::{Answer, Inbox, Ticket},
};
use longshore_sdk::{Datum, ErrorKind};
use std::sync::Arc;

struct Bench {
    bus: SharedMemoryBus,
    inbox: Arc<Inbox>,
    sent: u64,
    producer: IdleProducer,
    stop: CancellationToken,
}

impl Bench {
    fn new() -> Self {
        Self::with(ProducerSpec::default())
    }
    fn with(spec: ProducerSpec) -> Self {
        let (bus, stop) = (SharedMemoryBus::default(), CancellationToken::new());
        let shared: SharedBus = Arc::new(bus.clone());
        Self {
            producer: IdleProducer::new(shared, spec, stop.clone()),
            inbox: Inbox::new(),
            sent: 0,
            bus,
            stop,
        }
    }
    async fn send(&mut self) -> Result<()> {
        self.sent += 1;
        let mut record = Record::new("t".into());
        record.value = Datum::Bytes(Bytes::from(self.sent.to_string()));
        let receipt = Receipt::new(Arc::clone(&self.inbox), Ticket(self.sent));
        self.producer.send(vec![(record, receipt)]).await
    }
    fn answers(&self) -> Vec<Answer> {
        let mut answers = Vec::new();
        self.inbox.drain(&mut answers);
        answers
    }
    /// Clients that are open now, and how many were asked for ever.
    fn clients(&self) -> (usize, usize) {
        (self.bus.0.producers(), self.bus.0.clients().len())
    }
    /// As the loop does: told again and again, as late as it asks for.
    async fn rest(&mut self) -> usize {
        let mut times = 0;
        while let Some(at) = self.producer.rest() {
            assert!(at > Instant::now(), "the loop would spin");
            tokio::time::sleep_until(at).await;
            times += 1;
        }
        times
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_there_from_the_first_record_until_it_has_rested() {
    let mut bench = Bench::new();
    assert_eq!(bench.rest().await, 0, "there is nothing to give up");
    bench.producer.flush().await.expect("nothing to wait for");
    assert_eq!(bench.clients(), (0, 0));
    for life in 1..=3 {
        bench.send().await.expect("sent");
        assert!(bench.producer.rest().is_some());
        tokio::time::sleep(IDLE / 2).await;
        // A record in between, and the rest begins anew.
        bench.send().await.expect("sent");
        assert_eq!(bench.clients(), (1, life));
        let since = Instant::now();
        assert_eq!(bench.rest().await, 1, "one timer for one rest");
        assert_eq!(since.elapsed(), IDLE);
        assert_eq!(bench.clients(), (0, life));
    }
    let values: Vec<_> = bench.bus.0.records("t").into_iter().collect();
    let value = |n: u64| Datum::Bytes(Bytes::from(n.to_string()));
    let values: Vec<_> = values.into_iter().map(|record| record.value).collect();
    assert_eq!(values, (1..=6).map(value).collect::<Vec<_>>(), "in order");
    let answers = bench.answers();
    assert_eq!(answers.len(), 6);
    assert!(answers.iter().all(|(_, answer)| answer.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_never_needed_rests_a_short_while() {
    let spec = ProducerSpec::default();
    let mut bench = Bench::new();
    let client = bench.producer.bus.producer(spec).await.expect("opened");
    // As a task with a transactional id has it from its start; what it may be opened again by is not looked at here.
    bench.producer.client = Some(client);
    let since = Instant::now();
    assert_eq!(bench.rest().await, 1);
    assert_eq!(since.elapsed(), UNUSED);
    assert_eq!(bench.clients(), (0, 1));
    bench.send().await.expect("sent");
    let since = Instant::now();
    bench.rest().await;
    assert_eq!(since.elapsed(), IDLE);
    assert_eq!(bench.clients(), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_keeps_the_client_however_long_it_takes() {
    let mut bench = Bench::new();
    bench.send().await.expect("sent");
    // The loop does not let it rest meanwhile.
    tokio::time::sleep(IDLE * 3).await;
    let until = bench.producer.rest().expect("it rests from now on");
    assert_eq!(until, Instant::now() + IDLE);
    assert_eq!(bench.clients(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_fails_answers_every_receipt_and_is_not_tried_again() {
    for kind in [ErrorKind::Auth, ErrorKind::Transient] {
        let mut bench = Bench::new();
        let refused = Error::new(kind, "open", "no right");
        *bench.bus.0.refuse_producers.lock().expect("no panic") = vec![refused];
        let error = bench.send().await.expect_err("refused");
        assert_eq!((error.kind(), error.message()), (kind, "no right"));
        let answers = bench.answers();
        let [(Ticket(1), Err(answer))] = &answers[..] else {
            panic!("one answer: {answers:?}");
        };
        assert_eq!((answer.kind(), answer.message()), (kind, "no right"));
        bench.send().await.expect_err("it is dead");
        assert_eq!(bench.clients(), (0, 1), "I4");
        assert_eq!(bench.answers().len(), 1, "I5");
        assert_eq!(bench.producer.rest(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_opening_gives_way_to_the_stop() {
    let mut bench = Bench::with(ProducerSpec {
        transactional_id: Some("id".to_owned()),
        ..ProducerSpec::default()
    });
    bench.bus.0.transactional.hold_init.send_replace(true);
    let stop = bench.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    });
    let since = Instant::now();
    let error = bench.producer.begin().await.expect_err("it is stopped");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(since.elapsed(), Duration::from_secs(1));
    // What is opened at once is opened even then: a batch at hand is sent.
    let mut bench = Bench::new();
    bench.stop.cancel();
    bench.send().await.expect("sent");
}

#[tokio::test(start_paused = true)]
async fn a_dead_client_is_not_replaced() {
    let mut bench = Bench::with(ProducerSpec {
        transactional_id: Some("id".to_owned()),
        ..ProducerSpec::default()
    });
    bench.producer.begin().await.expect("begun");
    bench.bus.0.transactional.fence("id");
    let fenced = bench.send().await.expect_err("fenced");
    assert_eq!(fenced.kind(), ErrorKind::Fenced);
    tokio::time::sleep(IDLE * 2).await;
    // I4: an error is final, so that the task above is opened anew from its first step.
    assert_eq!(bench.producer.rest(), None);
    assert_eq!(bench.clients(), (1, 1));
}
