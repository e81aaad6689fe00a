use crate::settings::{Settings, WorkerSettings};
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
    for path in found {
        let settings = match Settings::read(&[&path]) {
            Ok(settings) => settings,
            Err(problems) => panic!("{problems:?}"),
        };
        assert!(settings.notes.is_empty(), "{:?}", settings.notes);
        if let Some(worker) = &settings.worker
            && let Err(problems) = WorkerSettings::read(worker)
        {
            panic!("{problems:?}");
        }
        for (name, connector) in &settings.connectors {
            assert!(
                connector.config.contains_key("connector.class"),
                "{name} in {}",
                path.display()
            );
        }
    }
}
