//! The broker's one node: what all connections share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::messages::BrokerId;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::groups::Groups;
use crate::store::Store;
use crate::topics::Topics;
use crate::txn::Transactions;

/// The node's id; there is no other.
pub(crate) const NODE: BrokerId = BrokerId(1);

/// Everything behind the connections. Locks are taken in this order: transaction, group, partition, store.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    /// Held as long as anything may still write to the folder.
    pub(crate) _lock: Option<std::fs::File>,
    pub(crate) cluster_id: String,
    pub(crate) port: u16,
    /// What clients are told, unless the listener is a wildcard.
    pub(crate) advertised_host: Option<String>,
    pub(crate) store: Mutex<Store>,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) stop: CancellationToken,
    /// Room for large requests, in KiB: the limit before their allocation.
    pub(crate) receiving: Semaphore,
}

impl Node {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) node: Arc<Node>,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

impl Peer {
    /// Where this client finds the node: as configured, or the address it came in on.
    pub(crate) fn advertised(&self) -> (StrBytes, i32) {
        let host = self
            .node
            .advertised_host
            .clone()
            .unwrap_or_else(|| self.local.ip().to_canonical().to_string());
        (host.into(), i32::from(self.node.port))
    }
}
