//! The leader's pen: one transactional producer for the config topic, the assignments and the offsets that people change, so that a former leader is fenced by the broker itself.

use crate::{
    admin::Admin,
    blocking::{Bounded, run},
    client::Properties,
    errors,
    producer::{self, TRANSACTION_MAX},
    writer::{Delivery, Line, LogProducer, configured},
};
use longshore_engine::ports::{Leadership, Term, TermEntry, TermLog, Version};
use longshore_sdk::{Error, ErrorKind, Result, erased::Boxed};
use rdkafka::producer::Producer as _;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Mutex;

/// Whose leadership, and what the leader writes.
#[derive(Clone, Debug)]
pub struct LeadershipSpec {
    /// The worker's `group.id`: the transactional id is `connect-cluster-<group.id>`.
    pub group: String,
    /// `config.storage.topic`.
    pub config_topic: String,
    /// `<group.id>-coordination`.
    pub coordination_topic: String,
    /// `offset.storage.topic`.
    pub offset_topic: String,
}

impl LeadershipSpec {
    fn topic(&self, log: TermLog) -> &str {
        match log {
            TermLog::Config => &self.config_topic,
            TermLog::Coordination => &self.coordination_topic,
            TermLog::Offset => &self.offset_topic,
        }
    }
    /// The topics that entries go to.
    fn topics_of(&self, entries: &[TermEntry]) -> BTreeSet<&str> {
        entries.iter().map(|entry| self.topic(entry.log)).collect()
    }
}

/// The right to write what only the leader may; see [`Leadership`].
pub struct KafkaLeadership(Arc<Opener>);

/// Opens the producers, one for each term.
struct Opener {
    admin: Admin,
    spec: LeadershipSpec,
    /// `connect-cluster-<group.id>`, as a Kafka Connect worker names it.
    id: String,
    /// Connected before it is needed: taking the leadership then costs one question to the broker.
    ready: Mutex<Option<LogProducer>>,
}

impl KafkaLeadership {
    /// Nobody is fenced before [`Leadership::take`].
    pub async fn prepare(admin: &Admin, spec: LeadershipSpec) -> Result<Self> {
        let opener = Opener {
            admin: admin.clone(),
            id: format!("connect-cluster-{}", spec.group),
            spec,
            ready: Mutex::default(),
        };
        let producer = opener.connected().await?;
        *opener.ready.lock().await = Some(producer);
        Ok(Self(Arc::new(opener)))
    }
}

impl Opener {
    async fn connected(&self) -> Result<LogProducer> {
        let client_id = format!("{}-leader", self.spec.group);
        let settings = &self.admin.settings;
        let mut resolved = configured(settings, &client_id, Some(&self.id), &Properties::new())?;
        // A person waits for most of these writes.
        resolved.force("linger.ms", 0);
        // One that was deleted must not come back empty, and not compacted.
        resolved.force("allow.auto.create.topics", false);
        let producer = LogProducer::open(&resolved, &client_id)?;
        let connect = Arc::clone(producer.shared());
        let topic = self.spec.config_topic.clone();
        run("init", Bounded(TRANSACTION_MAX * 2), move || {
            producer::connect(connect.client(), Some(&topic), TRANSACTION_MAX);
            Ok(())
        })
        .await?;
        Ok(producer)
    }

    async fn take(self: &Arc<Self>) -> Result<Arc<dyn Term>> {
        let mut ready = self.ready.lock().await;
        let producer = match ready.take() {
            Some(producer) => producer,
            None => self.connected().await?,
        };
        let (shared, closed) = (Arc::clone(producer.shared()), producer.closed());
        let init = run("init", Bounded(TRANSACTION_MAX * 2), move || {
            let given_up = || closed.load(Ordering::Acquire);
            producer::init(&shared, TRANSACTION_MAX, given_up).map_err(|error| {
                let refusal = shared.context().refusal();
                refusal.explain(errors::from_client("init", error))
            })
        });
        let init = producer.refusal().or_refused("init", init).await;
        if let Err(error) = init {
            // The marks of the former term's end may be what a topic does not take.
            let mut error = errors::transactional(error, &self.id);
            for topic in [&self.spec.config_topic, &self.spec.coordination_topic] {
                error = self.admin.why_unwritten(error, topic).await;
            }
            return Err(error);
        }
        Ok(Arc::new(KafkaTerm {
            opener: Arc::clone(self),
            producer: Mutex::new(producer),
            over: AtomicBool::new(false),
        }))
    }

