//! `/`, `/health` and `/connector-plugins`.

use super::{
    Door,
    answer::{Failure, json_answer, ok},
    connectors::values,
    request::{JsonBody, flat},
};
use axum::{
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::Response,
};
use longshore_engine::control::HealthStatus;
use serde_json::json;

type Answer = Result<Response, Failure>;

/// The version of the Kafka Connect REST API that is answered for; tools choose features by it.
pub(crate) const API_VERSION: &str = "4.1.0";

/// The commit of this build. Who builds says it: a source archive has no git to ask.
pub(crate) const COMMIT: &str = match option_env!("LONGSHORE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

pub(crate) async fn server(State(door): State<Door>) -> Answer {
    match door.opened() {
        Some(control) => Ok(ok(&control.server_info().await)),
        // The API answers before the broker has told its id.
        None => Ok(ok(&json!({
            "version": API_VERSION,
            "commit": COMMIT,
            "kafka_cluster_id": "",
            "x": { "longshore": env!("CARGO_PKG_VERSION") },
        }))),
    }
}

pub(crate) async fn health(State(door): State<Door>) -> Answer {
    let Some(control) = door.opened() else {
        let message = "Worker is still starting up.";
        return Ok(json_answer(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "status": "starting", "message": message }),
        ));
    };
    let health = control.health();
    let status = match health.status {
        HealthStatus::Healthy => StatusCode::OK,
        HealthStatus::Starting => StatusCode::SERVICE_UNAVAILABLE,
        HealthStatus::Unhealthy => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Ok(json_answer(status, &health))
}

pub(crate) async fn list(State(door): State<Door>, RawQuery(query): RawQuery) -> Answer {
    let asked = values(query.as_deref(), "connectorsOnly");
    // The default is true; anything but "true" is false.
    let connectors_only = asked
        .last()
        .is_none_or(|value| value.eq_ignore_ascii_case("true"));
    Ok(ok(&door.control()?.plugins(connectors_only)))
}

pub(crate) async fn config(
    State(door): State<Door>,
    Path(plugin): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let asked = values(query.as_deref(), "version");
    let version = asked.last().map(AsRef::as_ref);
    Ok(ok(&door.control()?.plugin_config(&plugin, version)?))
}

pub(crate) async fn validate(
    State(door): State<Door>,
    Path(plugin): Path<String>,
    JsonBody(body): JsonBody,
) -> Answer {
    Ok(ok(&door
        .control()?
        .validate(&plugin, flat(&body, "$")?)
        .await?))
}
