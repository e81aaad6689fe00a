//! What an answer says about the records that were sent.

use crate::settings::Conflict;
use longshore_guest::{Error, Result, http::Response};

/// The server has judged.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The records are there.
    Taken,
    /// The server will never take them as they are.
    Refused(Error),
    /// It is not about the records: nothing more is sent.
    Failed(Error),
}

/// Judges an answer. `conflict`: what a 409 says about a request with an idempotency key; `None` = there was no key.
pub(crate) fn verdict(answer: Result<Response>, conflict: Option<Conflict>) -> Verdict {
    let response = match answer {
        Ok(response) => response,
        // An address that is not granted, no connection, no answer in time.
        Err(error) => return Verdict::Failed(error),
    };
    match response.status {
        200..=299 => Verdict::Taken,
        409 => match conflict {
            // Only a request that is still under way is worth a second try.
            Some(_) if response.header("Retry-After").is_some() => {
                Verdict::Failed(under_way(&response))
            }
            Some(Conflict::Retry) => Verdict::Failed(under_way(&response)),
            Some(Conflict::Taken) => Verdict::Taken,
            Some(Conflict::Refuse) => Verdict::Refused(Error::data(
                "the server refuses the record: 409; if that says that it has the record already, set conflict = taken",
            )),
            None => Verdict::Refused(Error::data("the server refuses the record: 409")),
        },
        // Of the address or the method, not of a record.
        404 | 405 => Verdict::Failed(response.error()),
        401 | 403 | 408 | 425 | 429 => Verdict::Failed(response.error()),
        status @ 400..=499 => Verdict::Refused(Error::data(format!(
            "the server refuses the record: {status}"
        ))),
        _ => Verdict::Failed(response.error()),
    }
}

fn under_way(response: &Response) -> Error {
    let message = "the server answers 409: the same request is still under way";
    match response.retry_after() {
        None => Error::transient(message),
        told => Error::rate_limited(message, told),
    }
}
