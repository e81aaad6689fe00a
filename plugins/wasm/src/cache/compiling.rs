//! Compiling within a time. The compiler cannot be stopped: what is late is left behind on its thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

/// Threads that may be left behind in a process (I6): a worker's start waits for none of them.
const BEHIND_MAX: usize = 4;

static BEHIND: AtomicUsize = AtomicUsize::new(0);

/// What became of work that may take too long.
#[derive(Debug, PartialEq)]
pub(super) enum Bounded<T> {
    Made(T),
    /// It goes on, and `late` gets what it makes.
    Late,
    /// It was not begun: others are late already, as many as may be.
    Crowded,
    Panicked,
    NoThread(String),
}

/// Does work on a thread of its own, and waits for it until `max` has passed. Work that is late is left behind; `late` gets what it makes.
pub(super) fn bounded<T: Send + 'static>(
    max: Duration,
    work: impl FnOnce() -> T + Send + 'static,
    late: impl FnOnce(T) + Send + 'static,
) -> Bounded<T> {
    if BEHIND.load(Ordering::SeqCst) >= BEHIND_MAX {
        return Bounded::Crowded;
    }
    // No room in the channel: what is sent was received, or comes back.
    let (sender, receiver) = mpsc::sync_channel(0);
    let place = Place::default();
    let own = place.clone();
    let run = move || {
        // A panic, too, frees the place.
        let _freed = Freed(own);
        if let Err(mpsc::SendError(made)) = sender.send(work()) {
            late(made);
        }
    };
    let thread = std::thread::Builder::new().name("plugin-compiler".into());
    if let Err(error) = thread.spawn(run) {
        return Bounded::NoThread(error.to_string());
    }
    match receiver.recv_timeout(max) {
        Ok(made) => Bounded::Made(made),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            BEHIND.fetch_add(1, Ordering::SeqCst);
            place.leave();
            Bounded::Late
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Bounded::Panicked,
    }
}

/// Of a thread that may be left behind: set by whichever comes first, its end or who leaves it; the second of them takes it off the count.
#[derive(Clone, Default)]
struct Place(Arc<AtomicBool>);

impl Place {
    fn leave(&self) {
        if self.0.swap(true, Ordering::SeqCst) {
            BEHIND.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The thread has ended.
struct Freed(Place);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn work_that_panics_is_an_error() {
        let answer = bounded(LONG, || -> u32 { panic!("on purpose") }, |_| ());
        assert_eq!(answer, Bounded::Panicked);
        assert_eq!(bounded(LONG, || 1, |_| ()), Bounded::Made(1));
    }

    #[test]
    fn work_that_is_late_is_left_behind_and_what_it_makes_is_kept() {
        let (go, gone) = mpsc::channel();
        let (keep, kept) = mpsc::channel();
        let work = move || gone.recv().expect("somebody says so");
        let answer = bounded(Duration::from_millis(1), work, move |made: u32| {
            keep.send(made).expect("somebody looks");
        });
        assert_eq!(answer, Bounded::Late);
        go.send(7).expect("it waits");
        assert_eq!(kept.recv_timeout(LONG), Ok(7));
    }
}
