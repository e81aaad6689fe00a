//! Compiled plugins on disk, so that a worker's start neither compiles nor runs a guest.
//!
//! A file is named by the SHA-256 of the plugin and of the engine (its version, its target and its settings); see [`entry`] for what it
//! holds. One that is torn or was tampered with, or that was made for another plugin and renamed, is thrown away and made anew. Its digest
//! has no key: it is no defence against somebody who can write to the folder, for whom it would be easy to make a right one. That defence is
//! the folder itself: it is used only if it belongs to the worker's user and nobody else can write to it.
//!
//! Code is mapped, not copied: its pages are the system's cache of the file, shared by all workers of a machine, given back when memory is
//! short, and read when they are first used. What a mapping shows is what stands in the file, later, too. That is safe for the reasons that
//! loading is: who could change the file under the mapping could have put other code there before, and is the worker's own user. Against
//! accidents there is this: nobody here writes to a file that has its name already (it is written beside and renamed, with a mode that
//! forbids writing), and one that is removed or replaced stays what it was for those who have mapped it. On file systems of other machines
//! that last promise does not hold; code from there is copied ([`place`]).

mod compiling;
mod entry;
mod mark;
mod place;
mod tidy;

use crate::file::{Binary, hex};
use compiling::{Bounded, bounded};
use longshore_sdk::{Error, Result};
use mark::{Before, Mark};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    hash::{Hash, Hasher},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};
use wasmtime::component::Component;

/// The folder of compiled plugins.
#[derive(Clone)]
pub(crate) struct Cache {
    folder: Option<Folder>,
    engine: wasmtime::Engine,
    /// SHA-256 of all that decides whether compiled code fits the engine.
    fits: String,
    /// No entry can be larger; a limit before allocation.
    entry_max: u64,
    /// The names of those that plugins of this worker have, or would have.
    known: Arc<Mutex<BTreeSet<String>>>,
    patience: Patience,
}

/// A folder that is used.
#[derive(Clone)]
struct Folder {
    path: PathBuf,
    /// The worker's user.
    us: u32,
    /// Whether code that stands there may be mapped.
    local: bool,
}

/// How long compiling may keep others waiting.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// For one plugin; at a worker's start for all of them together.
    pub(crate) max: Duration,
    /// Since when a worker has been starting, if it is.
    pub(crate) starting: Option<Instant>,
}

impl Patience {
    /// What is left of it.
    fn left(self) -> Duration {
        let gone = self.starting.map(|since| since.elapsed());
        self.max.saturating_sub(gone.unwrap_or_default())
    }
}

/// What a cached file gives.
pub(crate) struct Cached {
    pub(crate) component: Component,
    file: File,
    entry: entry::Entry,
}

impl Cached {
    /// What the guest said of itself, as it was stored.
    pub(crate) fn told(&self) -> &[u8] {
        &self.entry.told
    }
    /// A copy of the code alone: what a mapped component serializes to is all of its file.
    pub(crate) fn code(&self) -> std::io::Result<Vec<u8>> {
        self.entry.code(&self.file)
    }
}

