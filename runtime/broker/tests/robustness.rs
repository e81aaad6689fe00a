//! What clients must not be able to do: lie about sizes, take all connections, bring the broker down.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    FetchRequest, MetadataRequest, MetadataResponse, RequestHeader, TopicName,
    create_topics_request, fetch_request,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use longshore_broker::{Broker, Config, Limits};

const PATIENCE: Duration = Duration::from_secs(20);

/// A broker in memory with small limits, on a runtime of its own.
struct Rig {
    bootstrap: String,
    running: Option<(tokio::runtime::Runtime, Broker)>,
}

impl Rig {
    fn start() -> Result<Rig> {
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

    fn connect(&self) -> Result<TcpStream> {
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

fn frame<Q: Request>(version: i16, request: &Q) -> Result<Bytes> {
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

fn read_frame(socket: &mut TcpStream) -> Result<Bytes> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let mut body = vec![0; i32::from_be_bytes(length) as usize];
    socket.read_exact(&mut body)?;
    Ok(Bytes::from(body))
}

fn call<Q: Request>(socket: &mut TcpStream, version: i16, request: &Q) -> Result<Q::Response> {
    socket.write_all(&frame(version, request)?)?;
    let mut body = read_frame(socket)?;
    ensure!(body.get_i32() == 7, "another correlation id");
    if Q::Response::header_version(version) > 0 {
        body.advance(1);
    }
    Q::Response::decode(&mut body, version).map_err(|e| anyhow::anyhow!("{e}"))
}

/// The broker closed this connection.
fn closed(socket: &mut TcpStream) -> bool {
    matches!(socket.read(&mut [0; 16]), Ok(0))
        || socket.take_error().is_ok_and(|e| e.is_some())
        || socket.write(&[0]).is_err()
}

fn alive(rig: &Rig) -> Result<()> {
    let answer: MetadataResponse = call(
        &mut rig.connect()?,
        1,
        &MetadataRequest::default().with_topics(None),
    )?;
    ensure!(answer.brokers.len() == 1);
    Ok(())
}

#[test]
fn bad_frames_close_their_connection_and_nothing_else() -> Result<()> {
    let rig = Rig::start()?;
    let mut lying = BytesMut::new();
    lying.put_i32(20);
    lying.put_i16(ApiKey::Metadata as i16);
    lying.put_i16(1);
    lying.put_i32(7);
    lying.put_i16(-1);
    lying.put_i32(i32::MAX);
    lying.put_slice(&[0; 6]);
    let bad: [&[u8]; 7] = [
        &i32::MAX.to_be_bytes(),
        &(-5i32).to_be_bytes(),
        &[0, 0, 0, 1, 0],
        &[0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 10, 0, 3, 0x7f, 0, 0, 0, 0, 0, 0, 0],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &lying,
    ];
    for bytes in bad {
        let mut socket = rig.connect()?;
        socket.write_all(bytes)?;
        ensure!(
            closed(&mut socket),
            "{bytes:?} was not answered with a close"
        );
        alive(&rig)?;
    }
    Ok(())
}

#[test]
fn random_bytes_do_not_bring_the_broker_down() -> Result<()> {
    let rig = Rig::start()?;
    for _ in 0..300 {
        let mut bytes: Vec<u8> = (0..rand::random_range(8..200))
            .map(|_| rand::random())
            .collect();
        // A plausible header, so that the rest reaches the decoders.
        bytes[..2].copy_from_slice(&rand::random_range(0..45i16).to_be_bytes());
        bytes[2..4].copy_from_slice(&rand::random_range(0..9i16).to_be_bytes());
        let mut socket = rig.connect()?;
        socket.write_all(&(bytes.len() as i32).to_be_bytes())?;
        socket.write_all(&bytes)?;
        // Answered or not, the broker hangs up when the client has nothing more to say.
        socket.shutdown(std::net::Shutdown::Write)?;
        let _ = socket.read_to_end(&mut Vec::new());
    }
    alive(&rig)
}

#[test]
fn connections_beyond_the_limit_are_refused_until_others_go() -> Result<()> {
    let rig = Rig::start()?;
    let mut sockets = (0..4).map(|_| rig.connect()).collect::<Result<Vec<_>>>()?;
    for socket in &mut sockets {
        call(socket, 0, &ApiVersionsRequest::default())?;
    }
    let mut fifth = rig.connect()?;
    ensure!(closed(&mut fifth), "a fifth connection was served");
    drop(sockets);
    let begun = std::time::Instant::now();
    while alive(&rig).is_err() {
        ensure!(begun.elapsed() < PATIENCE, "the places do not become free");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn a_client_that_is_newer_is_told_what_is_spoken() -> Result<()> {
    let rig = Rig::start()?;
    let mut socket = rig.connect()?;
    let mut newer = frame(3, &ApiVersionsRequest::default())?.to_vec();
    newer[6..8].copy_from_slice(&99i16.to_be_bytes());
    socket.write_all(&newer)?;
    let mut body = read_frame(&mut socket)?;
    body.advance(4);
    let answer = ApiVersionsResponse::decode(&mut body, 0).map_err(|e| anyhow::anyhow!("{e}"))?;
    ensure!(
        answer.error_code == 35
            && answer
                .api_keys
                .iter()
                .any(|k| k.api_key == 18 && k.max_version == 3)
    );
    let answer = call(&mut socket, 3, &ApiVersionsRequest::default())?;
    ensure!(answer.error_code == 0 && answer.api_keys.len() > 20);
    Ok(())
}

#[test]
fn every_version_of_fetch_is_answered_by_its_deadline() -> Result<()> {
    let rig = Rig::start()?;
    let mut socket = rig.connect()?;
    let name = || TopicName(StrBytes::from_static_str("t"));
    let topic = create_topics_request::CreatableTopic::default()
        .with_name(name())
        .with_num_partitions(1)
        .with_replication_factor(1);
    let created: CreateTopicsResponse = call(
        &mut socket,
        4,
        &CreateTopicsRequest::default().with_topics(vec![topic]),
    )?;
    ensure!(created.topics[0].error_code == 0);
    for version in 4..=11 {
        let partition = fetch_request::FetchPartition::default().with_partition_max_bytes(1000);
        let topic = fetch_request::FetchTopic::default()
            .with_topic(name())
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_wait_ms(50)
            .with_min_bytes(1)
            .with_max_bytes(1000)
            .with_topics(vec![topic]);
        let answer = call(
            &mut socket,
            version,
            &request.with_session_epoch(if version >= 7 { -1 } else { 0 }),
        )?;
        let row = &answer.responses[0].partitions[0];
        ensure!(
            (
                row.error_code,
                row.high_watermark,
                row.records.as_ref().map(Bytes::len)
            ) == (0, 0, Some(0)),
            "version {version}: {row:?}"
        );
    }
    Ok(())
}
