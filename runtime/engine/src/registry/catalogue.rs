//! The registry as a catalogue that configs are checked against.

use super::{PluginKind, Registry, names};
use crate::connector_config;
use longshore_sdk::{
    Direction,
    config::{Catalogue, Definition, Found, Role},
    converter::Part,
};

impl Catalogue for Registry {
    fn find(&self, role: Role, class: &str) -> Option<Found> {
        let (direction, definition, plugin) = match role {
            Role::Connector => {
                let connector = self.connector(class)?;
                let direction = Some(connector.direction());
                (direction, connector.definition(), connector.plugin())
            }
            Role::Transform => {
                let transform = self.transform(class)?;
                (None, (transform.definition)(), transform.plugin)
            }
            Role::Predicate => {
                let predicate = self.predicate(class)?;
                (None, (predicate.definition)(), predicate.plugin)
            }
            Role::Converter(part) => {
                let converter = self.converter(class, part == Part::Headers)?;
                (None, (converter.definition)(), converter.plugin)
            }
        };
        Some(Found {
            direction,
            definition,
            unsupported: plugin.unsupported,
        })
    }

    fn names(&self, role: Role) -> Vec<String> {
        let plays = |kind: PluginKind| match kind {
            PluginKind::Source | PluginKind::Sink => role == Role::Connector,
            PluginKind::Transformation => role == Role::Transform,
            PluginKind::Predicate => role == Role::Predicate,
            PluginKind::HeaderConverter => role == Role::Converter(Part::Headers),
            PluginKind::Converter => {
                matches!(role, Role::Converter(Part::Key | Part::Value))
            }
        };
        let plugins = self.plugins().into_iter().filter(|(kind, _)| plays(*kind));
        plugins
            .flat_map(|(kind, plugin)| names(plugin, kind.suffix()))
            .map(str::to_owned)
            .collect()
    }

    fn connector_keys(&self, direction: Direction) -> Definition {
        match direction {
            Direction::Source => connector_config::source(),
            Direction::Sink => connector_config::sink(),
        }
    }
}
