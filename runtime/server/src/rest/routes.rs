//! Which path leads where, and what holds for all of them.

use super::{
    Browsers, Cors, Door,
    access::{Need, Role, Route, Routes},
    answer::Failure,
    auth::Auth,
    browser::browsers,
    connectors,
    cors::cors,
    gate::{Gate, gate},
    internal, offsets, plugins,
};
use crate::exposition;
use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use std::{sync::Arc, time::Duration};
use tower::{Layer, util::MapRequestLayer};

/// A request that takes longer is answered 500; what it asked for may still be carried out.
const REQUEST_WAIT_MAX: Duration = Duration::from_secs(90);

/// The routes of the API, and what stands before them.
pub(crate) fn routes(door: Door, auth: Arc<Auth>, origins: Cors, browsers_of: Browsers) -> Router {
    let (api, list) = table();
    let gate_of = Gate {
        auth,
        routes: list,
        audit: Arc::default(),
    };
    let api = api
        .with_state(door)
        .fallback(async || Failure::plain(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || Failure::plain(StatusCode::METHOD_NOT_ALLOWED))
        .layer(from_fn_with_state(gate_of, gate))
        .layer(from_fn(guard))
        .layer(from_fn_with_state(browsers_of, browsers))
        .layer(from_fn_with_state(origins, cors));
    // Paths are mended before routing: a layer of the inner router would come too late.
    Router::new().fallback_service(MapRequestLayer::new(without_trailing_slash).layer(api))
}

const READ: Need = Need::Role(Role::Read);
const OPERATE: Need = Need::Role(Role::Operate);
const ADMIN: Need = Need::Role(Role::Admin);

/// Every route with what it needs: one that is not in this table is not served.
pub(super) fn table() -> (Router<Door>, Routes) {
    use connectors as c;
    const GET: Method = Method::GET;
    const PUT: Method = Method::PUT;
    const POST: Method = Method::POST;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;
    let table = Table::default()
        .at(GET, "/", READ, plugins::server)
        // For probes, which have no credentials; it tells no more than whether the worker is well.
        .at(GET, "/health", Need::Nothing, plugins::health)
        .at(GET, "/metrics", READ, exposition::metrics)
        .at(GET, internal::WORKER, Need::Nothing, internal::worker)
        .at(POST, internal::COMMAND, Need::Signature, internal::command)
        .at(GET, "/connectors", READ, c::list)
        .at(POST, "/connectors", ADMIN, c::create)
        .at(GET, "/connectors/{name}", READ, c::info)
        .at(DELETE, "/connectors/{name}", ADMIN, c::delete)
        .at(GET, "/connectors/{name}/config", READ, c::config)
        .at(PUT, "/connectors/{name}/config", ADMIN, c::put_config)
        .at(PATCH, "/connectors/{name}/config", ADMIN, c::patch_config)
        .at(GET, "/connectors/{name}/status", READ, c::status)
        .at(PUT, "/connectors/{name}/pause", OPERATE, c::pause)
        .at(PUT, "/connectors/{name}/resume", OPERATE, c::resume)
        .at(PUT, "/connectors/{name}/stop", OPERATE, c::stop)
        .at(POST, "/connectors/{name}/restart", OPERATE, c::restart)
        .at(GET, "/connectors/{name}/tasks", READ, c::tasks)
        .at(
            GET,
            "/connectors/{name}/tasks/{task}/status",
            READ,
            c::task_status,
        )
        .at(
            POST,
            "/connectors/{name}/tasks/{task}/restart",
            OPERATE,
            c::restart_task,
        )
        .at(GET, "/connectors/{name}/topics", READ, c::topics)
        .at(
            PUT,
            "/connectors/{name}/topics/reset",
            OPERATE,
            c::topics_reset,
        )
        .at(GET, "/connectors/{name}/offsets", READ, offsets::list)
        .at(PATCH, "/connectors/{name}/offsets", ADMIN, offsets::alter)
        .at(DELETE, "/connectors/{name}/offsets", ADMIN, offsets::reset)
        .at(GET, "/connector-plugins", READ, plugins::list)
        .at(
            GET,
            "/connector-plugins/{plugin}/config",
            READ,
            plugins::config,
        )
        // It stores nothing, but calls whatever system the config names with whatever its placeholders stand for: no less than creating.
        .at(
            PUT,
            "/connector-plugins/{plugin}/config/validate",
            ADMIN,
            plugins::validate,
        );
    (table.router, Routes(table.routes.into()))
}

/// Routes and what they need, side by side.
#[derive(Default)]
struct Table {
    router: Router<Door>,
    routes: Vec<Route>,
}

impl Table {
    fn at<H: Handler<T, Door>, T: 'static>(
        mut self,
        method: Method,
        path: &'static str,
        need: Need,
        handler: H,
    ) -> Self {
        if let Ok(filter) = MethodFilter::try_from(method.clone()) {
            self.router = self.router.route(path, on(filter, handler));
            self.routes.push(Route { method, path, need });
        }
        self
    }
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
