//! Requests, sent by the host: only to addresses that the operator granted, with credentials that the plugin never sees.

use crate::abi::longshore::connector::http as abi;
use crate::secret::{Kept, Secret};
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, time::Duration};

/// A request, built step by step: `http::get(url).header("Accept", "application/json").send()?`.
#[derive(Clone)]
#[must_use = "a request does nothing before it is sent"]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// The address.
    pub url: String,
    /// Names and values; a name may occur more than once.
    pub headers: Vec<(String, String)>,
    /// What is sent along.
    pub body: Option<Vec<u8>>,
    timeout: Duration,
    credential: Option<abi::Credential>,
    response_max: u32,
    redirects_max: u32,
}

/// A GET request.
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// A POST request.
pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

impl Request {
    /// A request without headers and body, within the host's limits, that follows no redirect.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            timeout: Duration::ZERO,
            credential: None,
            response_max: 0,
            redirects_max: 0,
        }
    }
    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
    /// Adds a parameter to the address, encoded.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let (address, fragment) = match self.url.split_once('#') {
            Some((address, fragment)) => (address.to_owned(), Some(fragment.to_owned())),
            None => (self.url.clone(), None),
        };
        let joint = match address.find('?') {
            None => "?",
            Some(at) if at + 1 == address.len() || address.ends_with('&') => "",
            Some(_) => "&",
        };
        self.url = format!("{address}{joint}{}={}", encoded(name), encoded(value));
        if let Some(fragment) = fragment {
            self.url.push('#');
            self.url.push_str(&fragment);
        }
        self
    }
    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }
    /// Sets the body, and says that it is JSON. Errors of kind fatal: the value does not serialise.
    pub fn json(self, value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value)
            .map_err(|error| Error::fatal(format!("a body does not serialise: {error}")))?;
        Ok(self.header("Content-Type", "application/json").body(body))
    }
    /// For all of it; longer than the host's limit counts as that.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
    /// How large an answer may be; more than the host's limit counts as that.
    pub fn response_max(mut self, bytes: u32) -> Self {
        self.response_max = bytes;
        self
    }
    /// How many redirects are followed. A credential does not follow to another origin.
    pub fn redirects(mut self, max: u32) -> Self {
        self.redirects_max = max;
        self
    }
    /// `Authorization: Bearer <secret>`
    pub fn bearer(self, secret: &Secret) -> Self {
        self.place(secret, abi::Placement::Bearer)
    }
    /// `Authorization: Basic`, with this user and the secret as password.
    pub fn basic(self, user: &str, secret: &Secret) -> Self {
        self.place(secret, abi::Placement::Basic(user.to_owned()))
    }
    /// The secret as the value of a header.
    pub fn secret_header(self, name: &str, secret: &Secret) -> Self {
        self.place(secret, abi::Placement::Header(name.to_owned()))
    }
    fn place(mut self, secret: &Secret, placement: abi::Placement) -> Self {
        match secret.kept() {
            Kept::Key(key) => {
                self.credential = Some(abi::Credential {
                    key: key.clone(),
                    placement,
                });
                self
            }
            Kept::Revealed(value) => match placement {
                abi::Placement::Bearer => self.header("Authorization", format!("Bearer {value}")),
                abi::Placement::Basic(user) => {
                    let pair = base64(format!("{user}:{value}").as_bytes());
                    self.header("Authorization", format!("Basic {pair}"))
                }
                abi::Placement::Header(name) => self.header(name, value.clone()),
            },
        }
    }
    /// The config key whose secret the host puts into the request.
    pub fn credential_key(&self) -> Option<&str> {
        self.credential.as_ref().map(|credential| &*credential.key)
    }
    /// Sends it. An answer of any status is ok (see [`Response::ok`]); an address that is not granted is an error of kind config.
    pub fn send(self) -> Result<Response> {
        host::send(self)
    }
    /// The same with the body left open, for what is large or endless.
    pub fn open(self) -> Result<Opened> {
        host::open(self)
    }
    #[cfg(target_family = "wasm")]
    fn abi(self) -> abi::Request {
        abi::Request {
            method: self.method,
            url: self.url,
            headers: self.headers,
            body: self.body,
            timeout_ms: u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX),
            credential: self.credential,
            max_response_bytes: self.response_max,
            redirects_max: self.redirects_max,
        }
    }
}

