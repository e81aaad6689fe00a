//! The file system as a peer: its errors as error kinds, and calls that may block.

use longshore_sdk::{Error, ErrorKind, Result};
use std::{io, path::Path};

/// What an error of the file system means for a task.
pub(crate) fn failed(op: &'static str, path: &Path, error: io::Error) -> Error {
    use io::ErrorKind as Io;
    let (kind, message) = match error.kind() {
        Io::PermissionDenied => (
            ErrorKind::Auth,
            "file: the worker's user has no access: grant it on the file and its directories",
        ),
        Io::ReadOnlyFilesystem => (
            ErrorKind::Config,
            "file: the file system is read-only: choose another path or remount it",
        ),
        Io::StorageFull | Io::QuotaExceeded => (
            ErrorKind::Transient,
            "file: no space is left on the disk or in the quota: make room, writing goes on by itself",
        ),
        Io::FileTooLarge => (
            ErrorKind::Config,
            "file: it has reached the largest size that the system allows: move it away or raise the limit",
        ),
        Io::IsADirectory | Io::NotADirectory | Io::InvalidFilename => (
            ErrorKind::Config,
            "file: the path does not lead to a regular file: correct it",
        ),
        _ => (
            ErrorKind::Transient,
            "file: the file system failed: it is tried again",
        ),
    };
    Error::new(kind, op, message)
        .with("file", path.display())
        .because(error)
}

/// The refusal of something that is there but is no regular file.
pub(crate) fn irregular(op: &'static str, path: &Path) -> Error {
    Error::config(
        op,
        "file: it is not a regular file: directories, pipes and devices are not supported",
    )
    .with("file", path.display())
}

/// Runs a call that may block on a thread that may be blocked. `slot` lends its content to the call; the engine never drops a call
/// that it means to resume (I7), so the content comes back before the next one.
pub(crate) async fn blocking<T, R>(
    slot: &mut Option<Box<T>>,
    op: &'static str,
    call: impl FnOnce(&mut T) -> Result<R> + Send + 'static,
) -> Result<R>
where
    T: Send + 'static,
    R: Send + 'static,
{
    let mut lent = slot
        .take()
        .ok_or_else(|| Error::bug(op, "a call came after close, or after one that was dropped"))?;
    // Log lines of the other thread say which task they are about, too.
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || {
        let answer = span.in_scope(|| call(&mut lent));
        (lent, answer)
    });
    match done.await {
        Ok((lent, answer)) => {
            *slot = Some(lent);
            answer
        }
        Err(error) => Err(Error::bug(op, "the call panicked").because(error)),
    }
}
