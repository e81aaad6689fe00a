//! `cargo xtask docs`: the reference documentation, with every broken link an error.

use anyhow::Result;

use crate::{cargo, step};

pub(crate) fn docs() -> Result<()> {
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    step("cargo doc --workspace --no-deps", doc)
}
