//! Rules about crates: which of ours may use which, and which of others nobody may use.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;

use super::{Findings, SHARED_CLIENTS};
use crate::cargo;

pub(super) fn check(findings: &mut Findings) -> Result<()> {
    let output = cargo(["metadata", "--format-version", "1", "--no-deps", "--locked"]).output()?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let root = metadata["workspace_root"]
        .as_str()
        .context("cargo metadata names no root")?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        directions(package, root, findings);
    }
    // The lock also lists what features keep out: what is built counts.
    let tree = [
        "tree",
        "--workspace",
        "--locked",
        "--edges",
        "all",
        "--target",
        "all",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    let output = cargo(tree).output()?;
    if !output.status.success() {
        bail!(
            "cargo tree: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let tree = String::from_utf8(output.stdout)?;
    let built: BTreeSet<(&str, &str)> = tree.lines().filter_map(package).collect();
    for (name, version) in &built {
        if let Some(reason) = banned(name, version) {
            findings.error(
                "Cargo.lock",
                format_args!("{name} {version} is banned: {reason}"),
            );
        }
    }
    single_rustls(&built, findings);
    Ok(())
}

/// The room of a crate: its folder below the root.
fn room<'a>(path: &'a str, root: &str) -> &'a str {
    path.strip_prefix(root).unwrap_or(path).trim_matches('/')
}

fn directions(package: &Value, root: &str, findings: &mut Findings) {
    let manifest = package["manifest_path"].as_str().unwrap_or_default();
    let from = room(manifest.trim_end_matches("Cargo.toml"), root);
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let name = dependency["name"].as_str().unwrap_or_default();
        let dev = dependency["kind"] == "dev";
        match dependency["path"].as_str() {
            Some(path) => {
                let to = room(path, root);
                if !allowed(from, to, dev) {
                    let kind = if dev { "dev-depends" } else { "depends" };
                    findings.error(
                        from,
                        format_args!("{kind} on {to}; the dependency direction forbids it"),
                    );
                }
            }
            None if !dev => foreign(from, name, findings),
            None => {}
        }
    }
}

/// Who may know whom (docs: "Dependency direction").
fn allowed(from: &str, to: &str, dev: bool) -> bool {
    let (area, crate_) = from.split_once('/').unwrap_or((from, ""));
    let in_dev = dev && matches!(to, "tests/kit" | "runtime/broker" | "runtime/sdk");
    match (area, crate_) {
        ("tests", "kit") => matches!(
            to,
            "runtime/engine" | "runtime/kafka" | "runtime/broker" | "runtime/sdk"
        ),
        ("tests", _) => true,
        ("runtime", "sdk" | "broker") => false,
        ("runtime", "engine") => to == "runtime/sdk" || (dev && to == "tests/kit"),
        ("runtime", "kafka") => matches!(to, "runtime/engine" | "runtime/sdk") || in_dev,
        ("runtime", "server") => !to.starts_with("tests/") || dev,
        ("connectors", shared) if SHARED_CLIENTS.contains(&shared) => to == "runtime/sdk" || in_dev,
        ("connectors", "mirror") => {
            matches!(to, "runtime/sdk" | "runtime/kafka") || in_dev || shared_client(to)
        }
        ("connectors", _) => to == "runtime/sdk" || in_dev || shared_client(to),
        ("plugins", _) => to == "runtime/sdk" || to.starts_with("plugins/guest") || in_dev,
        _ => false,
    }
}

fn shared_client(to: &str) -> bool {
    to.strip_prefix("connectors/")
        .is_some_and(|name| SHARED_CLIENTS.contains(&name))
}

