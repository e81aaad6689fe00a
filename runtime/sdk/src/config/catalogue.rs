//! What a check needs to know of the plugins there are.

use super::Definition;
use crate::{Direction, converter::Part};

/// What a class is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `connector.class`.
    Connector,
    /// `transforms.<alias>.type`.
    Transform,
    /// `predicates.<alias>.type`.
    Predicate,
    /// `key.converter` and the like.
    Converter(Part),
}

/// What a catalogue knows of a class.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which way a connector moves data; `None` for what is no connector.
    pub direction: Option<Direction>,
    /// Its settings.
    pub definition: Definition,
    /// Keys of the reference that are not supported; a name that ends with a dot is a prefix.
    pub unsupported: &'static [&'static str],
}

/// The plugins that there are.
pub trait Catalogue {
    /// The plugin that a class name stands for: short name, or the reference's name in full, simple or shortened.
    fn find(&self, role: Role, class: &str) -> Option<Found>;
    /// Every name that a plugin of this role can be given by, short names first.
    fn names(&self, role: Role) -> Vec<String>;
    /// The keys of every connector of a direction.
    fn connector_keys(&self, direction: Direction) -> Definition;
}
