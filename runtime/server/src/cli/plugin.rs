//! `longshore plugin ..`: plugins in files, on this machine. No worker is asked; one that runs takes what changed at its next start.

use super::plugin_new::{self, Language, PluginKind};
use super::{OfWorker, PluginAction, screen};
use crate::{
    plugins::{self, Folder},
    settings::{Section, Settings, WorkerSettings},
};
#[cfg(feature = "wasm")]
use anyhow::Context;
use anyhow::{Result, bail};
#[cfg(feature = "wasm")]
use longshore_engine::registry::order;
#[cfg(feature = "wasm")]
use longshore_sdk::config::Flat;
use serde_json::{Value, json};
use std::path::Path;

/// Carries out one action. False if something is wrong with a plugin.
pub(crate) fn run(action: PluginAction) -> Result<bool> {
    match action {
        PluginAction::New {
            name,
            lang,
            kind,
            dir,
        } => begin(&name, lang, kind, &dir),
        PluginAction::Install { file, sha256, of } => install(&file, sha256.as_deref(), &of),
        PluginAction::List { of } => list(&of),
        PluginAction::Remove { plugin, of } => remove(&plugin, &of),
        PluginAction::Check { file, config, of } => check(&file, config.as_deref(), &of),
    }
}

fn begin(name: &str, lang: Language, kind: PluginKind, dir: &Path) -> Result<bool> {
    let folder = plugin_new::new(lang, kind, name, dir)?;
    screen::line(&format!(
        "{} is begun; next:\n  bash {}/build.sh\n  longshore plugin check {}/{name}.wasm",
        folder.display(),
        folder.display(),
        folder.display()
    ));
    Ok(true)
}

/// The settings of the worker that is meant.
fn settings(of: &OfWorker) -> Result<WorkerSettings> {
    let problems = |problems: Vec<crate::settings::Located>| {
        super::lint::print(&problems, false);
        anyhow::anyhow!("the worker's settings cannot be used")
    };
    let section = match &of.worker {
        None => Section::empty(),
        Some(file) => {
            let settings = Settings::read(&[file]).map_err(problems)?;
            settings.worker.unwrap_or_else(Section::empty)
        }
    };
    let (mut settings, _) = WorkerSettings::read_offline(&section).map_err(problems)?;
    if let Some(folder) = &of.data_dir {
        settings.data_dir.clone_from(folder);
    }
    settings.leave_to_its_user();
    Ok(settings)
}

#[cfg(not(feature = "wasm"))]
fn install(_: &Path, _: Option<&str>, _: &OfWorker) -> Result<bool> {
    bail!("this build runs no WASM plugins")
}

#[cfg(not(feature = "wasm"))]
fn check(_: &Path, _: Option<&Path>, _: &OfWorker) -> Result<bool> {
    bail!("this build runs no WASM plugins")
}

#[cfg(feature = "wasm")]
fn install(file: &Path, sha256: Option<&str>, of: &OfWorker) -> Result<bool> {
    let settings = settings(of)?;
    let place = settings.installed_plugins();
    if let Some(user) = plugins::owner::another(&place) {
        bail!(
            "{} is, or would be, in a folder of user {user}, whose worker may not be able to read what somebody else puts there: \
             run this as the worker's user (sudo -u '#{user}' longshore plugin install ..)",
            place.display()
        );
    }
    let folder = Folder::new(place);
    let (draft, is) = folder.copy(file, settings.wasm().limits.file)?;
    if let Some(wanted) = sha256
        && !is.eq_ignore_ascii_case(wanted.trim())
    {
        bail!(
            "{}: its SHA-256 is {is}, not {wanted}: it is not the file that was meant",
            file.display()
        );
    }
    // Beside what a worker would take now. It is compiled here, so that the worker finds it compiled.
    let mut beside = crate::bundle::registry();
    let copied = plugins::Pin {
        sha256: is.clone(),
        written: "the copy that was made of it".to_owned(),
    };
    let judged = plugins::judge(draft.path(), Some(copied), &settings, &mut beside)
        .with_context(|| format!("{} cannot be installed", file.display()))?;
    let (name, version) = (&judged.file.name, &judged.file.version);
    if name.contains(['/', '\\']) || version.contains(['/', '\\']) {
        bail!("{}: its name and version are no file name", file.display());
    }
    let others = plugins::of(&settings, plugins::Whose::Tool);
    // As the registry tells versions apart: 1.0.0+a is 1.0.0+b.
    let twin =
        |other: &&plugins::InFile| other.name == *name && order(&other.version, version).is_eq();
    if let Some(other) = others.files.iter().find(twin) {
        if other.sha256 == is {
            done(of, &judged.file, &other.path, "is installed already");
            return Ok(true);
        }
        bail!(
            "another file of {name} {version} is in use: {} (version {}, SHA-256 {}); a change needs a new version, or remove that one first",
            other.path.display(),
            other.version,
            other.sha256
        );
    }
    let kind = judged.file.kind;
    if let Some(other) = others
        .files
        .iter()
        .find(|other| other.name == *name && other.kind != kind)
    {
        bail!(
            "{} is a {kind}, and {} is a {} of the same name: give it another one",
            file.display(),
            other.path.display(),
            other.kind
        );
    }
    let place = folder.place(name, version);
    folder.place_copy(draft, &place, &is)?;
    done(of, &judged.file, &place, "installed");
    Ok(true)
}

