//! The embedded development broker inside a process.

use super::until_signal;
use crate::settings::WorkerSettings;
use anyhow::{Context, Result};
use longshore_broker::{Broker, Config};
use std::path::Path;

const DEFAULT_LISTEN: &str = "127.0.0.1:9092";

/// Starts the broker of a worker: at the address of the settings, else at Kafka's usual one, else at a free port.
pub(crate) async fn start(settings: &WorkerSettings) -> Result<Broker> {
    let data = settings.data_dir.join("broker");
    match &settings.broker_listen {
        Some(listen) => open(listen, &data).await,
        None if is_free(DEFAULT_LISTEN).await => open(DEFAULT_LISTEN, &data).await,
        None => open("127.0.0.1:0", &data).await,
    }
}

async fn is_free(address: &str) -> bool {
    tokio::net::TcpListener::bind(address).await.is_ok()
}

async fn open(listen: &str, data: &Path) -> Result<Broker> {
    let config = Config {
        listen: listen.to_owned(),
        data_dir: Some(data.to_owned()),
        ..Config::default()
    };
    Broker::start(config).await.with_context(|| {
        format!(
            "the embedded broker cannot start on {listen} with data in {}",
            data.display()
        )
    })
}

/// `longshore broker`: the broker alone, until a signal.
pub(crate) async fn serve(listen: &str, data: &Path) -> Result<()> {
    let broker = open(listen, data).await?;
    until_signal().await;
    broker.shutdown().await;
    Ok(())
}
