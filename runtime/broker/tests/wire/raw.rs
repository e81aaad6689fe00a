//! A broker with small limits, and a client that writes its own frames.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};
use longshore_broker::{Broker, Config, Limits};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A broker in memory with small limits, on a runtime of its own.
pub(crate) struct Rig {
    pub(crate) bootstrap: String,
    running: Option<(tokio::runtime::Runtime, Broker)>,
}

impl Rig {
    pub(crate) fn start() -> Result<Rig> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let limits = Limits {
            connections: 4,
            request_bytes: 1 << 20,
            requests_in_flight_bytes: 2 << 20,
            ..Default::default()
        };
        let broker = runtime.block_on(Broker::start(Config {
            limits,
            ..Default::default()
        }))?;
        Ok(Rig {
            bootstrap: broker.bootstrap(),
            running: Some((runtime, broker)),
        })
    }

    pub(crate) fn connect(&self) -> Result<TcpStream> {
        let socket = TcpStream::connect(&self.bootstrap)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some((runtime, broker)) = self.running.take() {
            runtime.block_on(broker.shutdown());
        }
    }
}

pub(crate) fn frame<Q: Request>(version: i16, request: &Q) -> Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(Q::KEY)
        .with_request_api_version(version)
        .with_correlation_id(7);
    let mut body = BytesMut::new();
    body.put_i32(0);
    header
        .encode(&mut body, Q::header_version(version))
        .and_then(|()| request.encode(&mut body, version))
        .map_err(|e| anyhow::anyhow!("{e}"))?;
    let length = (body.len() - 4) as i32;
    body[..4].copy_from_slice(&length.to_be_bytes());
    Ok(body.freeze())
}

pub(crate) fn read_frame(socket: &mut TcpStream) -> Result<Bytes> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let mut body = vec![0; i32::from_be_bytes(length) as usize];
    socket.read_exact(&mut body)?;
    Ok(Bytes::from(body))
}

pub(crate) fn call<Q: Request>(
    socket: &mut TcpStream,
    version: i16,
    request: &Q,
) -> Result<Q::Response> {
    socket.write_all(&frame(version, request)?)?;
    let mut body = read_frame(socket)?;
    ensure!(body.get_i32() == 7, "another correlation id");
    if Q::Response::header_version(version) > 0 {
        body.advance(1);
    }
    Q::Response::decode(&mut body, version).map_err(|e| anyhow::anyhow!("{e}"))
}
