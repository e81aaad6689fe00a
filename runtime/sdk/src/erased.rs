//! Object-safe twins of the contract. Every box of a future in the tree is made here: one per batch, never per record (D3).

use crate::{
    Error, Guarantee, Offsets, Plugin, Predicate, Record, Refused, Result, Share, Sink,
    SinkConnector, SinkContext, SinkRecord, Source, SourceConnector, SourceContext, SourceRecord,
    TopicOffsets, TopicPartition, TopicStates, Transform, Verdict,
    config::{Definition, Finding, Flat, read},
    converter::{Converter, Part, Unconverted},
};
use std::{future::Future, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

/// A boxed future.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Source`], object safe.
#[allow(missing_docs)]
pub trait DynSource: Send {
    fn poll(&mut self, max_wait: Duration) -> Boxed<'_, Result<Vec<SourceRecord>>>;
    fn advanced(&mut self) -> Offsets {
        Offsets::new()
    }
    fn commit<'a>(&'a mut self, offsets: &'a Offsets) -> Boxed<'a, Result<()>>;
    fn close(&mut self) -> Boxed<'_, Result<()>>;
}

impl<S: Source> DynSource for S {
    fn poll(&mut self, max_wait: Duration) -> Boxed<'_, Result<Vec<SourceRecord>>> {
        Box::pin(Source::poll(self, max_wait))
    }
    fn advanced(&mut self) -> Offsets {
        Source::advanced(self)
    }
    fn commit<'a>(&'a mut self, offsets: &'a Offsets) -> Boxed<'a, Result<()>> {
        Box::pin(Source::commit(self, offsets))
    }
    fn close(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(Source::close(self))
    }
}

/// [`Sink`], object safe.
#[allow(missing_docs)]
pub trait DynSink: Send {
    fn assigned<'a>(
        &'a mut self,
        at: &'a [TopicPartition],
    ) -> Boxed<'a, Result<Option<TopicOffsets>>>;
    fn put<'a>(&'a mut self, batch: &'a [SinkRecord]) -> Boxed<'a, Result<Vec<Refused>>>;
    fn flush<'a>(&'a mut self, upto: &'a TopicOffsets) -> Boxed<'a, Result<TopicOffsets>>;
    fn keeps_states(&self) -> bool {
        false
    }
    fn restored(&mut self, _states: &TopicStates) {}
    fn states(&mut self) -> TopicStates {
        TopicStates::new()
    }
    fn revoked<'a>(&'a mut self, at: &'a [TopicPartition]) -> Boxed<'a, Result<()>>;
    fn close(&mut self) -> Boxed<'_, Result<()>>;
}

impl<S: Sink> DynSink for S {
    fn assigned<'a>(
        &'a mut self,
        at: &'a [TopicPartition],
    ) -> Boxed<'a, Result<Option<TopicOffsets>>> {
        Box::pin(Sink::assigned(self, at))
    }
    fn put<'a>(&'a mut self, batch: &'a [SinkRecord]) -> Boxed<'a, Result<Vec<Refused>>> {
        Box::pin(Sink::put(self, batch))
    }
    fn flush<'a>(&'a mut self, upto: &'a TopicOffsets) -> Boxed<'a, Result<TopicOffsets>> {
        Box::pin(Sink::flush(self, upto))
    }
    fn keeps_states(&self) -> bool {
        Sink::keeps_states(self)
    }
    fn restored(&mut self, states: &TopicStates) {
        Sink::restored(self, states);
    }
    fn states(&mut self) -> TopicStates {
        Sink::states(self)
    }
    fn revoked<'a>(&'a mut self, at: &'a [TopicPartition]) -> Boxed<'a, Result<()>> {
        Box::pin(Sink::revoked(self, at))
    }
    fn close(&mut self) -> Boxed<'_, Result<()>> {
        Box::pin(Sink::close(self))
    }
}

/// [`Transform`], object safe.
#[allow(missing_docs)]
pub trait DynTransform: Send {
    fn placed(&mut self, connector: &str, task: u32);
    fn check<'a>(&'a mut self, connector: &'a str) -> Boxed<'a, Vec<Finding>> {
        let _ = connector;
        Box::pin(std::future::ready(Vec::new()))
    }
    fn apply(&mut self, batch: Vec<Record>) -> Boxed<'_, Vec<Verdict>>;
}

