//! `longshore connectors ..` and `longshore plugins`.

use super::{
    ConnectorAction, Remote,
    client::{Rest, segment},
    screen,
};
use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;
use std::{io::Read, path::Path};

/// Carries out one action on a connector.
pub(crate) async fn run(action: ConnectorAction) -> Result<()> {
    match action {
        ConnectorAction::List { remote } => list(&remote).await,
        ConnectorAction::Get { name, remote } => {
            let info = Rest::of(&remote)?
                .get(&format!("/connectors/{}", segment(&name)))
                .await?;
            screen::json(&info);
            Ok(())
        }
        ConnectorAction::Create { file, remote } => create(&file, &remote).await,
        ConnectorAction::Delete { name, remote } => {
            change(
                &remote,
                Method::DELETE,
                &name,
                "",
                &format!("deleted {name}"),
            )
            .await
        }
        ConnectorAction::Pause { name, remote } => {
            change(
                &remote,
                Method::PUT,
                &name,
                "/pause",
                &format!("pausing {name}"),
            )
            .await
        }
        ConnectorAction::Resume { name, remote } => {
            change(
                &remote,
                Method::PUT,
                &name,
                "/resume",
                &format!("resuming {name}"),
            )
            .await
        }
        ConnectorAction::Stop { name, remote } => {
            change(
                &remote,
                Method::PUT,
                &name,
                "/stop",
                &format!("stopping {name}"),
            )
            .await
        }
        ConnectorAction::Restart {
            name,
            include_tasks,
            only_failed,
            remote,
        } => {
            let path = format!("/restart?includeTasks={include_tasks}&onlyFailed={only_failed}");
            change(
                &remote,
                Method::POST,
                &name,
                &path,
                &format!("restarting {name}"),
            )
            .await
        }
    }
}

async fn list(remote: &Remote) -> Result<()> {
    let names = Rest::of(remote)?.get("/connectors").await?;
    if remote.json {
        screen::json(&names);
    } else {
        for name in names
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            screen::line(name);
        }
    }
    Ok(())
}

async fn create(file: &Path, remote: &Remote) -> Result<()> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input could not be read")?;
    } else {
        text = std::fs::read_to_string(file)
            .with_context(|| format!("{} could not be read", file.display()))?;
    }
    let body: Value = serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is not JSON: expected {{\"name\": .., \"config\": {{..}}}}",
            file.display()
        )
    })?;
    let answer = Rest::of(remote)?
        .call(Method::POST, "/connectors", Some(&body))
        .await?;
    let info = answer.body.unwrap_or_default();
    if remote.json {
        screen::json(&info);
    } else {
        screen::line(&format!(
            "created {}",
            info["name"].as_str().unwrap_or_default()
        ));
    }
    Ok(())
}

async fn change(remote: &Remote, method: Method, name: &str, path: &str, done: &str) -> Result<()> {
    let answer = Rest::of(remote)?
        .call(
            method,
            &format!("/connectors/{}{path}", segment(name)),
            None,
        )
        .await?;
    if remote.json {
        screen::json(
            &answer
                .body
                .unwrap_or_else(|| serde_json::json!({ "status": answer.status.as_u16() })),
        );
    } else {
        screen::line(done);
    }
    Ok(())
}

/// Lists plugins.
pub(crate) async fn plugins(connectors_only: bool, remote: &Remote) -> Result<()> {
    let plugins = Rest::of(remote)?
        .get(&format!(
            "/connector-plugins?connectorsOnly={connectors_only}"
        ))
        .await?;
    if remote.json {
        screen::json(&plugins);
        return Ok(());
    }
    let cell = |row: &Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let rows: Vec<Vec<String>> = plugins
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            let origin = &row["x"]["origin"];
            let file = origin["file"]["file"].as_str();
            let origin = file.or(origin.as_str()).unwrap_or("-").to_owned();
            vec![
                cell(row, "type"),
                cell(row, "class"),
                cell(row, "version"),
                origin,
            ]
        })
        .collect();
    screen::table(&["TYPE", "CLASS", "VERSION", "ORIGIN"], &rows);
    Ok(())
}
