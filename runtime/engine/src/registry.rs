//! What plugins there are, by all the names that people know them by.

use longshore_sdk::{
    Direction, Error, Guarantee, Plugin, Result, Share,
    config::{Definition, Finding, Flat, nearest},
    erased::{
        ConverterPlugin, DynSinkConnector, DynSourceConnector, PredicatePlugin, TransformPlugin,
    },
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a plugin is; named as the REST API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginKind {
    /// A source connector.
    Source,
    /// A sink connector.
    Sink,
    /// A converter of keys and values.
    Converter,
    /// A converter of headers.
    HeaderConverter,
    /// A transform.
    Transformation,
    /// A predicate.
    Predicate,
}

impl PluginKind {
    /// What the reference's class names of this kind may end with and people may leave out.
    fn suffix(self) -> &'static str {
        match self {
            Self::Source | Self::Sink => "Connector",
            Self::Converter => "Converter",
            Self::HeaderConverter => "HeaderConverter",
            Self::Transformation => "Transformation",
            Self::Predicate => "Predicate",
        }
    }
}

/// A connector of either direction.
#[derive(Clone)]
pub enum Connector {
    /// Reads a system.
    Source(Arc<dyn DynSourceConnector>),
    /// Writes a system.
    Sink(Arc<dyn DynSinkConnector>),
}

impl Connector {
    /// Its name tag.
    pub fn plugin(&self) -> Plugin {
        match self {
            Self::Source(source) => source.plugin(),
            Self::Sink(sink) => sink.plugin(),
        }
    }
    /// Which way it moves data.
    pub fn direction(&self) -> Direction {
        match self {
            Self::Source(_) => Direction::Source,
            Self::Sink(_) => Direction::Sink,
        }
    }
    /// Its settings, without the framework's.
    pub fn definition(&self) -> Definition {
        match self {
            Self::Source(source) => source.definition(),
            Self::Sink(sink) => sink.definition(),
        }
    }
    /// Live validation of a resolved config.
    pub async fn check(&self, config: &Flat) -> Vec<Finding> {
        match self {
            Self::Source(source) => source.check(config).await,
            Self::Sink(sink) => sink.check(config).await,
        }
    }
    /// Splits the work of a resolved config.
    pub async fn plan(&self, config: &Flat, tasks_max: u32) -> Result<Vec<Share>> {
        match self {
            Self::Source(source) => source.plan(config, tasks_max).await,
            Self::Sink(sink) => sink.plan(config, tasks_max).await,
        }
    }
    /// What it can give.
    pub fn guarantee(&self, config: &Flat) -> Result<Guarantee> {
        match self {
            Self::Source(source) => source.guarantee(config),
            Self::Sink(sink) => sink.guarantee(config),
        }
    }
}

/// All plugins. Filled once, at start.
#[derive(Default)]
pub struct Registry {
    connectors: Vec<Connector>,
    transforms: Vec<TransformPlugin>,
    predicates: Vec<PredicatePlugin>,
    converters: Vec<ConverterPlugin>,
}

impl Registry {
    /// Adds a source connector.
    pub fn source(&mut self, source: Box<dyn DynSourceConnector>) -> &mut Self {
        self.connectors.push(Connector::Source(source.into()));
        self
    }
    /// Adds a sink connector.
    pub fn sink(&mut self, sink: Box<dyn DynSinkConnector>) -> &mut Self {
        self.connectors.push(Connector::Sink(sink.into()));
        self
    }
    /// Adds transforms.
    pub fn transforms(&mut self, plugins: impl IntoIterator<Item = TransformPlugin>) -> &mut Self {
        self.transforms.extend(plugins);
        self
    }
    /// Adds predicates.
    pub fn predicates(&mut self, plugins: impl IntoIterator<Item = PredicatePlugin>) -> &mut Self {
        self.predicates.extend(plugins);
        self
    }
    /// Adds converters.
    pub fn converters(&mut self, plugins: impl IntoIterator<Item = ConverterPlugin>) -> &mut Self {
        self.converters.extend(plugins);
        self
    }

