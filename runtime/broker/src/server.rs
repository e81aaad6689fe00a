//! Accepting connections, reading frames, writing answers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::task::TaskTracker;

use crate::dispatch::{Bad, Call, Reply, dispatch};
use crate::node::{Node, Peer};

/// Bytes reserved at a time while a frame arrives.
const CHUNK: usize = 64 * 1024;
/// A frame that has begun must go on at least this often.
const STALLED: Duration = Duration::from_secs(30);
/// Smallest frame: a request header.
const MIN_FRAME: usize = 8;

/// Accepts until the node stops.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(node.config.limits.connections));
    loop {
        let accepted = tokio::select! {
            () = node.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (socket, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(%remote, limit = node.config.limits.connections, "connection refused: the limit is reached");
            continue;
        };
        let node = node.clone();
        tasks.spawn(async move {
            let _place = place;
            if let Err(reason) = Box::pin(connection(node, socket, remote)).await {
                tracing::debug!(%remote, reason, "connection closed");
            }
        });
    }
}

async fn connection(
    node: Arc<Node>,
    socket: TcpStream,
    remote: std::net::SocketAddr,
) -> Result<(), String> {
    socket.set_nodelay(true).map_err(|e| e.to_string())?;
    let local = socket.local_addr().map_err(|e| e.to_string())?;
    let peer = Peer {
        node: node.clone(),
        local,
        remote,
    };
    let mut wire = Wire {
        socket,
        buffer: BytesMut::new(),
    };
    let work = async {
        while let Some((frame, room)) = wire.frame(&node).await? {
            let reply = {
                let call = Call::parse(frame).map_err(bad)?;
                dispatch(&peer, &call).await.map_err(bad)?
            };
            // The request is gone: its room must not wait for a client that is slow to read.
            drop(room);
            if let Reply::Frame(pieces) = reply {
                wire.write(pieces).await.map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    };
    tokio::select! {
        () = node.stop.cancelled() => Ok(()),
        done = work => done,
    }
}

fn bad(Bad(reason): Bad) -> String {
    tracing::warn!(reason, "bad request: the connection is closed");
    reason
}

struct Wire {
    socket: TcpStream,
    buffer: BytesMut,
}

impl Wire {
    /// The next frame, and for a large one the room it takes; `None` when the client hung up between frames.
    async fn frame<'a>(
        &mut self,
        node: &'a Node,
    ) -> Result<Option<(Bytes, Option<SemaphorePermit<'a>>)>, String> {
        while self.buffer.len() < 4 {
            if !self.more(CHUNK).await? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err("hung up within a frame".into())
                };
            }
        }
        let length = (&self.buffer[..4]).get_i32();
        let limits = &node.config.limits;
        let length = usize::try_from(length)
            .ok()
            .filter(|l| (MIN_FRAME..=limits.request_bytes).contains(l));
        let Some(length) = length else {
            return Err(bad(Bad(format!(
                "frame length {:?} is not within {MIN_FRAME}..={}",
                &self.buffer[..4],
                limits.request_bytes
            ))));
        };
        let room = if length > CHUNK {
            let whole = (limits.requests_in_flight_bytes / 1024) as u32;
            let needed = (length.div_ceil(1024) as u32).min(whole);
            Some(
                node.receiving
                    .acquire_many(needed)
                    .await
                    .map_err(|e| e.to_string())?,
            )
        } else {
            None
        };
        while self.buffer.len() < 4 + length {
            // Room grows with what has arrived, so that a length alone reserves nothing.
            let missing = 4 + length - self.buffer.len();
            if !self.more(missing.min(self.buffer.len().max(CHUNK))).await? {
                return Err("hung up within a frame".into());
            }
        }
        self.buffer.advance(4);
        Ok(Some((self.buffer.split_to(length).freeze(), room)))
    }

    /// Reads some bytes; `false` at the end. Within a frame the client must not stall.
    async fn more(&mut self, room: usize) -> Result<bool, String> {
        let idle = self.buffer.is_empty();
        if idle && self.buffer.capacity() > CHUNK {
            // A quiet connection does not sit on the room of its last large request.
            self.buffer = BytesMut::new();
        }
        if idle {
            self.socket.readable().await.map_err(|e| e.to_string())?;
        }
        self.buffer.reserve(room.min(CHUNK.max(self.buffer.len())));
        let read = self.socket.read_buf(&mut self.buffer);
        let read = if idle {
            read.await
        } else {
            tokio::time::timeout(STALLED, read)
                .await
                .map_err(|_| "stalled within a frame".to_owned())?
        };
        read.map(|n| n > 0).map_err(|e| e.to_string())
    }

    async fn write(&mut self, pieces: Vec<Bytes>) -> io::Result<()> {
        for piece in pieces {
            self.socket.write_all(&piece).await?;
        }
        Ok(())
    }
}
