//! Files that are no usable plugins: each is reported with its reason, and the others load.

use crate::probes::{file, load_files, provisions, settings};
use longshore_wasm::{Candidate, Ceilings, Kind, Pin};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// An empty core module.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// An empty component.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

fn guest(name: &str) -> Vec<u8> {
    fs::read(file(name)).expect("it is there")
}

/// Writes another text of the same length over each `from`.
fn rewritten(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes())
        .map(|(place, _)| place)
        .collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[test]
fn a_plugin_says_what_it_is() {
    let (loaded, broken) = load_files(&[file("probe-sink")], &settings());
    assert!(broken.is_empty(), "{broken:?}");
    let plugin = &loaded[0];
    assert_eq!((plugin.name, plugin.version), ("probe-sink", "1.2.3"));
    assert_eq!(plugin.kind, Kind::Sink);
    assert_eq!(plugin.vendor, "Longshore");
    assert_eq!(plugin.sha256.len(), 64);
    assert_eq!(plugin.schema["properties"]["show"]["type"], "boolean");
}

#[test]
fn every_broken_file_is_named_with_its_reason_and_the_others_load() {
    let folder = folder();
    let source = guest("probe-source");
    let newer = rewritten(
        source.clone(),
        "longshore:connector/types@0.1.0",
        "longshore:connector/types@0.2.0",
    );
    let foreign = rewritten(
        source.clone(),
        "longshore:connector/log@0.1.0",
        "longshore:connektor/log@0.1.0",
    );
    let world = rewritten(source.clone(), "source-task", "saucer-task");
    let cases: [(&str, &[u8], &str); 9] = [
        ("empty.wasm", b"", "no WASM binary"),
        ("text.wasm", b"hello, I am a plugin", "no WASM binary"),
        ("module.wasm", MODULE, "a core module, not a component"),
        (
            "layer.wasm",
            b"\0asm\x0d\0\x07\0",
            "unknown layer or version",
        ),
        ("nothing.wasm", COMPONENT, "a component of another world"),
        ("cut.wasm", &source[..source.len() / 2], "perhaps cut off"),
        ("newer.wasm", &newer, "longshore:connector@0.2.0"),
        (
            "foreign.wasm",
            &foreign,
            "imports what this host does not offer",
        ),
        ("world.wasm", &world, "a component of another world"),
    ];
    let mut files: Vec<PathBuf> = cases
        .iter()
        .map(|(name, bytes, _)| write(folder.path(), name, bytes))
        .collect();
    files.push(folder.path().join("missing.wasm"));
    files.push(file("mute"));
    files.push(file("schemaless"));
    files.push(file("probe-transform"));
    let (loaded, broken) = load_files(&files, &settings());
    let names: Vec<&str> = loaded.iter().map(|plugin| plugin.name).collect();
    assert_eq!(names, ["probe-transform"]);
    let expected = cases.iter().map(|(name, _, cause)| (*name, *cause)).chain([
        ("missing.wasm", "cannot be read"),
        ("mute.wasm", "I do not talk about myself"),
        ("schemaless.wasm", "config-schema: no JSON Schema"),
    ]);
    assert_eq!(broken.len(), 12);
    for (broken, (name, cause)) in broken.iter().zip(expected) {
        let message = broken.error.message();
        assert!(broken.path.ends_with(name), "{broken:?}");
        assert!(message.contains(name), "{name} is not in: {message}");
        assert!(message.contains(cause), "{cause} is not in: {message}");
    }
    let newer = broken[6].error.message();
    assert!(
        newer.contains("this host speaks longshore:connector@0.1"),
        "{newer}"
    );
}

#[test]
fn a_file_beyond_the_limit_is_not_read() {
    let mut settings = settings();
    settings.limits.file = 1_000;
    let (_, broken) = load_files(&[file("mute")], &settings);
    let message = broken[0].error.message();
    assert!(message.contains("a plugin may have 1000"), "{message}");
}

#[test]
fn a_file_that_is_not_the_pinned_one_is_not_loaded() {
    let folder = folder();
    let bytes = guest("probe-transform");
    let path = write(folder.path(), "mine.wasm", &bytes);
    let (loaded, _) = load_files(std::slice::from_ref(&path), &settings());
    let candidate = Candidate {
        path: path.clone(),
        pin: Some(Pin {
            sha256: loaded[0].sha256.to_ascii_uppercase(),
            written: "mine.wasm.sha256".to_owned(),
        }),
    };
    let load = || {
        let candidates = [candidate.clone()];
        longshore_wasm::load(
            &candidates,
            &settings(),
            &provisions(),
            &Ceilings::default(),
        )
    };
    assert_eq!(load().0.len(), 1);
    // Another plugin, and then a file that is none: the pin is what it is refused for.
    for other in [guest("probe-source"), b"text".to_vec()] {
        fs::write(&path, other).expect("ours");
        let (loaded, broken) = load();
        assert!(loaded.is_empty());
        let message = broken[0].error.message();
        assert!(message.contains("mine.wasm: its hash"), "{message}");
        assert!(message.contains("pinned in mine.wasm.sha256"), "{message}");
    }
}
