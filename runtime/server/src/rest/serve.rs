//! The HTTP server: connections, their limits and their end.

use anyhow::{Context, Result};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Connections served at once; further ones wait in the listener's queue.
const CONNECTIONS_MAX: usize = 512;
/// A client that takes longer for its request's head is cut off.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long requests in progress may take to finish when the server stops.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(5);

/// Binds the listener, so that a taken port is known before anything else starts.
pub(crate) async fn bind(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("the REST API cannot listen on {address}: choose another address with the worker key listeners")
    })
}

/// Serves until `stop`, then lets requests in progress finish.
pub(crate) async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) {
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
                let (routes, stop) = (routes.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, peer, routes, stop).await;
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

async fn connection(stream: TcpStream, peer: SocketAddr, routes: Router, stop: CancellationToken) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
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
        tracing::debug!(%peer, %error, "connection ended");
    }
}
