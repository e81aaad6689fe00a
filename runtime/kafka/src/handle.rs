//! One consumer client and the thread that serves it.
//!
//! The thread polls the client's main queue for as long as the client lives, so that group membership never depends on how fast records are
//! taken. Records do not pass through it: they wait in partition queues (native.rs). A rebalance is only noted there; it is answered by the
//! owner of the records, in order with them.

use crate::{
    alive::Alive,
    errors,
    oauth::{self, Bearer},
};
use longshore_sdk::{Error, ErrorKind, Result, TopicPartition};
use rdkafka::{
    ClientContext, TopicPartitionList,
    config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode as Code},
    topic_partition_list::Offset,
    types::{RDKafka, RDKafkaRespErr},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// How long one poll of the main queue waits; also how late the thread may notice that it is to end.
const POLL: Duration = Duration::from_millis(250);
/// How long leaving a group may take before the client is dropped as it is.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// A rebalance, as the group's coordinator wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    /// Answered already: there is nothing left to hand over.
    Lost(Vec<TopicPartition>),
}

#[derive(Default)]
struct State {
    // Bounded: the library sends no further rebalance before the last one is answered.
    events: VecDeque<Event>,
    trouble: Option<Error>,
    /// The library's words about the error that comes next.
    reason: String,
    closing: bool,
    /// A topic that it is to read did not exist.
    missed_topics: bool,
    /// Rebalances need no answer from the owner.
    at_once: bool,
    listener: Option<std::thread::Thread>,
}

/// What the client told, for the owner of its records.
#[derive(Default)]
pub(crate) struct Events {
    _alive: Alive,
    /// The client's name, for log lines.
    name: String,
    /// Where its OAUTHBEARER tokens come from.
    tokens: Option<Arc<oauth::Source>>,
    state: Mutex<State>,
    wake: Arc<Notify>,
}

impl Events {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Notified when an event, an error or a record has come.
    pub(crate) fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }
    /// The next event; with `only_lost`, only if it needs no answer.
    pub(crate) fn next(&self, only_lost: bool) -> Option<Event> {
        let mut state = self.state();
        match state.events.front()? {
            Event::Assigned(_) | Event::Revoked(_) if only_lost => None,
            _ => state.events.pop_front(),
        }
    }
    /// Whether a partition is lost and its owner has not seen it yet.
    pub(crate) fn has_lost(&self, partition: &TopicPartition) -> bool {
        let state = self.state();
        let mut events = state.events.iter();
        events.any(|event| matches!(event, Event::Lost(at) if at.contains(partition)))
    }
    /// An error that the task must see; told once.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.state().trouble.take()
    }
    /// From now on rebalances are answered here: for clients that read nothing.
    pub(crate) fn answer_at_once(&self) {
        self.state().at_once = true;
    }
    /// The calling thread is unparked at each rebalance.
    pub(crate) fn unpark_me(&self) {
        self.state().listener = Some(std::thread::current());
    }
    pub(crate) fn unpark(&self) {
        if let Some(listener) = &self.state().listener {
            listener.unpark();
        }
    }
    /// Whether the client has ever been told that one of its topics does not exist.
    pub(crate) fn has_missed_topics(&self) -> bool {
        self.state().missed_topics
    }
    fn at_once(&self) -> bool {
        let state = self.state();
        state.closing || state.at_once
    }
    fn closing(&self) -> bool {
        self.state().closing
    }
    fn tell(&self, error: Error) {
        self.state().trouble.get_or_insert(error);
        self.wake.notify_one();
    }
    fn report(&self, error: KafkaError) {
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let reason = std::mem::take(&mut self.state().reason);
        let refusal = errors::refusal(code, &reason);
        let change = || self.tokens.as_ref().is_some_and(|tokens| tokens.excuses());
        if let Some(code) = refusal.filter(|code| !errors::is_login(*code) || !change()) {
            self.tell(errors::coded("poll", code, &reason));
        } else if let Some(error) = self::fatal(code, fatal)
            && error.kind() != ErrorKind::Auth
        {
            self.tell(error);
        } else {
            self.state().missed_topics |= is_missing(code);
            tracing::debug!(client = self.name, code = ?code, reason, "consumer: the client retries");
        }
    }
}

/// The errors that time does not heal. The rest is the client's to retry: brokers come back.
pub(crate) fn fatal(code: Code, fatal: bool) -> Option<Error> {
    match errors::kind(code) {
        ErrorKind::Auth | ErrorKind::Fenced => Some(errors::coded("poll", code, "")),
        ErrorKind::Config if !is_missing(code) => Some(errors::coded("poll", code, "")),
        _ if fatal => Some(errors::coded("poll", code, "the consumer cannot go on")),
        _ => None,
    }
}

fn is_missing(code: Code) -> bool {
    matches!(
        code,
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition
    )
}

/// The client library's log lines, under its own target and never louder than a warning: what matters comes back as an error.
pub(crate) fn log_line(client: &str, level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => {
            tracing::warn!(target: "librdkafka", client, facility, "{line}");
        }
        _ => tracing::debug!(target: "librdkafka", client, facility, "{line}"),
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(&self.name, level, facility, line);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", client = self.name, error = %error, "{reason}");
        // The error itself comes right after, without them.
        self.state().reason = reason.to_owned();
    }
}

impl ConsumerContext for Events {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let assign = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let at = partitions(list);
        if assign && !at.is_empty() && !self.at_once() {
            self.state().events.push_back(Event::Assigned(at));
        } else if assign {
            answer(self, hold(consumer, list));
        } else if self.at_once() || at.is_empty() {
            answer(self, unassign(consumer, list));
        } else if consumer.assignment_lost() {
            // Noted first: once it is answered the member joins anew, and the broker takes any commit of it.
            self.state().events.push_back(Event::Lost(at));
            answer(self, unassign(consumer, list));
        } else {
            self.state().events.push_back(Event::Revoked(at));
        }
        self.wake.notify_one();
        self.unpark();
    }
}

