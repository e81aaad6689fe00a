//! What REST answers about keys and configs: `GET /connector-plugins/x/config` and `PUT .../validate`.

use super::{Definition, Finding, Flat, Importance, Key, KeyType, Shape, Width, trimmed};
use serde::{Deserialize, Serialize};

/// What stands in for a secret (I8).
pub const HIDDEN: &str = "[hidden]";

/// A key's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ConfigKeyInfo {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: KeyType,
    pub required: bool,
    pub default_value: Option<String>,
    pub importance: Importance,
    pub documentation: String,
    pub group: Option<String>,
    pub width: Width,
    pub display_name: String,
    pub dependents: Vec<String>,
    pub order: i32,
}

/// A key's value in a config, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ConfigValueInfo {
    pub name: String,
    pub value: Option<String>,
    pub recommended_values: Vec<String>,
    pub errors: Vec<String>,
    pub visible: bool,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ConfigInfo {
    pub definition: ConfigKeyInfo,
    pub value: ConfigValueInfo,
}

/// The outcome of a validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ConfigInfos {
    pub name: String,
    pub error_count: usize,
    pub groups: Vec<String>,
    pub configs: Vec<ConfigInfo>,
}

impl ConfigKeyInfo {
    /// A key's definition as REST shows it; a password's default is hidden.
    pub fn of(key: &Key) -> Self {
        let hide = |default: &String| {
            if key.kind == KeyType::Password {
                HIDDEN.to_owned()
            } else {
                default.clone()
            }
        };
        Self {
            name: key.name.clone(),
            kind: key.kind,
            required: key.required,
            default_value: key.default.as_ref().map(hide),
            importance: key.importance,
            documentation: key.documentation.clone(),
            group: key.group.clone(),
            width: key.width,
            display_name: key.display_name.clone(),
            dependents: key.dependents.clone(),
            order: key.order,
        }
    }
}

impl Definition {
    /// The keys as REST lists them. Prefix groups are left out: ConfigDef has no such thing.
    pub fn key_infos(&self) -> Vec<ConfigKeyInfo> {
        let keys = self.keys.iter().filter(|key| !key.is_prefix());
        keys.map(ConfigKeyInfo::of).collect()
    }

    /// A config and the findings about it as REST shows them, under the name of its class.
    ///
    /// Keys come in the order of the definition, a prefix group as the keys that the config has in it; unknown keys are left out unless
    /// there is a finding about them. Values and defaults are text; a secret is `[hidden]`, a value of another type is null.
    pub fn infos(&self, name: impl Into<String>, flat: &Flat, findings: &[Finding]) -> ConfigInfos {
        let mut configs = Vec::new();
        for key in &self.keys {
            if key.is_prefix() {
                for (full, _) in self.group(key, flat) {
                    let member = member(key, full, self.is_secret(full));
                    configs.push(self.info(&member, flat, findings));
                }
            } else {
                configs.push(self.info(key, flat, findings));
            }
        }
        for finding in findings {
            if !configs.iter().any(|info| info.value.name == finding.key) {
                configs.push(self.info(&Key::new(&finding.key), flat, findings));
            }
        }
        let mut groups: Vec<String> = Vec::new();
        for group in self.keys.iter().filter_map(|key| key.group.as_ref()) {
            if !groups.contains(group) {
                groups.push(group.clone());
            }
        }
        ConfigInfos {
            name: name.into(),
            error_count: findings.len(),
            groups,
            configs,
        }
    }

    fn info(&self, key: &Key, flat: &Flat, findings: &[Finding]) -> ConfigInfo {
        let about = findings.iter().filter(|finding| finding.key == key.name);
        let errors: Vec<String> = about.map(ToString::to_string).collect();
        let secret = key.kind == KeyType::Password || self.is_secret(&key.name);
        let value = match flat.get(&key.name) {
            Some(_) if secret => Some(HIDDEN.to_owned()),
            Some(text) if key.shape.reads(text) => Some(trimmed(text).to_owned()),
            Some(_) => None,
            None => key.default.as_ref().map(|default| {
                let hidden = if secret { HIDDEN } else { default };
                hidden.to_owned()
            }),
        };
        ConfigInfo {
            definition: ConfigKeyInfo::of(key),
            value: ConfigValueInfo {
                name: key.name.clone(),
                value,
                recommended_values: key.recommended.clone(),
                errors,
                visible: true,
            },
        }
    }
}

/// One key of a prefix group, as a key of its own.
fn member(group: &Key, name: &str, secret: bool) -> Key {
    Key {
        name: name.to_owned(),
        kind: if secret {
            KeyType::Password
        } else {
            group.kind
        },
        display_name: name.to_owned(),
        shape: Shape::Any,
        default: None,
        required: false,
        ..group.clone()
    }
}
