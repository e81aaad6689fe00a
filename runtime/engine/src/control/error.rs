//! Why a request was not carried out.

use crate::providers::scrub;
use longshore_sdk::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of refusal it is; REST makes a status of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlErrorKind {
    /// There is no such connector, task or plugin.
    NotFound,
    /// It exists already, or its present state forbids the request.
    Conflict,
    /// The request itself is wrong.
    Invalid,
    /// The request is larger than what can be stored.
    TooLarge,
    /// Not now, and nothing was done or the same may be asked for again: the worker starts or shuts down, or the group has no leader.
    Unavailable,
    /// No outcome in time: the request may still be carried out.
    Timeout,
    /// A broken promise inside the worker, or a failure while the request was carried out.
    Bug,
}

/// An error answer. The message is Kafka Connect's text wherever tools read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ControlError {
    /// Its kind.
    pub kind: ControlErrorKind,
    /// For people, and for tools that compare texts; never holds a secret (I8).
    pub message: String,
    /// The config key, or the JSON path, that is wrong.
    pub path: Option<String>,
    /// What to do.
    pub suggestion: Option<String>,
}

impl ControlError {
    /// An error of `kind`.
    pub fn new(kind: ControlErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: scrub(&message.into()).into_owned(),
            path: None,
            suggestion: None,
        }
    }
    /// [`ControlErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ControlErrorKind::NotFound, message)
    }
    /// [`ControlErrorKind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ControlErrorKind::Invalid, message)
    }
    /// [`ControlErrorKind::Unavailable`]: nobody took a command in time. The text is Kafka Connect's, then why.
    pub(super) fn nobody_took_it(why: &str) -> Self {
        let text = format!(
            "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway. The last try: {why}"
        );
        Self::new(ControlErrorKind::Unavailable, text).suggest("send the request again")
    }
    /// The same, about a key.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }
    /// The same, with advice.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(scrub(&suggestion.into()).into_owned());
        self
    }
    /// What a failed call to the broker means for the request.
    pub(crate) fn of_log(message: &str, error: &Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Transient | ErrorKind::Throttled(_) => ControlErrorKind::Unavailable,
            ErrorKind::Config | ErrorKind::Data if error.message().contains("too large") => {
                ControlErrorKind::TooLarge
            }
            _ => ControlErrorKind::Bug,
        };
        Self::new(kind, format!("{message}: {error}"))
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ControlError {}
