use super::texts;
use crate::{
    bundle,
    cli::lint::check,
    settings::{Settings, file::Syntax},
};
use std::path::{Path, PathBuf};

/// Every settings file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path
            .extension()
            .is_some_and(|ext| ext == "yaml" || ext == "properties")
        {
            found.push(path);
        }
    }
}

#[test]
fn every_file_of_configs_is_in_order() {
    let mut found = Vec::new();
    let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs");
    files(Path::new(configs), &mut found);
    assert!(
        found.iter().any(|path| path.ends_with("quickstart.yaml")),
        "{found:?}"
    );
    let registry = bundle::registry();
    for path in found {
        let mut settings = match Settings::read(&[&path]) {
            Ok(settings) => settings,
            Err(problems) => panic!("{:?}", texts(problems)),
        };
        let empty = settings.connectors.is_empty() && settings.worker.is_none();
        assert!(!empty, "{} says nothing", path.display());
        // A connector whose crate is not bundled yet is checked from the day it is.
        settings.connectors.retain(|_, section| {
            let class = section.config.get("connector.class").map(String::as_str);
            class != Some("mirror") || registry.connector("mirror").is_some()
        });
        let (errors, mut warnings) = check(&settings);
        // Secrets of the environment are not here.
        warnings.retain(|warning| !warning.finding.problem.ends_with("is not set"));
        assert_eq!(texts(errors), [""; 0]);
        let of_yaml = settings
            .worker
            .is_none_or(|worker| worker.syntax == Syntax::Yaml);
        assert!(!of_yaml || warnings.is_empty(), "{:?}", texts(warnings));
    }
}
