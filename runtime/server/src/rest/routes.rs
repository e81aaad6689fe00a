//! Which path leads where, and what holds for all of them.

use super::{Cors, Door, answer::Failure, connectors, cors::cors, offsets, plugins};
use crate::exposition;
use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use std::time::Duration;
use tower::{Layer, util::MapRequestLayer};

/// A request that takes longer is answered 500; what it asked for may still be carried out.
const REQUEST_WAIT_MAX: Duration = Duration::from_secs(90);

/// All routes of the API.
pub(crate) fn routes(door: Door, origins: Cors) -> Router {
    let metrics = Router::new()
        .route("/metrics", get(exposition::metrics))
        .with_state(door.metrics.clone());
    let api = Router::new()
        .route("/", get(plugins::server))
        .route("/health", get(plugins::health))
        .route(
            "/connectors",
            get(connectors::list).post(connectors::create),
        )
        .route(
            "/connectors/{name}",
            get(connectors::info).delete(connectors::delete),
        )
        .route(
            "/connectors/{name}/config",
            get(connectors::config)
                .put(connectors::put_config)
                .patch(connectors::patch_config),
        )
        .route("/connectors/{name}/status", get(connectors::status))
        .route("/connectors/{name}/pause", put(connectors::pause))
        .route("/connectors/{name}/resume", put(connectors::resume))
        .route("/connectors/{name}/stop", put(connectors::stop))
        .route("/connectors/{name}/restart", post(connectors::restart))
        .route("/connectors/{name}/tasks", get(connectors::tasks))
        .route(
            "/connectors/{name}/tasks/{task}/status",
            get(connectors::task_status),
        )
        .route(
            "/connectors/{name}/tasks/{task}/restart",
            post(connectors::restart_task),
        )
        .route("/connectors/{name}/topics", get(connectors::topics))
        .route(
            "/connectors/{name}/topics/reset",
            put(connectors::topics_reset),
        )
        .route(
            "/connectors/{name}/offsets",
            get(offsets::list)
                .patch(offsets::alter)
                .delete(offsets::reset),
        )
        .route("/connector-plugins", get(plugins::list))
        .route("/connector-plugins/{plugin}/config", get(plugins::config))
        .route(
            "/connector-plugins/{plugin}/config/validate",
            put(plugins::validate),
        )
        .with_state(door)
        .merge(metrics)
        .fallback(async || Failure::plain(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || Failure::plain(StatusCode::METHOD_NOT_ALLOWED))
        .layer(from_fn(guard))
        .layer(from_fn_with_state(origins, cors));
    // Paths are mended before routing: a layer of the inner router would come too late.
    Router::new().fallback_service(MapRequestLayer::new(without_trailing_slash).layer(api))
}

fn without_trailing_slash(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.len() < 2 || !path.ends_with('/') || path.ends_with("//") {
        return request;
    }
    let mut mended = path[..path.len() - 1].to_owned();
    if let Some(query) = request.uri().query() {
        mended.push('?');
        mended.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    if let Ok(path) = PathAndQuery::try_from(mended) {
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

async fn guard(request: Request, next: Next) -> Response {
    let metrics = request.uri().path() == "/metrics";
    if request.uri().path().contains("//") {
        return Failure::bad_request("The path has an empty segment.").into_response();
    }
    if !metrics && !takes_json(request.headers()) {
        return Failure::plain(StatusCode::NOT_ACCEPTABLE).into_response();
    }
    if request.method() == Method::OPTIONS {
        return options();
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match tokio::time::timeout(REQUEST_WAIT_MAX, next.run(request)).await {
        Ok(response) => {
            let status = response.status();
            tracing::debug!(%method, path, status = status.as_u16(), "request");
            response
        }
        Err(_) => Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!(
                "Request timed out after {} seconds; it may still be carried out.",
                REQUEST_WAIT_MAX.as_secs()
            ),
        )
        .into_response(),
    }
}

fn options() -> Response {
    let mut response = StatusCode::OK.into_response();
    let all = HeaderValue::from_static("GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS");
    response.headers_mut().insert(header::ALLOW, all);
    response
}

/// Whether the client takes JSON. No header takes everything.
fn takes_json(headers: &HeaderMap) -> bool {
    let mut accepts = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .peekable();
    if accepts.peek().is_none() {
        return true;
    }
    accepts.flat_map(|value| value.split(',')).any(|range| {
        let kind = range.split(';').next().unwrap_or_default().trim();
        matches!(kind, "*/*" | "application/*" | "application/json" | "")
    })
}
