//! What nobody needs any more goes: code of plugins that are gone or were replaced, of former engines, and what killed writers left.
//!
//! Several workers may share a folder. Each marks what it uses with the time (`Cache::get`); what another one uses is young, or its code
//! stays mapped there after its name is gone, and costs that one a compilation at its next start, no more.

use super::entry::{LATE, MAKING, SUFFIX};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const HOUR: Duration = Duration::from_secs(3_600);
/// Unused for so long, an entry of a plugin that this worker does not know goes.
const KEPT: Duration = HOUR.saturating_mul(24 * 30);
/// No writer takes longer.
const MAKING_MAX: Duration = HOUR.saturating_mul(24);
/// Of an entry that has to make room: another worker that is starting may just have made it.
const YOUNG: Duration = HOUR;
/// Files that are looked at (I6).
const FILES_MAX: usize = 10_000;

struct Old {
    path: PathBuf,
    age: Duration,
    bytes: u64,
}

/// Removes what is too old from a folder, and then, oldest first, what is beyond `bytes_max`. What is `known` stays, whatever it takes.
pub(super) fn tidy(folder: &Path, known: &BTreeSet<String>, bytes_max: u64, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let (mut all, mut others) = (0, Vec::new());
    for entry in entries.flatten().take(FILES_MAX) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let since = metadata.modified().ok();
        let age = since.and_then(|since| now.duration_since(since).ok());
        // A time that is still to come is none that anything could be told by.
        let age = age.unwrap_or_default();
        let (stem, suffix) = name.rsplit_once('.').unwrap_or((&name, ""));
        if name.starts_with(MAKING) {
            remove_if(age > MAKING_MAX, &entry.path());
        } else if suffix == LATE {
            let of_known = known.contains(&format!("{stem}.{SUFFIX}"));
            remove_if(age > KEPT && !of_known, &entry.path());
        } else if suffix == SUFFIX {
            let bytes = metadata.len();
            if known.contains(&name) {
                all += bytes;
            } else if !remove_if(age > KEPT, &entry.path()) {
                all += bytes;
                let path = entry.path();
                others.push(Old { path, age, bytes });
            }
        }
    }
    others.sort_by_key(|old| std::cmp::Reverse(old.age));
    for old in others.iter().filter(|old| old.age > YOUNG) {
        if all <= bytes_max {
            break;
        }
        if remove_if(true, &old.path) {
            all -= old.bytes;
        }
    }
}

fn remove_if(wanted: bool, path: &Path) -> bool {
    if wanted {
        tracing::info!(file = %path.display(), "a compiled plugin that nobody needs is removed");
    }
    wanted && fs::remove_file(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_too_much_goes_and_what_is_known_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let put = |name: &str, hours: u32, bytes: usize| {
            let path = folder.path().join(name);
            fs::write(&path, vec![0; bytes]).expect("written");
            let file = fs::File::options().write(true).open(&path).expect("ours");
            file.set_modified(now - HOUR * hours).expect("a time");
        };
        let month = 24 * 31;
        put("mine.cwasm", month, 100);
        put("gone.cwasm", month, 10);
        put("neighbours.cwasm", 24, 10);
        put("neighbours-other.cwasm", 48, 10);
        put("just-made.cwasm", 0, 10);
        put(".making-1", 25, 10);
        put(".making-2", 0, 10);
        put("mine.late", month, 0);
        put("gone.late", month, 0);
        put("new.late", 2, 0);
        put("something-else", month, 10);
        let known = BTreeSet::from(["mine.cwasm".to_owned()]);
        let left = || {
            let names = fs::read_dir(folder.path()).expect("a folder");
            let names = names.map(|entry| entry.expect("an entry").file_name());
            let mut names: Vec<String> = names
                .map(|name| name.to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        tidy(folder.path(), &known, 1_000, now);
        let kept = [
            ".making-2",
            "just-made.cwasm",
            "mine.cwasm",
            "mine.late",
            "neighbours-other.cwasm",
            "neighbours.cwasm",
            "new.late",
            "something-else",
        ];
        assert_eq!(left(), kept);
        tidy(folder.path(), &known, 120, now);
        assert!(!left().contains(&"neighbours-other.cwasm".to_owned()));
        assert_eq!(left().len(), kept.len() - 1, "the oldest makes the room");
        // What is young stays, even if it is too much.
        tidy(folder.path(), &known, 0, now);
        assert!(left().contains(&"just-made.cwasm".to_owned()));
        assert!(!left().contains(&"neighbours.cwasm".to_owned()));
    }
}
