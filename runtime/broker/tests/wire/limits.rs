//! What clients must not be able to do: lie about sizes, take all connections, bring the broker down.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::Decodable;

use crate::raw::{PATIENCE, Rig, call, frame, read_frame};

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
