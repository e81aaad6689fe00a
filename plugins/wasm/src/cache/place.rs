//! Whose the folder of compiled plugins is, and where it stands.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

/// Makes the folder, or checks that it is nobody else's; the user who we are.
pub(super) fn prepare(folder: &Path) -> std::io::Result<u32> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made?;
    // What a file that we make belongs to is who we are; no system call of our own is needed to ask.
    let probe = tempfile::tempfile_in(folder)?;
    let us = probe.metadata()?.uid();
    let metadata = fs::metadata(folder)?;
    let refuse = |why: String| Err(std::io::Error::other(why));
    if metadata.uid() != us {
        return refuse(format!(
            "it belongs to user {}, the worker runs as {us}: compiled code of another user is not run",
            metadata.uid()
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        return refuse(format!(
            "its mode is {:o}: others could put code there that the worker would run; chmod go-w it",
            metadata.mode() & 0o777
        ));
    }
    Ok(us)
}

/// Whether files of a folder stay what they were while they are open, even when somebody removes them: not so where another machine keeps
/// them. What is not known is not local.
#[cfg(target_os = "linux")]
pub(super) fn is_local(folder: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo");
    let folder = fs::canonicalize(folder);
    match (mounts, folder) {
        (Ok(mounts), Ok(folder)) => kind(&mounts, &folder).is_some_and(|kind| !of_others(kind)),
        _ => false,
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_local(_: &Path) -> bool {
    false
}

/// The kind of the file system that a folder is on: that of the longest mount point above it, the last one where several share it.
#[cfg(any(target_os = "linux", test))]
fn kind<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let above = mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?.replace("\\040", " ");
        let fits = folder.starts_with(&point);
        fits.then(|| (point.len(), kind.split(' ').next()))
    });
    above.max_by_key(|(length, _)| *length)?.1
}

#[cfg(any(target_os = "linux", test))]
fn of_others(kind: &str) -> bool {
    const THEIRS: [&str; 16] = [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "virtiofs",
        "ceph",
        "afs",
        "lustre",
        "gpfs",
        "beegfs",
        "glusterfs",
        "ocfs2",
        "gfs2",
        "vboxsf",
    ];
    kind.starts_with("fuse") || THEIRS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_of_the_kind_of_its_nearest_mount() {
        let mounts = "\
            22 1 0:20 / / rw - ext4 /dev/root rw\n\
            30 22 0:30 / /srv/shared rw,relatime shared:3 - nfs4 host:/x rw\n\
            31 22 0:31 / /srv/shared\\040too rw - tmpfs tmpfs rw\n\
            32 30 0:32 / /srv/shared/own rw - xfs /dev/sdb rw\n\
            33 22 0:33 / /mnt rw - fuse.sshfs host: rw\n";
        for (folder, expected, others) in [
            ("/var/lib/longshore/wasm-cache", "ext4", false),
            ("/srv/shared/cache", "nfs4", true),
            ("/srv/shared too/cache", "tmpfs", false),
            ("/srv/shared/own/cache", "xfs", false),
            ("/mnt/cache", "fuse.sshfs", true),
        ] {
            let kind = kind(mounts, Path::new(folder)).expect("it is somewhere");
            assert_eq!((kind, of_others(kind)), (expected, others), "{folder}");
        }
        assert_eq!(kind("", Path::new("/var")), None);
    }
}
