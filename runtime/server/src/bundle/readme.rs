//! The key tables of the READMEs of connectors, transforms and predicates, made from the config structs. `cargo xtask docs` writes them; the test holds them current.

use super::registry;
use longshore_engine::registry::PluginKind;
use longshore_sdk::config::{Definition, Key, KeyType, Shape};
use std::{fmt::Write, path::PathBuf};

/// Set by `cargo xtask docs`: write the tables instead of comparing them.
const WRITE: &str = "LONGSHORE_DOCS_WRITE";
const END: &str = "<!-- end of keys -->";

#[test]
fn every_plugin_has_a_current_table_of_its_keys() {
    let write = std::env::var_os(WRITE).is_some();
    let mut readmes: Vec<(PathBuf, String)> = readmes();
    let mut wrong = Vec::new();
    let registry = registry();
    let converter = |kind| matches!(kind, PluginKind::Converter | PluginKind::HeaderConverter);
    let plugins = registry.plugins().into_iter();
    for (_, plugin) in plugins.filter(|(kind, _)| !converter(*kind)) {
        let (_, definition) = registry
            .definition(plugin.name, None)
            .expect("its own name");
        // Both sides of a transform have the same keys.
        let name = plugin.name.split('$').next().expect("a name");
        let start = format!("<!-- keys of {name}: made by `cargo xtask docs` -->\n");
        let holder = readmes.iter_mut().find(|(_, text)| text.contains(&start));
        let Some((path, text)) = holder else {
            wrong.push(format!(
                "no README below connectors/ or plugins/ has the line {start:?}"
            ));
            continue;
        };
        let from = text.find(&start).expect("found above") + start.len();
        let length = text[from..]
            .find(END)
            .unwrap_or_else(|| panic!("{}: {start:?} without {END:?}", path.display()));
        let table = table(&definition);
        if text[from..from + length] == table {
            continue;
        }
        text.replace_range(from..from + length, &table);
        if write {
            std::fs::write(&path, &text).expect("a README that can be written");
        } else {
            wrong.push(format!("{}: the keys of {name} changed", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "run `cargo xtask docs`:\n{}",
        wrong.join("\n")
    );
}

fn readmes() -> Vec<(PathBuf, String)> {
    let rooms = ["connectors", "plugins"].map(|room| {
        let room = format!("{}/../../{room}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_dir(room).expect("a room of plugins")
    });
    let folders = rooms.into_iter().flatten();
    let paths = folders.map(|folder| folder.expect("an entry").path().join("README.md"));
    let paths = paths.filter(|path| path.exists());
    paths
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a README");
            (path, text)
        })
        .collect()
}

fn table(definition: &Definition) -> String {
    if definition.keys.is_empty() {
        return String::new();
    }
    let mut table = String::from("| key | type | default | meaning |\n|---|---|---|---|\n");
    for key in &definition.keys {
        let default = match (&key.default, key.required) {
            (_, true) => "required".to_owned(),
            (Some(default), _) if !default.is_empty() => format!("`{}`", cell(default)),
            _ => String::new(),
        };
        let name = if key.is_prefix() { "*" } else { "" };
        writeln!(
            table,
            "| `{}{name}` | {} | {default} | {} |",
            key.name,
            shape(key),
            cell(&key.documentation)
        )
        .expect("a string takes text");
    }
    table
}

fn shape(key: &Key) -> String {
    match (&key.shape, key.kind) {
        (_, KeyType::Password) => "password".to_owned(),
        (Shape::Choice(names), _) => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
        (Shape::Int { min, max }, _) => match (natural(*min), natural(*max)) {
            (Some(min), Some(max)) => format!("{min} .. {max}"),
            (Some(min), None) => format!("{min} .."),
            _ => "number".to_owned(),
        },
        (_, kind) => format!("{kind:?}").to_lowercase(),
    }
}

/// A bound worth printing: not that of the integer type itself.
fn natural(bound: i128) -> Option<i128> {
    let of_a_type = [8, 16, 32, 64].iter().any(|bits| {
        let unsigned = (1_i128 << bits) - 1;
        [unsigned, unsigned >> 1, -(unsigned >> 1) - 1].contains(&bound)
    });
    (!of_a_type).then_some(bound)
}

/// A table's cell is one line without bars.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|")
}
