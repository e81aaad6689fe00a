//! From files to plugins.

use crate::{
    Broken, Candidate, Ceilings, Kind, Loaded, Registered, Settings,
    cache::{Cache, Patience},
    engine::Engine,
    file::{self, Binary},
    installed::{Installed, Provided, within},
    refusal::{Failure, Tag, reason},
    services::{Caller, Provisions},
    sink::WasmSinkConnector,
    source::WasmSourceConnector,
    store::{self, Allowance, State},
    told::Told,
    transform, worlds,
    worlds::{SinkPre, SourcePre, TransformPre, World},
};
use longshore_sdk::{Error, Result};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use wasmtime::{
    Store,
    component::{Component, Linker},
};

/// How long a guest may take to say what it is.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);
/// Files that are loaded at once: one is compiled on all cores anyway.
const AT_ONCE: usize = 4;

/// Loads plugins, side by side, on one engine of their own. Blocks: what is not in the cache is compiled, and its guest is asked what it is.
/// Never fails as a whole; both lists are in the order of `files`.
///
/// Names and versions live as long as the process (the registry holds them so): each file of each call costs some bytes for good, so that
/// this is called at start, not again and again.
pub fn load<F: Into<Candidate> + Clone>(
    files: &[F],
    settings: &Settings,
    provisions: &Arc<Provisions>,
    ceilings: &Ceilings,
) -> (Vec<Loaded>, Vec<Broken>) {
    let files: Vec<Candidate> = files.iter().cloned().map(Into::into).collect();
    all(&files, settings, provisions, ceilings)
}

fn all(
    files: &[Candidate],
    settings: &Settings,
    provisions: &Arc<Provisions>,
    ceilings: &Ceilings,
) -> (Vec<Loaded>, Vec<Broken>) {
    let loader = match Loader::new(settings, provisions, ceilings) {
        Ok(loader) => loader,
        Err(error) => {
            let text = error.message().to_owned();
            let broken = files.iter().map(|Candidate { path, .. }| Broken {
                path: path.clone(),
                error: Error::config("load", format!("{}: {text}", path.display())),
            });
            return (Vec::new(), broken.collect());
        }
    };
    let results = Mutex::new(Vec::with_capacity(files.len()));
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Each asks at most one guest at a time: they are never too many for the worker.
        let room = usize::try_from(settings.limits.instances).unwrap_or(usize::MAX);
        for _ in 0..AT_ONCE.min(files.len()).min(room.max(1)) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(file) = files.get(place) else {
                        return;
                    };
                    let loaded = guarded(&file.path, || loader.load(file));
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.push((place, loaded));
                }
            });
        }
    });
    if settings.starting {
        loader.cache.tidy(settings.limits.cache);
    }
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(place, _)| *place);
    let (mut all, mut broken) = (Vec::new(), Vec::new());
    for (place, loaded) in results {
        match loaded {
            Ok(loaded) => all.push(loaded),
            Err(error) => broken.push(Broken {
                path: files[place].path.clone(),
                error,
            }),
        }
    }
    (all, broken)
}

/// A panic while one file is loaded, such as of the compiler, is that file's: the others load. Nothing that it leaves half done is used again.
fn guarded(path: &Path, load: impl FnOnce() -> Result<Loaded>) -> Result<Loaded> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(load)).unwrap_or_else(|_| {
        let problem = "the worker panicked over it: the file is damaged, or made to do so";
        let message = format!("{}: {problem}", path.display());
        Err(Error::config("load", message))
    })
}

struct Loader<'a> {
    settings: &'a Settings,
    provisions: &'a Arc<Provisions>,
    ceilings: &'a Ceilings,
    engine: Engine,
    linker: Linker<State>,
    cache: Cache,
}

