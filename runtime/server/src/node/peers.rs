//! Calls to the other workers of the group, over HTTP.

use crate::{
    rest::{self, ALGORITHM, ANSWER, HMAC_SHA_256, SIGNATURE, Signer, Tls},
    trust,
};
use anyhow::Result;
use bytes::{Bytes, BytesMut};
use longshore_engine::ports::{Member, Peers};
use longshore_kafka::Who;
use longshore_sdk::{Error, ErrorKind, erased::Boxed};
use reqwest::{Client, Response, StatusCode, header, redirect::Policy};
use rustls::ClientConfig;
use serde::Deserialize;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

/// A worker that takes longer to be connected to is not there.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// The longest call: no request takes longer.
const CALL_MAX: Duration = Duration::from_secs(90);
/// The longest question who answers.
const WHO_MAX: Duration = Duration::from_secs(4);
/// Shorter than a worker keeps an idle connection: one that is being closed is not used again.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// Calls at once; further ones wait (I6).
const CALLS_MAX: usize = 64;
/// The largest answer that is read: a config, and what stands around it (I6).
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The clients for the others. Cheap to clone.
#[derive(Clone)]
pub(super) struct HttpPeers(Arc<Inner>);

struct Inner {
    /// The worker's own https, whose trust and certificate it also calls with.
    tls: Option<Arc<Tls>>,
    plain: Client,
    /// For https; made when it is first needed, and again whenever the certificates have changed.
    secure: Mutex<Option<(u64, Client)>>,
    seats: Semaphore,
}

#[derive(Deserialize)]
struct WhoAnswers {
    incarnation: String,
}

impl HttpPeers {
    /// Calls with the https settings of this worker's own listeners, where it has them.
    pub(super) fn new(tls: Option<Arc<Tls>>) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            tls,
            plain: client(trust::client(false, None, None)?)?,
            secure: Mutex::default(),
            seats: Semaphore::new(CALLS_MAX),
        })))
    }

    /// Asks a URL which start of a worker answers there.
    pub(super) fn who(&self) -> Who {
        let peers = self.clone();
        Arc::new(move |member: &Member| {
            let (peers, member) = (peers.clone(), member.clone());
            Box::pin(async move { peers.answers_at(&member).await })
        })
    }
    /// Warns where this worker cannot be called at the address that it tells the others: they forward to it.
    pub(super) async fn look_at(&self, me: &Member) {
        let found = self.answers_at(me).await;
        if found.as_deref() == Some(me.incarnation.as_str()) {
            return;
        }
        let problem = match found {
            None => "nobody answers",
            Some(_) => "another worker answers",
        };
        tracing::warn!(
            url = %me.url(),
            problem,
            "this worker cannot be called at its advertised address, where other workers of its group send requests: look at rest.advertised.host.name, rest.advertised.port, rest.advertised.listener and listeners"
        );
    }
    /// `None` = nobody does, or not in time.
    async fn answers_at(&self, member: &Member) -> Option<String> {
        let client = self.client(member).await.ok()?;
        let url = format!("{}{}", member.url(), rest::WORKER);
        let asked = async {
            let response = client.get(url).send().await.ok()?;
            let found = response.status() == StatusCode::OK;
            let body = read(response).await.ok().filter(|_| found)?;
            let who: WhoAnswers = serde_json::from_slice(&body).ok()?;
            Some(who.incarnation)
        };
        tokio::time::timeout(WHO_MAX, asked).await.ok().flatten()
    }

    async fn client(&self, to: &Member) -> Result<Client, Error> {
        if !to.https {
            return Ok(self.0.plain.clone());
        }
        let inner = Arc::clone(&self.0);
        // The certificates of the system and of files are read: not on a thread that moves records.
        let made = tokio::task::spawn_blocking(move || inner.secure()).await;
        made.map_err(|_| Error::bug("ask", "making a client panicked"))?
            .map_err(|error| {
                let text = format!("workers cannot be called over https: {error:#}");
                Error::transient("ask", text)
            })
    }

    async fn ask(&self, to: &Member, key: &[u8], body: Bytes) -> Result<Bytes, Error> {
        let client = self.client(to).await?;
        let _seat = self.0.seats.acquire().await;
        let signer = Signer::new(key);
        let signature = signer.call(&body);
        let request = client
            .post(format!("{}{}", to.url(), rest::COMMAND))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(SIGNATURE, &signature)
            .header(ALGORITHM, HMAC_SHA_256)
            .body(body);
        let sent = request.send().await;
        let response = sent.map_err(|error| unreachable(to, error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => {
                let text = format!("the worker at {} refuses the signature", to.url());
                return Err(Error::new(ErrorKind::Auth, "ask", text));
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                return Err(not_a_worker(to));
            }
            status => {
                let text = format!("the worker at {} answers {status}", to.url());
                return Err(Error::transient("ask", text));
            }
        }
        let signed = response.headers().get(ANSWER);
        let signed = signed.and_then(|value| value.to_str().ok());
        let signed = signed.unwrap_or_default().to_owned();
        let answer = read(response).await.map_err(|error| cut_off(to, &error))?;
        if signer.is_answer(&signature, &answer, &signed) {
            Ok(answer)
        } else {
            Err(not_a_worker(to))
        }
    }
}

