//! `/connectors/{name}/offsets`.

use super::{
    Door,
    answer::{Failure, ok},
    caller::Caller,
    request::JsonBody,
};
use axum::{
    extract::{Path, State},
    response::Response,
};
use longshore_engine::control::ConnectorOffsets;
use serde_json::json;

type Answer = Result<Response, Failure>;

pub(crate) async fn list(State(door): State<Door>, Path(name): Path<String>) -> Answer {
    Ok(ok(&door.control()?.offsets(&name).await?))
}

pub(crate) async fn alter(
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Answer {
    let offsets: ConnectorOffsets = serde_json::from_value(body).map_err(|error| {
        let message = format!("The request body must be {{\"offsets\": [{{\"partition\": {{..}}, \"offset\": {{..}}}}]}}: {error}");
        Failure::bad_request(message).at("$.offsets")
    })?;
    Ok(ok(
        &json!({ "message": caller.control()?.alter_offsets(&name, offsets).await? }),
    ))
}

pub(crate) async fn reset(caller: Caller, Path(name): Path<String>) -> Answer {
    Ok(ok(
        &json!({ "message": caller.control()?.reset_offsets(&name).await? }),
    ))
}
