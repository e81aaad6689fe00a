//! `cargo xtask lint`.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{cargo, guests, step, system, tidy};

/// Runs every check, also after one has failed, and names the failed ones.
pub(crate) fn lint() -> Result<()> {
    system::ready_to_build()?;
    let mut failed = Vec::new();
    let mut check = |what: &str, result: Result<()>| {
        if let Err(error) = result {
            eprintln!("error: {error:#}");
            failed.push(what.to_owned());
        }
    };
    check(
        "fmt",
        step(
            "cargo fmt --all --check",
            cargo(["fmt", "--all", "--check"]),
        ),
    );
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    check(
        "clippy",
        step(
            "cargo clippy --workspace --all-targets -- -D warnings",
            cargo(clippy),
        ),
    );
    check("guests", guest_crates());
    check("tidy", tidy::tidy());
    check("deny", deny());
    if !failed.is_empty() {
        bail!("lint: {} failed", failed.join(", "));
    }
    println!("lint: ok");
    Ok(())
}

/// The crates that stand outside of the workspace, since they are built for WASM.
fn guest_crates() -> Result<()> {
    for manifest in guests::manifests()? {
        let mut fmt = guests::native("fmt", &manifest)?;
        // A workspace without a root package has no targets of its own.
        fmt.args(["--all", "--check"]);
        step(&format!("cargo fmt --check, {manifest}"), fmt)?;
        let mut clippy = guests::native("clippy", &manifest)?;
        clippy.args(["--all-targets", "--quiet", "--", "-D", "warnings"]);
        step(&format!("cargo clippy -- -D warnings, {manifest}"), clippy)?;
    }
    Ok(())
}

/// cargo-deny adds advisories and licences to what tidy holds already; it is no requirement.
fn deny() -> Result<()> {
    let found = Command::new("cargo-deny")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok_and(|status| status.success()) {
        return step(
            "cargo deny check bans licenses sources",
            cargo(["deny", "check", "bans", "licenses", "sources"]),
        );
    }
    println!(
        "== cargo deny: not installed, skipped (tidy holds the bans; licences and advisories stay unchecked: cargo install cargo-deny)"
    );
    Ok(())
}
