mod configs;
mod files;
mod lints;
mod properties;
mod providers;
mod workers;

use super::{Located, Section, Settings};

fn texts(problems: Vec<Located>) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// The problems of a text as one prints them, with the file called `f.yaml`.
fn problems(text: &str) -> Vec<String> {
    texts(Settings::from_yaml("f.yaml", text).expect_err(text))
}

fn yaml(text: &str) -> Settings {
    Settings::from_yaml("f.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A connector of a text whose connectors are indented by two.
fn connector(text: &str) -> Section {
    let all = yaml(text).connectors;
    all.into_values().next().expect("one connector")
}

/// `key=value` lines of a section, sorted by key.
fn flat(section: &Section) -> Vec<String> {
    let entries = section.config.iter();
    entries
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}
