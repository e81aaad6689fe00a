//! HTTP servers on loopback.

use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) version: hyper::Version,
    pub(super) headers: hyper::HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[derive(Default)]
struct Counted {
    connections: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
}

/// A server that goes with the test's runtime.
pub(super) struct Server {
    pub(super) port: u16,
    counted: Arc<Counted>,
    /// Of a server with TLS: its certificate.
    pub(super) ca: Option<(tempfile::TempDir, PathBuf)>,
}

pub(super) type Answer = Pin<Box<dyn Future<Output = Response<String>> + Send>>;

pub(super) fn answer(status: u16, body: impl Into<String>) -> Response<String> {
    let answer = Response::builder().status(status);
    answer.body(body.into()).expect("an answer")
}

pub(super) fn to(status: u16, location: &str) -> Response<String> {
    let answer = Response::builder().status(status);
    let answer = answer.header("location", location);
    answer.body(String::new()).expect("an answer")
}

impl Server {
    /// Answers at once.
    pub(super) async fn new(
        answer: impl Fn(&Seen) -> Response<String> + Send + Sync + 'static,
    ) -> Self {
        Self::slow(move |seen| {
            let answer = answer(seen);
            Box::pin(async { answer })
        })
        .await
    }
    pub(super) async fn slow(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), 0, answer).await
    }
    pub(super) async fn at(
        address: IpAddr,
        port: u16,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let (listener, mut server) = Self::listen(address, port).await;
        let (counted, answer) = (server.counted.clone(), Arc::new(answer));
        server.ca = None;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, false, counted.clone(), answer.clone()));
            }
        });
        server
    }
    /// TLS with HTTP/2, under a name.
    pub(super) async fn secure(
        name: &str,
        answer: impl Fn(&Seen) -> Response<String> + Send + Sync + 'static,
    ) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a certificate with its key");
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let tls = TlsAcceptor::from(Arc::new(tls));
        let (listener, mut server) = Self::listen(Ipv4Addr::LOCALHOST.into(), 0).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, cert.pem()).expect("a file");
        server.ca = Some((folder, file));
        let counted = server.counted.clone();
        let answer = Arc::new(move |seen: &Seen| -> Answer {
            let answer = answer(seen);
            Box::pin(async { answer })
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let (tls, counted, answer) = (tls.clone(), counted.clone(), answer.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, true, counted, answer).await;
                    }
                });
            }
        });
        server
    }
    /// Reads the head of a request and leaves the rest to `then`.
    pub(super) async fn raw<F: Future<Output = ()> + Send>(
        then: impl Fn(TcpStream) -> F + Send + Sync + Clone + 'static,
    ) -> Self {
        let (listener, server) = Self::listen(Ipv4Addr::LOCALHOST.into(), 0).await;
        let counted = server.counted.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let then = then.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    then(stream).await;
                });
            }
        });
        server
    }
    async fn listen(address: IpAddr, port: u16) -> (TcpListener, Self) {
        let listener = TcpListener::bind(SocketAddr::new(address, port));
        let listener = listener.await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let server = Self {
            port,
            counted: Arc::default(),
            ca: None,
        };
        (listener, server)
    }
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
    /// What grants it by its address.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
    pub(super) fn connections(&self) -> usize {
        self.counted.connections.load(Ordering::SeqCst)
    }
    /// The most requests that were in flight at once.
    pub(super) fn most(&self) -> usize {
        self.counted.most.load(Ordering::SeqCst)
    }
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.counted.seen.lock().expect("not poisoned").clone()
    }
}

/// Writes for as long as somebody reads.
pub(super) async fn write(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).await.is_ok()
}

async fn serve<S, A>(stream: S, second: bool, counted: Arc<Counted>, answer: Arc<A>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(&Seen) -> Answer + Send + Sync + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (counted, answer) = (counted.clone(), answer.clone());
        async move {
            let now = counted.now.fetch_add(1, Ordering::SeqCst) + 1;
            counted.most.fetch_max(now, Ordering::SeqCst);
            let seen = seen(request).await;
            counted
                .seen
                .lock()
                .expect("not poisoned")
                .push(seen.clone());
            let answer = answer(&seen).await;
            counted.now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Infallible>(answer)
        }
    });
    let stream = TokioIo::new(stream);
    // A client that goes away is no error of the server's.
    let _ = if second {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.serve_connection(stream, service).await
    } else {
        let server = hyper::server::conn::http1::Builder::new();
        server.serve_connection(stream, service).await
    };
}

async fn seen(request: Request<Incoming>) -> Seen {
    let (head, body) = request.into_parts();
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) =
        poll_fn(|context| hyper::body::Body::poll_frame(body.as_mut(), context)).await
    {
        let data: Bytes = frame.into_data().unwrap_or_default();
        bytes.extend_from_slice(&data);
    }
    Seen {
        method: head.method.to_string(),
        uri: head.uri.to_string(),
        version: head.version,
        headers: head.headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Nothing, for as long as anybody waits.
pub(super) async fn never() {
    poll_fn(|_| Poll::<()>::Pending).await;
}
