//! The settings.

use schemars::JsonSchema;
use serde::Deserialize;

/// Makes up records: for quick starts, tests and benches.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// The topic to publish data to.
    #[schemars(length(min = 1), extend("x-importance" = "HIGH"))]
    pub topic: String,
    /// What the records are about.
    #[serde(default)]
    pub generator: Generator,
    /// Records per second and task; 0 = as fast as it goes.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000_000))]
    pub rate: u64,
    /// Records per task, after which the connector is finished; 0 = endless.
    #[serde(default)]
    pub count: u64,
    /// The same seed makes the same records.
    #[serde(default)]
    pub seed: u64,
    /// Pads each value to at least this many bytes; 0 = no padding.
    #[serde(default, rename = "record.bytes")]
    #[schemars(range(min = 0, max = 16_777_216))]
    pub record_bytes: u32,
}

/// What made-up records are about.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Generator {
    /// Orders: customer, email, item, quantity, amount.
    #[default]
    Orders,
    /// Users: name, email, country, whether active.
    Users,
    /// Page views: user, page, action, duration.
    Clickstream,
}

impl Generator {
    /// Its name in a config and in a lane.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Users => "users",
            Self::Clickstream => "clickstream",
        }
    }
}