impl<'a> Loader<'a> {
    fn new(
        settings: &'a Settings,
        provisions: &'a Arc<Provisions>,
        ceilings: &'a Ceilings,
    ) -> Result<Self> {
        let engine = Engine::new(&settings.limits)?;
        let linker = worlds::linker(engine.wasmtime()).map_err(|error| {
            Error::bug(
                "load",
                format!("the host's functions do not link: {error:#}"),
            )
        })?;
        let cache = Cache::open(
            settings.cache.as_deref(),
            engine.wasmtime(),
            settings.limits.file,
            Patience {
                max: settings.limits.compile_timeout,
                starting: settings.starting.then(Instant::now),
            },
        );
        Ok(Self {
            settings,
            provisions,
            ceilings,
            engine,
            linker,
            cache,
        })
    }
    fn load(&self, file: &Candidate) -> Result<Loaded> {
        let path = file.path.as_path();
        let binary = file::read(file, self.settings.limits.file)?;
        let sha256 = binary.sha256.clone();
        let (world, told) = match self.cache.get(&sha256) {
            None => self.compiled(path, binary)?,
            Some(cached) => {
                let told = serde_json::from_slice::<Told>(cached.told()).ok();
                let wordless = told.is_none();
                let (world, told) = self.judge(path, &cached.component, told)?;
                if wordless && let Ok(code) = cached.code() {
                    self.cache.put(&sha256, &words(&told), &code);
                }
                (world, told)
            }
        };
        let named =
            |problem: String| Error::config("load", format!("{}: {problem}", path.display()));
        let (definition, schema) = told.check().map_err(named)?;
        let tag = Tag {
            name: told.name.clone().leak(),
            version: told.version.clone().leak(),
        };
        let installed = Arc::new(self.install(tag, told, definition));
        Ok(Loaded {
            name: tag.name,
            version: tag.version,
            vendor: installed.told.vendor.clone(),
            sha256,
            path: path.to_owned(),
            kind: world.kind(),
            plugin: registered(installed, world),
            schema: Arc::new(schema),
            provisions: self.provisions.clone(),
        })
    }
    /// Compiles a plugin, asks it what it is, and keeps both.
    fn compiled(&self, path: &Path, binary: Binary) -> Result<(World, Told)> {
        let sha256 = binary.sha256.clone();
        let named =
            |problem: String| Error::config("load", format!("{}: {problem}", path.display()));
        let code = self.cache.compile(binary).map_err(named)?;
        let component = self
            .cache
            .component(&code)
            .map_err(|error| named(error.message().to_owned()))?;
        let judged = self.judge(path, &component, None);
        // Kept even if its words turn out to be wrong, or if it has none: the next start need not compile it to say so.
        let told = judged.as_ref().ok().map(|(_, told)| words(told));
        self.cache.put(&sha256, &told.unwrap_or_default(), &code);
        drop(code);
        let (copied, told) = judged?;
        // What is mapped takes less memory than the copy.
        let cached = self.cache.get(&sha256);
        let mapped = cached.and_then(|cached| self.world(&cached.component).ok());
        Ok((mapped.unwrap_or(copied), told))
    }
    /// What the component is made for, and what it says of itself, unless that is known.
    fn judge(
        &self,
        path: &Path,
        component: &Component,
        told: Option<Told>,
    ) -> Result<(World, Told)> {
        let world = self
            .world(component)
            .map_err(|problem| Error::config("load", format!("{}: {problem}", path.display())))?;
        let told = match told {
            Some(told) => told,
            None => self.ask(path, &world)?,
        };
        Ok((world, told))
    }
    /// What the component is made for, linked to what it imports.
    fn world(&self, component: &Component) -> std::result::Result<World, String> {
        let engine = self.engine.wasmtime();
        let component_type = component.component_type();
        let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let imports = names(
            component_type
                .imports(engine)
                .map(|(name, _)| name)
                .collect(),
        );
        let exports = names(
            component_type
                .exports(engine)
                .map(|(name, _)| name)
                .collect(),
        );
        let kind = file::kind(&imports, &exports)?;
        let before = self
            .linker
            .instantiate_pre(component)
            .map_err(|error| format!("it imports what this host does not offer: {error:#}"))?;
        let misfit = |error: wasmtime::Error| {
            format!("it does not fit the world {}: {error:#}", kind.name())
        };
        Ok(match kind {
            Kind::Source => World::Source(SourcePre::new(before).map_err(misfit)?),
            Kind::Sink => World::Sink(SinkPre::new(before).map_err(misfit)?),
            Kind::Transform => World::Transform(TransformPre::new(before).map_err(misfit)?),
        })
    }
    /// Asks the guest what it is, with nothing granted.
    fn ask(&self, path: &Path, world: &World) -> Result<Told> {
        let limits = &self.settings.limits;
        let allowance = Allowance {
            memory: limits.memory,
            table_elements: limits.table_elements,
            hostcall_bytes: limits.hostcall_bytes,
        };
        let services = self.provisions.services(Caller::plugin(""));
        let mut store = store::open(&self.engine, services, allowance, true)?;
        let deadline = store::begin(&mut store, TELL_TIMEOUT);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| {
                Error::transient("load", "no thread to ask a plugin").because(error)
            })?;
        let told = runtime.block_on(within(deadline, world.tell(&mut store)));
        told.map_err(|failure| said_nothing(path, &failure, &store))
    }
    fn install(
        &self,
        tag: Tag,
        told: Told,
        definition: longshore_sdk::config::Definition,
    ) -> Installed {
        let grants = self.ceilings.of(tag.name);
        let mut limits = self.settings.limits.clone();
        limits.memory = grants.memory().unwrap_or(limits.memory);
        limits.call_timeout = grants.call_timeout().unwrap_or(limits.call_timeout);
        let provided = Provided {
            grants,
            provisions: self.provisions.clone(),
            engine: self.engine.clone(),
        };
        Installed::new(tag, told, definition, limits, provided)
    }
}

/// As they are kept.
fn words(told: &Told) -> Vec<u8> {
    serde_json::to_vec(told).unwrap_or_default()
}

fn said_nothing(path: &Path, failure: &Failure, store: &Store<State>) -> Error {
    let why = reason("describe", failure, TELL_TIMEOUT, store.data());
    Error::config(
        "load",
        format!("{}: it cannot say what it is: {why}", path.display()),
    )
}

fn registered(installed: Arc<Installed>, world: World) -> Registered {
    match world {
        World::Source(made) => {
            Registered::Source(Arc::new(WasmSourceConnector::new(installed, made)))
        }
        World::Sink(made) => Registered::Sink(Arc::new(WasmSinkConnector::new(installed, made))),
        World::Transform(made) => Registered::Transform(transform::plugin(installed, made)),
    }
}

#[cfg(test)]
mod tests {
    use super::guarded;
    use std::path::Path;

    #[test]
    fn a_panic_over_a_file_is_that_files_error() {
        let loaded = guarded(Path::new("plugins/crafted.wasm"), || panic!("on purpose"));
        let error = loaded.err().expect("it panicked");
        assert!(error.message().contains("plugins/crafted.wasm"), "{error}");
    }
}
