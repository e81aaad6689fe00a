//! What a plugin says about itself.

use crate::abi::longshore::connector::types;

pub use types::{Columns, Format, Level};

/// Config entries of one task, laid over the connector's own. They are stored and shown: never a secret.
pub type Share = Vec<(String, String)>;

/// A plugin's name, version and needs. Built as a constant.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Lower case letters, digits and hyphens: what `connector.class` or a transform's `type` says.
    pub name: &'static str,
    /// Semantic version.
    pub version: &'static str,
    /// Who made it.
    pub vendor: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// Columns that the host fills in for a sink or a transform.
    pub needs: Columns,
    /// How keys look: those that come in, or those that a source makes.
    pub key_format: Format,
    /// How values look: those that come in, or those that a source makes.
    pub value_format: Format,
    capabilities: u8,
}

impl Info {
    /// Keys are text, values JSON, and all columns come in, until something else is said.
    pub const fn new(name: &'static str, version: &'static str, description: &'static str) -> Self {
        Self {
            name,
            version,
            vendor: "",
            description,
            needs: Columns::all(),
            key_format: Format::Text,
            value_format: Format::Json,
            capabilities: 0,
        }
    }
    /// Says who made it.
    #[must_use]
    pub const fn vendor(mut self, vendor: &'static str) -> Self {
        self.vendor = vendor;
        self
    }
    /// Only these columns come in: what is not named costs nothing.
    #[must_use]
    pub const fn needs(mut self, columns: Columns) -> Self {
        self.needs = columns;
        self
    }
    /// How keys and values look. A record that cannot be presented so is refused as bad data.
    #[must_use]
    pub const fn formats(mut self, key: Format, value: Format) -> Self {
        self.key_format = key;
        self.value_format = value;
        self
    }
    /// The source ends by itself.
    #[must_use]
    pub const fn ends(mut self) -> Self {
        self.capabilities |= 1;
        self
    }
    /// Writing the same records twice leaves the target as writing them once.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.capabilities |= 1 << 1;
        self
    }
    /// The target keeps the offsets: `assigned` answers some.
    #[must_use]
    pub const fn keeps_offsets(mut self) -> Self {
        self.capabilities |= 1 << 2;
        self
    }
    /// The sink can refuse single records.
    #[must_use]
    pub const fn refuses(mut self) -> Self {
        self.capabilities |= 1 << 3;
        self
    }
    /// The capabilities in the order of the ABI's flags.
    #[doc(hidden)]
    pub const fn capability_bits(&self) -> u8 {
        self.capabilities
    }
}

/// What a check found beyond the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The config key, dotted; empty = the config as a whole.
    pub key: String,
    /// What is wrong: the value's shape, never a secret.
    pub message: String,
    /// What to do; empty if that is plain.
    pub suggestion: String,
}

impl Problem {
    /// A problem without a suggestion.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
            suggestion: String::new(),
        }
    }
    /// The same, with advice.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = suggestion.into();
        self
    }
}

/// What can be promised with a config.
#[derive(Clone, Debug)]
pub struct Guarantee {
    /// How often a record arrives.
    pub level: Level,
    /// By which means, or why not more: half a sentence.
    pub method: String,
}

impl Guarantee {
    /// Every record arrives; some may arrive twice.
    pub fn at_least_once(method: impl Into<String>) -> Self {
        Self {
            level: Level::AtLeastOnce,
            method: method.into(),
        }
    }
    /// A record may be sent twice, but its effect is there once.
    pub fn effectively_once(method: impl Into<String>) -> Self {
        Self {
            level: Level::EffectivelyOnce,
            method: method.into(),
        }
    }
    /// Every record is there exactly once.
    pub fn exactly_once(method: impl Into<String>) -> Self {
        Self {
            level: Level::ExactlyOnce,
            method: method.into(),
        }
    }
}
