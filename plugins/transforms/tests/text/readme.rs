//! The key tables of README.md, made from the config structs. `cargo xtask docs` writes them; the test holds them current.

use longshore_sdk::config::{Definition, Shape};
use std::fmt::Write;

/// Set by `cargo xtask docs`: write the tables instead of comparing them.
const WRITE: &str = "LONGSHORE_DOCS_WRITE";
const END: &str = "<!-- end of keys -->";

#[test]
fn the_readme_has_a_current_table_of_every_plugins_keys() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let mut readme = std::fs::read_to_string(path).expect("the README");
    let transforms = longshore_transforms::all();
    let predicates = longshore_transforms::predicates();
    let transforms = transforms
        .iter()
        .map(|plugin| (plugin.plugin.name, plugin.definition));
    let predicates = predicates
        .iter()
        .map(|plugin| (plugin.plugin.name, plugin.definition));
    let mut changed = Vec::new();
    for (name, definition) in transforms.chain(predicates) {
        // Both sides have the same keys.
        let name = name.split('$').next().expect("a name");
        let start = format!("<!-- keys of {name}: made by `cargo xtask docs` -->\n");
        let from = readme.find(&start).unwrap_or_else(|| {
            panic!("README.md has no line {start:?}");
        });
        let from = from + start.len();
        let length = readme[from..].find(END).expect(END);
        let table = table(&definition());
        if readme[from..from + length] != table {
            readme.replace_range(from..from + length, &table);
            changed.push(name);
        }
    }
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path, readme).expect("a README that can be written");
    } else {
        assert!(
            changed.is_empty(),
            "run `cargo xtask docs`: the keys of {changed:?} changed"
        );
    }
}

fn table(definition: &Definition) -> String {
    let mut table = String::new();
    if !definition.keys.is_empty() {
        table.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    }
    for key in &definition.keys {
        let default = match (&key.default, key.required) {
            (_, true) => "required".to_owned(),
            (Some(default), _) if !default.is_empty() => format!("`{default}`"),
            _ => String::new(),
        };
        let kind = match &key.shape {
            Shape::Choice(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                names.join(", ")
            }
            _ => format!("{:?}", key.kind).to_lowercase(),
        };
        let meaning = key.documentation.split_whitespace().collect::<Vec<_>>();
        let meaning = meaning.join(" ");
        writeln!(table, "| `{}` | {kind} | {default} | {meaning} |", key.name)
            .expect("a string takes text");
    }
    table
}
