//! A client that writes its own frames: for what our clients never send.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::RequestHeader,
    protocol::{Decodable, Encodable, Request, StrBytes},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) fn open(bootstrap: &str) -> Self {
        Self(TcpStream::connect(bootstrap).expect("a connection"))
    }
    /// Asks and waits. Only for versions whose answers have plain headers.
    pub(crate) fn call<Q: Request>(&mut self, version: i16, request: &Q) -> Q::Response {
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str("raw")));
        let mut body = BytesMut::new();
        header
            .encode(&mut body, Q::header_version(version))
            .and_then(|()| request.encode(&mut body, version))
            .expect("encodes");
        let mut frame = BytesMut::new();
        frame.put_i32(i32::try_from(body.len()).expect("small"));
        frame.extend_from_slice(&body);
        self.0.write_all(&frame).expect("sent");
        let mut length = [0; 4];
        self.0.read_exact(&mut length).expect("an answer");
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length");
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).expect("an answer");
        let mut answer = Bytes::from(answer);
        answer.advance(4);
        Q::Response::decode(&mut answer, version).expect("decodes")
    }
}
