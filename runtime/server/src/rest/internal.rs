//! What workers of one group ask each other. No user has a part in it: a call proves by its signature that it comes from a worker.

use super::{
    Door,
    answer::{Failure, json_answer, ok},
    signature::{ALGORITHM, ANSWER, AUTHORIZATION, HMAC_SHA_256, Signer},
};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use longshore_engine::control::{Answered, Control};
use serde_json::json;
use std::time::Duration;

/// Where a worker says which start of it answers.
pub(crate) const WORKER: &str = "/internal/worker";
/// Where a worker takes commands.
pub(crate) const COMMAND: &str = "/internal/command";

/// The largest command: a request's body, and what stands around it (I6).
pub(crate) const COMMAND_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Commands that are read at once (I6): nobody has proven anything before the last byte is there.
pub(crate) const READ_AT_ONCE: usize = 32;
/// A caller is a worker in the same network: it does not take longer to send.
const READ_WAIT_MAX: Duration = Duration::from_secs(10);

/// `GET /internal/worker`: a worker that starts looks here whether somebody else answers at its own URL. It tells what every member of the group sees.
pub(crate) async fn worker(State(door): State<Door>) -> Result<Response, Failure> {
    let me = door.me()?;
    Ok(ok(
        &json!({ "worker_id": me.worker_id, "incarnation": me.incarnation }),
    ))
}

/// `POST /internal/command`. What is not taken is 403, without a word about why.
pub(crate) async fn command(State(door): State<Door>, request: Request) -> Response {
    let control = match door.control() {
        Ok(control) => control.clone(),
        Err(failure) => return failure.into_response(),
    };
    let Some(signature) = signature(request.headers()) else {
        return refused("it is not signed");
    };
    let read = async {
        let seat = door.commands.acquire().await;
        let body = to_bytes(request.into_body(), COMMAND_BYTES_MAX).await;
        drop(seat);
        body
    };
    let body = match tokio::time::timeout(READ_WAIT_MAX, read).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Failure::plain(StatusCode::PAYLOAD_TOO_LARGE).into_response(),
        Err(_) => return Failure::plain(StatusCode::REQUEST_TIMEOUT).into_response(),
    };
    let Some(signer) = signer(&control, &body, &signature) else {
        return refused("its signature is of no session key");
    };
    match control.answer(&body).await {
        Answered::Refused(why) => refused(why),
        Answered::Reply(reply, forwarded) => {
            let mut response = answer(&signer, &signature, reply);
            if let Some(forwarded) = forwarded {
                // For the audit log, which the gate writes.
                response.extensions_mut().insert(forwarded);
            }
            response
        }
    }
}

fn signature(headers: &HeaderMap) -> Option<String> {
    let one = |name: &str| headers.get(name)?.to_str().ok();
    (one(ALGORITHM)? == HMAC_SHA_256).then_some(())?;
    Some(one(AUTHORIZATION)?.to_owned())
}

/// The session key that the signature is of. During a rotation there are two.
fn signer(control: &Control, body: &[u8], signature: &str) -> Option<Signer> {
    let keys = control.session_keys();
    let mut signers = keys.iter().map(|key| Signer::new(key.expose()));
    signers.find(|signer| signer.is_call(body, signature))
}

fn answer(signer: &Signer, call: &str, reply: Bytes) -> Response {
    let signature = HeaderValue::try_from(signer.answer(call, &reply));
    let mut response = (StatusCode::OK, Body::from(reply)).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if let Ok(signature) = signature {
        response.headers_mut().insert(ANSWER, signature);
    }
    response
}

/// Why a call was not taken, for the audit log.
#[derive(Clone, Copy)]
pub(super) struct Why(pub(super) &'static str);

fn refused(why: &'static str) -> Response {
    let body = json!({ "error_code": 403, "message": "HTTP 403 Forbidden" });
    let mut response = json_answer(StatusCode::FORBIDDEN, &body);
    response.extensions_mut().insert(Why(why));
    response
}
