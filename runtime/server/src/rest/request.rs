//! Requests: JSON bodies read within limits of size and time, configs as flat maps.

use super::answer::Failure;
use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use longshore_sdk::config::Flat;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, time::Duration};

/// The largest body that is read.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// What Kafka Connect says of a null in a config.
const NULL_VALUE: &str = "Connector configuration is invalid and contains the following 1 error(s):\n\
    Null value can not be supplied as the configuration value.\n\
    You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`";
/// How much of a larger body is read before the connection is closed.
const BODY_BYTES_DRAINED_MAX: usize = 64 * BODY_BYTES_MAX;
const BODY_WAIT_MAX: Duration = Duration::from_secs(30);

/// A JSON body; read to the end, at most [`BODY_BYTES_MAX`] long.
pub(crate) struct JsonBody(pub(crate) Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        let (head, body) = request.into_parts();
        check_type(&head.headers)?;
        let told = length(&head.headers);
        // A client that waits for 100-continue sends nothing before: it is answered at once.
        if told.is_some_and(|told| told > BODY_BYTES_MAX)
            && head.headers.contains_key(header::EXPECT)
        {
            return Err(too_large());
        }
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Err(Failure::bad_request(
                "The request has no body: send a JSON object.",
            ));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Failure::bad_request(format!("The request body is not valid JSON: {error}"))
        })
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Failure::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn too_large() -> Failure {
    Failure::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("The request body is larger than {BODY_BYTES_MAX} bytes."),
    )
}

async fn read(body: Body) -> Result<Bytes, Failure> {
    tokio::time::timeout(BODY_WAIT_MAX, collect(body))
        .await
        .unwrap_or_else(|_| {
            let seconds = BODY_WAIT_MAX.as_secs();
            let message = format!("The request body did not arrive within {seconds} seconds.");
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, message))
        })
}

/// Keeps at most [`BODY_BYTES_MAX`] (I6). The rest of a larger body is read and thrown away, up to a limit: a client that is still sending
/// when its connection closes would see a reset instead of the answer.
async fn collect(body: Body) -> Result<Bytes, Failure> {
    let mut chunks = body.into_data_stream();
    let (mut kept, mut seen) = (BytesMut::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Failure::bad_request(format!("The request body could not be read: {error}"))
        })?;
        seen += chunk.len();
        if seen > BODY_BYTES_DRAINED_MAX {
            break;
        }
        if seen <= BODY_BYTES_MAX {
            kept.extend_from_slice(&chunk);
        } else {
            kept = BytesMut::new();
        }
    }
    if seen > BODY_BYTES_MAX {
        Err(too_large())
    } else {
        Ok(kept.freeze())
    }
}

/// A config: an object whose scalar values become strings, as Kafka Connect coerces them. Null is not a value.
pub(crate) fn flat(value: &Value, path: &str) -> Result<Flat, Failure> {
    let mut flat = Flat::new();
    for (key, value) in object(value, path)? {
        match scalar(value, path, key)? {
            Some(text) => flat.insert(key.clone(), text),
            None => {
                return Err(Failure::bad_request(NULL_VALUE).at(format!("{path}.{key}")));
            }
        };
    }
    Ok(flat)
}

/// A patch of a config: null removes a key.
pub(crate) fn patch(value: &Value) -> Result<BTreeMap<String, Option<String>>, Failure> {
    object(value, "$")?
        .iter()
        .map(|(key, value)| Ok((key.clone(), scalar(value, "$", key)?)))
        .collect()
}

/// An object, or an error that names the JSON path.
pub(crate) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, Failure> {
    value.as_object().ok_or_else(|| {
        Failure::bad_request(format!(
            "{path} must be a JSON object, not {}.",
            shape(value)
        ))
        .at(path)
    })
}

fn scalar(value: &Value, path: &str, key: &str) -> Result<Option<String>, Failure> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(Failure::bad_request(format!(
            "{path}.{key} must be a string, a number or a boolean, not {}: lists are comma lists.",
            shape(value)
        ))
        .at(format!("{path}.{key}"))),
    }
}

/// What kind of JSON value this is, for messages.
pub(crate) fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
