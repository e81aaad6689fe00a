//! Starts an Apache Kafka for tests, prints `KAFKA_BOOTSTRAP=host:port`, and keeps it until standard input ends.

use anyhow::Result;

fn main() -> Result<()> {
    let kafka = longshore_kit::servers::Kafka::start()?;
    println!("KAFKA_BOOTSTRAP={}", kafka.bootstrap());
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    drop(kafka);
    Ok(())
}