/// Values of headers may be secrets: only their names are shown.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let body = self.body.as_ref().map(Vec::len);
        write!(
            f,
            "{} {} (headers {names:?}, body {body:?})",
            self.method, self.url
        )
    }
}

/// Sends several, at most `concurrency` at once; answers come in the order of the requests.
pub fn send_all(requests: Vec<Request>, concurrency: u32) -> Vec<Result<Response>> {
    host::send_all(requests, concurrency)
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What came along.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of a name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
    /// The body as JSON. Errors of kind data: it is none, or of another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::data(format!(
                "the answer is not the JSON that is expected: {error}"
            ))
            .with("status", self.status)
        })
    }
    /// The answer, if its status is 2xx; else an error of the kind that the status calls for: 401 and 403 auth, 429 and a 503 with
    /// `Retry-After` rate-limited, 408, 425 and other 5xx transient, everything else config. The body is not quoted.
    pub fn ok(self) -> Result<Self> {
        match self.status {
            200..=299 => Ok(self),
            _ => Err(self.error()),
        }
    }
    /// The error that [`Response::ok`] makes of the status.
    pub fn error(&self) -> Error {
        let status = self.status;
        let retry_after = self.retry_after();
        match status {
            401 | 403 => Error::auth(format!("the server answers {status}: check the credential")),
            429 => Error::rate_limited("the server answers 429: too many requests", retry_after),
            503 if retry_after.is_some() => {
                Error::rate_limited("the server answers 503: it is busy", retry_after)
            }
            408 | 425 | 500..=599 => Error::transient(format!("the server answers {status}")),
            _ => Error::config(format!("the server answers {status}: check the address")),
        }
    }
    /// `Retry-After`, where it is a number of seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.header("Retry-After")?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

/// An answer whose body is still open.
#[derive(Debug)]
pub struct Opened {
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What comes along.
    pub body: Body,
}

/// A body that is read bit by bit; dropping it closes the connection.
#[derive(Debug)]
pub struct Body(host::Open);

impl Body {
    /// The next bytes, at most `max`; `None` = the end.
    pub fn read(&mut self, max: u32) -> Result<Option<Vec<u8>>> {
        let bytes = self.0.read(max)?;
        Ok((!bytes.is_empty()).then_some(bytes))
    }
}

