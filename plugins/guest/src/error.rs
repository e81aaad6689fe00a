//! One error; its kind says who can act, and so what the host does.

use crate::abi::longshore::connector::types;
use std::{fmt, time::Duration};

pub use types::ErrorKind;

/// Shorthand for results whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. The message names the key and the value's shape, never a secret, and says what to do.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
    context: Vec<(String, String)>,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            context: Vec::new(),
        }
    }
    /// The author of the config can act: the task fails until the config changes.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }
    /// The owner of a credential can act: the task fails until it is renewed.
    pub fn auth(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Auth, message)
    }
    /// This record is bad: `errors.tolerance` decides.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }
    /// The same call is made again, with backoff: a source must then return the same records again.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, message)
    }
    /// The same after a time that the other side told, or a short default; it costs no attempt.
    pub fn rate_limited(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        let mut error = Self::new(ErrorKind::RateLimited, message);
        error.retry_after = retry_after;
        error
    }
    /// Another instance has the work: the task closes at once.
    pub fn fenced(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fenced, message)
    }
    /// A broken promise inside the plugin: the task fails.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fatal, message)
    }
    /// Adds a name and a value that help to find the place.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.context.push((name.into(), value.to_string()));
        self
    }
    /// For a sink's `put`: how many leading records were taken before the error.
    pub fn after(self, taken: usize) -> PutError {
        PutError {
            error: self,
            taken,
            refused: Vec::new(),
        }
    }
    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
    /// The text for people, without context.
    pub fn message(&self) -> &str {
        &self.message
    }
    /// Of a rate limit: how long to wait, if the other side told it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (name, value) in &self.context {
            write!(f, ", {name} = {value}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind,
            message: error.message,
            retry_after_ms: error
                .retry_after
                .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            context: error.context,
        }
    }
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        Self {
            kind: error.kind,
            message: error.message,
            retry_after: error.retry_after_ms.map(Duration::from_millis),
            context: error.context,
        }
    }
}

impl From<crate::Problem> for Error {
    /// Of kind config: the key, what is wrong, and what to do.
    fn from(problem: crate::Problem) -> Self {
        let parts = [problem.key, problem.message, problem.suggestion];
        let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Self::config(said.join(": "))
    }
}

/// Why a `put` failed: the records from the one numbered `taken` come again. An [`Error`] alone means that none was taken.
#[derive(Clone, Debug)]
pub struct PutError {
    /// Why.
    pub error: Error,
    /// How many leading records of the batch were taken.
    pub taken: usize,
    /// Those of them that were refused; filled in by the export.
    pub(crate) refused: Vec<(u32, Error)>,
}

impl From<Error> for PutError {
    fn from(error: Error) -> Self {
        error.after(0)
    }
}
