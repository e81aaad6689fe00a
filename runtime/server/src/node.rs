//! A running process: embedded broker, Kafka clients, worker and REST API, started in order and stopped in the opposite one.

mod broker;
mod listen;
mod parts;
mod peers;
mod signal;

pub(crate) use broker::serve as serve_broker;
pub(crate) use signal::until_signal;

use crate::{
    cli::lint,
    plugins,
    rest::Door,
    settings::{Bootstrap, Located, Section, WorkerSettings},
};
use anyhow::{Context, Result, bail};
use longshore_broker::Broker;
use longshore_engine::{control::Control, metrics::Metrics, ports::Member, worker::Worker};
use longshore_kafka::ClientSettings;
use peers::HttpPeers;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the embedded broker waits for the clients that are being closed.
const CLIENTS_CLOSE_MAX: Duration = Duration::from_secs(3);

/// A worker with everything around it.
pub(crate) struct Node {
    settings: Arc<WorkerSettings>,
    worker: Worker,
    control: Control,
    broker: Option<Broker>,
    servers: JoinSet<()>,
    stop: CancellationToken,
}

impl Node {
    /// Starts everything. The REST API answers first; what needs the broker is 503 until the worker has read its topics.
    pub(crate) async fn start(section: Option<&Section>) -> Result<Self> {
        let settings = Arc::new(read_settings(section)?);
        // What is not compiled yet takes its time: meanwhile the rest starts.
        let plugins = tokio::task::spawn_blocking({
            let settings = Arc::clone(&settings);
            move || plugins::of(&settings, plugins::Whose::Worker)
        });
        let metrics = Metrics::new();
        let door = Door::new(Arc::clone(&metrics));
        let stop = CancellationToken::new();
        let mut servers = JoinSet::new();
        let listening = listen::start(&settings, &door, &mut servers, &stop).await?;
        let address = listening.address;
        let me = Member {
            worker_id: address.worker_id(),
            incarnation: uuid::Uuid::new_v4().to_string(),
            https: address.https(),
        };
        door.is(me.clone());
        let peers = HttpPeers::new(listening.tls)?;
        let broker = match settings.bootstrap() {
            Bootstrap::Embedded => Some(broker::start(&settings).await?),
            Bootstrap::Servers(_) => None,
        };
        let clients = client_settings(&settings, broker.as_ref())?;
        servers.spawn({
            let (peers, me, stop) = (peers.clone(), me.clone(), stop.clone());
            async move {
                tokio::select! {
                    () = peers.look_at(&me) => {}
                    () = stop.cancelled() => {}
                }
            }
        });
        let parts = match parts::open(&settings, clients, &me, peers).await {
            Ok(parts) => parts,
            Err(error) => {
                if let Some(broker) = broker {
                    broker.shutdown().await;
                }
                return Err(error);
            }
        };
        let plugins = plugins.await.context("the plugins cannot be loaded")?;
        if let Some(collector) = &plugins.metrics
            && let Err(error) = metrics.registry().register(collector())
        {
            tracing::warn!(%error, "the metrics of plugins are not shown");
        }
        let registry = Arc::clone(&plugins.registry);
        let told = parts::told(&settings, me.worker_id);
        let worker = Worker::start(told, parts.ports, registry, metrics);
        let control = worker.control();
        servers.spawn({
            let (door, control, stop) = (door.clone(), control.clone(), stop.clone());
            // Before its topics are read a worker would answer that there are no connectors, and create those that exist.
            async move {
                tokio::select! {
                    () = control.ready() => {}
                    () = stop.cancelled() => return,
                }
                door.open(control);
            }
        });
        tracing::info!(rest = %address, group = settings.group_id, "worker started");
        Ok(Self {
            settings,
            worker,
            control,
            broker,
            servers,
            stop,
        })
    }
    /// The door to the worker.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }
    /// The folder of everything on disk.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.settings.data_dir
    }
    /// `group.id`.
    pub(crate) fn group(&self) -> &str {
        &self.settings.group_id
    }
    /// Stops: tasks drain within their grace period, then the API, then the broker.
    pub(crate) async fn shutdown(mut self) {
        tracing::info!("stopping: tasks drain");
        self.worker.shutdown().await;
        self.stop.cancel();
        while self.servers.join_next().await.is_some() {}
        // The last owner of the clients goes before the broker that they talk to.
        drop(self.control);
        if let Some(broker) = self.broker {
            longshore_kafka::all_closed(CLIENTS_CLOSE_MAX).await;
            broker.shutdown().await;
        }
        tracing::info!("stopped");
    }
}

fn read_settings(section: Option<&Section>) -> Result<WorkerSettings> {
    let empty = Section::empty();
    match WorkerSettings::read_resolved(section.unwrap_or(&empty)) {
        Ok((settings, notes)) => {
            note(&notes);
            Ok(settings)
        }
        Err(problems) => {
            lint::print(&problems, false);
            bail!("the worker's settings cannot be used")
        }
    }
}

fn note(notes: &[Located]) {
    for note in notes {
        tracing::warn!("{note}");
    }
}

/// The clients' settings: the worker's, with the embedded broker's address where there is one.
fn client_settings(settings: &WorkerSettings, broker: Option<&Broker>) -> Result<ClientSettings> {
    let mut worker = settings.client.clone();
    let groups = [
        ("producer.", &settings.producer),
        ("consumer.", &settings.consumer),
        ("admin.", &settings.admin),
    ];
    for (prefix, group) in groups {
        worker.extend(
            group
                .iter()
                .map(|(key, value)| (format!("{prefix}{key}"), value.clone())),
        );
    }
    let bootstrap = match (settings.bootstrap(), broker) {
        (Bootstrap::Servers(servers), _) => servers,
        (Bootstrap::Embedded, Some(broker)) => broker.bootstrap(),
        (Bootstrap::Embedded, None) => bail!("the embedded broker is not running"),
    };
    worker.insert("bootstrap.servers".to_owned(), bootstrap);
    ClientSettings::from_worker(&worker)
        .map_err(anyhow::Error::new)
        .context("the worker's client settings cannot be used")
}
