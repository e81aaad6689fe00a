//! A blocking HTTP client for loopback servers: enough for REST calls in tests, and no runtime behind it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The status and body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as text, empty when there is none.
    pub body: String,
}

impl Answer {
    /// The body as JSON; `Null` when it is empty. Errors: it is no JSON.
    pub fn json(&self) -> Result<Value> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {}", self.body))
    }
}

/// Asks the loopback server on `port`. Errors: it cannot be reached, or its answer is no HTTP/1.1.
pub fn http(port: u16, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
    http_with_head(port, method, path, body).map(|(answer, _)| answer)
}

/// The same with the answer's head: the status line and the header fields as they came.
pub fn http_with_head(
    port: u16,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(Answer, String)> {
    let mut stream = dial(port, Duration::from_secs(100))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAccept: application/json\r\n"
    );
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        request.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes)
}

/// The status code of `GET path`; `None` while nobody answers.
pub fn http_status(port: u16, path: &str) -> Option<u16> {
    let mut stream = dial(port, Duration::from_secs(15)).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head[9..]).ok()?.parse().ok()
}

pub(super) fn dial(port: u16, patience: Duration) -> Result<TcpStream> {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(patience))?;
    Ok(stream)
}

fn parse(bytes: &[u8]) -> Result<(Answer, String)> {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("the answer has no end of its head")?;
    let head = std::str::from_utf8(&bytes[..end])?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("no HTTP status: {head}"))?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunk(&bytes[end + 4..])?
    } else {
        bytes[end + 4..].to_vec()
    };
    let answer = Answer {
        status,
        body: String::from_utf8(body)?,
    };
    Ok((answer, head.to_owned()))
}

fn unchunk(mut bytes: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = bytes
            .windows(2)
            .position(|window| window == b"\r\n")
            .context("a chunk has no length")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line])?.trim(), 16)?;
        if size == 0 {
            return Ok(body);
        }
        let Some(chunk) = bytes.get(line + 2..line + 2 + size) else {
            bail!("a chunk ends early")
        };
        body.extend_from_slice(chunk);
        bytes = bytes.get(line + 4 + size..).context("a chunk has no end")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_length_and_in_chunks() {
        let (plain, head) =
            parse(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}").expect("parses");
        assert_eq!(
            plain,
            Answer {
                status: 201,
                body: "{}".into()
            }
        );
        assert_eq!(head, "HTTP/1.1 201 Created\r\nContent-Length: 2");
        let (chunked, _) = parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n").expect("parses");
        assert_eq!(chunked.body, "[1,2]");
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n[1").is_err());
    }
}
