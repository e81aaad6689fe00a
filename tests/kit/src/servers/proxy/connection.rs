//! One connection: bytes of both directions, in little memory.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::hold::{Holds, Side, Watched};
use super::{Asked, Mode, until};

/// What one direction holds at most.
const CHUNK: usize = 16 * 1024;

/// Carries a connection to its end, or until a cut; what ended in error on one side is reset on the other.
pub(super) async fn carry(
    mut client: TcpStream,
    upstream: SocketAddr,
    asked: watch::Receiver<Asked>,
    holds: Arc<Holds>,
) {
    let mut server = None;
    let mut cuts = asked.clone();
    let born = asked.borrow().cuts;
    let orderly = tokio::select! {
        _ = until(&mut cuts, |asked| asked.cuts > born) => false,
        done = forward(&mut client, (&mut server, upstream), asked, &holds) => done.is_ok(),
    };
    if !orderly {
        for end in [Some(client), server].into_iter().flatten() {
            // A socket that refuses the option is closed in order instead; either way it ends.
            drop(end.set_zero_linger());
        }
    }
}

async fn forward(
    client: &mut TcpStream,
    (server, upstream): (&mut Option<TcpStream>, SocketAddr),
    mut asked: watch::Receiver<Asked>,
    holds: &Holds,
) -> io::Result<()> {
    // In a black hole the connection attempt is lost as well.
    passing(&mut asked).await?;
    let server = server.insert(TcpStream::connect(upstream).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    tokio::try_join!(
        pump(from_client, to_server, Side::Client, asked.clone(), holds),
        pump(from_server, to_client, Side::Server, asked, holds),
    )?;
    Ok(())
}

/// One direction, to its end.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    side: Side,
    mut asked: watch::Receiver<Asked>,
    holds: &Holds,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut watched = Watched::default();
    loop {
        passing(&mut asked).await?;
        let length = from.read(&mut chunk).await?;
        // It may have closed while this waited for bytes.
        let delay = passing(&mut asked).await?;
        tokio::time::sleep(delay).await;
        if length == 0 {
            return to.shutdown().await;
        }
        let mut sent = 0;
        for (at, caught) in holds.catch(side, &mut watched, &chunk[..length]) {
            to.write_all(&chunk[sent..at]).await?;
            sent = at;
            caught.released().await;
            passing(&mut asked).await?;
        }
        to.write_all(&chunk[sent..length]).await?;
    }
}

/// Waits while nothing may pass; the delay of what passes then.
async fn passing(asked: &mut watch::Receiver<Asked>) -> io::Result<Duration> {
    match until(asked, |asked| asked.mode != Mode::BlackHole).await {
        Some(asked) => Ok(asked.delay),
        None => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}
