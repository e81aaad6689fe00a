//! One task from its config to its end: open everything, run, say how it went.

mod exactly_once;
mod idle_producer;
mod reclaim;

use super::{build, context::Context, ownership::Ownership, topics::Topics};
use crate::{
    connector_config::ConnectorConfig,
    guarantee::{self, Delivery},
    ports::{ConsumerSpec, Producer, ProducerSpec, TopicSpec},
    registry::Connector,
    task::{Outcome, Pace, Progress, SinkTask, SourceTask, TaskId, TaskSettings},
    views::{offset::ConnectorOffsets, status::State},
};
use exactly_once::Stakes;
use idle_producer::IdleProducer;
use longshore_sdk::{
    Direction, Error, Result, Share, SinkContext, SourceContext, Stop,
    config::Flat,
    erased::{Boxed, DynSinkConnector, DynSourceConnector},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often a task whose topics were reset looks whether it has moved records since.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How long opening a task may take (I6).
const OPEN_MAX: Duration = Duration::from_secs(300);

/// A task, opened.
struct Opened {
    run: Boxed<'static, Outcome>,
    topics: Arc<Topics>,
    progress: Arc<Progress>,
    /// If it has transactions.
    stakes: Option<Stakes>,
}

/// What a task is started with.
pub(crate) struct Launch {
    pub(crate) cx: Arc<Context>,
    pub(crate) id: TaskId,
    /// The connector's config, placeholders unresolved.
    pub(crate) connector: Arc<Flat>,
    /// The task's own config: the connector's with the share laid over it.
    pub(crate) config: Arc<Flat>,
    pub(crate) pace: watch::Receiver<Pace>,
    pub(crate) stop: CancellationToken,
}

impl Launch {
    /// The order to stop as the task's plugin gets it.
    fn order_to_stop(&self) -> Stop {
        let stop = self.stop.clone();
        Stop::new(move || {
            let stop = stop.clone();
            Box::pin(async move { stop.cancelled().await })
        })
    }
    /// Opens and runs the task. After a stop it has one grace period; then it is dropped, which ends it for good (I7 speaks of calls that go on).
    pub(crate) async fn run(self) -> Outcome {
        let (stop, grace) = (self.stop.clone(), self.cx.settings.grace);
        let id = self.id.clone();
        let overdue = async move {
            stop.cancelled().await;
            // The loop keeps to the grace period itself; this is for calls that do not return.
            tokio::time::sleep(grace + grace / 4).await;
        };
        tokio::select! {
            outcome = Box::pin(self.open_and_run()) => outcome,
            () = overdue => {
                tracing::warn!(task = %id, grace_ms = grace.as_millis(), "the task did not stop in time and was dropped");
                Outcome::Stopped
            }
        }
    }

    async fn open_and_run(self) -> Outcome {
        let stop = self.stop.clone();
        let resolved = tokio::select! {
            resolved = tokio::time::timeout(OPEN_MAX, self.cx.resolve(&self.config)) => resolved.unwrap_or_else(|_| Err(late())),
            () = stop.cancelled() => return Outcome::Stopped,
        };
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(error) => return Outcome::failed(error, "open"),
        };
        for missing in &resolved.missing {
            tracing::warn!(
                key = missing.key,
                problem = missing.problem,
                "unresolved placeholder"
            );
        }
        let opened = tokio::select! {
            opened = tokio::time::timeout(OPEN_MAX, self.open(&resolved.config)) => opened.unwrap_or_else(|_| Err(late())),
            () = stop.cancelled() => return Outcome::Stopped,
        };
        let ended = match opened {
            Ok(Some(opened)) => {
                let stakes = opened.stakes;
                match (self.report(opened).await, stakes) {
                    (Outcome::Failed(failure), Some(stakes)) => {
                        Outcome::Failed(self.lower(failure, stakes))
                    }
                    (ended, _) => ended,
                }
            }
            Ok(None) => {
                tracing::info!(task = %self.id, "the task is not this worker's any more, it is not opened");
                Outcome::Stopped
            }
            Err(error) => Outcome::failed(error, "open"),
        };
        match ended {
            Outcome::Failed(mut failure) => {
                failure.error = self.cx.explained(failure.error).await;
                // I8: the other side's words, or what could not be read of the config, may quote it.
                failure.error = resolved.about(failure.error);
                Outcome::Failed(failure)
            }
            ended => ended,
        }
    }

    /// Runs an open task and shows whether it runs or is paused.
    async fn report(&self, opened: Opened) -> Outcome {
        let Opened {
            mut run,
            topics,
            progress,
            ..
        } = opened;
        let mut pace = self.pace.clone();
        let mut resets = self.cx.status.topic_resets();
        let mut records_at_reset = None;
        let version = self.cx.plugin_version(&self.connector);
        loop {
            let state = match *pace.borrow_and_update() {
                Pace::Run => Some(State::Running),
                Pace::Pause => Some(State::Paused),
                Pace::Hold => None,
            };
            if let Some(state) = state {
                let status = self.cx.says(state, version.clone(), None);
                self.cx.status.set_task(&self.id, status);
            }
            tokio::select! {
                outcome = &mut run => return outcome,
                (call, open) = progress.given_up() => {
                    // The call is dropped with its task: the task is over, so nothing that is resumed is lost (I7).
                    let text = format!("{call} did not return within {} s", open.as_secs());
                    return Outcome::failed(Error::transient("run", text), "run");
                }
                Ok(()) = pace.changed() => {}
                Ok(()) = resets.changed() => records_at_reset = Some(progress.records()),
                () = tokio::time::sleep(LOOK_AGAIN), if records_at_reset.is_some() => {
                    if records_at_reset.is_some_and(|before| progress.records() > before) {
                        topics.note_again();
                        records_at_reset = None;
                    }
                }
            }
        }
    }

    /// None: the task has moved, or changed, and what it has become is started elsewhere or anew.
    async fn open(&self, resolved: &Flat) -> Result<Option<Opened>> {
        let connector = self.cx.needed(&self.config)?;
        // The worker's own settings are resolved when it starts.
        let worker = &self.cx.settings.converters;
        let config = ConnectorConfig::read(resolved, worker, connector.direction())?;
        let Some(owned) = Ownership::now(&self.cx, &self.id, &self.config) else {
            return Ok(None);
        };
        match connector {
            Connector::Source(source) => {
                let support = self.cx.settings.exactly_once_sources;
                let delivery = guarantee::delivery(connector, resolved, support)?;
                self.open_source(source, resolved, config, delivery, owned)
                    .await
            }
            Connector::Sink(sink) => {
                if !owned.holds(&self.cx, &self.id, &self.config).await? {
                    return Ok(None);
                }
                self.open_sink(sink, resolved, config).await.map(Some)
            }
        }
    }

    /// In four steps: the producer, which fences the one before; is the task still ours; the lanes' offsets; then polls.
    async fn open_source(
        &self,
        source: &Arc<dyn DynSourceConnector>,
        resolved: &Flat,
        config: ConnectorConfig,
        delivery: Delivery,
        owned: Ownership,
    ) -> Result<Option<Opened>> {
        let cx = &self.cx;
        let chain = build::chain(&config, cx, Direction::Source, &self.id)?;
        let Some((way, offsets)) = self.first_steps(&config, delivery, owned).await? else {
            return Ok(None);
        };
        let replan = {
            let (cx, name) = (Arc::clone(cx), Arc::clone(&self.id.connector));
            Arc::new(move || cx.requests.replan(&name))
        };
        let context = SourceContext {
            connector: Arc::clone(&self.id.connector),
            task: self.id.task,
            offsets,
            replan,
            stop: self.order_to_stop(),
        };
        let source = source.open(resolved, self.share(), context).await?;
        let (topics, progress) = (self.topics(&config), self.progress());
        let stakes = way.transactions.is_some().then_some(Stakes {
            insisted: delivery == Delivery::Transactions { insisted: true },
            tolerant: config.errors.tolerance_all,
        });
        let task = SourceTask {
            id: self.id.clone(),
            source,
            chain,
            producer: way.producer,
            offsets: Arc::new(ConnectorOffsets::new(
                Arc::clone(&cx.offsets),
                Arc::clone(&self.id.connector),
            )),
            meters: cx.metrics.task(&self.id, Direction::Source),
            progress: Arc::clone(&progress),
            topics: topics.clone(),
            settings: TaskSettings {
                transactions: way.transactions,
                ..self.settings(config)
            },
            pace: self.pace.clone(),
            stop: self.stop.clone(),
            credit: cx.budget.join(),
            seed: cx.dice.seed(),
        };
        Ok(Some(Opened {
            run: Box::pin(task.run()),
            topics,
            progress,
            stakes,
        }))
    }

    async fn open_sink(
        &self,
        sink: &Arc<dyn DynSinkConnector>,
        resolved: &Flat,
        config: ConnectorConfig,
    ) -> Result<Opened> {
        let cx = &self.cx;
        let chain = build::chain(&config, cx, Direction::Sink, &self.id)?;
        let group = config.group(&self.id.connector);
        let dead_letters = match &config.errors.dead_letter {
            Some(spec) if config.errors.tolerance_all => {
                let topic = TopicSpec {
                    name: spec.topic.to_string(),
                    partitions: Some(1),
                    replication: Some(config.dead_letter_replication),
                    config: BTreeMap::new(),
                };
                cx.bus.ensure_topic(topic).await?;
                Some(self.producer("connector-dlq-producer", &config))
            }
            _ => None,
        };
        let mut credit = cx.budget.join();
        let buffer_bytes = credit.buffers()?;
        let context = SinkContext {
            connector: Arc::clone(&self.id.connector),
            task: self.id.task,
            group: group.as_str().into(),
            exactly_once: config.exactly_once,
            stop: self.order_to_stop(),
        };
        let mut sink = sink.open(resolved, self.share(), context).await?;
        let mut overrides = config.consumer_overrides.clone();
        overrides.remove("group.id");
        let subscription = config.subscription.clone();
        let spec = ConsumerSpec {
            client_id: format!("connector-consumer-{}", self.id),
            group,
            subscription: subscription
                .ok_or_else(|| Error::bug("open", "a sink without topics"))?,
            overrides,
            buffer_bytes,
        };
        let consumer = match cx.bus.consumer(spec).await {
            Ok(consumer) => consumer,
            Err(error) => {
                // It was opened: its target must not look as if it had died.
                drop(tokio::time::timeout(cx.settings.grace, sink.close()).await);
                return Err(error);
            }
        };
        let (topics, progress) = (self.topics(&config), self.progress());
        let task = SinkTask {
            id: self.id.clone(),
            class: config.class.as_str().into(),
            consumer,
            chain,
            sink,
            dead_letters,
            meters: cx.metrics.task(&self.id, Direction::Sink),
            progress: Arc::clone(&progress),
            topics: topics.clone(),
            settings: self.settings(config),
            pace: self.pace.clone(),
            stop: self.stop.clone(),
            credit,
            seed: cx.dice.seed(),
        };
        progress.set_partitions(0);
        Ok(Opened {
            run: Box::pin(task.run()),
            topics,
            progress,
            stakes: None,
        })
    }

    /// Without transactions; its client is opened by the first record.
    fn producer(&self, prefix: &str, config: &ConnectorConfig) -> Box<dyn Producer> {
        Box::new(self.idle(ProducerSpec {
            client_id: format!("{prefix}-{}", self.id),
            overrides: config.producer_overrides.clone(),
            ..ProducerSpec::default()
        }))
    }
    fn idle(&self, spec: ProducerSpec) -> IdleProducer {
        IdleProducer::new(Arc::clone(&self.cx.bus), spec, self.stop.clone())
    }
    /// What the task's config has and the connector's has not: its share.
    fn share(&self) -> Share {
        let own = self.config.iter().filter(|(key, value)| {
            *key != "task.class" && self.connector.get(*key) != Some(*value)
        });
        own.map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
    fn topics(&self, config: &ConnectorConfig) -> Arc<Topics> {
        Arc::new(Topics {
            cx: Arc::clone(&self.cx),
            id: self.id.clone(),
            creation: config.topic_creation.clone(),
            met: Mutex::default(),
        })
    }
    fn progress(&self) -> Arc<Progress> {
        let progress = Progress::new();
        self.cx.live.running(&self.id, Arc::clone(&progress));
        progress
    }
    fn settings(&self, config: ConnectorConfig) -> TaskSettings {
        let settings = &self.cx.settings;
        TaskSettings {
            commit_interval: settings.commit_interval,
            retry_timeout: settings.retry_timeout,
            grace: settings.grace,
            errors: config.errors,
            ..TaskSettings::default()
        }
    }
}

fn late() -> Error {
    let text = format!("the task did not open within {} s", OPEN_MAX.as_secs());
    Error::transient("open", text)
}
