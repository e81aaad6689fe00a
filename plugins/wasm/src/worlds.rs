//! The three worlds, linked to the host.

use crate::{
    Kind,
    bindings::host::longshore::connector::{context, http, log, metrics, secrets, state},
    services::Services,
    store::State,
    told::Told,
};
use wasmtime::{
    Engine, Store,
    component::{HasData, Linker},
};

pub(crate) use crate::bindings::{
    sink::{Sink, SinkPre},
    source::{Source, SourcePre},
    transform::{Transform, TransformPre},
};

/// Where the host's functions find the services of a store.
struct ServicesOf;

impl HasData for ServicesOf {
    type Data<'a> = &'a mut Services;
}

/// Everything that a component of any world may import: the host's services, and WASI with nothing behind it.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::<State>::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    log::add_to_linker::<State, ServicesOf>(&mut linker, |state| &mut state.services)?;
    metrics::add_to_linker::<State, ServicesOf>(&mut linker, |state| &mut state.services)?;
    context::add_to_linker::<State, ServicesOf>(&mut linker, |state| &mut state.services)?;
    secrets::add_to_linker::<State, ServicesOf>(&mut linker, |state| &mut state.services)?;
    state::add_to_linker::<State, ServicesOf>(&mut linker, |state| &mut state.services)?;
    http::add_to_linker::<State, ServicesOf>(&mut linker, |state| &mut state.services)?;
    Ok(linker)
}

/// A linked component; instances are made of it.
pub(crate) enum World {
    Source(SourcePre<State>),
    Sink(SinkPre<State>),
    Transform(TransformPre<State>),
}

impl World {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Source(_) => Kind::Source,
            Self::Sink(_) => Kind::Sink,
            Self::Transform(_) => Kind::Transform,
        }
    }
    /// Makes an instance and asks it what it is.
    pub(crate) async fn tell(&self, store: &mut Store<State>) -> wasmtime::Result<Told> {
        Ok(match self {
            Self::Source(made) => {
                let world = made.instantiate_async(&mut *store).await?;
                let plugin = world.longshore_connector_plugin();
                let info = plugin.call_describe(&mut *store).await?;
                Told::source(info, plugin.call_config_schema(store).await?)
            }
            Self::Sink(made) => {
                let world = made.instantiate_async(&mut *store).await?;
                let plugin = world.longshore_connector_plugin();
                let info = plugin.call_describe(&mut *store).await?;
                Told::sink(info, plugin.call_config_schema(store).await?)
            }
            Self::Transform(made) => {
                let world = made.instantiate_async(&mut *store).await?;
                let plugin = world.longshore_connector_plugin();
                let info = plugin.call_describe(&mut *store).await?;
                Told::transform(info, plugin.call_config_schema(store).await?)
            }
        })
    }
}