    /// The connector of a `connector.class`.
    pub fn connector(&self, class: &str) -> Option<&Connector> {
        find(&self.connectors, class, "Connector", Connector::plugin)
    }
    /// All connectors.
    pub fn connectors(&self) -> &[Connector] {
        &self.connectors
    }
    /// The transform of a `transforms.<alias>.type`.
    pub fn transform(&self, class: &str) -> Option<&TransformPlugin> {
        let suffix = PluginKind::Transformation.suffix();
        find(&self.transforms, class, suffix, |plugin| plugin.plugin)
    }
    /// The predicate of a `predicates.<alias>.type`.
    pub fn predicate(&self, class: &str) -> Option<&PredicatePlugin> {
        let suffix = PluginKind::Predicate.suffix();
        find(&self.predicates, class, suffix, |plugin| plugin.plugin)
    }
    /// The converter of a `key.converter` or `value.converter`; with `headers` of a `header.converter`.
    pub fn converter(&self, class: &str, headers: bool) -> Option<&ConverterPlugin> {
        let suffixes = if headers {
            &["HeaderConverter", "Converter"][..]
        } else {
            &["Converter"][..]
        };
        let fits = |plugin: &&ConverterPlugin| if headers { plugin.headers } else { plugin.data };
        suffixes.iter().find_map(|suffix| {
            let found = find(&self.converters, class, suffix, |plugin| plugin.plugin);
            found.filter(fits)
        })
    }
    /// The settings of any plugin, connectors with the keys that the framework reads left out.
    pub fn definition(&self, class: &str) -> Option<(PluginKind, Definition)> {
        if let Some(connector) = self.connector(class) {
            let kind = match connector {
                Connector::Source(_) => PluginKind::Source,
                Connector::Sink(_) => PluginKind::Sink,
            };
            return Some((kind, connector.definition()));
        }
        if let Some(plugin) = self.transform(class) {
            return Some((PluginKind::Transformation, (plugin.definition)()));
        }
        if let Some(plugin) = self.predicate(class) {
            return Some((PluginKind::Predicate, (plugin.definition)()));
        }
        if let Some(plugin) = self.converter(class, false) {
            return Some((PluginKind::Converter, (plugin.definition)()));
        }
        let plugin = self.converter(class, true)?;
        Some((PluginKind::HeaderConverter, (plugin.definition)()))
    }
    /// Every plugin and what it is; a converter that fits keys and headers stands there twice.
    pub fn plugins(&self) -> Vec<(PluginKind, Plugin)> {
        let mut all = Vec::new();
        for connector in &self.connectors {
            let kind = match connector {
                Connector::Source(_) => PluginKind::Source,
                Connector::Sink(_) => PluginKind::Sink,
            };
            all.push((kind, connector.plugin()));
        }
        for converter in &self.converters {
            if converter.data {
                all.push((PluginKind::Converter, converter.plugin));
            }
            if converter.headers {
                all.push((PluginKind::HeaderConverter, converter.plugin));
            }
        }
        let transforms = self.transforms.iter().map(|transform| transform.plugin);
        all.extend(transforms.map(|plugin| (PluginKind::Transformation, plugin)));
        let predicates = self.predicates.iter().map(|predicate| predicate.plugin);
        all.extend(predicates.map(|plugin| (PluginKind::Predicate, plugin)));
        all
    }
    /// The name of a plugin of `kind` that an unknown one was most likely meant to be.
    pub fn near(&self, kind: PluginKind, class: &str) -> Option<&'static str> {
        let same = |of: PluginKind| match kind {
            PluginKind::Source | PluginKind::Sink => {
                matches!(of, PluginKind::Source | PluginKind::Sink)
            }
            kind => of == kind,
        };
        let plugins = self.plugins().into_iter().filter(|(of, _)| same(*of));
        let names: Vec<&'static str> = plugins
            .flat_map(|(_, plugin)| names(plugin, kind.suffix()))
            .collect();
        nearest(class.trim(), names)
    }
    /// The error of a class that is not there.
    pub fn unknown(&self, kind: PluginKind, class: &str) -> Error {
        let error = Error::config("registry", format!("there is no plugin named {class:?}"));
        match self.near(kind, class) {
            Some(near) => error.with("did you mean", near),
            None => error,
        }
    }
}

/// Finds a plugin: by its short name or full class name, else by its simple class name, else by that without its suffix.
fn find<'a, P>(
    plugins: &'a [P],
    class: &str,
    suffix: &str,
    tag: impl Fn(&P) -> Plugin,
) -> Option<&'a P> {
    let class = class.trim();
    let full = |plugin: &Plugin| plugin.name == class || plugin.aliases.contains(&class);
    let simple_is = |plugin: &Plugin| plugin.aliases.iter().any(|alias| simple(alias) == class);
    let pruned_is = |plugin: &Plugin| {
        let mut aliases = plugin.aliases.iter();
        aliases.any(|alias| simple(alias).strip_suffix(suffix) == Some(class))
    };
    let passes: [&dyn Fn(&Plugin) -> bool; 3] = [&full, &simple_is, &pruned_is];
    passes
        .iter()
        .find_map(|pass| plugins.iter().find(|plugin| pass(&tag(plugin))))
}

/// A class name without its package.
pub(crate) fn simple(class: &str) -> &str {
    class.rsplit_once('.').map_or(class, |(_, simple)| simple)
}

fn names(plugin: Plugin, suffix: &'static str) -> Vec<&'static str> {
    let mut names = vec![plugin.name];
    for alias in plugin.aliases {
        let simple = simple(alias);
        names.extend([*alias, simple]);
        names.extend(simple.strip_suffix(suffix).filter(|name| !name.is_empty()));
    }
    names
}

#[cfg(test)]
mod tests;