impl Cache {
    /// Opens a folder, or makes it. One that cannot be trusted is not used: every start compiles then.
    pub(crate) fn open(
        folder: Option<&Path>,
        engine: &wasmtime::Engine,
        file_max: u64,
        patience: Patience,
    ) -> Self {
        let used = folder.and_then(|folder| match place::prepare(folder) {
            Ok(us) => Some(Folder {
                path: folder.to_owned(),
                us,
                local: place::is_local(folder),
            }),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), error = %error, "the folder of compiled plugins is not used: they are compiled at every start");
                None
            }
        });
        let mut hasher = Sha256(aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256));
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self {
            folder: used,
            engine: engine.clone(),
            fits: hex(hasher.0.finish().as_ref()),
            // Native code is about four times the size of a component.
            entry_max: file_max.saturating_mul(16),
            known: Arc::default(),
            patience,
        }
    }
    /// The compiled plugin, if it is there and whole.
    pub(crate) fn get(&self, sha256: &str) -> Option<Cached> {
        let folder = self.folder.as_ref()?;
        let path = self.path(folder, sha256)?;
        match self.read(folder, &path, sha256) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(file = %path.display(), error = %error, "a compiled plugin is thrown away and made anew");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }
    fn read(&self, folder: &Folder, path: &Path, sha256: &str) -> Result<Option<Cached>> {
        let unreadable = |error| Error::config("load", "it cannot be read").because(error);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.uid() != folder.us || metadata.mode() & 0o022 != 0 {
            // It may lie there since before the folder was closed to others.
            let message = "it is not the worker's own, or others can write to it";
            return Err(Error::config("load", message));
        }
        let owner = self.owner(sha256);
        let whole = entry::open(&file, &owner, self.entry_max).map_err(unreadable)?;
        let entry = whole.ok_or_else(|| {
            let message = "it is torn, was tampered with, or was made of another plugin";
            Error::config("load", message)
        })?;
        let component = if folder.local {
            self.mapped(&file)?
        } else {
            self.component(&entry.code(&file).map_err(unreadable)?)?
        };
        // For whoever tidies up: it is in use.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(Cached {
            component,
            file,
            entry,
        }))
    }
    /// Compiles a component, on a thread of its own. The compiler cannot be stopped: a thread that is late is left behind, and keeps what it
    /// makes for a later start.
    pub(crate) fn compile(&self, binary: Binary) -> std::result::Result<Vec<u8>, String> {
        let engine = self.engine.clone();
        let (cache, sha256) = (self.clone(), binary.sha256);
        let (mark, before) = self.mark(&sha256).unzip();
        let left = match before {
            Some(Before::Hopeless) => return Err(HOPELESS.to_owned()),
            // It does not keep a start waiting again.
            Some(Before::Late) => Duration::ZERO,
            Some(Before::New) | None => self.patience.left(),
        };
        let code = bounded(
            left,
            move || engine.precompile_component(&binary.bytes),
            // One that cannot be compiled after all stays marked: it took too long to find that out.
            move |code| {
                if let Ok(code) = code {
                    cache.put(&sha256, &[], &code);
                }
            },
        );
        match (&code, &mark) {
            (Bounded::Made(_) | Bounded::Panicked, Some(mark)) => mark.end(),
            (Bounded::Late, Some(mark)) => mark.late(),
            (Bounded::Crowded | Bounded::NoThread(_), Some(mark)) => mark.take_back(),
            _ => {}
        }
        let max = self.patience.max.as_secs();
        match code {
            Bounded::Made(code) => {
                code.map_err(|error| format!("no valid component, perhaps cut off: {error:#}"))
            }
            Bounded::Late => Err(format!(
                "it was not compiled within {max} s (longshore.wasm.compile.timeout.ms). A worker goes on with it beside its work, and takes it at \
                 its next start; `longshore plugin install` compiles before. If it never ends, make the plugin smaller"
            )),
            Bounded::Crowded => Err(
                "it is not compiled, since several others still are, for too long already: start again later, or take those away"
                    .to_owned(),
            ),
            Bounded::Panicked => Err(
                "the compiler panicked on it: the file is damaged, or made to do so".to_owned(),
            ),
            Bounded::NoThread(error) => Err(format!("no thread to compile it: {error}")),
        }
    }
    /// Takes native code in, as a copy.
    #[allow(unsafe_code)]
    pub(crate) fn component(&self, code: &[u8]) -> Result<Component> {
        // SAFETY: deserializing trusts its input wholly: made-up bytes can run any code as this process. These are either what
        // `precompile_component` of this very engine has just returned, or what `put` below wrote into a folder that belongs to this
        // process's user and that nobody else can write to (`place::prepare`), with a digest that shows it is whole (`entry::open`).
        let component = unsafe { Component::deserialize(&self.engine, code) };
        component.map_err(refused)
    }
    /// Takes native code in where it stands. The code is at the file's start; what follows it is not looked at.
    #[allow(unsafe_code)]
    fn mapped(&self, file: &File) -> Result<Component> {
        // This file, not whatever has its name by now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: as above, and the file must not change as long as the component lives: see the head of this module. It is the very file
        // whose digest was right, in a folder and with a mode that let nobody but this process's user write to it.
        let component = unsafe { Component::deserialize_file(&self.engine, path) };
        component.map_err(refused)
    }
    /// Keeps a compiled plugin, with what the guest said of itself: nothing, if it could not be asked. A folder that is full costs a later start its time, nothing else.
    pub(crate) fn put(&self, sha256: &str, told: &[u8], code: &[u8]) {
        let Some(path) = self
            .folder
            .as_ref()
            .and_then(|folder| self.path(folder, sha256))
        else {
            return;
        };
        match entry::write(&path, &self.owner(sha256), told, code) {
            Ok(()) => self.unmark(sha256),
            Err(error) => {
                tracing::warn!(file = %path.display(), error = %error, "a compiled plugin cannot be kept");
            }
        }
    }
    /// Removes what nobody needs any more, see [`tidy`]. To be called once every plugin of the worker was looked for.
    pub(crate) fn tidy(&self, bytes_max: u64) {
        if let Some(folder) = &self.folder {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            tidy::tidy(&folder.path, &known, bytes_max, SystemTime::now());
        }
    }
    /// What a file is made of and for.
    fn owner(&self, sha256: &str) -> [u8; 32] {
        crate::file::digest(format!("{sha256} {}", self.fits).as_bytes())
    }
    fn path(&self, folder: &Folder, sha256: &str) -> Option<PathBuf> {
        let fits = self.fits.get(..16)?;
        let name = format!("{sha256}-{fits}.{}", entry::SUFFIX);
        let path = folder.path.join(&name);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name);
        Some(path)
    }
    /// Of a worker that starts: that it compiles a plugin. Tools try as often as somebody asks them to.
    fn mark(&self, sha256: &str) -> Option<(Mark, Before)> {
        self.patience.starting?;
        Mark::begin(&self.mark_path(sha256)?).ok()
    }
    fn unmark(&self, sha256: &str) {
        if let Some(path) = self.mark_path(sha256) {
            let _ = fs::remove_file(path);
        }
    }
    fn mark_path(&self, sha256: &str) -> Option<PathBuf> {
        let path = self.path(self.folder.as_ref()?, sha256)?;
        Some(path.with_extension(entry::LATE))
    }
}

const HOPELESS: &str = "its compilation was begun at several starts of a worker and never came to an end; it is not tried again: \
    compile it with `longshore plugin install`, or make it smaller";

fn refused(error: wasmtime::Error) -> Error {
    Error::config("load", format!("the engine does not take it: {error:#}"))
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
