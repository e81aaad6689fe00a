//! A guest's request, looked at before anything else happens.

use super::{HttpLimits, credential, failure::config};
use crate::{
    bindings::host::longshore::connector::{http::Request, types::Error},
    grants::Target,
    services::Caller,
};
use bytes::Bytes;
use reqwest::{
    Method, Url,
    header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue},
};

/// Of a URL, in bytes.
const URL_MAX: usize = 16 * 1024;
/// Of a host's name, in bytes: no longer one can be looked up (RFC 1035).
const HOST_MAX: usize = 253;
/// Headers of one request.
const HEADERS_MAX: usize = 100;

/// They belong to the connection, which is the host's.
const FORBIDDEN: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is sent; a redirect makes another of it.
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    pub(super) credential: Option<(HeaderName, HeaderValue)>,
}

/// Whether a guest may not set the header.
pub(super) fn forbidden(name: &HeaderName) -> bool {
    FORBIDDEN.contains(&name.as_str())
}

impl Prepared {
    /// Err (config): it is no request, or beyond a limit.
    pub(super) fn new(
        request: Request,
        caller: &Caller,
        limits: &HttpLimits,
    ) -> Result<Self, Error> {
        let method = method(&request.method)?;
        let url = url(&request.url)?;
        let target = Target::of(&url).ok_or_else(|| {
            let shown: String = url.scheme().chars().take(32).collect();
            config(format!("the scheme {shown:?} is neither http nor https"))
        })?;
        let length = request.body.as_ref().map_or(0, Vec::len);
        if length > limits.request {
            return Err(config(format!(
                "the body of a request to {target} has {length} bytes; at most {} are sent: send less at once",
                limits.request
            )));
        }
        let headers = headers(&request.headers, &url, length, limits)?;
        let credential = request.credential.as_ref();
        let credential = credential.map(|credential| credential::header(credential, caller));
        Ok(Self {
            method,
            url,
            target,
            headers,
            body: request.body.map(Bytes::from),
            credential: credential.transpose()?,
        })
    }
}

fn method(text: &str) -> Result<Method, Error> {
    let method = Method::from_bytes(text.as_bytes()).ok();
    let method =
        method.filter(|method| text.len() <= 32 && !matches!(method.as_str(), "CONNECT" | "TRACE"));
    method.ok_or_else(|| {
        let shown: String = text.chars().take(32).collect();
        config(format!("plugins do not send the method {shown:?}"))
    })
}

fn url(text: &str) -> Result<Url, Error> {
    if text.len() > URL_MAX {
        return Err(config(format!(
            "a URL has {} bytes; at most {URL_MAX} are sent",
            text.len()
        )));
    }
    // It may hold a secret, so that no message quotes it (I8).
    let mut url = Url::parse(text)
        .map_err(|error| config(format!("the URL of a request is none: {error}")))?;
    if !url.has_host() {
        return Err(config("the URL of a request names no host".to_owned()));
    }
    host_fits(&url)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(config(
            "the URL of a request holds a user or a password: name a secret by http.credential instead".to_owned(),
        ));
    }
    url.set_fragment(None);
    Ok(url)
}

/// Err (config): the host's name is too long; messages quote it.
pub(super) fn host_fits(url: &Url) -> Result<(), Error> {
    let host = url.host_str().unwrap_or_default();
    let length = host.strip_suffix('.').unwrap_or(host).len();
    if length > HOST_MAX {
        return Err(config(format!(
            "a URL names a host of {length} bytes; a host's name has {HOST_MAX} at most"
        )));
    }
    Ok(())
}

fn headers(
    given: &[(String, String)],
    url: &Url,
    length: usize,
    limits: &HttpLimits,
) -> Result<HeaderMap, Error> {
    let size: usize = given
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if given.len() > HEADERS_MAX || size > limits.headers {
        return Err(config(format!(
            "a request has {} headers of {size} bytes; at most {HEADERS_MAX} of {} bytes are sent",
            given.len(),
            limits.headers
        )));
    }
    let mut headers = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let shown: String = name.chars().take(100).collect();
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| config(format!("{shown:?} is no name of a header")))?;
        if forbidden(&name) {
            if implied(&name, value, url, length) {
                continue;
            }
            return Err(config(format!(
                "a request sets the header {shown:?}, which is the host's to set: leave it out"
            )));
        }
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            config(format!(
                "the value of the header {shown:?} has a line break or another control character"
            ))
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Whether a header of the host's says what the host will say itself.
fn implied(name: &HeaderName, value: &str, url: &Url, length: usize) -> bool {
    let value = value.trim();
    if *name == HOST {
        let host = url.host_str().unwrap_or_default();
        let with_port = url
            .port_or_known_default()
            .map(|port| format!("{host}:{port}"));
        let bare = url.port().is_none() && value.eq_ignore_ascii_case(host);
        return bare || with_port.is_some_and(|both| value.eq_ignore_ascii_case(&both));
    }
    *name == CONTENT_LENGTH && value.parse() == Ok(length)
}
