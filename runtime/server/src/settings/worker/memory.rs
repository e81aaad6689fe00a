//! The memory budget where nobody chose one: half of what this process may use.

use std::path::{Path, PathBuf};

/// The least that is ever assumed.
const LEAST: u64 = 64 << 20;
/// Where the system does not say how much there is.
const UNKNOWN: u64 = 1 << 30;

/// Half of the memory that the process may use, at least 64 MiB: its own code, connectors and clients need the rest.
pub(super) fn default() -> u64 {
    (limit(Path::new("/")).unwrap_or(UNKNOWN) / 2).max(LEAST)
}

/// The machine's memory, or the lowest limit of a control group that this process is in, whichever is less. `None` = neither can be read.
fn limit(root: &Path) -> Option<u64> {
    let memory = std::fs::read_to_string(root.join("proc/meminfo")).ok();
    let total = memory.as_deref().and_then(total);
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| files(root, line));
    let limits = limits.filter_map(|file| {
        // "max" and the like are no limit.
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    });
    limits.chain(total).min()
}

fn total(memory: &str) -> Option<u64> {
    let line = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The files that may hold a limit of the group that a line of /proc/self/cgroup names, and of the groups around it: `0::/path` of version 2,
/// `4:memory:/path` of version 1. Inside a container the path may be the host's, and the container's own group is the root.
fn files(root: &Path, line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    let (mount, name) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        listed if listed.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let path = Path::new(path.trim_start_matches('/'));
    let file = |group: &Path| root.join(mount).join(group).join(name);
    path.ancestors().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let file = root.join(file);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
        std::fs::write(file, text).expect("written");
    }

    #[test]
    fn the_lowest_limit_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        assert_eq!(limit(root), None);
        write(
            root,
            "proc/meminfo",
            "MemFree: 1 kB\nMemTotal:       2048 kB\n",
        );
        assert_eq!(limit(root), Some(2048 * 1024));
        write(root, "proc/self/cgroup", "0::/a/b\n");
        write(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(limit(root), Some(2048 * 1024));
        write(root, "sys/fs/cgroup/a/memory.max", "500000\n");
        assert_eq!(limit(root), Some(500_000));
        // Version 1, seen from inside a container: the path is the host's.
        write(
            root,
            "proc/self/cgroup",
            "9:name=x:/\n4:cpu,memory:/docker/1\n0::/\n",
        );
        let file = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        write(root, file, "9223372036854771712\n");
        assert_eq!(limit(root), Some(2048 * 1024));
        write(root, file, "400000\n");
        assert_eq!(limit(root), Some(400_000));
        assert!(default() >= LEAST);
    }
}
