//! One error type; its kind says who can act, and therefore what the engine does (runtime/engine, task/reaction.rs).

use std::{error::Error as StdError, fmt, time::Duration};

/// Shorthand for results whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, named by who can act. A new kind must earn its place by needing a reaction that no other kind has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The author of the config: the task fails until the config changes.
    Config,
    /// The owner of a credential: the task fails until it is renewed.
    Auth,
    /// Nobody: this record is bad. `errors.tolerance` decides.
    Data,
    /// Time: the same call is made again with backoff until the retry timeout.
    Transient,
    /// Time, as told by the other side: waits that long (or a short default) and costs no attempt.
    Throttled(Option<Duration>),
    /// Another instance has the work, or had it: the task closes at once.
    Fenced,
    /// Nobody: the source is finished for good.
    End,
    /// Us: a broken promise inside Longshore or a connector.
    Bug,
}

impl ErrorKind {
    /// The kind's name as logs, statuses and metrics print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Auth => "auth",
            Self::Data => "data",
            Self::Transient => "transient",
            Self::Throttled(_) => "throttled",
            Self::Fenced => "fenced",
            Self::End => "end",
            Self::Bug => "bug",
        }
    }
}

/// An error of a connector, transform, converter, or port.
///
/// `message` names the key and the value's shape, never a secret, and says what to do.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    op: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    taken: Option<usize>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` in the operation `op` (`poll`, `put`, `flush`, ..).
    pub fn new(kind: ErrorKind, op: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            op,
            message: message.into(),
            context: Vec::new(),
            taken: None,
            source: None,
        }))
    }
    /// [`ErrorKind::Config`].
    pub fn config(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, op, message)
    }
    /// [`ErrorKind::Data`].
    pub fn data(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, op, message)
    }
    /// [`ErrorKind::Transient`].
    pub fn transient(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, op, message)
    }
    /// [`ErrorKind::Fenced`].
    pub fn fenced(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fenced, op, message)
    }
    /// [`ErrorKind::End`].
    pub fn end(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::End, op, message)
    }
    /// [`ErrorKind::Bug`].
    pub fn bug(op: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, op, message)
    }
    /// Adds a name and a value that help to find the place (a path, a topic-partition-offset, a config key).
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }
    /// Sets the underlying cause; it appears in traces.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }
    /// For `put`: how many leading records of the batch were taken before the error; the rest comes again.
    #[must_use]
    pub fn after(mut self, taken: usize) -> Self {
        self.0.taken = Some(taken);
        self
    }
    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
    /// The operation that failed.
    pub fn op(&self) -> &'static str {
        self.0.op
    }
    /// The text for people, without kind and operation.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// The name-value pairs.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }
    /// How many leading records were taken (see [`Error::after`]); 0 unless set.
    pub fn taken(&self) -> usize {
        self.0.taken.unwrap_or(0)
    }
    /// Several lines: the error, its context, then each cause. What a status shows as `trace`.
    pub fn trace(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str("\ncaused by: ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} error at {}: {}",
            self.0.kind.name(),
            self.0.op,
            self.0.message
        )?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            write!(
                f,
                "{}{name} = {value}",
                if index == 0 { " (" } else { ", " }
            )?;
        }
        if self.0.context.is_empty() {
            Ok(())
        } else {
            f.write_str(")")
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.trace())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// A record of a `put` that the target refused for good; all others of the batch were taken.
#[derive(Debug)]
pub struct Refused {
    /// Index into the batch that `put` was given.
    pub index: usize,
    /// Why; normally of kind [`ErrorKind::Data`].
    pub error: Error,
}
