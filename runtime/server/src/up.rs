//! `longshore up`: one worker and the connectors of some files, kept in step.

mod owned;
mod progress;

use crate::{
    cli::lint,
    node::{Node, until_signal},
    settings::{Section, Settings},
    watch::Watch,
};
use anyhow::{Result, bail};
use indexmap::IndexMap;
use longshore_engine::control::{Control, ControlErrorKind};
use owned::Owned;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long after a step that the group could not take the same is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Runs until a signal asks to stop, then drains.
pub(crate) async fn run(files: Vec<PathBuf>) -> Result<()> {
    let mut watch = Watch::new(files.clone(), LOOK_EVERY);
    let settings = checked(&files)?;
    let node = Node::start(settings.worker.as_ref()).await?;
    let mut owned = Owned::open(node.data_dir(), node.group())?;
    let result = tokio::select! {
        result = keep_in_step(node.control().clone(), &files, &settings, &mut watch, &mut owned) => result,
        () = until_signal() => Ok(()),
    };
    node.shutdown().await;
    result
}

/// Never returns but with an error.
async fn keep_in_step(
    control: Control,
    files: &[PathBuf],
    settings: &Settings,
    watch: &mut Watch,
    owned: &mut Owned,
) -> Result<()> {
    // Before its views are ready a worker does not know what it runs already.
    control.ready().await;
    let mut wanted = settings.connectors.clone();
    let mut whole = step(&control, &wanted, owned).await?;
    let mut progress = progress::Progress::new(control.clone());
    loop {
        tokio::select! {
            () = watch.changed() => {
                if let Some(edited) = edited(files) {
                    wanted = edited;
                    whole = step(&control, &wanted, owned).await?;
                }
            }
            () = tokio::time::sleep(TRY_AGAIN), if !whole => whole = step(&control, &wanted, owned).await?,
            () = progress.tick() => {}
        }
    }
}

/// Reads and checks the files; findings go to standard error.
fn checked(files: &[PathBuf]) -> Result<Settings> {
    let findings = match Settings::read(files) {
        Ok(settings) => match lint::check(&settings) {
            (errors, warnings) if errors.is_empty() => {
                lint::print(&warnings, false);
                return Ok(settings);
            }
            (errors, _) => errors,
        },
        Err(errors) => errors,
    };
    lint::print(&findings, false);
    bail!("{} cannot be used as it is", names(files))
}

fn names(files: &[PathBuf]) -> String {
    files
        .iter()
        .map(|file| Path::display(file).to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// An edit: a file that cannot be used changes nothing, the connectors keep running as they are.
fn edited(files: &[PathBuf]) -> Option<IndexMap<String, Section>> {
    let checked = checked(files);
    if let Err(error) = &checked {
        tracing::error!(%error, "the edit is not used, everything runs as before");
    }
    checked.ok().map(|settings| settings.connectors)
}

/// Brings the group's connectors in step with the files: creates and updates those of the files, deletes owned ones that are in no file.
/// `false` = the group had nobody who takes some of it: it is to be tried again.
async fn step(
    control: &Control,
    wanted: &IndexMap<String, Section>,
    owned: &mut Owned,
) -> Result<bool> {
    let mut whole = true;
    let running = control.connectors();
    for (name, section) in wanted {
        if !running.contains(name) {
            owned.add(name)?;
        } else if control
            .config(name)
            .is_ok_and(|config| config == section.config)
        {
            continue;
        }
        match control.put_config(name, section.config.clone()).await {
            Ok(stored) if stored.created => tracing::info!(connector = name, "connector created"),
            Ok(_) => tracing::info!(connector = name, "connector updated"),
            Err(error) if error.kind == ControlErrorKind::Unavailable => {
                tracing::warn!(connector = name, %error, "connector not stored yet, it is tried again");
                whole = false;
            }
            Err(error) => tracing::error!(connector = name, %error, "connector refused"),
        }
    }
    let gone: Vec<String> = owned
        .names()
        .iter()
        .filter(|name| !wanted.contains_key(*name))
        .cloned()
        .collect();
    for name in gone {
        match control.delete(&name).await {
            Ok(()) => tracing::info!(
                connector = name,
                "connector deleted: it is in no file any more"
            ),
            Err(error) if error.kind == ControlErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(connector = name, %error, "connector not deleted");
                whole &= error.kind != ControlErrorKind::Unavailable;
                continue;
            }
        }
        owned.remove(&name)?;
    }
    Ok(whole)
}
