//! Whose the data folder is: what a tool makes there must be the worker's.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, absolute},
};

/// The user whom a folder belongs to, or would as a part of its nearest parent that is there, if that is somebody else than who we are. Root's
/// folders are taken for shared ones: volumes, and folders of the system.
pub(crate) fn another(folder: &Path) -> Option<u32> {
    // What a file that we make belongs to is who we are; no system call of our own is needed to ask.
    let us = tempfile::tempfile().and_then(|probe| probe.metadata());
    other_than(us.ok()?.uid(), folder)
}

fn other_than(us: u32, folder: &Path) -> Option<u32> {
    let folder = absolute(folder).ok()?;
    let mut there = folder.ancestors().map(fs::metadata).filter_map(Result::ok);
    let owner = there.next()?.uid();
    (owner != us && owner != 0).then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_that_of_its_nearest_parent() {
        let home = tempfile::tempdir().expect("a folder");
        let us = fs::metadata(home.path()).expect("a folder").uid();
        if us == 0 {
            std::os::unix::fs::chown(home.path(), Some(1_000), None).expect("root may");
        }
        let owner = fs::metadata(home.path()).expect("a folder").uid();
        let below = home.path().join("data/wasm-cache");
        for folder in [home.path(), &below] {
            assert_eq!(other_than(owner, folder), None);
            assert_eq!(other_than(owner + 1, folder), Some(owner));
            assert_eq!(another(folder), Some(owner).filter(|owner| *owner != us));
        }
        assert_eq!(other_than(owner, Path::new("/nowhere/at/all")), None);
    }
}
