//! What went wrong in a guest, as the engine's errors: those it reports, and those that it is.

use crate::{
    bindings::host::longshore::connector::types::{Error as GuestError, ErrorKind as GuestKind},
    columns::Rejected,
    store::State,
};
use longshore_sdk::{Error, ErrorKind};
use std::{fmt::Write, time::Duration};
use wasmtime::Trap;

/// How much of a guest's message is shown.
const MESSAGE_MAX: usize = 4 * 1024;
/// How much of what it printed last is shown.
const PRINTED_MAX: usize = 600;
/// Pairs of context that are shown, and the length of each name and value.
const CONTEXT_MAX: usize = 16;
const WORD_MAX: usize = 256;
/// No other side may make a task wait longer at once.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// How a call went wrong that gave no answer.
pub(crate) enum Failure {
    /// It trapped, or the host refused to go on with it.
    Trap(wasmtime::Error),
    /// It had not returned by then.
    Deadline,
}

/// The name of a plugin in messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the plugin {}", self.name)?;
        // One that has not said it yet has none.
        match self.version {
            "" => Ok(()),
            version => write!(f, " {version}"),
        }
    }
}

/// A call that gave no answer: a broken promise of the plugin, whatever it was.
pub(crate) fn failed(
    tag: Tag,
    op: &'static str,
    failure: &Failure,
    timeout: Duration,
    state: &State,
) -> Error {
    let why = reason(op, failure, timeout, state);
    let message = format!("{tag}: {why}; its instance was thrown away");
    Error::bug(op, message)
}

/// What happened in the call, and the last words that the guest printed.
pub(crate) fn reason(
    op: &'static str,
    failure: &Failure,
    timeout: Duration,
    state: &State,
) -> String {
    let what = match failure {
        Failure::Deadline => late(timeout),
        Failure::Trap(error) => match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => late(timeout),
            Some(Trap::StackOverflow) => "overflowed its stack".to_owned(),
            Some(_) if state.limiter.refused => {
                format!(
                    "ran out of memory, its limit is {} bytes",
                    state.limiter.memory()
                )
            }
            // Languages that keep a stack of their own in memory run out of that first.
            Some(Trap::MemoryOutOfBounds) => {
                "used memory out of bounds: a stack overflow, or a bad pointer".to_owned()
            }
            Some(Trap::UnreachableCodeReached) => "panicked".to_owned(),
            Some(trap) => format!("trapped: {trap}"),
            None => cut(&format!("was stopped: {error:#}"), MESSAGE_MAX).to_owned(),
        },
    };
    // I8: before anything is cut off.
    let printed = printed(&state.services.journal().clean_end(&state.output.tail()));
    if printed.is_empty() {
        format!("{op} {what}")
    } else {
        format!("{op} {what}: {printed}")
    }
}

fn late(timeout: Duration) -> String {
    format!("did not return within {} ms", timeout.as_millis())
}

/// The end of what was printed, on one line, without the advice that Rust's panics give.
fn printed(tail: &str) -> String {
    let text = tail
        .split("note: run with `RUST_BACKTRACE")
        .next()
        .unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let from = text.len().saturating_sub(PRINTED_MAX);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at));
    text[from.unwrap_or(0)..].to_owned()
}

/// An answer that does not keep the ABI's promises.
pub(crate) fn rejected(tag: Tag, op: &'static str, rejected: &Rejected) -> Error {
    let Rejected { column, problem } = rejected;
    let message = format!("{tag}: what {op} returned cannot be used, {column}: {problem}");
    Error::bug(op, message)
}

/// An error that the guest reports; one kind for one kind. One that takes a person to look at it names the plugin.
pub(crate) fn reported(
    tag: Tag,
    op: &'static str,
    error: GuestError,
    scrub: impl Fn(&str) -> String,
) -> Error {
    let kind = match error.kind {
        GuestKind::Config => ErrorKind::Config,
        GuestKind::Auth => ErrorKind::Auth,
        GuestKind::Data => ErrorKind::Data,
        GuestKind::Transient => ErrorKind::Transient,
        GuestKind::RateLimited => {
            let wait = error.retry_after_ms.map(Duration::from_millis);
            ErrorKind::Throttled(wait.map(|wait| wait.min(WAIT_MAX)))
        }
        GuestKind::Fenced => ErrorKind::Fenced,
        GuestKind::Fatal => ErrorKind::Bug,
    };
    // I8: a plugin may know a secret, and tell it; what is cut first could be left in half.
    let mut message = cut(&scrub(&error.message), MESSAGE_MAX).to_owned();
    // Names are the guest's own: an error's context has names that are known when the host is built.
    for (index, (name, value)) in error.context.iter().take(CONTEXT_MAX).enumerate() {
        let lead = if index == 0 { " [" } else { ", " };
        let _ = write!(
            message,
            "{lead}{} = {}",
            cut(&scrub(name), WORD_MAX),
            cut(&scrub(value), WORD_MAX)
        );
    }
    if !error.context.is_empty() {
        message.push(']');
    }
    if kind == ErrorKind::Bug {
        message = format!("{tag}: {message}");
    }
    Error::new(kind, op, message)
}

/// The same error once more: of a whole batch for each of its records, or of a record that comes again.
pub(crate) fn again(error: &Error) -> Error {
    let same = Error::new(error.kind(), error.op(), error.message());
    let context = error.context().iter();
    context.fold(same, |same, (name, value)| same.with(name, value))
}

/// The beginning of a text.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let end = text.floor_char_boundary(max.min(text.len()));
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "hunter22";
    const TAG: Tag = Tag {
        name: "probe",
        version: "1.0.0",
    };

    fn told(kind: GuestKind, message: String, context: Vec<(String, String)>) -> Error {
        let error = GuestError {
            kind,
            message,
            retry_after_ms: None,
            context,
        };
        reported(TAG, "poll", error, |text| text.replace(SECRET, "[hidden]"))
    }

    #[test]
    fn a_cut_leaves_no_half_of_a_secret() {
        let long = |max: usize| format!("{}{SECRET}", "x".repeat(max - 4));
        let context = vec![("place".to_owned(), long(WORD_MAX))];
        let error = told(GuestKind::Data, long(MESSAGE_MAX), context);
        assert!(!error.message().contains("hunt"), "I8: {error}");
        assert!(error.message().contains("[hid"), "{error}");
    }

    #[test]
    fn only_what_a_person_must_look_at_names_the_plugin() {
        let fatal = told(GuestKind::Fatal, "lost".to_owned(), Vec::new());
        assert_eq!(fatal.message(), "the plugin probe 1.0.0: lost");
        let transient = told(GuestKind::Transient, "later".to_owned(), Vec::new());
        assert_eq!(transient.message(), "later");
    }
}