/// Percent-encodes everything but unreserved characters.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[digit as usize]));
            }
        }
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            if place <= chunk.len() {
                let digit = (word >> (18 - 6 * place)) & 63;
                out.push(char::from(DIGITS[digit as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(target_family = "wasm")]
mod host {
    use super::{Request, Response, abi};
    use crate::Result;

    fn answer(
        answer: std::result::Result<abi::Response, crate::abi::longshore::connector::types::Error>,
    ) -> Result<Response> {
        let answer = answer?;
        Ok(Response {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        })
    }
    pub(super) fn send(request: Request) -> Result<Response> {
        answer(abi::send(&request.abi()))
    }
    pub(super) fn open(request: Request) -> Result<super::Opened> {
        let opened = abi::open(&request.abi())?;
        Ok(super::Opened {
            status: opened.status,
            headers: opened.headers,
            body: super::Body(Open(opened.body)),
        })
    }
    #[derive(Debug)]
    pub(super) struct Open(abi::Body);

    impl Open {
        pub(super) fn read(&mut self, max: u32) -> Result<Vec<u8>> {
            Ok(self.0.read(max)?)
        }
    }
    pub(super) fn send_all(requests: Vec<Request>, concurrency: u32) -> Vec<Result<Response>> {
        let requests: Vec<abi::Request> = requests.into_iter().map(Request::abi).collect();
        let answers = abi::send_all(&requests, concurrency);
        answers.into_iter().map(answer).collect()
    }
}

#[cfg(not(target_family = "wasm"))]
mod host {
    use super::{Request, Response};
    use crate::Result;

    pub(super) fn send(request: Request) -> Result<Response> {
        crate::testing::answer(&request)
    }
    pub(super) fn open(request: Request) -> Result<super::Opened> {
        let answer = send(request)?;
        Ok(super::Opened {
            status: answer.status,
            headers: answer.headers,
            body: super::Body(Open(answer.body)),
        })
    }
    #[derive(Debug)]
    pub(super) struct Open(Vec<u8>);

    impl Open {
        // The host's can fail.
        #[allow(clippy::unnecessary_wraps)]
        pub(super) fn read(&mut self, max: u32) -> Result<Vec<u8>> {
            let rest = self.0.split_off(self.0.len().min(max as usize));
            Ok(std::mem::replace(&mut self.0, rest))
        }
    }
    pub(super) fn send_all(requests: Vec<Request>, _: u32) -> Vec<Result<Response>> {
        requests.into_iter().map(send).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, testing};

    #[test]
    fn parameters_are_added_and_encoded() {
        let url = |url: &str| get(url).query("a b", "ü&=").url;
        assert_eq!(url("http://x/y"), "http://x/y?a%20b=%C3%BC%26%3D");
        assert_eq!(url("http://x/y?z=1"), "http://x/y?z=1&a%20b=%C3%BC%26%3D");
        assert_eq!(url("http://x/y?"), "http://x/y?a%20b=%C3%BC%26%3D");
        assert_eq!(url("http://x/y#f"), "http://x/y?a%20b=%C3%BC%26%3D#f");
    }

    #[test]
    fn a_credential_is_named_where_it_is_hidden_and_sent_where_it_is_not() {
        let hidden = get("http://x").bearer(&Secret::of_key("auth.token"));
        assert_eq!(hidden.credential_key(), Some("auth.token"));
        assert!(hidden.headers.is_empty());
        let revealed: Secret = serde_json::from_str(r#""pässword""#).expect("a secret");
        let request = get("http://x").basic("user", &revealed);
        assert_eq!(request.credential_key(), None);
        assert_eq!(request.headers[0].1, "Basic dXNlcjpww6Rzc3dvcmQ=");
        assert!(!format!("{request:?}").contains("dXNlcjpww6"));
    }

    #[test]
    fn statuses_become_the_kind_that_calls_for_the_right_reaction() {
        let kind = |status, header: &[(&str, &str)]| {
            let headers = header
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let response = Response {
                status,
                headers: headers.collect(),
                body: Vec::new(),
            };
            let error = response.ok().expect_err("a failure");
            (error.kind(), error.retry_after())
        };
        assert_eq!(kind(401, &[]), (ErrorKind::Auth, None));
        assert_eq!(kind(404, &[]), (ErrorKind::Config, None));
        assert_eq!(kind(500, &[]), (ErrorKind::Transient, None));
        let seconds = Some(Duration::from_secs(7));
        assert_eq!(
            kind(429, &[("retry-after", "7")]),
            (ErrorKind::RateLimited, seconds)
        );
        assert_eq!(
            kind(503, &[("Retry-After", "7")]),
            (ErrorKind::RateLimited, seconds)
        );
        assert_eq!(
            kind(429, &[("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")]),
            (ErrorKind::RateLimited, None)
        );
    }

    #[test]
    fn tests_answer_requests() {
        testing::answer_http(|request| {
            Ok(Response {
                status: 200,
                body: request.url.clone().into_bytes(),
                ..Response::default()
            })
        });
        let answers = send_all(vec![get("http://x/1"), get("http://x/2")], 2);
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[1].as_ref().expect("an answer").body, b"http://x/2");
        let mut opened = get("http://x/3").open().expect("an answer");
        assert_eq!(
            opened.body.read(6).expect("a part").as_deref(),
            Some(&b"http:/"[..])
        );
        assert_eq!(
            opened.body.read(99).expect("a part").as_deref(),
            Some(&b"/x/3"[..])
        );
        assert_eq!(opened.body.read(99).expect("the end"), None);
    }
}
