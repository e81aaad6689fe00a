//! Replacing segments by compacted ones so that a kill at any point leaves either the old or the new, never a mix.
//!
//! The cleaner writes `<base>-<end>.cleaned`; each is renamed to `.swap` (from then on it wins), the segments it replaces are deleted,
//! and it is renamed to `<base>.log`. [`settle`] finishes or undoes what a kill interrupted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::segment::{Segment, file_name};

/// A compacted segment and the offsets it stands for.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) segment: Segment,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// The name under which the cleaner writes a replacement for `from..to`.
pub(crate) fn cleaned_path(dir: &Path, from: i64) -> PathBuf {
    dir.join(format!("{from:020}.cleaned"))
}

fn swap_path(dir: &Path, from: i64, to: i64) -> PathBuf {
    dir.join(format!("{from:020}-{to:020}.swap"))
}

/// Puts the replacements (synced before) in the place of `old` on disk; the caller holds the log's lock.
pub(crate) fn replace(
    dir: &Path,
    replacements: &mut [Replacement],
    old: Vec<Segment>,
) -> io::Result<()> {
    for new in replacements.iter_mut() {
        new.segment.rename(swap_path(dir, new.from, new.to))?;
    }
    for segment in old {
        segment.remove()?;
    }
    for new in replacements {
        new.segment.rename(dir.join(file_name(new.from)))?;
    }
    Ok(())
}

/// Finishes or undoes an interrupted replacement.
pub(crate) fn settle(dir: &Path) -> io::Result<()> {
    let mut swaps = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
            continue;
        };
        if name.ends_with(".cleaned") {
            fs::remove_file(&path)?;
        } else if let Some(range) = name.strip_suffix(".swap").and_then(parse_range) {
            swaps.push((range, path));
        }
    }
    for ((from, to), path) in swaps {
        for entry in fs::read_dir(dir)? {
            let old = entry?.path();
            let base = old
                .file_name()
                .and_then(|n| n.to_str())
                .and_then(|n| n.strip_suffix(".log"));
            if base
                .and_then(|b| b.parse::<i64>().ok())
                .is_some_and(|b| (from..to).contains(&b))
            {
                fs::remove_file(old)?;
            }
        }
        fs::rename(path, dir.join(file_name(from)))?;
    }
    Ok(())
}

fn parse_range(name: &str) -> Option<(i64, i64)> {
    let (from, to) = name.split_once('-')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut all: Vec<_> = fs::read_dir(dir)
            .expect("a folder")
            .map(|e| {
                e.expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_kill_before_the_swap_keeps_the_old() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(file_name(0)), "old").expect("writes");
        fs::write(cleaned_path(dir.path(), 0), "new").expect("writes");
        settle(dir.path()).expect("settles");
        assert_eq!(names(dir.path()), vec![file_name(0)]);
        assert_eq!(
            fs::read_to_string(dir.path().join(file_name(0))).expect("reads"),
            "old"
        );
    }

    #[test]
    fn a_kill_after_the_swap_keeps_the_new() {
        let dir = tempfile::tempdir().expect("a folder");
        for base in [0, 10, 20] {
            fs::write(dir.path().join(file_name(base)), "old").expect("writes");
        }
        fs::write(swap_path(dir.path(), 0, 20), "new").expect("writes");
        settle(dir.path()).expect("settles");
        assert_eq!(names(dir.path()), vec![file_name(0), file_name(20)]);
        assert_eq!(
            fs::read_to_string(dir.path().join(file_name(0))).expect("reads"),
            "new"
        );
    }
}
