//! `cargo xtask new connector NAME`: the folder of a connector with the files that every connector has.

use std::path::Path;

use anyhow::{Context, Result, bail};

pub(crate) fn new_connector(name: &str) -> Result<()> {
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !good {
        bail!("`{name}` is no name for a connector: lower case letters and digits, a letter first");
    }
    let folder = Path::new("connectors").join(name);
    if folder.exists() {
        bail!("{} exists", folder.display());
    }
    let title = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    for (file, text) in FILES {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().context("a file in no folder")?)?;
        std::fs::write(
            &path,
            text.replace("{name}", name).replace("{Title}", &title),
        )
        .with_context(|| format!("cannot write {}", path.display()))?;
    }
    enlist(name)?;
    println!(
        "{} is begun. Next: its Source or Sink in src/, its Rig in tests/behaviour.rs,",
        folder.display()
    );
    println!(
        "one dependency line in runtime/server/Cargo.toml, one line in runtime/server/src/bundle.rs."
    );
    Ok(())
}

const FILES: [(&str, &str); 5] = [
    (
        "Cargo.toml",
        "[package]\nname = \"longshore-{name}\"\ndescription = \"{Title}, read and written.\"\nversion.workspace = true\nedition.workspace = true\n\
         rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\n[lints]\nworkspace = true\n\n[dependencies]\n\
         longshore-sdk.workspace = true\nbytes.workspace = true\nschemars.workspace = true\nserde.workspace = true\n\n[dev-dependencies]\n\
         longshore-kit.workspace = true\ntokio.workspace = true\n",
    ),
    (
        "src/lib.rs",
        "//! {Title}: source and sink share one client.\n\nmod config;\n\npub use config::Config;\n",
    ),
    (
        "src/config.rs",
        "//! What a user can set.\n\nuse schemars::JsonSchema;\nuse serde::Deserialize;\n\n/// Says in one sentence what the connector does.\n\
         #[derive(Debug, Deserialize, JsonSchema)]\n#[serde(deny_unknown_fields)]\npub struct Config {\n    /// Host and port of the system.\n    pub address: String,\n}\n",
    ),
    (
        "tests/behaviour.rs",
        "//! The behaviour suite of longshore-kit, run against {Title}. The Rig is all that an author writes.\n\ncompile_error!(\"write the Rig of {name}\");\n",
    ),
    (
        "README.md",
        "# {Title}\n\nWhat it reads or writes, what it guarantees, and by which means.\n\n## Configuration\n\n## Limits\n",
    ),
];

/// One line in the workspace, below the last connector, and one among its dependencies.
fn enlist(name: &str) -> Result<()> {
    let text = std::fs::read_to_string("Cargo.toml")?;
    let member = text
        .rfind("\"connectors/")
        .context("Cargo.toml lists no connector")?;
    let member = member
        + text[member..]
            .find(',')
            .context("the list of members ends early")?
        + 1;
    let text = format!(
        "{} \"connectors/{name}\",{}",
        &text[..member],
        &text[member..]
    );
    let dependency = text
        .find("longshore-transforms = {")
        .context("Cargo.toml has no longshore-transforms")?;
    let line = format!("longshore-{name} = {{ path = \"connectors/{name}\" }}\n");
    std::fs::write(
        "Cargo.toml",
        format!("{}{line}{}", &text[..dependency], &text[dependency..]),
    )?;
    Ok(())
}