impl<T: Transform> DynTransform for T {
    fn placed(&mut self, connector: &str, task: u32) {
        Transform::placed(self, connector, task);
    }
    fn check<'a>(&'a mut self, connector: &'a str) -> Boxed<'a, Vec<Finding>> {
        Box::pin(Transform::check(self, connector))
    }
    fn apply(&mut self, batch: Vec<Record>) -> Boxed<'_, Vec<Verdict>> {
        Box::pin(Transform::apply(self, batch))
    }
}

/// [`Converter`], object safe.
#[allow(missing_docs)]
pub trait DynConverter: Send {
    fn decode<'a>(&'a mut self, part: Part, batch: &'a mut [Record])
    -> Boxed<'a, Vec<Unconverted>>;
    fn encode<'a>(&'a mut self, part: Part, batch: &'a mut [Record])
    -> Boxed<'a, Vec<Unconverted>>;
}

impl<C: Converter> DynConverter for C {
    fn decode<'a>(
        &'a mut self,
        part: Part,
        batch: &'a mut [Record],
    ) -> Boxed<'a, Vec<Unconverted>> {
        Box::pin(Converter::decode(self, part, batch))
    }
    fn encode<'a>(
        &'a mut self,
        part: Part,
        batch: &'a mut [Record],
    ) -> Boxed<'a, Vec<Unconverted>> {
        Box::pin(Converter::encode(self, part, batch))
    }
}

/// A source connector of any config type, driven by flat maps. Maps hold the connector's own keys and may hold others, which are ignored.
#[allow(missing_docs)]
pub trait DynSourceConnector: Send + Sync {
    fn plugin(&self) -> Plugin;
    fn definition(&self) -> Definition;
    fn guarantee(&self, config: &Flat) -> Result<Guarantee>;
    fn check<'a>(&'a self, config: &'a Flat) -> Boxed<'a, Vec<Finding>>;
    fn plan<'a>(&'a self, config: &'a Flat, tasks_max: u32) -> Boxed<'a, Result<Vec<Share>>>;
    fn open<'a>(
        &'a self,
        config: &'a Flat,
        share: Share,
        cx: SourceContext,
    ) -> Boxed<'a, Result<Box<dyn DynSource>>>;
}

/// A sink connector of any config type, driven by flat maps. Maps hold the connector's own keys and may hold others, which are ignored.
#[allow(missing_docs)]
pub trait DynSinkConnector: Send + Sync {
    fn plugin(&self) -> Plugin;
    fn definition(&self) -> Definition;
    fn guarantee(&self, config: &Flat) -> Result<Guarantee>;
    fn check<'a>(&'a self, config: &'a Flat) -> Boxed<'a, Vec<Finding>>;
    fn plan<'a>(&'a self, config: &'a Flat, tasks_max: u32) -> Boxed<'a, Result<Vec<Share>>>;
    fn open<'a>(
        &'a self,
        config: &'a Flat,
        share: Share,
        cx: SinkContext,
    ) -> Boxed<'a, Result<Box<dyn DynSink>>>;
}

struct Erased<C>(PhantomData<fn() -> C>);

/// Erases a source connector for the registry.
pub fn source<C: SourceConnector>() -> Box<dyn DynSourceConnector> {
    Box::new(Erased::<C>(PhantomData))
}

/// Erases a sink connector for the registry.
pub fn sink<C: SinkConnector>() -> Box<dyn DynSinkConnector> {
    Box::new(Erased::<C>(PhantomData))
}

