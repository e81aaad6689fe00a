//! Configs: a struct, its schema, and the JSON object that the host hands over.

use crate::{Error, Result};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// The JSON Schema of a config.
pub fn schema<C: JsonSchema>() -> String {
    serde_json::Value::from(schemars::schema_for!(C)).to_string()
}

/// Reads a config. Errors of kind config: the text does not fit the struct.
pub fn parsed<C: DeserializeOwned>(json: &str) -> Result<C> {
    serde_json::from_str(json)
        .map_err(|error| Error::config(format!("the config cannot be used: {error}")))
}
