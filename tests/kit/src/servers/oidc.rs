//! A token endpoint for tests: OAuth's client credentials grant, tokens signed with RS256.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::certificates::Identity;

/// The largest request.
const REQUEST_MAX: usize = 64 * 1024;

/// How the endpoint answers those whose credentials are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAnswer {
    /// A token that lives so long.
    Token(Duration),
    /// A token that has expired already.
    Expired,
    /// 503.
    Unavailable,
    /// Nothing at all, for as long as the caller waits (a minute at most).
    Silence,
}

/// A running token endpoint. Dropped, it is gone.
pub struct TokenServer {
    port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    keys: KeyPair,
    tls: Option<Arc<rustls::ServerConfig>>,
    client_id: String,
    client_secret: String,
    answer: Mutex<TokenAnswer>,
    asked: AtomicUsize,
    stop: AtomicBool,
}

impl TokenServer {
    /// Starts one on a free loopback port that knows one client; with an identity it speaks https. Tokens name the client as their subject,
    /// `kafka` as their audience and this server as their issuer.
    pub fn start(client_id: &str, client_secret: &str, tls: Option<&Identity>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let inner = Arc::new(Inner {
            keys: KeyPair::generate(KeySize::Rsa2048)?,
            tls: tls.map(server_config).transpose()?,
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            answer: Mutex::new(TokenAnswer::Token(Duration::from_secs(3600))),
            asked: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let served = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.stop.load(Ordering::Acquire) {
                    return;
                }
                let inner = Arc::clone(&served);
                // One thread for each call: callers are the clients of one test.
                std::thread::spawn(move || stream.map(|stream| inner.serve(stream, port)));
            }
        });
        Ok(Self { port, inner })
    }

    /// Where tokens are given out.
    pub fn url(&self) -> String {
        format!("{}/token", self.inner.issuer(self.port))
    }

    /// The keys that these servers sign their tokens with, as brokers read them.
    pub fn jwks(servers: &[&Self]) -> String {
        let keys = servers.iter().map(|server| {
            let (modulus, exponent) = numbers(server.inner.keys.public_key().as_ref());
            json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id(server.port),
                "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(exponent),
            })
        });
        json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
    }

    /// What the endpoint answers from now on.
    pub fn answer(&self, answer: TokenAnswer) {
        let mut slot = self
            .inner
            .answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *slot = answer;
    }

    /// How often it was asked for a token.
    pub fn asked(&self) -> usize {
        self.inner.asked.load(Ordering::Acquire)
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::Release);
        // Wakes the thread that accepts. It may be gone already.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

impl Inner {
    fn issuer(&self, port: u16) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{port}")
    }

    fn serve(&self, stream: TcpStream, port: u16) -> Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        match &self.tls {
            None => self.talk(stream, port),
            Some(config) => {
                let connection = rustls::ServerConnection::new(Arc::clone(config))?;
                self.talk(rustls::StreamOwned::new(connection, stream), port)
            }
        }
    }

    fn talk(&self, mut stream: impl Read + Write, port: u16) -> Result<()> {
        let request = Request::read(&mut stream)?;
        let (status, body) = match request.path.as_str() {
            "/token" => self.token(&request, port)?,
            _ => (404, json!({"error": "not_found"})),
        };
        let body = body.to_string();
        write!(
            stream,
            "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        stream.flush()?;
        Ok(())
    }

    fn token(&self, request: &Request, port: u16) -> Result<(u16, Value)> {
        self.asked.fetch_add(1, Ordering::AcqRel);
        let answer = *self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = STANDARD.encode(format!("{}:{}", self.client_id, self.client_secret));
        let life = match answer {
            TokenAnswer::Unavailable => {
                return Ok((503, json!({"error": "temporarily_unavailable"})));
            }
            TokenAnswer::Silence => {
                for _ in 0..600 {
                    if self.stop.load(Ordering::Acquire) {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
                return Ok((503, json!({})));
            }
            _ if request.authorization != format!("Basic {expected}") => {
                // Some servers repeat what they were sent.
                let text = format!(
                    "no client {} with secret {}",
                    self.client_id,
                    request.secret()
                );
                return Ok((
                    401,
                    json!({"error": "invalid_client", "error_description": text}),
                ));
            }
            _ if !request.body.contains("grant_type=client_credentials") => {
                return Ok((400, json!({"error": "unsupported_grant_type"})));
            }
            TokenAnswer::Expired => -60,
            TokenAnswer::Token(life) => i64::try_from(life.as_secs())?,
        };
        let token = self.signed(life, port)?;
        Ok((
            200,
            json!({"access_token": token, "token_type": "Bearer", "expires_in": life.max(0)}),
        ))
    }

    fn signed(&self, life: i64, port: u16) -> Result<String> {
        let now = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
        let now = i64::try_from(now)?;
        let head = json!({"alg": "RS256", "typ": "JWT", "kid": key_id(port)});
        let claims = json!({
            "sub": self.client_id, "aud": "kafka", "iss": self.issuer(port), "scope": "kafka",
            "iat": now - 120, "exp": now + life,
        });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let text = format!("{}.{}", encode(&head), encode(&claims));
        let mut signature = vec![0; self.keys.public_modulus_len()];
        self.keys
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .ok()
            .context("the token cannot be signed")?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Modulus and exponent of a key of 2,048 bits: DER of two numbers in a sequence, whose lengths are known.
fn numbers(key: &[u8]) -> (&[u8], &[u8]) {
    const MODULUS: usize = 256;
    // Two heads of four bytes, and the zero that keeps the number positive.
    let (modulus, rest) = key[9..].split_at(MODULUS);
    (modulus, &rest[2..])
}

fn key_id(port: u16) -> String {
    format!("kit-{port}")
}

fn server_config(identity: &Identity) -> Result<Arc<rustls::ServerConfig>> {
    let certificates = CertificateDer::pem_slice_iter(identity.certificate.as_bytes());
    let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    Ok(Arc::new(config))
}

struct Request {
    path: String,
    authorization: String,
    body: String,
}

impl Request {
    fn read(stream: &mut impl Read) -> Result<Self> {
        let mut reader = BufReader::new(stream.take(REQUEST_MAX as u64));
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line
            .split(' ')
            .nth(1)
            .context("no HTTP request")?
            .to_owned();
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "authorization" => value.trim().clone_into(&mut authorization),
                _ => {}
            }
        }
        ensure!(length <= REQUEST_MAX, "a request of {length} bytes");
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Self {
            path,
            authorization,
            body: String::from_utf8(body)?,
        })
    }

    /// What was sent as the secret.
    fn secret(&self) -> String {
        let encoded = self.authorization.trim_start_matches("Basic ");
        let pair = STANDARD.decode(encoded).unwrap_or_default();
        let pair = String::from_utf8_lossy(&pair).into_owned();
        pair.split_once(':')
            .map_or_else(String::new, |(_, secret)| secret.to_owned())
    }
}
