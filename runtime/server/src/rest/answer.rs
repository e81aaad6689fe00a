//! Answers: JSON bodies and the error body {error_code, message}.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use longshore_engine::control::{ControlError, ControlErrorKind};
use serde::Serialize;
use serde_json::json;

/// An error as the API answers it. Fields beyond Kafka Connect's stand under `x`.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
    path: Option<String>,
    suggestion: Option<String>,
}

impl Failure {
    /// An error with this status and text.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            path: None,
            suggestion: None,
        }
    }
    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
    /// `HTTP <code> <reason>`: what an unmatched request is answered.
    pub(crate) fn plain(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        Self::new(status, format!("HTTP {} {reason}", status.as_u16()))
    }
    /// The same, with the JSON path of what is wrong.
    #[must_use]
    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let status = match error.kind {
            ControlErrorKind::NotFound => StatusCode::NOT_FOUND,
            ControlErrorKind::Conflict => StatusCode::CONFLICT,
            ControlErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ControlErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ControlErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ControlErrorKind::Timeout | ControlErrorKind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            message: error.message,
            path: error.path,
            suggestion: error.suggestion,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut body = json!({ "error_code": self.status.as_u16(), "message": self.message });
        if self.path.is_some() || self.suggestion.is_some() {
            body["x"] = json!({ "path": self.path, "suggestion": self.suggestion });
        }
        let mut response = json_answer(self.status, &body);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}

/// A JSON answer.
pub(crate) fn json_answer(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = (status, Body::from(bytes)).into_response();
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer did not serialize");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// 200 with a JSON body.
pub(crate) fn ok(body: &impl Serialize) -> Response {
    json_answer(StatusCode::OK, body)
}
