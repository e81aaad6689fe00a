//! Values that are never shown.

use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;

/// A credential. It has no Display and no Serialize, and its Debug says `[hidden]` (I8).
#[derive(Clone, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(transparent)]
#[schemars(extend("x-secret" = true, "writeOnly" = true))]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The credential itself, for the client call that needs it and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
