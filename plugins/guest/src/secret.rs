//! Credentials: what a plugin holds of them is normally their key's name.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;
use std::fmt;

/// A config field whose value the plugin need not see: the host puts it into requests (see [`crate::http::Request::bearer`]). Only under the
/// grant `secrets: reveal` the value itself stands in the config.
#[derive(Clone, JsonSchema, PartialEq, Eq)]
#[schemars(with = "String", extend("x-secret" = true, "writeOnly" = true))]
pub struct Secret(Kept);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    Key(String),
    Revealed(String),
}

impl Secret {
    /// The secret that a config key holds.
    pub fn of_key(key: impl Into<String>) -> Self {
        Self(Kept::Key(key.into()))
    }
    /// The value, where the operator granted `secrets: reveal`.
    pub fn revealed(&self) -> Option<String> {
        match &self.0 {
            Kept::Revealed(value) => Some(value.clone()),
            Kept::Key(key) => crate::context::secret(key),
        }
    }
    pub(crate) fn kept(&self) -> &Kept {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An error must not quote what it was given: it may be the secret.
        match Value::deserialize(deserializer)? {
            Value::String(value) => Ok(Self(Kept::Revealed(value))),
            Value::Object(fields) => match fields.get("secret") {
                Some(Value::String(key)) => Ok(Self::of_key(key)),
                _ => Err(D::Error::custom("an object that names no secret")),
            },
            _ => Err(D::Error::custom("a secret is a string")),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Kept::Key(key) => serializer.collect_map([("secret", key)]),
            Kept::Revealed(_) => serializer.serialize_str("[hidden]"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_key_and_never_its_value() {
        let secret: Secret = serde_json::from_str(r#"{"secret":"auth.token"}"#).expect("a handle");
        assert_eq!(
            serde_json::to_string(&secret).expect("text"),
            r#"{"secret":"auth.token"}"#
        );
        let secret: Secret = serde_json::from_str(r#""s3cret""#).expect("a value");
        let shown = format!(
            "{secret:?} {}",
            serde_json::to_string(&secret).expect("text")
        );
        assert!(!shown.contains("s3cret"), "{shown}");
        let error = serde_json::from_str::<Secret>("12345").expect_err("no string");
        assert!(!error.to_string().contains("12345"), "{error}");
        let schema = serde_json::Value::from(schemars::schema_for!(Secret));
        assert_eq!(schema["x-secret"], true);
        assert_eq!(schema["type"], "string");
    }
}
