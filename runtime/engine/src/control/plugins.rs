//! Requests about plugins.

use super::{
    Control, ControlError, ControlResult, Extra, PluginExtra, PluginInfo, PluginKind, Validated,
};
use crate::{
    registry::{Missing, simple},
    validate,
};
use longshore_sdk::{
    Direction,
    config::{Definition, Flat, info::ConfigKeyInfo},
};

impl Control {
    /// What plugins there are, in every version; connectors only, or all.
    pub fn plugins(&self, connectors_only: bool) -> Vec<PluginInfo> {
        let plugins = self.cx.registry.plugins().into_iter();
        let wanted = plugins.filter(|(kind, _)| {
            !connectors_only || matches!(kind, PluginKind::Source | PluginKind::Sink)
        });
        wanted
            .map(|(kind, plugin)| PluginInfo {
                class: (*plugin.aliases.first().unwrap_or(&plugin.name)).to_owned(),
                kind,
                version: plugin.version.to_owned(),
                x: PluginExtra {
                    name: plugin.name.to_owned(),
                    about: plugin.about.to_owned(),
                    origin: self.cx.registry.origin(plugin),
                },
            })
            .collect()
    }
    /// Every key that a connector's config may have, those of its transforms and converters too; none where its class is not known.
    pub fn definition(&self, config: &Flat) -> Definition {
        validate::definition(config, &self.cx.registry)
    }
    /// The settings of a plugin, of the newest of its versions that `version` allows; of a connector the framework's first.
    pub fn plugin_config(
        &self,
        class: &str,
        version: Option<&str>,
    ) -> ControlResult<Vec<ConfigKeyInfo>> {
        let (kind, definition) = match self.cx.registry.definition(class, version) {
            Ok(found) => found,
            Err(Missing::Name) => {
                let near = self.cx.registry.near(PluginKind::Source, class);
                let error = ControlError::not_found(format!("Unknown plugin {class}."));
                return Err(match near {
                    Some(near) => error.suggest(format!("did you mean {near}?")),
                    None => error,
                });
            }
            Err(missing) => {
                let text = format!("Plugin {class}: {missing}");
                return Err(ControlError::invalid(text).at("version"));
            }
        };
        let definition = match kind {
            PluginKind::Source => validate::framework(Direction::Source).and(definition),
            PluginKind::Sink => validate::framework(Direction::Sink).and(definition),
            _ => definition,
        };
        Ok(definition.key_infos())
    }
    /// Checks a config without storing it; live checks of the connector included. Nothing that a placeholder stands for is returned (I8).
    pub async fn validate(&self, class: &str, config: Flat) -> ControlResult<Validated> {
        let included = config.get("connector.class").map_or("", String::as_str);
        if config.contains_key("connector.class") && !self.same_class(included, class) {
            let text =
                format!("Included connector type {included} does not match request type {class}");
            return Err(ControlError::invalid(text).at("connector.class"));
        }
        self.known_class(&config)?;
        let report = self.looked_at(&config).await;
        Ok(Validated {
            infos: report.infos(included, &config),
            x: Extra::of(&report.warnings),
        })
    }
    /// Whether a path means the class of a config: the end of its name, its simple name without Connector, or another name of the same plugin.
    fn same_class(&self, included: &str, path: &str) -> bool {
        let by_name =
            included.ends_with(path) || simple(included).strip_suffix("Connector") == Some(path);
        let tag = |class: &str| {
            self.cx
                .registry
                .connector(class)
                .map(|found| found.plugin().name)
        };
        by_name || (tag(included).is_some() && tag(included) == tag(path))
    }
}
