//! `/connectors`.

use super::{
    Door,
    access::{Identity, Peer},
    answer::{Failure, json_answer, ok},
    audit::Subject,
    caller::Caller,
    mask::Mask,
    request::{JsonBody, flat, object, patch, shape},
};
use crate::cli::client::segment;
use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use longshore_engine::control::{ConnectorStateInfo, Control, ControlErrorKind, TargetState};
use longshore_sdk::config::info::HIDDEN;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

type Answer = Result<Response, Failure>;

pub(crate) async fn list(
    State(door): State<Door>,
    Extension(identity): Extension<Identity>,
    RawQuery(query): RawQuery,
) -> Answer {
    let control = door.control()?;
    let expand: Vec<String> = values(query.as_deref(), "expand");
    if expand.is_empty() {
        return Ok(ok(&control.connectors()));
    }
    let mut all = Map::new();
    let mask = Mask::of(&identity, control);
    // Each other worker is asked once, for all of them.
    let statuses = match expand.iter().any(|what| what == "status") {
        true => control.whole_statuses().await,
        false => BTreeMap::new(),
    };
    for name in control.connectors() {
        if let Some(entry) = expanded(control, &mask, &name, &expand, &statuses) {
            all.insert(name, entry);
        }
    }
    Ok(ok(&all))
}

/// One connector's part of an expanded list; `None` = it was deleted meanwhile.
fn expanded(
    control: &Control,
    mask: &Mask<'_>,
    name: &str,
    expand: &[String],
    statuses: &BTreeMap<String, ConnectorStateInfo>,
) -> Option<Value> {
    let mut entry = Map::new();
    for what in expand {
        match what.as_str() {
            "info" => entry.insert("info".into(), json!(mask.info(control.info(name).ok()?))),
            "status" => entry.insert("status".into(), json!(statuses.get(name)?)),
            _ => None,
        };
    }
    Some(Value::Object(entry))
}

pub(crate) async fn create(
    caller: Caller,
    Extension(subject): Extension<Subject>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Answer {
    let control = caller.control()?;
    let fields = object(&body, "$")?;
    let known = ["name", "config", "initial_state"];
    if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        let message = format!(
            "Unrecognized field \"{unknown}\": the fields are \"config\", \"name\", \"initial_state\"."
        );
        return Err(Failure::bad_request(message).at(format!("$.{unknown}")));
    }
    let config = match fields.get("config") {
        Some(config) => flat(config, "$.config")?,
        None => return Err(Failure::bad_request("The field \"config\" is missing.").at("$.config")),
    };
    let name = match fields.get("name") {
        Some(Value::String(name)) => name.clone(),
        None | Some(Value::Null) => config.get("name").cloned().unwrap_or_default(),
        Some(other) => {
            let message = format!("The field \"name\" must be a string, not {}.", shape(other));
            return Err(Failure::bad_request(message).at("$.name"));
        }
    };
    subject.is(name.trim());
    whole(config.iter())?;
    let initial = initial_state(fields.get("initial_state"))?;
    let info = control.create(&name, config, initial).await?;
    let place = location(peer.as_deref(), &headers, &info.name);
    Ok(with_location(
        json_answer(StatusCode::CREATED, &info),
        place,
    ))
}

fn initial_state(value: Option<&Value>) -> Result<TargetState, Failure> {
    let wrong = |what: &str| {
        let message = format!("initial_state must be RUNNING, PAUSED or STOPPED, not {what}.");
        Failure::bad_request(message).at("$.initial_state")
    };
    match value {
        None | Some(Value::Null) => Ok(TargetState::Started),
        Some(Value::String(text)) => {
            TargetState::parse(text).ok_or_else(|| wrong(&format!("{text:?}")))
        }
        Some(other) => Err(wrong(shape(other))),
    }
}

/// Where a connector is, built from the request's Host as the reference does.
fn location(peer: Option<&Peer>, headers: &HeaderMap, name: &str) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("127.0.0.1:8083");
    let scheme = match peer {
        Some(peer) if peer.https => "https",
        _ => "http",
    };
    format!("{scheme}://{host}/connectors/{}", segment(name))
}

