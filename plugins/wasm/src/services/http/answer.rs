//! An answer that is read to its end.

use super::{Http, exchange::Started, failure};
use crate::bindings::host::longshore::connector::{http::Response, types::Error};
use reqwest::header::HeaderMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::{Instant, timeout_at};

/// Names and values.
pub(super) type Headers = Vec<(String, String)>;

/// Room that is made for a body before any of it has come.
const AHEAD_MAX: usize = 64 * 1024;

/// Bytes that all answers of one call may have together.
pub(super) struct Budget {
    left: AtomicUsize,
    all: usize,
}

impl Budget {
    pub(super) fn new(all: usize) -> Self {
        Self {
            left: AtomicUsize::new(all),
            all,
        }
    }
    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok()
    }
    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Reads the body: at most `max` bytes, which are taken from the budget before they are kept.
pub(super) async fn whole(
    started: Started,
    max: usize,
    budget: &Budget,
    until: Instant,
    http: &Http,
) -> Result<Response, Error> {
    let Started {
        target,
        mut response,
    } = started;
    let too_long = || {
        failure::config(format!(
            "{target} answers with more than {max} bytes, the most that is read: ask for less at once, or open the body"
        ))
    };
    let announced = response.content_length().unwrap_or(0);
    if announced > max as u64 {
        return Err(too_long());
    }
    let too_much = || {
        failure::config(format!(
            "the answers of one call have more than {} bytes together: send fewer requests at once",
            budget.all
        ))
    };
    let head = size(response.headers());
    if !budget.take(head) {
        return Err(too_much());
    }
    let mut body = Vec::with_capacity((announced as usize).min(AHEAD_MAX));
    let read = async {
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| http.clean(failure::unreachable(&target, error)))?
        {
            if body.len() + chunk.len() > max {
                return Err(too_long());
            }
            if !budget.take(chunk.len()) {
                return Err(too_much());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(())
    };
    let read = timeout_at(until, read).await;
    if let Err(error) = read.unwrap_or_else(|_| Err(failure::late(&target))) {
        budget.give_back(head + body.len());
        return Err(error);
    }
    Ok(Response {
        status: response.status().as_u16(),
        headers: headers(response.headers()),
        body,
    })
}

/// Names and values together, in bytes.
pub(super) fn size(headers: &HeaderMap) -> usize {
    let sizes = headers.iter();
    sizes
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// Values that are no UTF-8 are read as Latin-1, which every byte is.
pub(super) fn headers(headers: &HeaderMap) -> Headers {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
        .collect()
}
