//! Metrics under the names that Kafka Connect's dashboards use, in Prometheus' text format.

mod window;

use crate::task::TaskId;
use longshore_sdk::Direction;
use prometheus::{
    Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;
use window::Window;

/// Which tasks have a series.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Both,
    Sources,
    Sinks,
}

impl Of {
    fn has(self, direction: Direction) -> bool {
        match self {
            Self::Both => true,
            Self::Sources => direction == Direction::Source,
            Self::Sinks => direction == Direction::Sink,
        }
    }
}

/// Declares an enum whose values index a table of name, scope and help.
macro_rules! series {
    ($(#[$doc:meta])* $enum:ident, $table:ident: $($item:ident $of:ident $name:literal $help:literal;)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum $enum { $($item),+ }
        const $table: &[(&str, Of, &str)] = &[$(($name, Of::$of, $help)),+];
    };
}

series! {
    /// What a task counts.
    Count, COUNTERS:
    Polled Sources "kafka_connect_source_task_source_record_poll_total" "Records returned by poll, before transforms.";
    Written Sources "kafka_connect_source_task_source_record_write_total" "Records delivered to topics.";
    Read Sinks "kafka_connect_sink_task_sink_record_read_total" "Records read from topics, before transforms.";
    Sent Sinks "kafka_connect_sink_task_sink_record_send_total" "Records that put took.";
    Commits Sinks "kafka_connect_sink_task_offset_commit_completion_total" "Offset commits that completed.";
    CommitsSkipped Sinks "kafka_connect_sink_task_offset_commit_skip_total" "Offset commits that came too late for their partitions or failed.";
    Stored Both "longshore_task_offset_commit_success_total" "Offset commits that succeeded.";
    StoreFailed Both "longshore_task_offset_commit_failure_total" "Offset commits that failed; they are tried again.";
    Bytes Both "longshore_task_record_bytes_total" "Rough size of the records that were delivered or taken.";
    Dropped Both "longshore_task_records_dropped_total" "Records that a transform left out on purpose.";
    Errors Both "kafka_connect_task_error_total_record_errors" "Errors of records in this task, retried ones included.";
    Failures Both "kafka_connect_task_error_total_record_failures" "Records that failed for good.";
    Skipped Both "kafka_connect_task_error_total_records_skipped" "Records skipped because of errors.tolerance.";
    Retries Both "kafka_connect_task_error_total_retries" "Calls that were made again after an error.";
    Logged Both "kafka_connect_task_error_total_errors_logged" "Errors of records that were logged.";
    DeadLetters Sinks "kafka_connect_task_error_deadletterqueue_produce_requests" "Records sent to the dead letter queue.";
    DeadLetterFailures Sinks "kafka_connect_task_error_deadletterqueue_produce_failures" "Records that the dead letter queue did not take.";
}

series! {
    /// What a task shows as it is now.
    Level, GAUGES:
    SourceActive Sources "kafka_connect_source_task_source_record_active_count" "Records in flight: polled, not delivered yet.";
    SinkActive Sinks "kafka_connect_sink_task_sink_record_active_count" "Records read and not yet flushed.";
    Partitions Sinks "kafka_connect_sink_task_partition_count" "Partitions assigned to the task.";
    Lag Sinks "kafka_connect_sink_task_sink_record_lag_max" "How far the slowest partition is behind.";
    CommitSeq Sinks "kafka_connect_sink_task_offset_commit_seq_no" "Number of the last offset commit.";
    LastError Both "kafka_connect_task_error_last_error_timestamp" "When a record last failed, in milliseconds since the epoch.";
    BatchAvg Both "kafka_connect_connector_task_batch_size_avg" "Records per batch, average of the last minute.";
    BatchMax Both "kafka_connect_connector_task_batch_size_max" "Records per batch, maximum of the last minute.";
    PollAvg Sources "kafka_connect_source_task_poll_batch_avg_time_ms" "Time of a poll that brought records, average of the last minute.";
    PollMax Sources "kafka_connect_source_task_poll_batch_max_time_ms" "Time of a poll that brought records, maximum of the last minute.";
    PutAvg Sinks "kafka_connect_sink_task_put_batch_avg_time_ms" "Time of a put, average of the last minute.";
    PutMax Sinks "kafka_connect_sink_task_put_batch_max_time_ms" "Time of a put, maximum of the last minute.";
    CommitAvg Both "kafka_connect_connector_task_offset_commit_avg_time_ms" "Time of an offset commit, average of the last minute.";
    Stalled Both "longshore_task_stalled" "1 = the task has work and has made no progress for longshore.stall.timeout.ms; its status says what it is blocked on.";
    CommitMax Both "kafka_connect_connector_task_offset_commit_max_time_ms" "Time of an offset commit, maximum of the last minute.";
}

/// What a task takes samples of; shown as the two levels average and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Records per batch.
    Batch,
    /// Milliseconds of a poll that brought records.
    Poll,
    /// Milliseconds of a put.
    Put,
    /// Milliseconds of an offset commit.
    Commit,
}

