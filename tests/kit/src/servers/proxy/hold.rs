//! Holds: from a pattern on, one direction of one connection stands still until it is released.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::sync::watch;

use super::super::port::wait_until;

/// A longer pattern is a mistake of the test.
const PATTERN_MAX: usize = 256;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// Which bytes are to be held.
#[derive(Clone, Debug)]
pub struct Hold {
    side: Side,
    pattern: Vec<u8>,
    after: Option<Vec<u8>>,
    skip: u32,
}

impl Hold {
    /// Holds what the client sends, from the first byte of `pattern` on (or, where reads cut the pattern, from its second part on: the
    /// server never sees it whole).
    pub fn client(pattern: impl Into<Vec<u8>>) -> Self {
        Self::new(Side::Client, pattern.into())
    }

    /// Holds what the server sends, in the same way.
    pub fn server(pattern: impl Into<Vec<u8>>) -> Self {
        Self::new(Side::Server, pattern.into())
    }

    fn new(side: Side, pattern: Vec<u8>) -> Self {
        assert!(
            (1..=PATTERN_MAX).contains(&pattern.len()),
            "a pattern has 1 to {PATTERN_MAX} bytes"
        );
        Self {
            side,
            pattern,
            after: None,
            skip: 0,
        }
    }

    /// Only on a connection that has carried `earlier` in the same direction since the hold was placed.
    pub fn after(mut self, earlier: impl Into<Vec<u8>>) -> Self {
        let earlier = earlier.into();
        assert!(
            (1..=PATTERN_MAX).contains(&earlier.len()),
            "a pattern has 1 to {PATTERN_MAX} bytes"
        );
        self.after = Some(earlier);
        self
    }

    /// Lets the pattern pass this often on a connection first.
    pub fn skip(mut self, times: u32) -> Self {
        self.skip = times;
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Holding,
    Released,
}

/// A placed hold. Dropped, it is released.
#[derive(Debug)]
pub struct Holding {
    placed: Arc<Placed>,
}

impl Holding {
    /// True while a connection stands still because of it.
    pub fn is_holding(&self) -> bool {
        *self.placed.progress.borrow() == Progress::Holding
    }

    /// Blocks until a connection stands still. Errors: none does within `limit`.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        let held = wait_until(limit, || Ok(self.is_holding()))?;
        ensure!(
            held,
            "{:?} has not passed the proxy within {limit:?}",
            String::from_utf8_lossy(&self.placed.hold.pattern)
        );
        Ok(())
    }

    /// The same for async tests, without a limit of its own.
    pub async fn reached(&self) {
        let mut progress = self.placed.progress.subscribe();
        // This value keeps the sender.
        drop(
            progress
                .wait_for(|progress| *progress != Progress::Waiting)
                .await,
        );
    }

    /// Lets the bytes go on, and catches no more.
    pub fn release(&self) {
        self.placed.progress.send_replace(Progress::Released);
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.release();
    }
}

#[derive(Debug)]
pub(super) struct Placed {
    hold: Hold,
    progress: watch::Sender<Progress>,
}

impl Placed {
    /// True for the one direction of a connection that it catches.
    fn take(&self) -> bool {
        self.progress.send_if_modified(|progress| {
            let free = *progress == Progress::Waiting;
            if free {
                *progress = Progress::Holding;
            }
            free
        })
    }

    /// Waits until the bytes may go on.
    pub(super) async fn released(&self) {
        let mut progress = self.progress.subscribe();
        drop(
            progress
                .wait_for(|progress| *progress == Progress::Released)
                .await,
        );
    }
}

/// What one direction of a connection has carried, as far as holds care.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// The last bytes: a pattern may begin in one chunk and end in the next.
    tail: Vec<u8>,
    /// By hold: whether its earlier pattern has passed, and how often its own.
    seen: HashMap<u64, (bool, u32)>,
}

/// All holds of a proxy.
#[derive(Debug, Default)]
pub(super) struct Holds {
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    /// How many were ever placed.
    count: u64,
    /// Those that may still catch or hold, by number.
    placed: Vec<(u64, Arc<Placed>)>,
}

impl Holds {
    pub(super) fn place(&self, hold: Hold) -> Holding {
        let placed = Arc::new(Placed {
            hold,
            progress: watch::Sender::new(Progress::Waiting),
        });
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.count += 1;
        let number = board.count;
        board
            .placed
            .retain(|(_, placed)| *placed.progress.borrow() != Progress::Released);
        board.placed.push((number, placed.clone()));
        Holding { placed }
    }