#[cfg(feature = "wasm")]
fn done(of: &OfWorker, file: &plugins::InFile, place: &Path, what: &str) {
    if of.json {
        return screen::json(&shown(&plugins::InFile {
            path: place.to_owned(),
            ..file.clone()
        }));
    }
    screen::line(&format!(
        "{} {} ({}) {what}: {}\nSHA-256 {}\ngranted: {}\na worker that runs takes it at its next start; in a group it must be on every worker",
        file.name,
        file.version,
        file.kind,
        place.display(),
        file.sha256,
        grants(&file.grants)
    ));
}

fn list(of: &OfWorker) -> Result<bool> {
    let plugins = plugins::of(&settings(of)?, plugins::Whose::Tool);
    let broken = plugins.registry.broken();
    if of.json {
        let files: Vec<Value> = plugins.files.iter().map(shown).collect();
        screen::json(&json!({ "plugins": files, "broken": broken }));
        return Ok(true);
    }
    let rows: Vec<Vec<String>> = plugins
        .files
        .iter()
        .map(|file| {
            vec![
                file.name.clone(),
                file.version.clone(),
                file.kind.to_owned(),
                file.sha256.clone(),
                file.path.display().to_string(),
                grants(&file.grants),
            ]
        })
        .collect();
    screen::table(
        &["NAME", "VERSION", "KIND", "SHA256", "FILE", "GRANTS"],
        &rows,
    );
    for broken in broken {
        screen::line(&format!("broken: {}: {}", broken.file, broken.problem));
    }
    Ok(true)
}

fn remove(plugin: &str, of: &OfWorker) -> Result<bool> {
    let (name, version) = match plugin.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (plugin, None),
    };
    let folder = Folder::new(settings(of)?.installed_plugins());
    let mut found = folder.list();
    found.retain(|(known, of, _)| known == name && version.is_none_or(|version| version == of));
    match found.as_slice() {
        [] => bail!("{plugin} is not installed; `longshore plugin list` shows what is"),
        [(name, version, path)] => {
            Folder::remove(path)?;
            if of.json {
                screen::json(&json!({ "name": name, "version": version, "removed": path }));
            } else {
                screen::line(&format!(
                    "removed {name} {version}; connectors that need it fail at the worker's next start"
                ));
            }
            Ok(true)
        }
        several => {
            let versions: Vec<String> = several
                .iter()
                .map(|(name, version, _)| format!("{name}@{version}"))
                .collect();
            bail!(
                "several versions of {name} are installed: name one, {}",
                versions.join(" or ")
            )
        }
    }
}

#[cfg(feature = "wasm")]
fn check(file: &Path, config: Option<&Path>, of: &OfWorker) -> Result<bool> {
    let settings = settings(of)?;
    let config = config.map(read_config).transpose()?;
    let mut beside = crate::bundle::registry();
    let judged = plugins::judge(file, None, &settings, &mut beside)
        .with_context(|| format!("{} is no plugin that a worker takes", file.display()))?;
    let report = longshore_wasm::check::check(&judged.loaded, config.as_ref());
    if of.json {
        let mut answer = shown(&judged.file);
        answer["checks"] = report
            .iter()
            .map(|found| json!({ "case": found.case, "ok": found.ok, "note": found.note }))
            .collect();
        screen::json(&answer);
    } else {
        screen::line(&format!(
            "{} {} ({}), SHA-256 {}",
            judged.file.name, judged.file.version, judged.file.kind, judged.file.sha256
        ));
        for found in &report {
            let word = if found.ok { "ok  " } else { "FAIL" };
            screen::line(&format!("{word} {}: {}", found.case, found.note));
        }
    }
    Ok(report.iter().all(|found| found.ok))
}

/// A flat config; numbers and booleans stand for their text, as in REST.
#[cfg(feature = "wasm")]
fn read_config(file: &Path) -> Result<Flat> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} could not be read", file.display()))?;
    let object: serde_json::Map<String, Value> = serde_json::from_str(&text)
        .with_context(|| format!("{} is no JSON object", file.display()))?;
    let entries = object.into_iter().map(|(key, value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(_) | Value::Bool(_) => Ok((key, value.to_string())),
        _ => bail!(
            "{}: {key}: expected text, a number or true or false",
            file.display()
        ),
    });
    entries.collect()
}

fn shown(file: &plugins::InFile) -> Value {
    json!({
        "name": file.name,
        "version": file.version,
        "kind": file.kind,
        "sha256": file.sha256,
        "file": file.path,
        "grants": file.grants,
    })
}

/// Grants on one line: `net=api.example.com secrets=use`.
fn grants(grants: &Value) -> String {
    let entries = grants.as_object().into_iter().flatten();
    let texts = entries.map(|(what, value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let value = if value.is_empty() {
            "-".to_owned()
        } else {
            value
        };
        format!("{what}={value}")
    });
    texts.collect::<Vec<_>>().join(" ")
}
