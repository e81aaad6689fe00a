//! Starting and stopping.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::config::Config;
use crate::groups::Groups;
use crate::node::Node;
use crate::store::Store;
use crate::store::model::Entry;
use crate::topics::Topics;
use crate::txn::Transactions;
use crate::{cleaner, server};

/// Why a broker did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// `listen` is not `host:port`, or the address cannot be taken.
    Listen {
        /// As configured.
        listen: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another broker works on the same `data_dir`.
    Locked {
        /// The folder.
        data_dir: PathBuf,
    },
    /// `data_dir` cannot be read or written.
    Data {
        /// The folder.
        data_dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A setting does not make sense.
    Config(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Listen { listen, source } => write!(
                f,
                "the development broker cannot listen on '{listen}': {source}; give another host:port, or port 0"
            ),
            Error::Locked { data_dir } => {
                write!(
                    f,
                    "another development broker works in '{}': stop it, or give this one another data_dir",
                    data_dir.display()
                )
            }
            Error::Data { data_dir, source } => write!(
                f,
                "the development broker cannot use data_dir '{}': {source}",
                data_dir.display()
            ),
            Error::Config(text) => {
                write!(f, "the development broker's configuration is wrong: {text}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Listen { source, .. } | Error::Data { source, .. } => Some(source),
            Error::Locked { .. } | Error::Config(_) => None,
        }
    }
}

/// A running broker. Dropped without [`Broker::shutdown`] it stops as if killed: nothing acknowledged is lost, nothing is synced.
#[derive(Debug)]
pub struct Broker {
    node: Arc<Node>,
    bootstrap: String,
    address: SocketAddr,
    tasks: TaskTracker,
    _stop: DropGuard,
}

impl Broker {
    /// Opens the data, takes the port, and serves. Must be called within a tokio runtime, on which the broker then runs.
    ///
    /// # Errors
    /// See [`Error`]: the address is taken, the folder is in use or unusable, a setting is out of range.
    pub async fn start(config: Config) -> Result<Broker, Error> {
        check(&config)?;
        let refused = |source| Error::Listen {
            listen: config.listen.clone(),
            source,
        };
        let lock = config.data_dir.as_ref().map(lock).transpose()?;
        let listener = TcpListener::bind(&config.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let node = {
            let (of, stop, tasks) = (config.clone(), stop.clone(), tasks.clone());
            let open = move || open(of, lock, address, stop, tasks);
            let opened = tokio::task::spawn_blocking(open)
                .await
                .map_err(io::Error::other)
                .and_then(|opened| opened);
            Arc::new(opened.map_err(|source| Error::Data {
                data_dir: config.data_dir.clone().unwrap_or_default(),
                source,
            })?)
        };
        tasks.spawn(server::serve(node.clone(), listener, tasks.clone()));
        tasks.spawn(Transactions::watch(node.clone()));
        tasks.spawn(cleaner::run(node.clone()));
        let host = node
            .advertised_host
            .clone()
            .unwrap_or_else(|| "127.0.0.1".into());
        let bootstrap = if host.contains(':') {
            format!("[{host}]:{}", address.port())
        } else {
            format!("{host}:{}", address.port())
        };
        tracing::info!(bootstrap, data = %node.config.data_dir.as_deref().map_or_else(|| "memory".to_owned(), |dir| dir.display().to_string()), "embedded development broker is running: one node, for development only, never for production");
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "the development broker listens beyond this machine, and asks nobody who they are");
        }
        Ok(Broker {
            node,
            bootstrap,
            address,
            tasks,
            _stop: stop.drop_guard(),
        })
    }

    /// What clients put into `bootstrap.servers`: `host:port`.
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// The address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops serving, closes connections, hands everything to the disk, and gives the folder free.
    pub async fn shutdown(self) {
        self.node.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let node = self.node.clone();
        match tokio::task::spawn_blocking(move || sync(&node)).await {
            Ok(Ok(())) => tracing::info!("development broker has stopped"),
            Ok(Err(error)) => {
                tracing::error!(%error, "development broker has stopped, but its data may not be on disk yet")
            }
            Err(error) => {
                tracing::error!(%error, "development broker has stopped, but its data may not be on disk yet")
            }
        }
    }
}

fn check(config: &Config) -> Result<(), Error> {
    let wrong = |text: &str| Err(Error::Config(text.to_owned()));
    if config.num_partitions < 1 {
        return wrong("num_partitions must be at least 1");
    }
    if config.group_min_session_timeout_ms < 1
        || config.group_min_session_timeout_ms > config.group_max_session_timeout_ms
    {
        return wrong(
            "group_min_session_timeout_ms must be at least 1 and at most group_max_session_timeout_ms",
        );
    }
    if config.limits.connections == 0
        || config.limits.request_bytes < 1024
        || config.limits.requests_in_flight_bytes < config.limits.request_bytes
    {
        return wrong(
            "limits need a connection, 1 KiB per request, and room in flight for one request of the greatest size",
        );
    }
    if config.log_check_interval.is_zero() {
        return wrong("log_check_interval must be more than nothing");
    }
    Ok(())
}

/// Takes the folder for this process; the lock goes with the file handle, also when the process is killed.
fn lock(dir: &PathBuf) -> Result<File, Error> {
    let broken = |source| Error::Data {
        data_dir: dir.clone(),
        source,
    };
    fs::create_dir_all(dir).map_err(broken)?;
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join("lock"))
        .map_err(broken)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked {
            data_dir: dir.clone(),
        }),
        Err(TryLockError::Error(source)) => Err(broken(source)),
    }
}

fn open(
    config: Config,
    lock: Option<File>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
) -> io::Result<Node> {
    let mut store = match &config.data_dir {
        None => Store::in_memory(),
        Some(dir) => Store::open(dir)?,
    };
    let cluster_id = match store.model().cluster_id.clone() {
        Some(id) => id,
        None => {
            let id = Uuid::new_v4().simple().to_string();
            store.commit(Entry::Cluster { id: id.clone() })?;
            id
        }
    };
    let topics = Topics::open(
        config.data_dir.as_ref().map(|dir| dir.join("topics")),
        &store,
        config.limits.partitions,
    )?;
    let node = Node {
        _lock: lock,
        cluster_id,
        port: address.port(),
        advertised_host: advertised_host(&config, address),
        store: Mutex::new(store),
        topics,
        groups: Groups::new(&config, stop.clone(), tasks),
        transactions: Transactions::default(),
        stop,
        receiving: Semaphore::new(config.limits.requests_in_flight_bytes / 1024),
        config,
    };
    node.transactions.recover(&node).map_err(io::Error::other)?;
    Ok(node)
}

/// The host clients are told; `None` for a wildcard, where only the connection knows.
fn advertised_host(config: &Config, address: SocketAddr) -> Option<String> {
    if config.advertised_host.is_some() {
        return config.advertised_host.clone();
    }
    let (host, _) = config.listen.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!address.ip().is_unspecified()).then(|| host.to_owned())
}

fn sync(node: &Node) -> io::Result<()> {
    for topic in node.topics.all() {
        for partition in topic.partitions().iter() {
            partition.log().sync()?;
        }
    }
    node.store().sync()
}
