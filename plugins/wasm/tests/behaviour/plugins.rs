//! The plugins under test, loaded once.

use longshore_sdk::{
    Guarantee, Plugin, Result, Share, SinkContext, SourceContext,
    config::{Definition, Finding, Flat},
    erased::{Boxed, DynSink, DynSinkConnector, DynSource, DynSourceConnector},
};
use longshore_wasm::{
    Ceilings, Loaded, Registered, Settings, load,
    services::{Provisions, ServicesSettings},
};
use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
};
use tokio::sync::{Mutex, MutexGuard};

const FILES: [&str; 6] = [
    "http-source",
    "http-sink",
    "ledger-sink",
    "mask-pii",
    "probe-source",
    "probe-transform",
];

static LOADED: LazyLock<Vec<Loaded>> = LazyLock::new(|| {
    let folder = std::env::var_os("LONGSHORE_GUESTS")
        .expect("LONGSHORE_GUESTS is not set: run `cargo xtask guests` and set it to the folder that it prints");
    let file = |name: &str| PathBuf::from(&folder).join(format!("{name}.wasm"));
    let grant = (
        "longshore.wasm.grants.*.net".to_owned(),
        "127.0.0.1".to_owned(),
    );
    let (ceilings, findings) = Ceilings::read(&[grant].into());
    assert_eq!(findings, []);
    let provisions = Provisions::new(ServicesSettings::default()).expect("services");
    let (loaded, broken) = load(
        &FILES.map(file),
        &Settings::default(),
        &provisions,
        &ceilings,
    );
    assert!(broken.is_empty(), "{broken:?}");
    loaded
});

/// One of them as it was loaded.
pub(crate) fn loaded(name: &str) -> &'static Loaded {
    let of = |loaded: &&Loaded| loaded.name == name;
    LOADED.iter().find(of).expect("a loaded plugin")
}

/// Suites run one after the other: one of the cases measures the memory of the process. Compilers and plugins are in it before.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().await;
    LazyLock::force(&LOADED);
    alone
}

/// The same without a runtime.
pub(crate) fn alone_here() -> MutexGuard<'static, ()> {
    let alone = ALONE.blocking_lock();
    LazyLock::force(&LOADED);
    alone
}

static ALONE: Mutex<()> = Mutex::const_new(());

pub(crate) fn source(name: &str) -> Box<dyn DynSourceConnector> {
    match &loaded(name).plugin {
        Registered::Source(source) => Box::new(Shared(source.clone())),
        _ => panic!("{name} is no source"),
    }
}

pub(crate) fn sink(name: &str) -> Box<dyn DynSinkConnector> {
    match &loaded(name).plugin {
        Registered::Sink(sink) => Box::new(Shared(sink.clone())),
        _ => panic!("{name} is no sink"),
    }
}

/// The suite takes a connector of its own; those of the registry are shared.
struct Shared<C: ?Sized>(Arc<C>);

macro_rules! shared {
    ($connector:ident, $task:ident, $context:ident) => {
        impl $connector for Shared<dyn $connector> {
            fn plugin(&self) -> Plugin {
                self.0.plugin()
            }
            fn definition(&self) -> Definition {
                self.0.definition()
            }
            fn guarantee(&self, config: &Flat) -> Result<Guarantee> {
                self.0.guarantee(config)
            }
            fn check<'a>(&'a self, config: &'a Flat) -> Boxed<'a, Vec<Finding>> {
                self.0.check(config)
            }
            fn plan<'a>(
                &'a self,
                config: &'a Flat,
                tasks_max: u32,
            ) -> Boxed<'a, Result<Vec<Share>>> {
                self.0.plan(config, tasks_max)
            }
            fn open<'a>(
                &'a self,
                config: &'a Flat,
                share: Share,
                cx: $context,
            ) -> Boxed<'a, Result<Box<dyn $task>>> {
                self.0.open(config, share, cx)
            }
        }
    };
}

shared!(DynSourceConnector, DynSource, SourceContext);
shared!(DynSinkConnector, DynSink, SinkContext);