fn with_location(mut response: Response, location: String) -> Response {
    if let Ok(value) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

pub(crate) async fn info(
    State(door): State<Door>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
) -> Answer {
    let control = door.control()?;
    let info = control.info(&name)?;
    Ok(ok(&Mask::of(&identity, control).info(info)))
}

pub(crate) async fn config(
    State(door): State<Door>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
) -> Answer {
    let control = door.control()?;
    let config = control.config(&name)?;
    Ok(ok(&Mask::of(&identity, control).config(config)))
}

pub(crate) async fn put_config(
    caller: Caller,
    Path(name): Path<String>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Answer {
    let mut body = body;
    // A null or empty name is taken from the URL.
    if let Some(fields) = body.as_object_mut()
        && fields
            .get("name")
            .is_some_and(|value| value.is_null() || value == "")
    {
        fields.shift_remove("name");
    }
    let config = flat(&body, "$")?;
    whole(config.iter())?;
    let stored = caller.control()?.put_config(&name, config).await?;
    if stored.created {
        let place = location(peer.as_deref(), &headers, &stored.info.name);
        return Ok(with_location(
            json_answer(StatusCode::CREATED, &stored.info),
            place,
        ));
    }
    Ok(ok(&stored.info))
}

pub(crate) async fn patch_config(
    caller: Caller,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Answer {
    let changes = patch(&body)?;
    whole(
        changes
            .iter()
            .filter_map(|(key, value)| Some((key, value.as_ref()?))),
    )?;
    Ok(ok(&caller.control()?.patch_config(&name, changes).await?))
}

/// Refuses what stands for a secret in answers, a whole one or the password of a URL: stored, it would take the secret's place.
fn whole<'a>(mut entries: impl Iterator<Item = (&'a String, &'a String)>) -> Result<(), Failure> {
    let Some((key, _)) = entries.find(|(_, value)| value.contains(HIDDEN)) else {
        return Ok(());
    };
    let message = format!(
        "The value of {key} holds {HIDDEN}, which stands for a secret that was not shown: read the config with the role admin, or give the secret."
    );
    Err(Failure::bad_request(message).at(key))
}

pub(crate) async fn delete(caller: Caller, Path(name): Path<String>) -> Answer {
    caller.control()?.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn status(State(door): State<Door>, Path(name): Path<String>) -> Answer {
    Ok(ok(&door.control()?.whole_status(&name).await?))
}

pub(crate) async fn pause(caller: Caller, Path(name): Path<String>) -> Answer {
    caller
        .control()?
        .set_target(&name, TargetState::Paused)
        .await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

pub(crate) async fn resume(caller: Caller, Path(name): Path<String>) -> Answer {
    caller
        .control()?
        .set_target(&name, TargetState::Started)
        .await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

pub(crate) async fn stop(caller: Caller, Path(name): Path<String>) -> Answer {
    caller
        .control()?
        .set_target(&name, TargetState::Stopped)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn restart(
    caller: Caller,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    // Anything but "true" is false, as in the reference.
    let flag = |name| {
        values(query.as_deref(), name)
            .last()
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    };
    match caller
        .control()?
        .restart(&name, flag("includeTasks"), flag("onlyFailed"))
        .await?
    {
        None => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(status) => Ok(json_answer(StatusCode::ACCEPTED, &status)),
    }
}

pub(crate) async fn tasks(
    State(door): State<Door>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
) -> Answer {
    let control = door.control()?;
    let (config, tasks) = (control.config(&name)?, control.tasks(&name)?);
    Ok(ok(&Mask::of(&identity, control).tasks(&config, tasks)))
}

pub(crate) async fn task_status(
    State(door): State<Door>,
    Path((name, task)): Path<(String, String)>,
) -> Answer {
    let status = door.control()?.whole_task_status(&name, task_id(&task)?);
    Ok(ok(&status.await?))
}

pub(crate) async fn restart_task(
    caller: Caller,
    Path((name, task)): Path<(String, String)>,
) -> Answer {
    caller
        .control()?
        .restart_task(&name, task_id(&task)?)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn task_id(text: &str) -> Result<i32, Failure> {
    text.parse()
        .map_err(|_| Failure::plain(StatusCode::NOT_FOUND))
}

pub(crate) async fn topics(State(door): State<Door>, Path(name): Path<String>) -> Answer {
    let control = door.control()?;
    tracking(control)?;
    Ok(ok(&control.topics(&name)?))
}

pub(crate) async fn topics_reset(caller: Caller, Path(name): Path<String>) -> Answer {
    let control = caller.control()?;
    tracking(&control)?;
    match control.topics_reset(&name).await {
        Err(error) if error.kind != ControlErrorKind::NotFound => Err(error.into()),
        _ => Ok(StatusCode::ACCEPTED.into_response()),
    }
}

fn tracking(control: &Control) -> Result<(), Failure> {
    if control.topic_tracking() {
        return Ok(());
    }
    Err(Failure::new(
        StatusCode::FORBIDDEN,
        "Topic tracking is disabled.",
    ))
}

/// All values of a query parameter, decoded.
pub(crate) fn values(query: Option<&str>, name: &str) -> Vec<String> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{values, whole};

    #[test]
    fn i8_what_stands_for_a_secret_is_not_stored() {
        let judge = |value: &str| whole([(&"k".to_owned(), &value.to_owned())].into_iter());
        for value in [
            "[hidden]",
            "postgresql://u:[hidden]@h/db",
            "a password=[hidden]",
        ] {
            assert!(judge(value).is_err(), "{value}");
        }
        assert!(judge("${env:PW}").is_ok() && judge("hidden").is_ok());
    }

    #[test]
    fn a_query_parameter_may_repeat_and_is_decoded() {
        assert_eq!(
            values(Some("expand=info&expand=status&x"), "expand"),
            ["info", "status"]
        );
        assert_eq!(values(Some("a%20b=c%2Fd+e"), "a b"), ["c/d e"]);
        assert_eq!(values(Some("onlyFailed"), "onlyFailed"), [""]);
        assert!(values(None, "expand").is_empty());
    }
}