const SAMPLES: [(Level, Level); 4] = [
    (Level::BatchAvg, Level::BatchMax),
    (Level::PollAvg, Level::PollMax),
    (Level::PutAvg, Level::PutMax),
    (Level::CommitAvg, Level::CommitMax),
];

/// All metrics of a worker.
pub struct Metrics {
    registry: Registry,
    counters: Vec<IntCounterVec>,
    gauges: Vec<GaugeVec>,
    live: Mutex<HashMap<TaskId, Weak<TaskMeters>>>,
    connectors: IntGauge,
    tasks: IntGauge,
    memory_used: IntGauge,
    memory_max: IntGauge,
    memory_waits: IntCounter,
}

impl Metrics {
    /// Without any task.
    pub fn new() -> Arc<Self> {
        let registry = Registry::new();
        let labels = ["connector", "task"];
        let valid = "the names and labels are constants, valid and distinct";
        let counter = |(name, _, help): &(&str, Of, &str)| {
            let family = IntCounterVec::new(Opts::new(*name, *help), &labels).expect(valid);
            registry.register(Box::new(family.clone())).expect(valid);
            family
        };
        let gauge = |(name, _, help): &(&str, Of, &str)| {
            let family = GaugeVec::new(Opts::new(*name, *help), &labels).expect(valid);
            registry.register(Box::new(family.clone())).expect(valid);
            family
        };
        let worker = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help).expect(valid);
            registry.register(Box::new(gauge.clone())).expect(valid);
            gauge
        };
        let counters = COUNTERS.iter().map(counter).collect();
        let gauges = GAUGES.iter().map(gauge).collect();
        let connectors = worker(
            "kafka_connect_worker_connector_count",
            "Connectors that run on this worker.",
        );
        let tasks = worker(
            "kafka_connect_worker_task_count",
            "Tasks that run on this worker.",
        );
        let memory_used = worker(
            "longshore_worker_memory_used_bytes",
            "Bytes of the memory budget in use: records in flight, and what consumers may fetch ahead.",
        );
        let memory_max = worker(
            "longshore_worker_memory_max_bytes",
            "The memory budget: longshore.memory.max.bytes or its default.",
        );
        let memory_waits = IntCounter::new(
            "longshore_worker_memory_waits_total",
            "How often a task had to wait for memory before its next batch.",
        )
        .expect(valid);
        registry
            .register(Box::new(memory_waits.clone()))
            .expect(valid);
        Arc::new(Self {
            registry,
            memory_used,
            memory_max,
            memory_waits,
            counters,
            gauges,
            live: Mutex::default(),
            connectors,
            tasks,
        })
    }
    /// The meters of a task that moves data in `direction`. Its series go when the last holder drops them; a reopened task goes on counting where it was.
    pub fn task(self: &Arc<Self>, id: &TaskId, direction: Direction) -> Arc<TaskMeters> {
        let number = id.task.to_string();
        let labels = [&*id.connector, &*number];
        let counters = COUNTERS
            .iter()
            .zip(&self.counters)
            .map(|((_, of, _), family)| {
                of.has(direction).then(|| family.with_label_values(&labels))
            });
        let gauges = GAUGES.iter().zip(&self.gauges).map(|((_, of, _), family)| {
            of.has(direction).then(|| family.with_label_values(&labels))
        });
        let meters = Arc::new(TaskMeters {
            metrics: self.clone(),
            id: id.clone(),
            counters: counters.collect(),
            gauges: gauges.collect(),
            samples: Mutex::default(),
        });
        self.live().insert(id.clone(), Arc::downgrade(&meters));
        meters
    }
    /// Shows how many connectors and tasks this worker runs.
    pub fn set_worker(&self, connectors: usize, tasks: usize) {
        self.connectors
            .set(i64::try_from(connectors).unwrap_or(i64::MAX));
        self.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    }
    /// Shows the memory budget.
    pub(crate) fn set_memory(&self, used: u64, max: u64) {
        self.memory_used
            .set(i64::try_from(used).unwrap_or(i64::MAX));
        self.memory_max.set(i64::try_from(max).unwrap_or(i64::MAX));
    }
    /// A task has to wait for memory.
    pub(crate) fn memory_wait(&self) {
        self.memory_waits.inc();
    }
    /// Shows a level of a task, if it has meters.
    pub(crate) fn set(&self, id: &TaskId, level: Level, value: i64) {
        let meters = self.live().get(id).and_then(Weak::upgrade);
        if let Some(meters) = meters {
            meters.set(level, value);
        }
    }
    /// For metrics of others, shown by [`Metrics::encode`] as well.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
    /// Everything in Prometheus' text format.
    pub fn encode(&self) -> String {
        let live: Vec<_> = self.live().values().filter_map(Weak::upgrade).collect();
        live.iter().for_each(|meters| meters.show_samples());
        drop(live);
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_else(|error| format!("# not encoded: {error}\n"))
    }
    fn live(&self) -> MutexGuard<'_, HashMap<TaskId, Weak<TaskMeters>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One task's meters: a few atomics, touched once per batch.
