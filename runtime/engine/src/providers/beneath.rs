//! Reading a file that stands beneath a folder which an operator has named, and no other.

use longshore_sdk::{Error, Result};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

/// The largest file that is read for a value (I6).
const FILE_MAX: u64 = 1 << 20;
/// How often a path is looked up again that changed under way, as a mounted secret does when it is renewed.
const AGAIN_MAX: usize = 16;

/// `allowed.paths`: folders, each with all below it, and single files.
///
/// The kernel follows links inside a folder and refuses the way out of it, so that mounted secrets, which are links to links, can be read and
/// nobody's link leads elsewhere. Only regular files are read.
#[derive(Clone, Debug)]
pub struct Roots(Vec<PathBuf>);

impl Roots {
    /// Reads a comma list. Relative paths are relative to the working directory. Err says what is wrong.
    pub fn parse(list: &str) -> Result<Self, String> {
        let given = list
            .split(',')
            .map(str::trim)
            .filter(|path| !path.is_empty());
        let roots = given.map(|path| plain(path).map_err(|why| format!("{path} {why}")));
        let roots = roots.collect::<Result<Vec<PathBuf>, String>>()?;
        if roots.is_empty() {
            return Err("expected at least 1 path".to_owned());
        }
        Ok(Self(roots))
    }
    /// Those that are not there now.
    pub fn absent(&self) -> Vec<&Path> {
        let roots = self.0.iter().map(PathBuf::as_path);
        roots.filter(|root| !root.exists()).collect()
    }
    /// A file's text; `None` if it is not there. Errors name the path.
    pub(super) fn read(&self, path: &str) -> Result<Option<String>> {
        let refused = |why: &str| {
            let allowed: Vec<String> = self
                .0
                .iter()
                .map(|root| root.display().to_string())
                .collect();
            let text = format!("{path} {why}; allowed.paths allows {}", allowed.join(", "));
            Error::config("config", text)
        };
        let full = plain(path).map_err(&refused)?;
        let mut beneath = self
            .0
            .iter()
            .filter_map(|root| Some((root, full.strip_prefix(root).ok()?)));
        let Some((root, rest)) = beneath.next() else {
            return Err(refused("is not below allowed.paths"));
        };
        let file = match open(root, rest) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::XDEV | Errno::LOOP) => {
                return Err(refused("is a link that leaves the folder"));
            }
            Err(error) => return Err(unreadable(path, error.into())),
        };
        text(path, File::from(file)).map(Some)
    }
}

/// The absolute form of a path that names its file without detours.
fn plain(path: &str) -> Result<PathBuf, &'static str> {
    if path.is_empty() || path.contains('\0') {
        return Err("is no path");
    }
    if Path::new(path)
        .components()
        .any(|part| part == Component::ParentDir)
    {
        return Err("holds `..`: write the path without it");
    }
    std::path::absolute(path).map_err(|_| "is no path")
}

/// Neither waits for the other end of a pipe nor becomes a terminal's owner.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

fn open(root: &Path, rest: &Path) -> Result<OwnedFd, Errno> {
    if rest.as_os_str().is_empty() {
        return rustix::fs::open(root, READ, Mode::empty());
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(root, flags, Mode::empty())?;
        for _ in 0..AGAIN_MAX {
            let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&folder, rest, READ, Mode::empty(), how) {
                Err(Errno::AGAIN) => {}
                // An old kernel, or a sandbox that does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => return open_checked(root, rest),
                opened => return opened,
            }
        }
        Err(Errno::AGAIN)
    }
    #[cfg(not(target_os = "linux"))]
    open_checked(root, rest)
}

/// The same without the kernel's help: where the links lead is checked before the file is opened and, by what was opened, after it.
fn open_checked(root: &Path, rest: &Path) -> Result<OwnedFd, Errno> {
    let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let root = root.canonicalize().map_err(errno)?;
    for _ in 0..AGAIN_MAX {
        let target = root.join(rest).canonicalize().map_err(errno)?;
        if !target.starts_with(&root) {
            return Err(Errno::XDEV);
        }
        let file = rustix::fs::open(&target, READ | OFlags::NOFOLLOW, Mode::empty())?;
        let opened = rustix::fs::fstat(&file)?;
        let again = root.join(rest).canonicalize().map_err(errno)?;
        let named = rustix::fs::stat(&again)?;
        if again == target && (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino) {
            return Ok(file);
        }
    }
    Err(Errno::AGAIN)
}

fn text(path: &str, file: File) -> Result<String> {
    let wrong = |why: String| Err(Error::config("config", format!("{path} {why}")));
    let about = file.metadata().map_err(|error| unreadable(path, error))?;
    if !about.is_file() {
        return wrong("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    // Not its length: it may grow while it is read.
    let limited = file.take(FILE_MAX + 1).read_to_end(&mut bytes);
    limited.map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > FILE_MAX {
        return wrong(format!("is larger than {FILE_MAX} bytes"));
    }
    // The error would hold the bytes.
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => wrong("is not UTF-8 text".to_owned()),
    }
}

fn unreadable(path: &str, error: io::Error) -> Error {
    let lasting = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory
    );
    let text = format!("{path} cannot be read: {error}");
    if lasting {
        Error::config("config", text)
    } else {
        Error::transient("config", text)
    }
}

#[cfg(test)]
mod tests {
    use super::open_checked;
    use rustix::io::Errno;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn the_way_without_the_kernel_keeps_to_the_folder_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("..2024")).expect("a folder");
        fs::write(root.join("..2024/key"), "in").expect("written");
        fs::write(folder.path().join("out"), "out").expect("written");
        symlink("..2024", root.join("..data")).expect("a link");
        symlink("..data/key", root.join("key")).expect("a link");
        symlink("../out", root.join("escape")).expect("a link");
        open_checked(&root, "key".as_ref()).expect("a mounted secret");
        let escaped = open_checked(&root, "escape".as_ref()).expect_err("it leaves");
        assert_eq!(escaped, Errno::XDEV);
    }
}
