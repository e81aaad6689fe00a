//! From names to addresses, of which only granted ones are handed on.

use crate::{
    Grants,
    grants::{Host, Target},
};
use futures::future::BoxFuture;
use longshore_sdk::mutant;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};
use tokio::sync::Semaphore;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 64;
/// Names that the system looks up at once for all plugins: each holds a thread, for as long as the name server takes.
const LOOKUPS_MAX: usize = 16;

/// The same for one plugin, so that names that a slow server answers for do not take all turns.
const PLUGIN_LOOKUPS_MAX: usize = 4;

/// Who knows what a name stands for.
pub trait Names: Send + Sync {
    /// The addresses of a name; asked anew for each connection.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
pub(super) struct SystemNames {
    turns: Arc<Semaphore>,
}

impl Default for SystemNames {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl Names for SystemNames {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turns = self.turns.clone();
        Box::pin(async move {
            let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
            let found = tokio::task::spawn_blocking(move || {
                // A lookup that nobody waits for any more still holds its thread, and therefore its turn.
                let _turn = turn;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                let addresses = found.map(|at| at.ip()).take(ADDRESSES_MAX);
                Ok(addresses.collect())
            });
            found.await.map_err(io::Error::other)?
        })
    }
}

/// The lookups of one plugin.
#[derive(Clone)]
pub(super) struct Lookups {
    names: Arc<dyn Names>,
    turns: Arc<Semaphore>,
}

impl Lookups {
    pub(super) fn new(names: Arc<dyn Names>) -> Self {
        let turns = Arc::new(Semaphore::new(PLUGIN_LOOKUPS_MAX));
        Self { names, turns }
    }
    fn lookup(&self, name: Name) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let Self { names, turns } = self.clone();
        Box::pin(async move {
            let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
            // By itself, since one that nobody waits for any more goes on and keeps its turn; the turns bound how many there are.
            let found = tokio::spawn(async move {
                let _turn = turn;
                names.lookup(name.as_str().to_owned()).await
            });
            found.await.map_err(io::Error::other)?
        })
    }
}

/// Resolves the one name that a client is for. Each connection asks anew, and goes to what was checked here (a name that stands for another
/// address a moment later gains nothing).
pub(super) struct Checked {
    pub(super) names: Lookups,
    pub(super) grants: Arc<Grants>,
    pub(super) target: Target,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (grants, target) = (self.grants.clone(), self.target.clone());
        let asked = name.as_str().trim_end_matches('.').to_ascii_lowercase();
        if target.host != Host::Name(asked) {
            return Box::pin(async { Err("this client is for another host".into()) });
        }
        let found = self.names.lookup(name);
        Box::pin(async move {
            let (mut allowed, mut denied) = (Vec::new(), None);
            for address in found.await?.into_iter().take(ADDRESSES_MAX) {
                match grants.check_resolved(&target, address) {
                    _ if mutant!("wasm-resolved-unchecked") => {
                        allowed.push(SocketAddr::new(address, 0));
                    }
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(denial) => denied = denied.or(Some(denial)),
                }
            }
            match denied {
                Some(denial) if allowed.is_empty() => Err(denial.into()),
                _ if allowed.is_empty() => Err("the name stands for no address".into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Resolves the proxy's name, and no other: it is the operator's, wherever it stands.
pub(super) struct ProxyAlone {
    pub(super) names: Lookups,
    pub(super) host: String,
}

impl Resolve for ProxyAlone {
    fn resolve(&self, name: Name) -> Resolving {
        if !name.as_str().eq_ignore_ascii_case(&self.host) {
            return Box::pin(async { Err("this client is for the proxy alone".into()) });
        }
        let found = self.names.lookup(name);
        Box::pin(async move {
            let addresses = found.await?.into_iter();
            Ok(Box::new(addresses.map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