pub struct TaskMeters {
    metrics: Arc<Metrics>,
    id: TaskId,
    counters: Vec<Option<IntCounter>>,
    gauges: Vec<Option<Gauge>>,
    samples: Mutex<[Window; SAMPLES.len()]>,
}

impl TaskMeters {
    /// Meters that nobody reads, for tests and tools.
    pub fn detached(id: &TaskId, direction: Direction) -> Arc<Self> {
        Metrics::new().task(id, direction)
    }
    /// Counts `n` more.
    pub fn add(&self, count: Count, n: usize) {
        if let Some(counter) = &self.counters[count as usize] {
            counter.inc_by(n as u64);
        }
    }
    /// How many were counted; 0 for series that the task's direction does not have.
    pub fn count(&self, count: Count) -> u64 {
        self.counters[count as usize]
            .as_ref()
            .map_or(0, IntCounter::get)
    }
    /// Shows a level.
    pub fn set(&self, level: Level, value: i64) {
        if let Some(gauge) = &self.gauges[level as usize] {
            #[allow(clippy::cast_precision_loss)]
            gauge.set(value as f64);
        }
    }
    /// Takes a sample.
    pub fn sample(&self, sample: Sample, value: f64) {
        self.samples()[sample as usize].add(value, Instant::now());
    }
    /// Takes a duration as a sample, in milliseconds.
    pub fn sample_time(&self, sample: Sample, time: Duration) {
        self.sample(sample, time.as_secs_f64() * 1000.0);
    }
    /// Notes the time of a record's failure.
    pub(crate) fn failed_now(&self) {
        #[allow(
            clippy::disallowed_methods,
            reason = "a wall clock reading for people; nothing is decided by it"
        )]
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.set(
            Level::LastError,
            i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
        );
    }
    fn show_samples(&self) {
        let now = Instant::now();
        let samples = self.samples();
        for (window, (average, highest)) in samples.iter().zip(SAMPLES) {
            let (avg, max) = window.read(now);
            for (level, value) in [(average, avg), (highest, max)] {
                if let Some(gauge) = &self.gauges[level as usize] {
                    gauge.set(value);
                }
            }
        }
    }
    fn samples(&self) -> MutexGuard<'_, [Window; SAMPLES.len()]> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TaskMeters {
    fn drop(&mut self) {
        let mut live = self.metrics.live();
        // A reopened task has meters of its own under the same id: its series stay.
        if live
            .get(&self.id)
            .is_none_or(|meters| meters.strong_count() > 0)
        {
            return;
        }
        live.remove(&self.id);
        let number = self.id.task.to_string();
        let labels = [&*self.id.connector, &*number];
        // Series of the other direction do not exist; that is the only error there is.
        self.metrics
            .counters
            .iter()
            .for_each(|family| drop(family.remove_label_values(&labels)));
        self.metrics
            .gauges
            .iter()
            .for_each(|family| drop(family.remove_label_values(&labels)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn series_live_as_long_as_their_task() {
        let metrics = Metrics::new();
        let id = TaskId::new("c", 1);
        metrics.set_worker(1, 2);
        let meters = metrics.task(&id, Direction::Sink);
        meters.add(Count::Read, 7);
        meters.add(Count::Polled, 7);
        meters.sample(Sample::Batch, 3.0);
        meters.sample(Sample::Batch, 5.0);
        let text = metrics.encode();
        for line in [
            "kafka_connect_sink_task_sink_record_read_total{connector=\"c\",task=\"1\"} 7",
            "kafka_connect_connector_task_batch_size_avg{connector=\"c\",task=\"1\"} 4",
            "kafka_connect_connector_task_batch_size_max{connector=\"c\",task=\"1\"} 5",
            "kafka_connect_worker_connector_count 1",
            "kafka_connect_worker_task_count 2",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(
            !text.contains("source_record_poll"),
            "a sink shows no series of sources"
        );
        // Reopened before the former run is gone.
        let again = metrics.task(&id, Direction::Sink);
        drop(meters);
        assert_eq!(again.count(Count::Read), 7);
        assert!(metrics.encode().contains("sink_record_read_total{"));
        drop(again);
        assert!(!metrics.encode().contains("connector=\"c\""));
    }

    #[tokio::test(start_paused = true)]
    async fn samples_are_forgotten_after_a_minute() {
        let mut window = Window::default();
        window.add(10.0, Instant::now());
        tokio::time::advance(Duration::from_secs(31)).await;
        window.add(20.0, Instant::now());
        assert_eq!(window.read(Instant::now()), (15.0, 20.0));
        tokio::time::advance(Duration::from_secs(31)).await;
        window.add(1.0, Instant::now());
        assert_eq!(window.read(Instant::now()), (10.5, 20.0));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(window.read(Instant::now()), (0.0, 0.0));
    }
}