fn answer(events: &Events, result: Result<()>) {
    if let Err(error) = result {
        events.tell(error);
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    let at = elements
        .iter()
        .map(|e| TopicPartition::new(e.topic(), e.partition()));
    at.collect()
}

/// Answers an assignment, in the way of the group's protocol.
pub(crate) fn assign(consumer: &BaseConsumer<Events>, list: &TopicPartitionList) -> Result<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        _ => consumer.assign(list),
    }
    .map_err(|error| errors::from_client("assign", error))
}

/// Answers an assignment whose records nobody wants: the group's coordination topic is followed by a reader of its own.
fn hold(consumer: &BaseConsumer<Events>, list: &mut TopicPartitionList) -> Result<()> {
    let unwanted = |error| errors::from_client("assign", error);
    // From the end, so that nothing comes before the pause takes hold.
    list.set_all_offsets(Offset::End).map_err(unwanted)?;
    assign(consumer, list)?;
    consumer.pause(list).map_err(unwanted)
}

/// Answers a revocation, in the way of the group's protocol.
pub(crate) fn unassign(consumer: &BaseConsumer<Events>, list: &TopicPartitionList) -> Result<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    }
    .map_err(|error| errors::from_client("unassign", error))
}

/// A consumer client. It lives as long as anything that it fetched.
pub(crate) struct Handle {
    consumer: Option<BaseConsumer<Events>>,
    closed: watch::Receiver<bool>,
}

impl Handle {
    /// Opens the client and starts its thread.
    pub(crate) fn open(config: &ClientConfig, name: &str) -> Result<Arc<Self>> {
        let events = Events {
            name: name.to_owned(),
            tokens: oauth::find(config),
            ..Events::default()
        };
        let consumer = BaseConsumer::from_config_and_context(config, events)
            .map_err(|error| errors::from_client("open", error))?;
        let (tell_closed, closed) = watch::channel(false);
        let handle = Arc::new(Self {
            consumer: Some(consumer),
            closed,
        });
        oauth::attach(config, &handle);
        let served = Arc::clone(&handle);
        std::thread::Builder::new()
            .name(format!("kafka {name}").chars().take(15).collect())
            .stack_size(256 * 1024)
            .spawn(move || {
                serve(served.consumer());
                // Nobody may be waiting any more.
                let _ = tell_closed.send(true);
            })
            .map_err(|error| Error::transient("open", "no thread for a consumer").because(error))?;
        Ok(handle)
    }
    pub(crate) fn consumer(&self) -> &BaseConsumer<Events> {
        self.consumer.as_ref().expect("present until dropped")
    }
    pub(crate) fn events(&self) -> &Arc<Events> {
        self.consumer().context()
    }
    pub(crate) fn native(&self) -> *mut RDKafka {
        self.consumer().client().native_ptr()
    }
    /// Starts leaving the group, if there is one; the thread sees it through. `unanswered` = the owner holds a rebalance that it will not answer.
    pub(crate) fn begin_close(&self, unanswered: bool) {
        let before = std::mem::replace(&mut self.events().state().closing, true);
        if before {
            return;
        }
        let waiting = self.events().next(false);
        // A member that owns nothing may close without leaving its group (librdkafka, cooperative-sticky): the others would wait for its session
        // to end. Without a subscription it leaves, and closing waits for that.
        let owns = self.consumer().assignment().map_or(1, |at| at.count());
        if owns == 0 {
            self.consumer().unsubscribe();
        }
        if let Err(error) = self.consumer().close_queue() {
            tracing::warn!(client = self.events().name, error = %error, "a consumer does not close cleanly");
        }
        if unanswered || matches!(waiting, Some(Event::Assigned(_) | Event::Revoked(_))) {
            // While closing, any answer counts as giving everything back.
            if let Err(error) = self.consumer().unassign() {
                tracing::debug!(error = %error, "a consumer closes amid a rebalance");
            }
        }
    }
    /// Returns once the group is left, or after five seconds.
    pub(crate) async fn closed(&self) -> Result<()> {
        let mut closed = self.closed.clone();
        let wait = tokio::time::timeout(CLOSE_MAX, closed.wait_for(|closed| *closed));
        match wait.await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::transient(
                "close",
                "the group could not be left in time; the broker will notice by itself",
            )),
        }
    }
}

impl Bearer for Handle {
    fn native(&self) -> *mut RDKafka {
        Handle::native(self)
    }
    fn shut_out(&self, error: Error) {
        self.events().tell(error);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            // Joining the library's threads takes a moment, and this may be any thread, a runtime's or the library's own.
            let spawned = std::thread::Builder::new()
                .name("kafka drop".to_owned())
                .spawn(move || drop(consumer));
            drop(spawned);
        }
    }
}

fn serve(consumer: &BaseConsumer<Events>) {
    let events = consumer.context();
    while !events.closing() {
        poll(consumer, events);
    }
    let started = Instant::now();
    while !consumer.closed() && started.elapsed() < CLOSE_MAX {
        poll(consumer, events);
    }
}

fn poll(consumer: &BaseConsumer<Events>, events: &Events) {
    match consumer.poll(POLL) {
        None => {}
        Some(Err(error)) => events.report(error),
        // Every partition's queue is cut off from the main queue before it is assigned.
        Some(Ok(_)) => events.tell(Error::bug(
            "poll",
            "a record arrived outside of its partition's queue",
        )),
    }
}
