//! Where an answer sends a request on to (RFC 9110, 15.4).

use super::{
    failure::config,
    request::{Prepared, host_fits},
};
use crate::{bindings::host::longshore::connector::types::Error, grants::Target};
use reqwest::{
    Method, StatusCode,
    header::{AUTHORIZATION, COOKIE, HeaderMap, LOCATION},
};

/// What describes a body that is not sent again.
const ABOUT_BODY: &[&str] = &[
    "content-encoding",
    "content-language",
    "content-location",
    "content-type",
    "digest",
    "content-digest",
    "last-modified",
];

/// Whether the answer names another place; it may be no redirect after all.
pub(super) fn is(status: StatusCode, headers: &HeaderMap) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && headers.contains_key(LOCATION)
}

/// The request that follows. Err (config): the place is none.
pub(super) fn next(
    sent: Prepared,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Prepared, Error> {
    let odd = |why: &str| config(format!("{} redirects to {why}", sent.target));
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let url = location.and_then(|location| sent.url.join(location).ok());
    let mut url = url.ok_or_else(|| odd("what is no URL"))?;
    let target = Target::of(&url).ok_or_else(|| odd("what is neither http nor https"))?;
    host_fits(&url)?;
    // A server's idea of our user is of no use; an http(s) URL takes both.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    let mut next = Prepared {
        url,
        target: target.clone(),
        ..sent
    };
    let becomes_get = match status.as_u16() {
        301 | 302 => next.method == Method::POST,
        303 => next.method != Method::GET && next.method != Method::HEAD,
        _ => false,
    };
    if becomes_get {
        next.method = Method::GET;
        next.body = None;
        ABOUT_BODY.iter().for_each(|name| {
            next.headers.remove(*name);
        });
    }
    Ok(next)
}

/// What was meant for one origin does not go to another, not even if that one sends it back (I8).
pub(super) fn forget_credentials(request: &mut Prepared) {
    if let Some((name, _)) = request.credential.take() {
        request.headers.remove(name);
    }
    request.headers.remove(AUTHORIZATION);
    request.headers.remove(COOKIE);
}
