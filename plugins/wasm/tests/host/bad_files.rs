//! Files that are no usable plugins: each is reported with its reason, and the others load.

use crate::probes::{file, load_files, settings};
use longshore_wasm::{Kind, Settings};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
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

fn cached(folder: &Path) -> Settings {
    Settings {
        cache: Some(folder.to_owned()),
        ..settings()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

#[test]
fn compiled_code_is_kept_and_one_that_was_tampered_with_is_made_anew() {
    let folder = folder();
    let cache = folder.path().join("cache");
    let files = [file("probe-transform")];
    let load = || {
        let (loaded, broken) = load_files(&files, &cached(&cache));
        assert!(broken.is_empty(), "{broken:?}");
        assert_eq!(loaded[0].name, "probe-transform");
    };
    load();
    let kept = entries(&cache);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let whole = fs::read(&kept[0]).expect("it is there");
    // It is used as it is.
    load();
    assert_eq!(fs::read(&kept[0]).expect("it is there"), whole);
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut marked = whole.clone();
    marked[0] ^= 1;
    for spoilt in [
        &flipped,
        &marked,
        &whole[..whole.len() - 1].to_vec(),
        &Vec::new(),
    ] {
        fs::write(&kept[0], spoilt).expect("it is ours");
        load();
        let mended = fs::read(&kept[0]).expect("it is there");
        assert_eq!(mended[..16], whole[..16]);
        assert_ne!(&mended, spoilt);
    }
    assert_eq!(entries(&cache).len(), 1, "nothing is left behind");
}

#[test]
fn a_cached_plugin_is_not_asked_again_what_it_is() {
    let folder = folder();
    let cache = folder.path().join("cache");
    let load = || load_files(&[file("probe-transform")], &cached(&cache));
    load();
    // Its words are in the file, before the code: the name with another last letter, and a digest that fits.
    let kept = entries(&cache).remove(0);
    let bytes = rewritten(
        fs::read(&kept).expect("it is there"),
        "\"probe-transform\"",
        "\"probe-transfork\"",
    );
    fs::write(&kept, sealed(&bytes)).expect("it is ours");
    let (loaded, _) = load();
    assert_eq!(loaded[0].name, "probe-transfork");
}

/// A cached file's content with a digest that fits again.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes[48..]);
    [&bytes[..16], digest.as_ref(), &bytes[48..]].concat()
}

#[test]
fn code_that_was_made_of_another_plugin_is_not_run() {
    let folder = folder();
    let cache = folder.path().join("cache");
    let load = |name: &str| load_files(&[file(name)], &cached(&cache)).0;
    let own = load("probe-transform").remove(0).sha256;
    let other = load("probe-source").remove(0).sha256;
    let of = |sha256: &str| {
        let kept = entries(&cache);
        let mut found = kept.into_iter().filter(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            name.starts_with(sha256)
        });
        found.next().expect("it was kept")
    };
    // Whole and valid, under the wrong name: it would have the other plugin's grants.
    fs::rename(of(&other), of(&own)).expect("they are ours");
    assert_eq!(load("probe-transform")[0].name, "probe-transform");
}

#[test]
fn a_guest_that_says_nothing_is_compiled_once() {
    let folder = folder();
    let cache = folder.path().join("cache");
    let load = || {
        let (_, mut broken) = load_files(&[file("mute")], &cached(&cache));
        broken.remove(0).error.message().to_owned()
    };
    let first = load();
    let kept = entries(&cache);
    assert_eq!(kept.len(), 1, "{kept:?}");
    // Who compiles writes a new file.
    let inode = || fs::metadata(&kept[0]).expect("it is there").ino();
    let before = inode();
    let second = load();
    assert_eq!(first, second);
    assert!(second.contains("I do not talk about myself"), "{second}");
    assert_eq!(inode(), before);
}

#[test]
fn code_without_words_is_asked_and_keeps_the_answer() {
    let folder = folder();
    let cache = folder.path().join("cache");
    let load = || load_files(&[file("probe-transform")], &cached(&cache)).0;
    load();
    let kept = entries(&cache).remove(0);
    let whole = fs::read(&kept).expect("it is there");
    // The mark, the digest, whose it is, and then the length of the words.
    let words = u32::from_le_bytes(whole[80..84].try_into().expect("four bytes"));
    let code = 84 + usize::try_from(words).expect("a length");
    let wordless = [&whole[..80], &[0; 4], &whole[code..]].concat();
    fs::write(&kept, sealed(&wordless)).expect("it is ours");
    assert_eq!(load()[0].name, "probe-transform");
    assert_eq!(fs::read(&kept).expect("it is there"), whole);
}

#[test]
fn a_folder_that_others_can_write_to_is_not_used() {
    let folder = folder();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).expect("a folder");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let (loaded, _) = load_files(&[file("probe-transform")], &cached(&cache));
    assert_eq!(loaded.len(), 1);
    assert!(entries(&cache).is_empty());
}
