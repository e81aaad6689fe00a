use super::{Folder, Pin, scan};
use crate::settings::WorkerSettings;
use std::{fs, path::Path};

fn settings(home: &Path, path: &[&str]) -> WorkerSettings {
    let text = format!(
        "longshore.data.dir={}\nplugin.path={}\n",
        home.display(),
        path.join(",")
    );
    let settings = crate::settings::Settings::from_properties("w.properties", text.as_bytes());
    let section = settings.expect("good").worker.expect("a worker");
    WorkerSettings::read(&section).expect("good").0
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> String {
    fs::create_dir_all(folder).expect("a folder");
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file");
    path.display().to_string()
}

#[test]
fn plugins_are_found_as_kafka_connect_looks_for_them() {
    let home = tempfile::tempdir().expect("a folder");
    let shelf = home.path().join("shelf");
    let beside = put(home.path(), "beside.wasm", b"1");
    let b = put(&shelf, "b.wasm", b"2");
    let a = put(&shelf.join("a"), "a.wasm", b"3");
    put(&shelf.join("a/deeper"), "c.wasm", b"4");
    put(&shelf, ".installing-1.wasm", b"5");
    put(&shelf, "connect.jar", b"6");
    put(&shelf, "more.zip", b"7");
    put(&shelf.join("jdbc/lib"), "jdbc.jar", b"8");
    put(&shelf.join("jdbc/lib/deeper"), "deep.jar", b"9");
    let java = [shelf.clone(), shelf.join("jdbc/lib")];
    let shelf = shelf.display().to_string();
    let found = scan(&settings(
        home.path(),
        &[&shelf, &beside, &b, "/nowhere/at/all"],
    ));
    let files: Vec<String> = found
        .files
        .iter()
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_eq!(files, [a, b, beside]);
    let unusable: Vec<&Path> = found
        .unusable
        .iter()
        .map(|one| one.path.as_path())
        .collect();
    assert_eq!(unusable, [Path::new("/nowhere/at/all")]);
    assert_eq!(found.java, java, "each once, and no error");
}

/// Processes of two containers have the same ids.
#[test]
fn two_drafts_do_not_touch_one_another() {
    let home = tempfile::tempdir().expect("a folder");
    let (one, two) = (
        put(home.path(), "1", b"one"),
        put(home.path(), "2", b"two!"),
    );
    let folder = Folder::new(home.path().join("plugins"));
    let (first, first_is) = folder.copy(Path::new(&one), 9).expect("a copy");
    let (second, second_is) = folder.copy(Path::new(&two), 9).expect("a copy");
    let (a, b) = (folder.place("p", "1.0.0"), folder.place("p", "1.1.0"));
    folder.place_copy(first, &a, &first_is).expect("installed");
    // Somebody who was killed.
    put(&home.path().join("plugins"), ".installing-xyz.wasm", b"x");
    folder
        .place_copy(second, &b, &second_is)
        .expect("installed");
    assert_eq!(fs::read(&a).expect("it is there"), b"one");
    let found = scan(&settings(home.path(), &[])).files;
    let files: Vec<&Path> = found.iter().map(|(path, _)| path.as_path()).collect();
    assert_eq!(files, [a, b]);
    assert_eq!(folder.list().len(), 2);
}

#[test]
fn a_file_that_is_not_the_pinned_one_is_refused_by_name() {
    let home = tempfile::tempdir().expect("a folder");
    let original = put(home.path(), "original", b"one");
    let folder = Folder::new(home.path().join("plugins"));
    let (draft, sha256) = folder.copy(Path::new(&original), 3).expect("a copy");
    let place = folder.place("pii-mask", "1.0.0-rc.1");
    folder
        .place_copy(draft, &place, &sha256)
        .expect("installed");
    let settings = settings(home.path(), &[]);
    let pin = Pin {
        sha256,
        written: "pii-mask-1.0.0-rc.1.wasm.sha256".to_owned(),
    };
    assert_eq!(scan(&settings).files, [(place.clone(), Some(pin))]);
    let (name, version, path) = folder.list().pop().expect("it is listed");
    assert_eq!(
        (name.as_str(), version.as_str()),
        ("pii-mask", "1.0.0-rc.1")
    );
    assert_eq!(path, place);
    let left: Vec<_> = fs::read_dir(home.path().join("plugins"))
        .expect("a folder")
        .collect();
    assert_eq!(left.len(), 2, "the file and its pin, no draft");

    put(&home.path().join("plugins"), "unpinned-1.0.0.wasm", b"x");
    let found = scan(&settings);
    let problem = |name: &str, unusable: &[super::Unusable]| {
        let of = |one: &&super::Unusable| one.path.ends_with(name);
        unusable.iter().find(of).expect(name).problem.clone()
    };
    let unpinned = problem("unpinned-1.0.0.wasm", &found.unusable);
    assert!(unpinned.contains("longshore plugin install"), "{unpinned}");
    // Swapped after the scan: it is refused by what is loaded.
    #[cfg(feature = "wasm")]
    {
        fs::write(&place, b"two").expect("changed");
        let mut registry = crate::bundle::registry();
        let loaded = super::host::load(&found.files, &settings, super::Whose::Tool, &mut registry);
        assert!(loaded.files.is_empty());
        let changed = problem("pii-mask-1.0.0-rc.1.wasm", &loaded.unusable);
        let pinned = "pinned in pii-mask-1.0.0-rc.1.wasm.sha256: it was changed";
        assert!(
            changed.starts_with("its hash ") && changed.contains(pinned),
            "{changed}"
        );
    }

    Folder::remove(&place).expect("removed");
    assert!(!place.exists() && !place.with_extension("wasm.sha256").exists());
    let large = folder.copy(Path::new(&original), 2);
    assert!(
        large
            .err()
            .expect("too large")
            .to_string()
            .contains("more than 2 bytes")
    );
}

/// What is not a plugin is named and skipped; what is bundled is there all the same.
#[test]
#[cfg(feature = "wasm")]
fn broken_files_are_skipped_by_name() {
    let home = tempfile::tempdir().expect("a folder");
    let shelf = home.path().join("shelf");
    put(&shelf, "empty.wasm", b"");
    put(&shelf, "text.wasm", b"not wasm at all");
    put(&shelf, "core.wasm", b"\0asm\x01\0\0\0");
    put(&shelf, "cut.wasm", b"\0asm\x0d\0\x01\0\x00\xff");
    put(&shelf, "nothing.wasm", b"\0asm\x0d\0\x01\0");
    let shelf = shelf.display().to_string();
    let plugins = super::of(&settings(home.path(), &[&shelf]), super::Whose::Worker);
    assert!(plugins.files.is_empty());
    assert!(plugins.registry.connector("datagen").is_some());
    let broken = plugins.registry.broken();
    let names: Vec<&str> = broken.iter().map(|one| one.file.as_str()).collect();
    assert_eq!(
        names,
        [
            "core.wasm",
            "cut.wasm",
            "empty.wasm",
            "nothing.wasm",
            "text.wasm"
        ]
    );
    for one in broken {
        assert!(
            one.problem.len() > 10 && !one.problem.contains(&shelf),
            "{one:?}"
        );
    }
    let core = &broken[0].problem;
    assert!(core.contains("core module"), "{core}");
}
