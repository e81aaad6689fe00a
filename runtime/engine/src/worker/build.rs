//! A task's chain out of the registry.

use crate::{
    connector_config::{ConnectorConfig, PluginConfig},
    registry::{PluginKind, Registry},
    task::{Chain, Step},
};
use longshore_sdk::{Direction, Error, Result, converter::Part, erased::DynConverter};

/// The transforms and converters of one task.
pub(super) fn chain(
    config: &ConnectorConfig,
    registry: &Registry,
    direction: Direction,
) -> Result<Chain> {
    let key = converter(registry, &config.key, Part::Key)?;
    let value = converter(registry, &config.value, Part::Value)?;
    let header = converter(registry, &config.header, Part::Headers)?;
    let steps = config.transforms.iter();
    let steps = steps
        .map(|transform| {
            let class = &transform.plugin.class;
            let plugin = registry
                .transform(class)
                .ok_or_else(|| registry.unknown(PluginKind::Transformation, class))?;
            let predicate = match &transform.predicate {
                Some((alias, negate)) => {
                    let declared = config.predicates.get(alias).ok_or_else(|| {
                        let text = format!("transforms.{}.predicate: there is no predicate {alias}; predicates lists them", transform.alias);
                        Error::config("config", text)
                    })?;
                    let plugin = registry
                        .predicate(&declared.class)
                        .ok_or_else(|| registry.unknown(PluginKind::Predicate, &declared.class))?;
                    Some(((plugin.build)(&declared.config)?, *negate))
                }
                None => None,
            };
            Ok(Step {
                name: class.clone(),
                transform: (plugin.build)(&transform.plugin.config)?,
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

fn converter(
    registry: &Registry,
    config: &PluginConfig,
    part: Part,
) -> Result<Box<dyn DynConverter>> {
    let (kind, headers) = match part {
        Part::Headers => (PluginKind::HeaderConverter, true),
        Part::Key | Part::Value => (PluginKind::Converter, false),
    };
    let plugin = registry
        .converter(&config.class, headers)
        .ok_or_else(|| registry.unknown(kind, &config.class))?;
    (plugin.build)(&config.config, part)
}
