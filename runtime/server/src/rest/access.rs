//! Who calls, and what a route asks of the caller.

use axum::http::Method;
use std::{net::SocketAddr, sync::Arc};

/// What a caller may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Look: every GET. Secrets of configs are hidden.
    Read,
    /// Pause, resume, stop, restart.
    Operate,
    /// Everything: configs, offsets, validation.
    Admin,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Admin];

    /// Its name in files, answers and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
    /// The role of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A caller who has proven who it is; or anybody, where that is not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user's name, for the audit log.
    pub(crate) name: Arc<str>,
    /// The greatest role; `None` may do nothing.
    pub(crate) role: Option<Role>,
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// Whether the connection is TLS.
    pub(crate) https: bool,
    /// The start of its certificate's SHA-256, where it has shown one that is trusted.
    pub(crate) certificate: Option<Arc<str>>,
}

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: probes call it.
    Nothing,
    /// The signature of another worker, which the route itself looks at.
    Signature,
    /// This role or a greater one.
    Role(Role),
}

/// A route of the API.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// The path's template.
    pub(crate) path: &'static str,
    pub(crate) need: Need,
}

/// All routes. What is not in here is not served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes(pub(super) Arc<[Route]>);

impl Routes {
    /// What a request needs: the method of a matched path. HEAD is GET.
    pub(crate) fn need(&self, method: &Method, path: &str) -> Option<Need> {
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let found = self
            .0
            .iter()
            .find(|route| route.method == *method && route.path == path);
        found.map(|route| route.need)
    }
    /// Each route.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}
