//! A TCP proxy before a server, with faults that a test turns on and off: cut, refuse, black hole, delay, hold.
//!
//! It runs on a thread of its own, so that blocking and async tests steer it by the same calls.

mod connection;
mod hold;

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};

use super::port::free_port;
use hold::Holds;
pub use hold::{Hold, Holding};

/// More connections than this wait in the listener's queue.
const CONNECTIONS_MAX: usize = 256;

/// What happens to bytes and to new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    /// Nobody listens.
    Refuse,
    /// Nothing passes, nothing closes.
    BlackHole,
}

/// What the test has asked for; connections watch it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    mode: Mode,
    delay: Duration,
    /// A connection made before the latest cut is reset.
    cuts: u64,
}

/// A proxy on a free loopback port. Dropped, it closes its connections and stops listening.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    asked: watch::Sender<Asked>,
    listening: watch::Receiver<bool>,
    holds: Arc<Holds>,
    open: Arc<()>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens before the server at `upstream` (`host:port`), which need not run yet. Errors: the name is unknown, no free port.
    pub fn start(upstream: &str) -> Result<Self> {
        let upstream = upstream
            .to_socket_addrs()
            .with_context(|| format!("{upstream} is no host:port"))?
            .next()
            .with_context(|| format!("{upstream} has no address"))?;
        let mut last = None;
        // Another process may take the chosen port first.
        for _ in 0..3 {
            match Self::listen(upstream, free_port()?) {
                Ok(proxy) => return Ok(proxy),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no start was tried")?)
    }

    fn listen(upstream: SocketAddr, port: u16) -> Result<Self> {
        let (asked, watched) = watch::channel(Asked {
            mode: Mode::Open,
            delay: Duration::ZERO,
            cuts: 0,
        });
        let (said, listening) = watch::channel(false);
        let (stop, stopped) = oneshot::channel();
        let holds = Arc::new(Holds::default());
        let open = Arc::new(());
        let door = Door {
            port,
            upstream,
            asked: watched,
            listening: said,
            holds: holds.clone(),
            open: open.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("proxy".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = door.serve() => {}
                        _ = stopped => {}
                    }
                });
                // Connections end with the runtime, without waiting for anyone.
                runtime.shutdown_background();
            })?;
        let proxy = Self {
            port,
            asked,
            listening,
            holds,
            open,
            stop: Some(stop),
            thread: Some(thread),
        };
        proxy.wait_listening(true)?;
        Ok(proxy)
    }

    /// The loopback port that clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` for clients.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Resets every open connection (RST to both ends), those that a hold keeps too; new ones are welcome.
    pub fn cut(&self) {
        self.asked.send_modify(|asked| asked.cuts += 1);
    }

    /// Resets every open connection and listens no longer: the next connect is refused, until [`Proxy::heal`].
    /// Errors: it still listens after ten seconds.
    pub fn refuse(&self) -> Result<()> {
        self.asked.send_modify(|asked| {
            asked.mode = Mode::Refuse;
            asked.cuts += 1;
        });
        self.wait_listening(false)
    }

    /// Lets nothing pass and closes nothing, until [`Proxy::heal`]: what a cable that was pulled looks like. New connections are accepted by
    /// the kernel and never answered. What was on its way arrives after the healing, as a network's retransmission would have it.
    pub fn black_hole(&self) {
        self.asked.send_modify(|asked| asked.mode = Mode::BlackHole);
    }

    /// Ends [`Proxy::refuse`], [`Proxy::black_hole`] and [`Proxy::delay`]. Holds stay. Errors: the port was taken meanwhile.
    pub fn heal(&self) -> Result<()> {
        self.asked.send_modify(|asked| {
            asked.mode = Mode::Open;
            asked.delay = Duration::ZERO;
        });
        self.wait_listening(true)
    }

    /// Each chunk (at most 16 KiB) of either direction waits this long before it is passed on.
    pub fn delay(&self, delay: Duration) {
        self.asked.send_modify(|asked| asked.delay = delay);
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        // The proxy's and the door's own.
        Arc::strong_count(&self.open).saturating_sub(2)
    }

    /// Places a hold; it catches the first connection that fits, and only that one.
    pub fn hold(&self, hold: Hold) -> Holding {
        self.holds.place(hold)
    }

    fn wait_listening(&self, wanted: bool) -> Result<()> {
        for _ in 0..2000 {
            if *self.listening.borrow() == wanted {
                return Ok(());
            }
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                bail!("the proxy cannot listen on port {}", self.port);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!(
            "the proxy on port {} does not {}",
            self.port,
            if wanted { "listen" } else { "stop listening" }
        )
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A proxy that panicked has shown so already.
            drop(thread.join());
        }
    }
}

/// The side of the proxy that accepts.
struct Door {
    port: u16,
    upstream: SocketAddr,
    asked: watch::Receiver<Asked>,
    listening: watch::Sender<bool>,
    holds: Arc<Holds>,
    /// One clone for each connection.
    open: Arc<()>,
}

impl Door {
    /// Accepts until the proxy is dropped; ends early only when its port cannot be had.
    async fn serve(self) {
        loop {
            let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await else {
                return;
            };
            self.listening.send_replace(true);
            self.accept(listener).await;
            // The listener is closed: from here on the kernel refuses.
            self.listening.send_replace(false);
            let mut asked = self.asked.clone();
            if until(&mut asked, |asked| asked.mode != Mode::Refuse)
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Accepts until connections are to be refused.
    async fn accept(&self, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut asked = self.asked.clone();
        let refused = until(&mut asked, |asked| asked.mode == Mode::Refuse);
        tokio::pin!(refused);
        loop {
            let next = async {
                let permit = room.clone().acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, client) = tokio::select! {
                _ = &mut refused => return,
                next = next => next,
            };
            // Out of file descriptors, or a client that went away again: the next one may fare better.
            let (Ok(permit), Ok((client, _))) = (permit, client) else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let (upstream, asked, holds) = (self.upstream, self.asked.clone(), self.holds.clone());
            let open = self.open.clone();
            tokio::spawn(async move {
                connection::carry(client, upstream, asked, holds).await;
                drop((permit, open));
            });
        }
    }
}

/// Waits for what the test asks for; `None` when the proxy is gone.
async fn until(
    asked: &mut watch::Receiver<Asked>,
    good: impl FnMut(&Asked) -> bool,
) -> Option<Asked> {
    asked.wait_for(good).await.ok().map(|asked| *asked)
}

#[cfg(test)]
mod tests;
