//! Which binary is killed.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The binary under test: LONGSHORE_BIN, else one that is built now, with its named crash points.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(path) = std::env::var_os("LONGSHORE_BIN").filter(|path| !path.is_empty()) {
        return std::path::absolute(path).context("LONGSHORE_BIN names no path");
    }
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

/// Builds `longshore` with its crash points, and puts it beside cargo's own output, where no other build replaces it.
pub fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--package",
            "longshore",
            "--features",
            "longshore-engine/crash-points",
            "--message-format",
            "json-render-diagnostics",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo to build longshore")?;
    if !output.status.success() {
        bail!("longshore does not build");
    }
    let messages = String::from_utf8(output.stdout)?;
    let mut executables = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built = executables
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .context("cargo names no binary")?;
    let folder = built
        .parent()
        .context("the binary has no folder")?
        .join("crash-points");
    std::fs::create_dir_all(&folder)?;
    let kept = folder.join("longshore");
    // A rename, because a test may be running the older copy.
    let fresh = folder.join(format!("longshore.{}", std::process::id()));
    std::fs::copy(&built, &fresh)?;
    std::fs::rename(&fresh, &kept)?;
    Ok(kept)
}
