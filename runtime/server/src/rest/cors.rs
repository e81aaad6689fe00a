//! Calls from browsers' pages of other origins: `access.control.allow.origin` and `access.control.allow.methods`. Off unless given.

use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// Methods that are allowed where none are given, as in Kafka Connect.
const METHODS: &str = "GET,POST,HEAD";

/// Which origins may call, and how.
#[derive(Clone, Default)]
pub(crate) struct Cors {
    origins: Arc<[String]>,
    methods: String,
}

impl Cors {
    /// Reads comma lists; an origin `*` is any, and no origin turns all of it off.
    pub(crate) fn new(origins: &str, methods: &str) -> Self {
        let list = |text: &str| -> Vec<String> {
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let methods = list(methods).join(",");
        Self {
            origins: list(origins).into(),
            methods: if methods.is_empty() {
                METHODS.to_owned()
            } else {
                methods.to_ascii_uppercase()
            },
        }
    }
    /// Whether the origin of a request may call.
    pub(super) fn allows(&self, headers: &HeaderMap) -> bool {
        self.allowed(headers).is_some()
    }
    /// The origin of a request, if it may call.
    fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let listed = |allowed: &String| allowed == "*" || allowed.as_bytes() == origin.as_bytes();
        self.origins.iter().any(listed).then_some(origin)
    }
}

/// Answers preflight requests and lets the pages of allowed origins read answers.
pub(crate) async fn cors(State(cors): State<Cors>, request: Request, next: Next) -> Response {
    let Some(origin) = cors.allowed(request.headers()).cloned() else {
        return next.run(request).await;
    };
    let preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        StatusCode::OK.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    if preflight {
        if let Ok(methods) = HeaderValue::try_from(&cors.methods) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        let asked =
            HeaderValue::from_static("Authorization,Content-Type,Accept,Origin,X-Requested-With");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        headers.insert(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static("1800"),
        );
    } else {
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Location"),
        );
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    response
}