    /// Where in `chunk` this direction must stand still, in order, and for which holds.
    pub(super) fn catch(
        &self,
        side: Side,
        watched: &mut Watched,
        chunk: &[u8],
    ) -> Vec<(usize, Arc<Placed>)> {
        let waiting: Vec<(u64, Arc<Placed>)> = {
            let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
            board
                .placed
                .iter()
                .filter(|(_, placed)| {
                    placed.hold.side == side && *placed.progress.borrow() == Progress::Waiting
                })
                .cloned()
                .collect()
        };
        let old = watched.tail.len();
        watched.tail.extend_from_slice(chunk);
        let mut caught = Vec::new();
        for (number, placed) in waiting {
            let seen = watched.seen.entry(number).or_default();
            if let Some(at) = find(&placed.hold, seen, &watched.tail, old)
                && placed.take()
            {
                caught.push((at, placed));
            }
        }
        let keep = watched.tail.len().min(PATTERN_MAX - 1);
        watched.tail.drain(..watched.tail.len() - keep);
        caught.sort_by_key(|(at, _)| *at);
        caught
    }
}

/// Looks through bytes of which the first `old` were looked through before; the place in the rest where the hold begins.
fn find(hold: &Hold, seen: &mut (bool, u32), bytes: &[u8], old: usize) -> Option<usize> {
    let mut from = 0;
    if let Some(after) = hold.after.as_ref().filter(|_| !seen.0) {
        from = occurrences(bytes, after, old).next()? + after.len();
        seen.0 = true;
    }
    for start in occurrences(bytes, &hold.pattern, old).filter(|start| *start >= from) {
        if seen.1 >= hold.skip {
            return Some(start.saturating_sub(old));
        }
        seen.1 += 1;
    }
    None
}

/// Where `pattern` stands in `bytes` with its end beyond the first `old` bytes.
fn occurrences<'a>(
    bytes: &'a [u8],
    pattern: &'a [u8],
    old: usize,
) -> impl Iterator<Item = usize> + 'a {
    let first = (old + 1).saturating_sub(pattern.len());
    bytes[first.min(bytes.len())..]
        .windows(pattern.len())
        .enumerate()
        .filter(move |(_, window)| *window == pattern)
        .map(move |(at, _)| first + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catch(holds: &Holds, watched: &mut Watched, chunk: &[u8]) -> Vec<usize> {
        let caught = holds.catch(Side::Client, watched, chunk);
        caught.into_iter().map(|(at, _)| at).collect()
    }

    #[test]
    fn a_pattern_is_found_whole_cut_skipped_and_once() {
        let holds = Holds::default();
        let mut one = Watched::default();
        let holding = holds.place(Hold::client("COMMIT"));
        assert!(catch(&holds, &mut one, b"xxCOM").is_empty());
        // Its first half is gone: the rest stands still.
        assert_eq!(catch(&holds, &mut one, b"MITyy"), [0]);
        assert!(holding.is_holding());
        assert!(
            catch(&holds, &mut Watched::default(), b"COMMIT").is_empty(),
            "another connection passes"
        );
        drop(holding);

        let mut two = Watched::default();
        let _third = holds.place(Hold::client("COMMIT").skip(2));
        assert!(catch(&holds, &mut two, b"COMMIT").is_empty());
        assert!(catch(&holds, &mut two, b"..").is_empty(), "counted once");
        assert_eq!(catch(&holds, &mut two, b"COMMIT..COMMIT"), [8]);
        let _reply = holds.place(Hold::server("COMMIT"));
        assert!(catch(&holds, &mut two, b"COMMIT").is_empty(), "other side");
    }

    #[test]
    fn only_the_connection_that_carried_the_earlier_pattern() {
        let holds = Holds::default();
        let _held = holds.place(Hold::client("COMMIT").after("ledger"));
        let (mut plain, mut chosen) = (Watched::default(), Watched::default());
        assert!(catch(&holds, &mut plain, b"COMMIT").is_empty());
        assert!(
            catch(&holds, &mut chosen, b"COMMIT led").is_empty(),
            "that COMMIT came before"
        );
        assert_eq!(catch(&holds, &mut chosen, b"ger COMMIT"), [4]);
    }
}