    /// Connects the next term's producer, if there is none yet.
    async fn refill(&self) {
        let mut ready = self.ready.lock().await;
        if ready.is_none() {
            // Whoever takes the leadership tries again, and sees why not.
            *ready = self.connected().await.ok();
        }
    }
}

impl Leadership for KafkaLeadership {
    fn take(&self) -> Boxed<'_, Result<Arc<dyn Term>>> {
        Box::pin(self.0.take())
    }
}

struct KafkaTerm {
    opener: Arc<Opener>,
    /// Held for the whole of a put: one transaction at a time.
    producer: Mutex<LogProducer>,
    over: AtomicBool,
}

impl KafkaTerm {
    async fn put(&self, entries: Vec<TermEntry>) -> Result<Vec<Version>> {
        let producer = self.producer.lock().await;
        // Dropped amid the calls below, the outcome would be unknown: over until the answer is here (I4).
        if self.over.swap(true, Ordering::AcqRel) {
            return Err(Error::fenced("put", "this term is over"));
        }
        let error = match self.transaction(&producer, &entries).await {
            Ok(versions) => {
                self.over.store(false, Ordering::Release);
                return Ok(versions);
            }
            Err(Failed::Nothing(error)) => {
                self.over.store(false, Ordering::Release);
                return Err(error);
            }
            Err(Failed::Unknown(error)) => error,
        };
        let opener = Arc::clone(&self.opener);
        tokio::spawn(async move { opener.refill().await });
        // A record that was purged for a fence says only that it was purged.
        if let Some(fatal) = producer::fatal("put", producer.client()) {
            return Err(errors::transactional(fatal, &self.opener.id));
        }
        let error = errors::transactional(error, &self.opener.id);
        // Each topic may be the one that takes no writes.
        let mut error = error;
        for topic in self.opener.spec.topics_of(&entries) {
            error = self.opener.admin.why_unwritten(error, topic).await;
        }
        Err(error)
    }

    async fn transaction(
        &self,
        producer: &LogProducer,
        entries: &[TermEntry],
    ) -> Result<Vec<Version>, Failed> {
        producer
            .begin_transaction()
            .map_err(|error| Failed::unknown(errors::from_client("put", error)))?;
        let written = self.write(producer, entries).await;
        let (ending, commit) = (Arc::clone(producer.shared()), written.is_ok());
        let ended = run("put", Bounded(TRANSACTION_MAX * 2), move || {
            let result = if commit {
                producer::commit(&ending, TRANSACTION_MAX)
            } else {
                ending.abort_transaction(TRANSACTION_MAX)
            };
            result.map_err(|error| errors::from_client("put", error))
        })
        .await;
        match (written, ended) {
            (Ok(versions), Ok(())) => Ok(versions),
            (Ok(_), Err(error)) => Err(Failed::unknown(error)),
            (Err(error), Ok(())) => Err(Failed::aborted(error)),
            (Err(error), Err(_)) => Err(Failed::unknown(error)),
        }
    }

    async fn write(&self, producer: &LogProducer, entries: &[TermEntry]) -> Result<Vec<Version>> {
        let spec = &self.opener.spec;
        let mut waiting: Vec<(&str, Delivery)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let topic = spec.topic(entry.log);
            let line = Line {
                key: &entry.key,
                value: entry.value.as_deref(),
                request: entry.request.as_deref(),
            };
            waiting.push((topic, producer.enqueue(topic, &line).await?));
        }
        let mut versions = Vec::with_capacity(waiting.len());
        for (topic, delivery) in waiting {
            let place = delivery.place().await;
            versions.push(place.map_err(|error| error.with("topic", topic))?);
        }
        Ok(versions)
    }
}

/// A put that failed.
enum Failed {
    /// It was aborted, and the term goes on.
    Nothing(Error),
    /// The term is over.
    Unknown(Error),
}

impl Failed {
    /// Only Config says that nothing was written.
    fn unknown(error: Error) -> Self {
        Self::Unknown(match error.kind() {
            ErrorKind::Config => Error::transient("put", error.message()).because(error),
            _ => error,
        })
    }
    fn aborted(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Config => Self::Nothing(error),
            // Too large for the topic or the client.
            ErrorKind::Data => Self::Nothing(Error::config("put", error.message()).because(error)),
            _ => Self::Unknown(error),
        }
    }
}

impl Term for KafkaTerm {
    fn put(&self, entries: Vec<TermEntry>) -> Boxed<'_, Result<Vec<Version>>> {
        Box::pin(KafkaTerm::put(self, entries))
    }
}