/// Clients stay in their rooms.
fn foreign(from: &str, name: &str, findings: &mut Findings) {
    let shipped = !from.starts_with("tests/");
    if name.starts_with("rdkafka") && shipped && from != "runtime/kafka" {
        findings.error(from, "links a Kafka client; only runtime/kafka does");
    }
    if from == "runtime/sdk" && ["tokio", "hyper", "axum", "reqwest"].contains(&name) {
        findings.error(
            from,
            format_args!("depends on {name}; the contract brings no runtime and no network"),
        );
    }
    if from == "runtime/engine" && ["hyper", "axum", "reqwest"].contains(&name) {
        findings.error(
            from,
            format_args!("depends on {name}; the engine knows no HTTP"),
        );
    }
    if name == "anyhow"
        && (from.starts_with("connectors/")
            || from.starts_with("plugins/")
            || (from.starts_with("runtime/") && from != "runtime/server"))
    {
        findings.error(
            from,
            "depends on anyhow; it belongs to main, xtask and tests",
        );
    }
}

/// Name and version in a line of `cargo tree`: `serde v1.0.0 (*)`.
fn package(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    Some((name, words.next()?.strip_prefix('v')?))
}

fn banned(name: &str, version: &str) -> Option<&'static str> {
    let at = number(version);
    match name {
        "serde_yml" | "libyml" => {
            Some("unsound and unmaintained (RUSTSEC-2025-0068, RUSTSEC-2025-0067)")
        }
        "serde_yaml" => Some("archived; use serde-saphyr"),
        "backoff" => Some("unmaintained (RUSTSEC-2025-0012)"),
        "rsa" => Some("timing side channel (RUSTSEC-2023-0071); use aws-lc-rs"),
        "openssl" => Some("one TLS stack: OpenSSL lives inside rdkafka-sys only"),
        "ring" => Some("one TLS provider: aws-lc-rs"),
        "rustls-webpki" if at < [0, 102, 0] => Some("RUSTSEC-2026-0098, -0099, -0104"),
        "h2" if at < [0, 4, 0] => Some("RUSTSEC-2026-0258"),
        "lz4_flex" if at < [0, 12, 1] => Some("RUSTSEC-2026-0041"),
        "tokio-postgres" if at < [0, 7, 18] => Some("RUSTSEC-2026-0178, -0179, -0180"),
        "postgres-protocol" if at < [0, 6, 12] => Some("a malicious server can stop the client"),
        "rmcp" if at < [1, 4, 0] => Some("RUSTSEC-2026-0189"),
        "wasmtime" if !([48, 0, 8]..[49, 0, 0]).contains(&at) => {
            Some("only the long-term line 48, from 48.0.8 on")
        }
        "testcontainers" => Some("needs a docker daemon"),
        _ if name.starts_with("copybook") => Some("AGPL"),
        _ => None,
    }
}

fn number(version: &str) -> [u64; 3] {
    let mut parts = version
        .split(['.', '-', '+'])
        .map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

fn single_rustls(built: &BTreeSet<(&str, &str)>, findings: &mut Findings) {
    let versions: Vec<&str> = built
        .iter()
        .filter(|(name, _)| *name == "rustls")
        .map(|(_, version)| *version)
        .collect();
    if versions.len() > 1 {
        findings.error(
            "Cargo.lock",
            format_args!(
                "rustls in {} versions: {}",
                versions.len(),
                versions.join(", ")
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_follow_the_design() {
        assert!(allowed("runtime/kafka", "runtime/engine", false));
        assert!(allowed("connectors/mirror", "runtime/kafka", false));
        assert!(allowed("connectors/file", "tests/kit", true));
        for (from, to) in [
            ("connectors/file", "runtime/engine"),
            ("connectors/file", "connectors/datagen"),
            ("connectors/file", "tests/kit"),
            ("runtime/engine", "runtime/kafka"),
            ("runtime/sdk", "runtime/engine"),
            ("runtime/broker", "runtime/sdk"),
            ("runtime/server", "tests/kit"),
        ] {
            assert!(!allowed(from, to, false), "{from} -> {to}");
        }
    }

    #[test]
    fn bans_look_at_versions() {
        assert!(banned("lz4_flex", "0.11.6").is_some());
        assert!(banned("lz4_flex", "0.12.1").is_none());
        assert!(banned("wasmtime", "49.0.0").is_some());
        assert_eq!(package("rsa v0.9.1 (*)"), Some(("rsa", "0.9.1")));
        assert_eq!(package("x feature \"std\""), None);
    }
}