impl Inner {
    fn secure(&self) -> Result<Client> {
        let generation = self.tls.as_ref().map_or(0, |tls| tls.generation());
        let mut made = self.secure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, client)) = &*made
            && *of == generation
        {
            return Ok(client.clone());
        }
        let config = match &self.tls {
            Some(tls) => tls.as_client()?,
            None => trust::client(true, None, None)?,
        };
        let fresh = client(config)?;
        *made = Some((generation, fresh.clone()));
        Ok(fresh)
    }
}

impl Peers for HttpPeers {
    fn ask<'a>(
        &'a self,
        to: &'a Member,
        key: &'a [u8],
        body: Bytes,
    ) -> Boxed<'a, longshore_sdk::Result<Bytes>> {
        Box::pin(HttpPeers::ask(self, to, key, body))
    }
}

fn client(tls: ClientConfig) -> Result<Client> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        // Workers reach each other without help, and a command goes where it is signed for.
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_MAX)
        .timeout(CALL_MAX)
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(CALLS_MAX)
        .build()?;
    Ok(client)
}

async fn read(mut response: Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("it has more than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// An address that others cannot reach is the most common mistake of a new cluster: the text names the keys that mend it.
fn unreachable(to: &Member, error: reqwest::Error) -> Error {
    // The causes say it: reqwest's own text is only that there was an error.
    let whole = format!("{:#}", anyhow::Error::new(error));
    let url = to.url();
    let text = if to.https && (whole.contains("certificate") || whole.contains("UnknownIssuer")) {
        format!(
            "the certificate of the worker at {url} is not trusted: set listeners.https.ssl.truststore.location on this worker to a PEM file with those to trust: {whole}"
        )
    } else {
        format!(
            "the worker at {url} cannot be reached: where that is not its address for other workers, set its rest.advertised.host.name, rest.advertised.port or listeners: {whole}"
        )
    };
    Error::transient("ask", text)
}

fn not_a_worker(to: &Member) -> Error {
    let text = format!(
        "what answers at {} is not the worker that its group knows there: look at that worker's rest.advertised.host.name, rest.advertised.port and listeners",
        to.url()
    );
    Error::transient("ask", text)
}

fn cut_off(to: &Member, error: &str) -> Error {
    let text = format!(
        "the answer of the worker at {} was cut off: {error}",
        to.url()
    );
    Error::transient("ask", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn member(port: u16) -> Member {
        Member {
            worker_id: format!("127.0.0.1:{port}"),
            incarnation: "a".to_owned(),
            https: false,
        }
    }

    async fn told(to: &Member) -> Error {
        let peers = HttpPeers::new(None).expect("clients");
        let asked = peers.ask(to, &[7; 32], Bytes::from_static(b"{}")).await;
        asked.expect_err("nobody of the group is there")
    }

    /// Answers every request like this.
    async fn serve(answer: &'static str) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_reached_is_told_with_the_keys_that_mend_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let port = listener.expect("a port").local_addr().expect("one").port();
        let error = told(&member(port)).await;
        assert_eq!(error.kind(), ErrorKind::Transient);
        for word in [
            &format!("http://127.0.0.1:{port}"),
            "rest.advertised.host.name",
            "rest.advertised.port",
            "listeners",
        ] {
            assert!(error.message().contains(word), "{word}: {error}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_signed_is_of_no_worker() {
        let forged = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        let error = told(&member(serve(forged).await)).await;
        assert!(error.message().contains("is not the worker"), "{error}");
        let moved = "HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let error = told(&member(serve(moved).await)).await;
        assert!(error.message().contains("307"), "not followed: {error}");
        let refuses = "HTTP/1.1 403 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let error = told(&member(serve(refuses).await)).await;
        assert_eq!(error.kind(), ErrorKind::Auth);
    }

    #[tokio::test]
    async fn who_answers_is_asked_of_whoever_is_there() {
        let other = "HTTP/1.1 200 OK\r\ncontent-length: 35\r\nconnection: close\r\n\r\n{\"worker_id\":\"w\",\"incarnation\":\"b\"}";
        let who = HttpPeers::new(None).expect("clients").who();
        assert_eq!(who(&member(serve(other).await)).await.as_deref(), Some("b"));
        let nobody = "HTTP/1.1 503 Later\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert_eq!(who(&member(serve(nobody).await)).await, None);
    }
}
