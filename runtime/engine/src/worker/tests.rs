//! A worker over memory ports with connectors that do as their configs tell them.

mod cluster;
mod departures;
mod door;
mod exactly_once;
mod failures;
mod fake;
mod forwarding;
mod lifecycle;
mod line;
mod moves;
mod placeholders;
mod races;
mod statuses;

use super::{Logs, Ports, Worker, WorkerSettings};
use crate::{
    control::{Control, TargetState},
    memory::{Alone, MemoryLeadership, MemoryLog, SharedMemoryBus},
    metrics::Metrics,
    ports::NoPeers,
};
use fake::Probe;
use longshore_sdk::config::Flat;
use std::{sync::Arc, time::Duration};

/// One worker and everything around it.
struct Bench {
    worker: Worker,
    control: Control,
    bus: SharedMemoryBus,
    config: MemoryLog,
    offset: MemoryLog,
    status: MemoryLog,
    coordination: MemoryLog,
    group: Arc<Alone>,
    leadership: MemoryLeadership,
    probe: Arc<Probe>,
}

impl Bench {
    async fn new() -> Self {
        Self::over(
            MemoryLog::new(),
            MemoryLog::new(),
            MemoryLog::new(),
            SharedMemoryBus::default(),
            Arc::default(),
        )
        .await
    }
    async fn over(
        config: MemoryLog,
        offset: MemoryLog,
        status: MemoryLog,
        bus: SharedMemoryBus,
        probe: Arc<Probe>,
    ) -> Self {
        Self::told(settings(), config, offset, status, bus, probe).await
    }
    async fn told(
        settings: WorkerSettings,
        config: MemoryLog,
        offset: MemoryLog,
        status: MemoryLog,
        bus: SharedMemoryBus,
        probe: Arc<Probe>,
    ) -> Self {
        let (group, coordination) = (Alone::new("w:1"), MemoryLog::new());
        let logs = Logs {
            config: Arc::new(config.clone()),
            offset: Arc::new(offset.clone()),
            status: Arc::new(status.clone()),
            coordination: Arc::new(coordination.clone()),
        };
        let leadership =
            MemoryLeadership::new(config.clone(), coordination.clone(), offset.clone());
        let ports = Ports {
            bus: Arc::new(bus.clone()),
            logs,
            membership: group.clone(),
            leadership: Arc::new(leadership.clone()),
            peers: Arc::new(NoPeers),
        };
        // A restarted worker's bus has it already.
        let _ = bus.0.transactional.offsets.set(offset.clone());
        let worker = Worker::start(settings, ports, fake::registry(&probe), Metrics::new());
        let control = worker.control();
        control.ready().await;
        eventually("it leads", || control.leads(), String::new).await;
        Self {
            worker,
            control,
            bus,
            config,
            offset,
            status,
            coordination,
            group,
            leadership,
            probe,
        }
    }
    /// The same topics, another start.
    async fn restarted(self) -> Self {
        let Self {
            worker,
            bus,
            config,
            offset,
            status,
            probe,
            ..
        } = self;
        worker.shutdown().await;
        Self::over(config, offset, status, bus, probe).await
    }
    async fn create(&self, name: &str, config: &[(&str, &str)]) {
        self.control
            .create(name, flat(config), TargetState::Started)
            .await
            .expect("created");
    }
    /// The states of the connector and its tasks.
    fn states(&self, name: &str) -> String {
        match self.control.status(name) {
            Ok(status) => {
                let tasks: Vec<&str> = status
                    .tasks
                    .iter()
                    .map(|task| task.state.as_str())
                    .collect();
                format!("{} [{}]", status.connector.state, tasks.join(" "))
            }
            Err(error) => error.message,
        }
    }
    async fn shows(&self, name: &str, states: &str) {
        eventually(
            &format!("{name} shows {states}"),
            || self.states(name) == states,
            || self.states(name),
        )
        .await;
    }
    async fn has_opened(&self, task: &str, times: usize) {
        let opens = || self.probe.opens(task);
        eventually(
            &format!("{task} was opened {times} times"),
            || opens() == times,
            || opens().to_string(),
        )
        .await;
    }
}

fn settings() -> WorkerSettings {
    WorkerSettings {
        worker_id: "w:1".to_owned(),
        converters: flat(&[
            ("key.converter", "raw"),
            ("value.converter", "raw"),
            ("header.converter", "raw"),
        ]),
        commit_interval: Duration::from_millis(50),
        ..WorkerSettings::default()
    }
}

fn flat(entries: &[(&str, &str)]) -> Flat {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Waits, generously.
async fn eventually(what: &str, mut done: impl FnMut() -> bool, now: impl Fn() -> String) {
    for _ in 0..8000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain until {what}; it is {}", now());
}
