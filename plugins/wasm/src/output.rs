//! What a guest prints: log lines.

use crate::services::{Journal, Loudness};
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

/// What is kept of a line. It is more than the journal looks at, so that it is the journal that cuts it, and no half of a secret is shown (I8).
const LINE_MAX: usize = 16 * 1024;
/// Lines of one write; the rest of it is left out.
const LINES_MAX: usize = 1_000;
/// The last bytes that are kept for a trap's message.
const TAIL_MAX: usize = 2 * 1024;
/// What one write may bring.
const WRITE_MAX: usize = 64 * 1024;

/// What the guest printed; clones are the same. The journal limits the rate of lines.
#[derive(Clone)]
pub(crate) struct Output {
    journal: Arc<Journal>,
    printed: Arc<Mutex<Printed>>,
}

#[derive(Default)]
struct Printed {
    line: Vec<u8>,
    tail: Vec<u8>,
    /// The line's beginning was logged or left out: what follows up to its end is left out, since it may begin in the middle of a secret.
    skips: bool,
}

impl Output {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self {
            journal,
            printed: Arc::default(),
        }
    }
    fn lock(&self) -> std::sync::MutexGuard<'_, Printed> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn print(&self, bytes: &[u8]) {
        let mut printed = self.lock();
        let last = &bytes[bytes.len().saturating_sub(TAIL_MAX)..];
        printed.tail.extend_from_slice(last);
        let excess = printed.tail.len().saturating_sub(TAIL_MAX);
        printed.tail.drain(..excess);
        let parts = bytes.split_inclusive(|byte| *byte == b'\n');
        for (number, part) in parts.enumerate() {
            if number == LINES_MAX {
                self.journal.leave_out();
                printed.line.clear();
                printed.skips = !bytes.ends_with(b"\n");
                break;
            }
            let ends = part.ends_with(b"\n");
            if !printed.skips {
                let room = LINE_MAX - printed.line.len();
                let fits = part.len() < room;
                let kept = if fits { part } else { &part[..room] };
                printed.line.extend_from_slice(kept);
                if ends || !fits {
                    self.log(&mut printed.line, fits);
                }
                printed.skips = !fits;
            }
            printed.skips &= !ends;
        }
    }
    fn log(&self, line: &mut Vec<u8>, whole: bool) {
        let text = String::from_utf8_lossy(line);
        // One that was cut stays as long as it is: the journal does not show its end.
        let text = if whole { text.trim() } else { &text };
        if !text.is_empty() {
            self.journal.line(Loudness::Info, text);
        }
        line.clear();
    }
    /// A call is over: a line without an end is logged, too. After a call that went well nobody asks what it printed last.
    pub(crate) fn settle(&self, well: bool) {
        let mut printed = self.lock();
        if !printed.line.is_empty() {
            self.log(&mut printed.line, true);
        }
        if well {
            printed.tail.clear();
        }
    }
    /// The end of what was printed.
    pub(crate) fn tail(&self) -> String {
        String::from_utf8_lossy(&self.lock().tail).into_owned()
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Of WASI 0.3 alone, which is not linked.
        Box::new(tokio::io::sink())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Stream(self.clone()))
    }
}

struct Stream(Output);

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        fits(bytes.len())?;
        self.0.print(&bytes);
        Ok(())
    }
    fn write_zeroes(&mut self, count: usize) -> StreamResult<()> {
        // Before they are made.
        fits(count)?;
        self.write(Bytes::from(vec![0; count]))
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_MAX)
    }
}

/// A guest may write more than it was told it may: nobody else looks.
fn fits(count: usize) -> StreamResult<()> {
    if count <= WRITE_MAX {
        return Ok(());
    }
    Err(StreamError::trap(&format!(
        "it wrote {count} bytes to a standard stream at once, {WRITE_MAX} at most are taken"
    )))
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}
