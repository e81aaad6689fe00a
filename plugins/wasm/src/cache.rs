//! Compiled plugins on disk, so that a worker's start neither compiles nor runs a guest.
//!
//! A file is named by the SHA-256 of the plugin and of the engine (its version, its target and its settings). It holds both of these, what the
//! guest said of itself and the native code, and begins with the SHA-256 of all. A file that is torn or was tampered with, or that was made for
//! another plugin and renamed, is thrown away and made anew. The digest has no key: it is no defence against somebody who can write to the folder, for whom it would be easy to make a right
//! one. That defence is the folder itself: it is used only if it belongs to the worker's user and nobody else can write to it.

use crate::file::{Binary, digest, hex};
use longshore_sdk::{Error, Result};
use std::{
    fs,
    hash::{Hash, Hasher},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};
use wasmtime::component::Component;

/// Begins every file; another number = another layout.
const MARK: &[u8; 16] = b"longshore-cwasm2";
/// How long a plugin may be compiled: files that are loaded at once share the machine.
const COMPILE_MAX: Duration = Duration::from_secs(300);

/// The folder of compiled plugins.
#[derive(Clone)]
pub(crate) struct Cache {
    folder: Option<PathBuf>,
    /// The worker's user, if the folder is used.
    us: u32,
    engine: wasmtime::Engine,
    /// SHA-256 of all that decides whether compiled code fits the engine.
    fits: String,
    /// No file can be larger; a limit before allocation.
    max: u64,
}

/// What a cached file gives.
pub(crate) struct Cached {
    pub(crate) component: Component,
    /// What the guest said of itself, as it was stored.
    pub(crate) told: Vec<u8>,
}

impl Cache {
    /// Opens a folder, or makes it. One that cannot be trusted is not used: every start compiles then.
    pub(crate) fn open(folder: Option<&Path>, engine: &wasmtime::Engine, file_max: u64) -> Self {
        let used = folder.and_then(|folder| match prepare(folder) {
            Ok(us) => Some((folder.to_owned(), us)),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), error = %error, "the folder of compiled plugins is not used: they are compiled at every start");
                None
            }
        });
        let mut hasher = Sha256(aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256));
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let (folder, us) = used.unzip();
        Self {
            folder,
            us: us.unwrap_or_default(),
            engine: engine.clone(),
            fits: hex(hasher.0.finish().as_ref()),
            // Native code is about four times the size of a component.
            max: file_max.saturating_mul(16),
        }
    }
    /// The compiled plugin, if it is there and whole.
    pub(crate) fn get(&self, sha256: &str) -> Option<Cached> {
        let path = self.path(sha256)?;
        match self.read(&path, sha256) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(file = %path.display(), error = %error, "a compiled plugin is thrown away and made anew");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }
    fn read(&self, path: &Path, sha256: &str) -> Result<Option<Cached>> {
        let unreadable = |error| Error::config("load", "it cannot be read").because(error);
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.uid() != self.us || metadata.mode() & 0o022 != 0 {
            // It may lie there since before the folder was closed to others.
            let message = "it is not the worker's own, or others can write to it";
            return Err(Error::config("load", message));
        }
        let mut bytes = Vec::new();
        file.take(self.max)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let (told, code) = whole(&bytes, &self.owner(sha256)).ok_or_else(|| {
            let message = "it is torn, was tampered with, or was made of another plugin";
            Error::config("load", message)
        })?;
        let component = self.component(code)?;
        Ok(Some(Cached {
            component,
            told: told.to_vec(),
        }))
    }
    /// Compiles a component, on a thread of its own. The compiler cannot be stopped: a thread that is late is left behind, and keeps what it
    /// makes for a later start.
    pub(crate) fn compile(&self, binary: Binary) -> std::result::Result<Component, String> {
        let engine = self.engine.clone();
        let (cache, sha256) = (self.clone(), binary.sha256);
        let code = bounded(
            COMPILE_MAX,
            move || engine.precompile_component(&binary.bytes),
            move |code| {
                if let Ok(code) = code {
                    cache.put(&sha256, &[], &code);
                }
            },
        )?;
        let code =
            code.map_err(|error| format!("no valid component, perhaps cut off: {error:#}"))?;
        self.component(&code)
            .map_err(|error| error.message().to_owned())
    }
    /// Takes native code in.
    #[allow(unsafe_code)]
    fn component(&self, code: &[u8]) -> Result<Component> {
        // SAFETY: deserializing trusts its input wholly: made-up bytes can run any code as this process. These are either what
        // `precompile_component` of this very engine has just returned, or what `put` below wrote into a folder that belongs to this
        // process's user and that nobody else can write to (`prepare`), with a digest that shows it is whole (`whole`).
        let component = unsafe { Component::deserialize(&self.engine, code) };
        component.map_err(|error| {
            Error::config("load", format!("the engine does not take it: {error:#}"))
        })
    }
    /// Keeps a compiled plugin, with what the guest said of itself: nothing, if it could not be asked. A folder that is full costs a later start its time, nothing else.
    pub(crate) fn put(&self, sha256: &str, told: &[u8], code: &[u8]) {
        let Some(path) = self.path(sha256) else {
            return;
        };
        match write(&path, &self.owner(sha256), told, code) {
            Ok(()) => self.forget_others(sha256, &path),
            Err(error) => {
                tracing::warn!(file = %path.display(), error = %error, "a compiled plugin cannot be kept");
            }
        }
    }
    /// Removes what former engines made of the same plugin: nobody reads it again.
    fn forget_others(&self, sha256: &str, kept: &Path) {
        let Some(Ok(entries)) = self.folder.as_ref().map(fs::read_dir) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(sha256) && name.ends_with(".cwasm") && entry.path() != kept {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
    /// What a file is made of and for.
    fn owner(&self, sha256: &str) -> [u8; 32] {
        digest(format!("{sha256} {}", self.fits).as_bytes())
    }
    fn path(&self, sha256: &str) -> Option<PathBuf> {
        let fits = self.fits.get(..16)?;
        Some(self.folder.as_ref()?.join(format!("{sha256}-{fits}.cwasm")))
    }
}

/// Does work on a thread of its own, and waits for it until `max` has passed. Work that is late is left behind; `late` gets what it makes.
fn bounded<T: Send + 'static>(
    max: Duration,
    work: impl FnOnce() -> T + Send + 'static,
    late: impl FnOnce(T) + Send + 'static,
) -> std::result::Result<T, String> {
    // No room in the channel: what is sent was received, or comes back.
    let (sender, receiver) = mpsc::sync_channel(0);
    let thread = std::thread::Builder::new().name("plugin-compiler".into());
    let run = move || {
        if let Err(mpsc::SendError(made)) = sender.send(work()) {
            late(made);
        }
    };
    thread
        .spawn(run)
        .map_err(|error| format!("no thread to compile it: {error}"))?;
    receiver.recv_timeout(max).map_err(|error| match error {
        mpsc::RecvTimeoutError::Timeout => format!(
            "it is not compiled after {} s: make it smaller, or compile it on a faster machine with less to do",
            max.as_secs()
        ),
        mpsc::RecvTimeoutError::Disconnected => {
            "the compiler panicked on it: the file is damaged, or made to do so".to_owned()
        }
    })
}

