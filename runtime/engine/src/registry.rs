//! What plugins there are, by all the names that people know them by.

mod origin;
mod version;

pub use origin::{BrokenFile, Installed, Origin, PluginFile};
pub use version::{Missing, Requirement, order};

use crate::connector_config::get;
use longshore_sdk::{
    Direction, Error, Guarantee, Plugin, Result, Share,
    config::{Definition, Finding, Flat, nearest},
    erased::{
        ConverterPlugin, DynSinkConnector, DynSourceConnector, PredicatePlugin, TransformPlugin,
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

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
    /// What kind of plugin it is.
    pub fn kind(&self) -> PluginKind {
        match self {
            Self::Source(_) => PluginKind::Source,
            Self::Sink(_) => PluginKind::Sink,
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
    /// Those that came in files, by name and version.
    origins: BTreeMap<(&'static str, &'static str), Arc<PluginFile>>,
    /// Files that hold no usable plugin.
    broken: Vec<BrokenFile>,
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

    /// The newest connector of a `connector.class`.
    pub fn connector(&self, class: &str) -> Option<&Connector> {
        self.connector_at(class, None).ok()
    }
    /// The connector of a `connector.class` and a `connector.plugin.version`: the newest that it allows. A bundled one stands in for every
    /// version of it: a config that was stored beside Kafka Connect names the version that was there.
    pub fn connector_at(&self, class: &str, version: Option<&str>) -> Result<&Connector, Missing> {
        let at = |version| {
            find(
                &self.connectors,
                class,
                "Connector",
                version,
                Connector::plugin,
            )
        };
        self.or_bundled(at(version), || at(None), Connector::plugin)
    }
    /// The connector that a config names.
    pub fn connector_of(&self, config: &Flat) -> Result<&Connector, Missing> {
        let class = get(config, "connector.class").ok_or(Missing::Name)?;
        self.connector_at(class, get(config, "connector.plugin.version"))
    }
    /// The versions of a `connector.class`, newest first.
    pub fn versions(&self, class: &str) -> Vec<&'static str> {
        let Some(newest) = self.connector(class).map(Connector::plugin) else {
            return Vec::new();
        };
        let all = self.connectors.iter().map(Connector::plugin);
        let mut versions: Vec<&'static str> = all
            .filter(|plugin| plugin.name == newest.name)
            .map(|plugin| plugin.version)
            .collect();
        versions.sort_by(|a, b| order(b, a));
        versions
    }
    /// All connectors.
    pub fn connectors(&self) -> &[Connector] {
        &self.connectors
    }
    /// The newest transform of a `transforms.<alias>.type`.
    pub fn transform(&self, class: &str) -> Option<&TransformPlugin> {
        self.transform_at(class, None).ok()
    }
    /// The transform of a `transforms.<alias>.type` and a `transforms.<alias>.plugin.version`: the newest that it allows. A bundled
    /// one stands in for every version of it.
    pub fn transform_at(
        &self,
        class: &str,
        version: Option<&str>,
    ) -> Result<&TransformPlugin, Missing> {
        let suffix = PluginKind::Transformation.suffix();
        let tag = |plugin: &TransformPlugin| plugin.plugin;
        let at = |version| find(&self.transforms, class, suffix, version, tag);
        self.or_bundled(at(version), || at(None), tag)
    }
    /// The predicate of a `predicates.<alias>.type`.
    pub fn predicate(&self, class: &str) -> Option<&PredicatePlugin> {
        let suffix = PluginKind::Predicate.suffix();
        let found = find(&self.predicates, class, suffix, None, |plugin| {
            plugin.plugin
        });
        found.ok()
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
            let found = find(&self.converters, class, suffix, None, |plugin| {
                plugin.plugin
            });
            found.ok().filter(fits)
        })
    }
    /// The settings of any plugin in exactly that version, connectors with the keys that the framework reads left out.
    pub fn definition(
        &self,
        class: &str,
        version: Option<&str>,
    ) -> Result<(PluginKind, Definition), Missing> {
        match self.connector_at(class, version) {
            Err(Missing::Name) => {}
            found => {
                let found = found?;
                only(found.plugin(), version)?;
                return Ok((found.kind(), found.definition()));
            }
        }
        match self.transform_at(class, version) {
            Err(Missing::Name) => {}
            found => {
                let found = found?;
                only(found.plugin, version)?;
                return Ok((PluginKind::Transformation, (found.definition)()));
            }
        }
        let (kind, plugin, definition) = if let Some(found) = self.predicate(class) {
            (PluginKind::Predicate, found.plugin, &found.definition)
        } else if let Some(found) = self.converter(class, false) {
            (PluginKind::Converter, found.plugin, &found.definition)
        } else if let Some(found) = self.converter(class, true) {
            (PluginKind::HeaderConverter, found.plugin, &found.definition)
        } else {
            return Err(Missing::Name);
        };
        only(plugin, version)?;
        Ok((kind, definition()))
    }
    /// Every version of every plugin and what it is; a converter that fits keys and headers stands there twice.
    pub fn plugins(&self) -> Vec<(PluginKind, Plugin)> {
        let mut all = Vec::new();
        for connector in &self.connectors {
            all.push((connector.kind(), connector.plugin()));
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
    /// The error of a plugin that is not here, or not in the version that is asked for; other workers of the group may have it.
    pub fn unknown(&self, kind: PluginKind, class: &str, missing: &Missing) -> Error {
        let text = match missing {
            Missing::Name => format!("there is no plugin named {class:?}"),
            missing => format!("of the plugin {class:?} {missing}"),
        };
        let error = Error::config("registry", text);
        if *missing != Missing::Name {
            return error;
        }
        if let Some(skipped) = self.skipped(class) {
            return error.with("why", skipped);
        }
        match self.near(kind, class) {
            Some(near) => error.with("did you mean", near),
            None => error,
        }
    }
}

/// Finds a plugin: by its short name or full class name, else by its simple class name, else by that without its suffix; of several versions
/// the newest that is allowed.
fn find<'a, P>(
    plugins: &'a [P],
    class: &str,
    suffix: &str,
    version: Option<&str>,
    tag: impl Fn(&P) -> Plugin,
) -> Result<&'a P, Missing> {
    let class = class.trim();
    let called = PASSES.iter().find_map(|pass| {
        let called = plugins.iter().filter(|one| pass(&tag(one), class, suffix));
        let called: Vec<&P> = called.collect();
        (!called.is_empty()).then_some(called)
    });
    let mut called = called.ok_or(Missing::Name)?;
    called.sort_by(|a, b| order(tag(b).version, tag(a).version));
    let requirement = Requirement::read(version).map_err(Missing::Requirement)?;
    let fits = called
        .iter()
        .find(|one| requirement.allows(tag(one).version));
    fits.copied().ok_or_else(|| Missing::Version {
        wanted: version.unwrap_or_default().to_owned(),
        there: called.iter().map(|one| tag(one).version).collect(),
    })
}

/// Whether a plugin is in the version that is asked for.
pub(crate) fn only(plugin: Plugin, version: Option<&str>) -> Result<(), Missing> {
    find(&[plugin], plugin.name, "", version, |plugin| *plugin).map(|_| ())
}

type Pass = fn(&Plugin, &str, &str) -> bool;

/// How a class may be written, the plainest first.
const PASSES: [Pass; 3] = [
    |plugin, class, _| plugin.name == class || plugin.aliases.contains(&class),
    |plugin, class, _| plugin.aliases.iter().any(|alias| simple(alias) == class),
    |plugin, class, suffix| {
        let mut aliases = plugin.aliases.iter();
        aliases.any(|alias| simple(alias).strip_suffix(suffix) == Some(class))
    },
];

/// Whether a class may mean a plugin.
fn is_called(plugin: Plugin, kind: PluginKind, class: &str) -> bool {
    PASSES
        .iter()
        .any(|pass| pass(&plugin, class, kind.suffix()))
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
