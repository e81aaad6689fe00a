//! Free loopback ports, and waiting for a server to answer on one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::http::dial;

/// Below the ports that Linux gives to outgoing connections: one of those could take a server's port while it restarts.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A loopback port that nobody listened on a moment ago; a starter tries again with another when it is taken meanwhile.
pub fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let port = rand::random_range(PORTS);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free loopback port after 100 tries")
}

/// Calls `ready` every 50 ms until it says true; false when `limit` has passed first.
pub fn wait_until(limit: Duration, mut ready: impl FnMut() -> Result<bool>) -> Result<bool> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if ready()? {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    ready()
}

/// True when a Kafka broker answers an ApiVersions request on this loopback port.
pub(super) fn kafka_answers(port: u16) -> bool {
    // Size, api key 18, version 0, correlation id 7, client id "kit".
    const REQUEST: [u8; 17] = [0, 0, 0, 13, 0, 18, 0, 0, 0, 0, 0, 7, 0, 3, b'k', b'i', b't'];
    let Ok(mut stream) = dial(port, Duration::from_secs(5)) else {
        return false;
    };
    let mut head = [0; 10];
    stream.write_all(&REQUEST).is_ok()
        && stream.read_exact(&mut head).is_ok()
        && head[4..] == [0, 0, 0, 7, 0, 0]
}
