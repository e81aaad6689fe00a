//! Runs the development broker until it is interrupted: `serve HOST:PORT [DATA_DIR]`. Prints the bootstrap address on its first line.

use std::time::Duration;

use longshore_broker::{Broker, Config};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let listen = args.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let config = Config {
        listen,
        data_dir: args.next().map(Into::into),
        log_check_interval: Duration::from_millis(500),
        ..Default::default()
    };
    let broker = Broker::start(config).await?;
    println!("{}", broker.bootstrap());
    tokio::signal::ctrl_c().await?;
    broker.shutdown().await;
    Ok(())
}
