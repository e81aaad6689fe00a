//! Config providers: what `${name:path:key}` may read, in the worker's settings and in connectors' configs.

use longshore_engine::worker::Placeholders;
use longshore_sdk::{
    Error,
    config::{Finding, Flat, nearest},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const DIRECTORY: &str = "org.apache.kafka.common.config.provider.DirectoryConfigProvider";
const ENVIRONMENT: &str = "org.apache.kafka.common.config.provider.EnvVarConfigProvider";
const FILE: &str = "org.apache.kafka.common.config.provider.FileConfigProvider";
/// Config providers that are there, by the class of the reference.
const PROVIDERS: [&str; 3] = [DIRECTORY, ENVIRONMENT, FILE];

/// The providers of a worker section: env, file and directory, and those that `config.providers` names, within what their `param.` keys
/// allow. A declared provider takes the place of the one of that name.
pub(crate) fn providers(config: &Flat) -> Result<Placeholders, Vec<Finding>> {
    let builtin = Placeholders::builtin();
    let mut all = builtin.clone();
    let mut findings = Vec::new();
    let names = config.get("config.providers").map_or("", String::as_str);
    for name in names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let prefix = format!("config.providers.{name}.");
        if let Err(finding) = declared(&mut all, &builtin, name, &prefix, config) {
            findings.push(finding);
        }
    }
    if findings.is_empty() {
        Ok(all)
    } else {
        Err(findings)
    }
}

fn declared(
    all: &mut Placeholders,
    builtin: &Placeholders,
    name: &str,
    prefix: &str,
    config: &Flat,
) -> Result<(), Finding> {
    let key = format!("{prefix}class");
    let param = |name: &str| {
        config
            .get(&format!("{prefix}param.{name}"))
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };
    let Some(class) = config
        .get(&key)
        .map(|class| class.trim())
        .filter(|class| !class.is_empty())
    else {
        return Err(Finding::new(key, "required, but missing"));
    };
    let short = match class {
        ENVIRONMENT => {
            let pattern =
                param("allowlist.pattern").map(|text| whole(text).map_err(|error| (text, error)));
            let pattern = pattern.transpose().map_err(|(text, error)| {
                let problem = format!("{text} is not a regular expression: {error}");
                Finding::new(format!("{prefix}param.allowlist.pattern"), problem)
            })?;
            let Some(inner) = builtin.provider("env") else {
                return Ok(());
            };
            let allowed = Arc::new(move |path: &str, key: &str| match &pattern {
                Some(pattern) if !pattern.is_match(key).unwrap_or(false) => Err(Error::config(
                    "config",
                    format!(
                        "the environment variable {key} of a placeholder is not allowed by allowlist.pattern"
                    ),
                )),
                _ => inner(path, key),
            });
            all.add(name, allowed);
            return Ok(());
        }
        FILE => "file",
        DIRECTORY => "directory",
        other => {
            let finding = Finding::new(key, format!("there is no config provider {other}"));
            return Err(match nearest(other, PROVIDERS.iter().copied()) {
                Some(near) => finding.suggest(format!("did you mean {near}?")),
                None => finding.suggest(format!("there are {}", PROVIDERS.join(", "))),
            });
        }
    };
    let Some(inner) = builtin.provider(short) else {
        return Ok(());
    };
    let roots: Option<Vec<PathBuf>> = param("allowed.paths").map(|paths| {
        paths
            .split(',')
            .map(|path| PathBuf::from(path.trim()))
            .collect()
    });
    let below = Arc::new(move |path: &str, key: &str| {
        let target = if short == "file" {
            PathBuf::from(path)
        } else {
            Path::new(path).join(key)
        };
        if roots
            .as_ref()
            .is_some_and(|roots| !is_below(&target, roots))
        {
            let text = format!(
                "the file {} of a placeholder is not below allowed.paths",
                target.display()
            );
            return Err(Error::config("config", text));
        }
        inner(path, key)
    });
    all.add(name, below);
    Ok(())
}

/// Whether a file is below one of the folders once links and `..` are followed; a file that is not there is not.
fn is_below(target: &Path, roots: &[PathBuf]) -> bool {
    let Ok(target) = target.canonicalize() else {
        return false;
    };
    roots
        .iter()
        .filter_map(|root| root.canonicalize().ok())
        .any(|root| target.starts_with(root))
}

/// A pattern that must match the whole text, as Java's `matches`.
fn whole(pattern: &str) -> Result<fancy_regex::Regex, fancy_regex::Error> {
    // Compiled alone first: an unbalanced bracket must not pair with ours.
    fancy_regex::Regex::new(pattern)?;
    fancy_regex::Regex::new(&format!("^(?:{pattern})$"))
}
