//! `cargo xtask docs`: the key tables of the plugins' READMEs, and the reference documentation, with every broken link an error.

use anyhow::Result;

use crate::{cargo, step};

pub(crate) fn docs() -> Result<()> {
    let mut tables = cargo([
        "test",
        "-p",
        "longshore",
        "--bin",
        "longshore",
        "--",
        "bundle::readme",
    ]);
    tables.env("LONGSHORE_DOCS_WRITE", "1");
    step(
        "the key tables of connectors/*/README.md and plugins/*/README.md",
        tables,
    )?;
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    step("cargo doc --workspace --no-deps", doc)
}