impl<C: SourceConnector> DynSourceConnector for Erased<C> {
    fn plugin(&self) -> Plugin {
        C::PLUGIN
    }
    fn definition(&self) -> Definition {
        Definition::of::<C::Config>()
    }
    fn guarantee(&self, config: &Flat) -> Result<Guarantee> {
        Ok(C::guarantee(&typed::<C::Config>(config)?))
    }
    fn check<'a>(&'a self, config: &'a Flat) -> Boxed<'a, Vec<Finding>> {
        Box::pin(async move {
            match read::<C::Config>(config) {
                Ok(config) => C::check(&config).await,
                Err(findings) => findings,
            }
        })
    }
    fn plan<'a>(&'a self, config: &'a Flat, tasks_max: u32) -> Boxed<'a, Result<Vec<Share>>> {
        Box::pin(async move { C::plan(&typed::<C::Config>(config)?, tasks_max).await })
    }
    fn open<'a>(
        &'a self,
        config: &'a Flat,
        share: Share,
        cx: SourceContext,
    ) -> Boxed<'a, Result<Box<dyn DynSource>>> {
        Box::pin(async move {
            let task = C::open(typed(config)?, share, cx).await?;
            Ok(Box::new(task) as Box<dyn DynSource>)
        })
    }
}

impl<C: SinkConnector> DynSinkConnector for Erased<C> {
    fn plugin(&self) -> Plugin {
        C::PLUGIN
    }
    fn definition(&self) -> Definition {
        Definition::of::<C::Config>()
    }
    fn guarantee(&self, config: &Flat) -> Result<Guarantee> {
        Ok(C::guarantee(&typed::<C::Config>(config)?))
    }
    fn check<'a>(&'a self, config: &'a Flat) -> Boxed<'a, Vec<Finding>> {
        Box::pin(async move {
            match read::<C::Config>(config) {
                Ok(config) => C::check(&config).await,
                Err(findings) => findings,
            }
        })
    }
    fn plan<'a>(&'a self, config: &'a Flat, tasks_max: u32) -> Boxed<'a, Result<Vec<Share>>> {
        Box::pin(async move { C::plan(&typed::<C::Config>(config)?, tasks_max).await })
    }
    fn open<'a>(
        &'a self,
        config: &'a Flat,
        share: Share,
        cx: SinkContext,
    ) -> Boxed<'a, Result<Box<dyn DynSink>>> {
        Box::pin(async move {
            let task = C::open(typed(config)?, share, cx).await?;
            Ok(Box::new(task) as Box<dyn DynSink>)
        })
    }
}

fn typed<T: serde::de::DeserializeOwned + schemars::JsonSchema>(config: &Flat) -> Result<T> {
    read(config).map_err(|findings| {
        let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
        Error::config("config", text.join("; "))
    })
}

/// Tells the settings of a plugin. A bundled one asks its type, a loaded one knows them.
pub type Define = Arc<dyn Fn() -> Definition + Send + Sync>;

/// Builds a plugin's instance from its own keys.
pub type Build<T> = Arc<dyn Fn(&Flat) -> Result<Box<T>> + Send + Sync>;

/// Builds a converter for a part of the record from its own keys.
pub type BuildConverter = Arc<dyn Fn(&Flat, Part) -> Result<Box<dyn DynConverter>> + Send + Sync>;

/// A transform as the registry holds it; `$Key` and `$Value` variants are plugins of their own.
#[derive(Clone)]
pub struct TransformPlugin {
    /// Its name tag; `name` and `aliases` are matched against `transforms.<alias>.type`.
    pub plugin: Plugin,
    /// Its settings.
    pub definition: Define,
    /// Builds one from the keys below `transforms.<alias>.`, prefix taken off.
    pub build: Build<dyn DynTransform>,
}

/// A predicate as the registry holds it.
#[derive(Clone)]
pub struct PredicatePlugin {
    /// Its name tag.
    pub plugin: Plugin,
    /// Its settings.
    pub definition: Define,
    /// Builds one from the keys below `predicates.<alias>.`, prefix taken off.
    pub build: Build<dyn Predicate>,
}

/// A converter as the registry holds it.
#[derive(Clone)]
pub struct ConverterPlugin {
    /// Its name tag.
    pub plugin: Plugin,
    /// Its settings.
    pub definition: Define,
    /// Whether it may stand in `header.converter`.
    pub headers: bool,
    /// Whether it may stand in `key.converter` and `value.converter`.
    pub data: bool,
    /// Builds one for a part from the keys below `key.converter.` and so on, prefix taken off.
    pub build: BuildConverter,
}
