//! Compiled code on disk: used as it is, mapped, made anew when it is not what was written, and gone when nobody needs it.

use crate::probes::{file, load_files, numbers, settings};
use longshore_sdk::{Offsets, Share, SourceContext};
use longshore_wasm::{Registered, Settings};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Writes another text of the same length over each `from`.
fn rewritten(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    assert_eq!(from.len(), to.len());
    let places = bytes.windows(from.len()).enumerate();
    let places: Vec<usize> = places
        .filter(|(_, window)| *window == from)
        .map(|(place, _)| place)
        .collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to);
    }
    bytes
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
    let again = fs::read(&kept[0]).expect("it is there");
    assert!(again == whole, "it is not what it was");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut marked = whole.clone();
    *marked.last_mut().expect("bytes") ^= 1;
    for spoilt in [
        &flipped,
        &marked,
        &whole[..whole.len() - 1].to_vec(),
        &Vec::new(),
    ] {
        replace(&kept[0], spoilt);
        load();
        let mended = fs::read(&kept[0]).expect("it is there");
        assert!(mended == whole, "it is not what it was");
    }
    assert_eq!(entries(&cache).len(), 1, "nothing is left behind");
}

#[test]
fn a_cached_plugin_is_not_asked_again_what_it_is() {
    let folder = folder();
    let cache = folder.path().join("cache");
    let load = || load_files(&[file("probe-transform")], &cached(&cache));
    load();
    // Its words are in the file, behind the code: the name with another last letter, and a digest that fits.
    let kept = entries(&cache).remove(0);
    let bytes = rewritten(
        fs::read(&kept).expect("it is there"),
        "\"probe-transform\"",
        "\"probe-transfork\"",
    );
    replace(&kept, &sealed(&bytes));
    let (loaded, _) = load();
    assert_eq!(loaded[0].name, "probe-transfork");
}

/// Of a cached file: its digest and mark, and before these whose it is and how long the guest's words are.
const SEAL: usize = 32 + 16;
const OWNER: usize = 32 + 4;

/// A cached file's content with a digest that fits again.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let (body, seal) = bytes.split_at(bytes.len() - SEAL);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    [body, digest.as_ref(), &seal[32..]].concat()
}

/// Nobody may write to one that is there.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).expect("it is ours");
    fs::write(path, bytes).expect("it is ours");
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
    let tail = whole.len() - SEAL - OWNER;
    let length = &whole[tail + 32..tail + 36];
    let words = u32::from_le_bytes(length.try_into().expect("four bytes"));
    let code = tail - usize::try_from(words).expect("a length");
    let wordless = [
        &whole[..code],
        &whole[tail..tail + 32],
        &[0; 4],
        &whole[tail + 36..],
    ];
    replace(&kept, &sealed(&wordless.concat()));
    assert_eq!(load()[0].name, "probe-transform");
    let again = fs::read(&kept).expect("it is there");
    assert!(again == whole, "it is not what it was");
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

/// Its memory is the system's cache of the file; and who has it keeps it, whatever becomes of its name.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn compiled_code_is_mapped_and_stays_what_it_was() {
    let folder = folder();
    let cache = folder.path().join("cache");
    for _ in 0..2 {
        let (loaded, _) = load_files(&[file("probe-source")], &cached(&cache));
        let kept = entries(&cache).remove(0);
        let mode = fs::metadata(&kept).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o400, "nobody writes to it");
        let maps = fs::read_to_string("/proc/self/maps").expect("Linux tells");
        let kept = kept.display().to_string();
        let mut mapped = maps.lines().filter(|line| line.ends_with(&kept));
        let code = mapped.find(|line| line.contains(" r-xp "));
        assert!(code.is_some(), "{kept} is not mapped");
        fs::remove_dir_all(&cache).expect("it is ours");
        let Registered::Source(source) = &loaded[0].plugin else {
            panic!("it is a source");
        };
        let cx = SourceContext::detached("counting", 0, Offsets::new());
        let task = source.open(&numbers(&[]), Share::new(), cx).await;
        let mut task = task.expect("it opens");
        let records = task.poll(Duration::from_millis(100)).await;
        assert_eq!(records.expect("records").len(), 10);
        load_files(&[file("probe-source")], &cached(&cache));
    }
}

#[test]
fn a_start_waits_for_a_slow_compilation_once_and_the_next_finds_it_made() {
    let folder = folder();
    let cache = folder.path().join("cache");
    let mut settings = cached(&cache);
    settings.starting = true;
    settings.limits.compile_timeout = Duration::from_millis(1);
    let files = [file("probe-sink")];
    let (loaded, broken) = load_files(&files, &settings);
    assert!(loaded.is_empty());
    let message = broken[0].error.message();
    assert!(message.contains("probe-sink.wasm"), "{message}");
    assert!(
        message.contains("longshore.wasm.compile.timeout.ms"),
        "{message}"
    );
    let late = |name: &PathBuf| name.extension().is_some_and(|ext| ext == "late");
    // Generous: a loaded machine is not a failure.
    let until = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        let kept = entries(&cache);
        if kept
            .iter()
            .any(|name| name.extension().is_some_and(|ext| ext == "cwasm"))
            && !kept.iter().any(late)
        {
            break;
        }
        assert!(std::time::Instant::now() < until, "{kept:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (loaded, broken) = load_files(&files, &settings);
    assert!(broken.is_empty(), "{broken:?}");
    assert_eq!(loaded[0].name, "probe-sink");
}

#[test]
fn a_start_removes_what_nobody_uses() {
    let folder = folder();
    let cache = folder.path().join("cache");
    load_files(&[file("probe-sink"), file("mute")], &cached(&cache));
    let aged = entries(&cache);
    assert_eq!(aged.len(), 2);
    for path in &aged {
        let kept = fs::File::open(path).expect("it is there");
        let then = SystemTime::now() - Duration::from_secs(40 * 86_400);
        kept.set_modified(then).expect("it is ours");
    }
    // A tool that looks at one plugin leaves the others' alone.
    load_files(&[file("probe-transform")], &cached(&cache));
    assert_eq!(entries(&cache).len(), 3);
    let mut settings = cached(&cache);
    settings.starting = true;
    // One that cannot be used is known all the same.
    load_files(&[file("probe-transform"), file("mute")], &settings);
    let left = entries(&cache);
    assert_eq!(left.len(), 2, "{left:?}");
    let gone = aged.iter().filter(|path| !left.contains(path)).count();
    assert_eq!(gone, 1);
    // What is known is marked as used.
    settings.limits.cache = 0;
    load_files(&[file("mute")], &settings);
    assert_eq!(entries(&cache).len(), 2, "what is young stays");
}
