//! The HTTP server: connections, their limits and their end.

use super::{Tls, access::Peer, stall::Stall};
use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use axum::{Router, extract::Request};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::{Layer, util::MapRequestLayer};

/// Connections served at once; further ones wait in the listener's queue.
const CONNECTIONS_MAX: usize = 512;
/// A client that takes longer for its request's head is cut off.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// A client that takes longer to agree on TLS is cut off.
const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(10);
/// A client that takes nothing of its answer for longer is cut off.
const READ_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long requests in progress may take to finish when the server stops.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(5);

/// Binds the listener, so that a taken port is known before anything else starts.
pub(crate) async fn bind(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("the REST API cannot listen on {address}: choose another address with the worker key listeners")
    })
}

/// Serves until `stop`, then lets requests in progress finish. With `tls` it speaks https and nothing else.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    routes: Router,
    stop: CancellationToken,
) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let seat = tokio::select! {
            () = stop.cancelled() => break,
            seat = Arc::clone(&seats).acquire_owned() => seat,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (tls, routes, stop) = (tls.clone(), routes.clone(), stop.clone());
                connections.spawn(async move {
                    match tls {
                        Some(tls) => secured(stream, peer, &tls, routes, stop).await,
                        None => connection(stream, plain(peer), routes, stop).await,
                    }
                    drop(seat);
                });
            }
            Err(error) => {
                // Out of file descriptors or the like: waiting a little beats spinning.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_WAIT_MAX, drained).await.is_err() {
        tracing::warn!("requests were cut off by the stop");
    }
}

fn plain(address: SocketAddr) -> Peer {
    Peer {
        address,
        https: false,
        certificate: None,
    }
}

async fn secured(
    stream: TcpStream,
    address: SocketAddr,
    tls: &Tls,
    routes: Router,
    stop: CancellationToken,
) {
    let handshake = tokio::time::timeout(HANDSHAKE_WAIT_MAX, tls.acceptor().accept(stream));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = stop.cancelled() => return,
    };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(peer = %address, %error, "no TLS was agreed on");
            return;
        }
        Err(_) => {
            tracing::debug!(peer = %address, "TLS was not agreed on in time");
            return;
        }
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(|chain| chain.first()).map(|own| {
        let hash = digest(&SHA256, own).as_ref()[..8].to_vec();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Arc::from(hex)
    });
    let peer = Peer {
        address,
        https: true,
        certificate,
    };
    connection(stream, peer, routes, stop).await;
}

async fn connection<S>(stream: S, peer: Peer, routes: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let address = peer.address;
    let known = move |mut request: Request<_>| {
        request.extensions_mut().insert(peer.clone());
        request
    };
    let service = TowerToHyperService::new(MapRequestLayer::new(known).layer(routes));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .serve_connection(TokioIo::new(Stall::new(stream, READ_WAIT_MAX)), service);
    tokio::pin!(serving);
    let mut asked = false;
    let result = loop {
        tokio::select! {
            result = &mut serving => break result,
            () = stop.cancelled(), if !asked => {
                asked = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(peer = %address, %error, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::{CancellationToken, Router, connection, plain};
    use axum::routing::get;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;

    #[tokio::test(start_paused = true)]
    async fn i6_a_client_that_never_reads_is_cut_off() {
        let (mut client, server) = tokio::io::duplex(512);
        let routes = Router::new().route("/", get(async || "x".repeat(4096)));
        let peer = plain(([127, 0, 0, 1], 1).into());
        let serving = tokio::spawn(connection(server, peer, routes, CancellationToken::new()));
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(request).await.expect("sent");
        let ended = tokio::time::timeout(Duration::from_secs(300), serving).await;
        ended.expect("its seat is free again").expect("no panic");
        drop(client);
    }
}
