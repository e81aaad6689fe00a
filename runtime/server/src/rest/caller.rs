//! The door as a caller has it: what is asked for goes to other workers in the caller's name.

use super::{Door, access::Identity, answer::Failure};
use axum::{extract::FromRequestParts, http::request::Parts};
use longshore_engine::control::Control;
use std::{convert::Infallible, sync::Arc};

/// Who calls, and the door.
pub(crate) struct Caller {
    door: Door,
    user: Option<Arc<str>>,
}

impl Caller {
    /// The control in the caller's name, or 503 while the worker starts.
    pub(crate) fn control(&self) -> Result<Control, Failure> {
        let control = self.door.control()?;
        Ok(match &self.user {
            Some(user) => control.on_behalf_of(user),
            None => control.clone(),
        })
    }
}

impl FromRequestParts<Door> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Infallible> {
        let identity = parts.extensions.get::<Identity>();
        let user = identity.map(|identity| Arc::clone(&identity.name));
        // Nothing to wait for.
        std::future::ready(()).await;
        let door = door.clone();
        Ok(Self { door, user })
    }
}
