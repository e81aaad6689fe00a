//! A task's chain out of the registry.

use crate::{
    connector_config::{ConnectorConfig, PluginConfig},
    registry::{Missing, PluginKind},
    task::{Chain, Step, TaskId},
    worker::context::Context,
};
use longshore_sdk::{Direction, Error, Result, converter::Part, erased::DynConverter};

/// The transforms and converters of one task.
pub(super) fn chain(
    config: &ConnectorConfig,
    cx: &Context,
    direction: Direction,
    task: &TaskId,
) -> Result<Chain> {
    let registry = &cx.registry;
    let key = converter(cx, &config.key, Part::Key)?;
    let value = converter(cx, &config.value, Part::Value)?;
    let header = converter(cx, &config.header, Part::Headers)?;
    let steps = config.transforms.iter();
    let steps = steps
        .map(|transform| {
            let class = &transform.plugin.class;
            let version = transform.plugin.version.as_deref();
            let plugin = registry
                .transform_at(class, version)
                .map_err(|missing| cx.lacks(PluginKind::Transformation, class, version, &missing))?;
            let predicate = match &transform.predicate {
                Some((alias, negate)) => {
                    let declared = config.predicates.get(alias).ok_or_else(|| {
                        let text = format!("transforms.{}.predicate: there is no predicate {alias}; predicates lists them", transform.alias);
                        Error::config("config", text)
                    })?;
                    let plugin = registry
                        .predicate(&declared.class)
                        .ok_or_else(|| cx.lacks(PluginKind::Predicate, &declared.class, None, &Missing::Name))?;
                    Some(((plugin.build)(&declared.config)?, *negate))
                }
                None => None,
            };
            let mut built = (plugin.build)(&transform.plugin.config)?;
            built.placed(&task.connector, task.task);
            Ok(Step {
                name: class.clone(),
                transform: built,
                predicate,
            })
        })
        .collect::<Result<Vec<Step>>>()?;
    let chain = match direction {
        Direction::Source => Chain::source(key, value, header, steps),
        Direction::Sink => Chain::sink(key, value, header, steps),
    };
    Ok(chain.named(&config.key.class, &config.value.class, &config.header.class))
}

fn converter(cx: &Context, config: &PluginConfig, part: Part) -> Result<Box<dyn DynConverter>> {
    let (kind, headers) = match part {
        Part::Headers => (PluginKind::HeaderConverter, true),
        Part::Key | Part::Value => (PluginKind::Converter, false),
    };
    let plugin = cx
        .registry
        .converter(&config.class, headers)
        .ok_or_else(|| cx.lacks(kind, &config.class, None, &Missing::Name))?;
    (plugin.build)(&config.config, part)
}
