//! The file system as a peer: its errors as error kinds, and calls that may block.

use longshore_sdk::{Error, ErrorKind, Result};
use std::{
    io,
    path::Path,
    sync::{LazyLock, mpsc},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

/// A file system that hangs holds up the calls in turn to others no longer than this.
const TURN_MAX: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

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
    let (mut lent, call) = lend(slot, op, call)?;
    let done = tokio::task::spawn_blocking(move || {
        let answer = call(&mut lent);
        (lent, answer)
    });
    give_back(slot, op, done.await)
}

/// The same for short calls that many tasks make again and again: one thread makes them, one after the other. A pool would keep a thread for each of
/// those that came at the same moment once.
pub(crate) async fn in_turn<T, R>(
    slot: &mut Option<Box<T>>,
    op: &'static str,
    call: impl FnOnce(&mut T) -> Result<R> + Send + 'static,
) -> Result<R>
where
    T: Send + 'static,
    R: Send + 'static,
{
    static TURN: Semaphore = Semaphore::const_new(1);
    /// Holds one job at most: the turn is kept until it is done.
    static THREAD: LazyLock<Option<mpsc::SyncSender<Job>>> = LazyLock::new(|| {
        let (jobs, queue) = mpsc::sync_channel::<Job>(1);
        let run = move || queue.iter().for_each(|job| job());
        let thread = std::thread::Builder::new().name("file looks".to_owned());
        thread.spawn(run).ok().map(|_| jobs)
    });
    let turn = timeout(TURN_MAX, TURN.acquire()).await;
    let (Some(thread), Ok(turn)) = (&*THREAD, turn) else {
        return blocking(slot, op, call).await;
    };
    let (mut lent, call) = lend(slot, op, call)?;
    let (done, answered) = oneshot::channel();
    let job: Job = Box::new(move || {
        // A panic ends the call, not the thread that makes the others.
        let call = std::panic::AssertUnwindSafe(|| call(&mut lent));
        if let Ok(answer) = std::panic::catch_unwind(call) {
            let _ = done.send((lent, answer));
        }
        drop(turn);
    });
    thread
        .send(job)
        .map_err(|_| Error::bug(op, "the thread that looks at files has ended"))?;
    give_back(slot, op, answered.await)
}

type Lent<T, F> = (Box<T>, F);

/// Takes the content out for a call on another thread, whose log lines say which task they are about, too.
fn lend<T, R, F: FnOnce(&mut T) -> Result<R>>(
    slot: &mut Option<Box<T>>,
    op: &'static str,
    call: F,
) -> Result<Lent<T, impl FnOnce(&mut T) -> Result<R> + use<T, R, F>>> {
    let lent = slot
        .take()
        .ok_or_else(|| Error::bug(op, "a call came after close, or after one that was dropped"))?;
    let span = tracing::Span::current();
    Ok((lent, move |lent: &mut T| span.in_scope(|| call(lent))))
}

fn give_back<T, R, E>(
    slot: &mut Option<Box<T>>,
    op: &'static str,
    done: Result<(Box<T>, Result<R>), E>,
) -> Result<R>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let (lent, answer) =
        done.map_err(|error| Error::bug(op, "the call panicked").because(error))?;
    *slot = Some(lent);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_hangs_or_panics_holds_up_no_other() {
        let (go_on, hangs) = mpsc::channel::<()>();
        let hanging = tokio::spawn(async move {
            let mut slot = Some(Box::new(hangs));
            in_turn(&mut slot, "poll", |hangs| Ok(hangs.recv().is_ok())).await
        });
        for number in 0..3 {
            let mut slot = Some(Box::new(number));
            let same = in_turn(&mut slot, "poll", |number| Ok(*number)).await;
            assert_eq!(same.expect("an answer"), number);
            assert!(slot.is_some(), "it came back");
        }
        go_on.send(()).expect("it waits");
        assert!(hanging.await.expect("no panic").expect("an answer"));

        let mut slot = Some(Box::new(()));
        let error = in_turn(&mut slot, "poll", |()| -> Result<()> {
            panic!("on purpose")
        })
        .await;
        let error = error.expect_err("it panicked");
        assert!(error.message().contains("panicked"), "{error}");
        let mut slot = Some(Box::new(1));
        assert_eq!(
            in_turn(&mut slot, "poll", |one| Ok(*one))
                .await
                .expect("goes on"),
            1
        );
    }
}
