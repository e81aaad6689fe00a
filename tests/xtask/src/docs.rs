//! `cargo xtask docs`: the key tables of the connectors' READMEs, and the reference documentation, with every broken link an error.

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
    step("the key tables of connectors/*/README.md", tables)?;
    let mut transforms = cargo([
        "test",
        "-p",
        "longshore-transforms",
        "--test",
        "text",
        "readme",
    ]);
    transforms.env("LONGSHORE_DOCS_WRITE", "1");
    step("the key tables of plugins/transforms/README.md", transforms)?;
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    step("cargo doc --workspace --no-deps", doc)
}