/// Splits a file into the guest's words and the code, if it is what was written.
fn whole<'a>(bytes: &'a [u8], owner: &[u8; 32]) -> Option<(&'a [u8], &'a [u8])> {
    let rest = bytes.strip_prefix(MARK)?;
    let (expected, body) = rest.split_at_checked(32)?;
    if digest(body) != expected {
        return None;
    }
    // What runs under a plugin's grants is that plugin.
    let body = body.strip_prefix(owner)?;
    let (length, body) = body.split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?);
    body.split_at_checked(usize::try_from(length).ok()?)
}

/// Writes beside and renames: no reader and no crash sees half a file.
fn write(path: &Path, owner: &[u8; 32], told: &[u8], code: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let length = u32::try_from(told.len()).map_err(std::io::Error::other)?;
    let mut body = Vec::with_capacity(owner.len() + 4 + told.len() + code.len());
    body.extend_from_slice(owner);
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(told);
    body.extend_from_slice(code);
    let mut file = tempfile::Builder::new()
        .prefix(".making-")
        .tempfile_in(folder)?;
    file.write_all(MARK)?;
    file.write_all(&digest(&body))?;
    file.write_all(&body)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Makes the folder, or checks that it is nobody else's.
fn prepare(folder: &Path) -> std::io::Result<u32> {
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

/// Lets anything that can be hashed go through SHA-256.
struct Sha256(aws_lc_rs::digest::Context);

impl Hasher for Sha256 {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::bounded;
    use std::{sync::mpsc, time::Duration};

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn work_that_panics_is_an_error() {
        let answer = bounded(LONG, || -> u32 { panic!("on purpose") }, |_| ());
        let problem = answer.expect_err("it panicked");
        assert!(problem.contains("the compiler panicked"), "{problem}");
        assert_eq!(bounded(LONG, || 1, |_| ()), Ok(1));
    }

    #[test]
    fn work_that_is_late_is_left_behind_and_what_it_makes_is_kept() {
        let (go, gone) = mpsc::channel();
        let (keep, kept) = mpsc::channel();
        let work = move || gone.recv().expect("somebody says so");
        let answer = bounded(Duration::from_millis(1), work, move |made: u32| {
            keep.send(made).expect("somebody looks");
        });
        let problem = answer.expect_err("it cannot have returned");
        assert!(problem.contains("not compiled after"), "{problem}");
        go.send(7).expect("it waits");
        assert_eq!(kept.recv_timeout(LONG), Ok(7));
    }
}
