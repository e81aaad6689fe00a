//! Signals that ask to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Returns on SIGINT or SIGTERM. A second one ends the process at once: whoever presses Ctrl-C twice means it.
pub(crate) async fn until_signal() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        tracing::error!("signals cannot be watched: the process can only be killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::warn!("stopped by a second signal: nothing is drained");
        std::process::exit(130);
    });
}
