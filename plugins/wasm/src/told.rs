//! What a guest says of itself.

use crate::bindings::{
    host::longshore::connector::types::{Columns, Format},
    sink, source, transform,
};
use longshore_sdk::{Capabilities, config::Definition};
use serde::{Deserialize, Serialize};

/// The longest name and version, and the longest text that is shown.
const NAME_MAX: usize = 100;
const TEXT_MAX: usize = 2_000;
/// The longest config schema.
const SCHEMA_MAX: usize = 1 << 20;

/// The answers of `describe` and `config-schema`, as they are kept beside the compiled code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) vendor: String,
    pub(crate) description: String,
    pub(crate) schema: String,
    ends: bool,
    idempotent: bool,
    keeps_offsets: bool,
    refuses: bool,
    needs: [bool; 5],
    key_format: u8,
    value_format: u8,
}

/// The five columns in the order of [`Told::needs`].
const COLUMNS: [Columns; 5] = [
    Columns::KEY,
    Columns::VALUE,
    Columns::HEADERS,
    Columns::TIMESTAMP,
    Columns::POSITION,
];

macro_rules! told {
    ($world:ident) => {
        impl Told {
            /// Of a guest of this world.
            pub(crate) fn $world(
                info: $world::exports::longshore::connector::plugin::Info,
                schema: String,
            ) -> Self {
                use $world::exports::longshore::connector::plugin::Capabilities;
                Self {
                    name: info.name,
                    version: info.version,
                    vendor: info.vendor,
                    description: info.description,
                    schema,
                    ends: info.capabilities.contains(Capabilities::ENDS),
                    idempotent: info.capabilities.contains(Capabilities::IDEMPOTENT),
                    keeps_offsets: info.capabilities.contains(Capabilities::KEEPS_OFFSETS),
                    refuses: info.capabilities.contains(Capabilities::REFUSES),
                    needs: COLUMNS.map(|column| info.needs.contains(column)),
                    key_format: number(info.key_format),
                    value_format: number(info.value_format),
                }
            }
        }
    };
}

told!(source);
told!(sink);
told!(transform);

impl Told {
    /// What is wrong with it, else the keys that its schema defines.
    pub(crate) fn check(&self) -> Result<(Definition, serde_json::Value), String> {
        if !name_is_legal(&self.name) {
            let shown: String = self.name.chars().take(NAME_MAX).collect();
            return Err(format!(
                "describe: the name {shown:?} is not lower case letters, digits and hyphens, {NAME_MAX} at most"
            ));
        }
        if !version_is_legal(&self.version) {
            let shown: String = self.version.chars().take(NAME_MAX).collect();
            return Err(format!(
                "describe: the version {shown:?} is no semantic version such as 1.2.3"
            ));
        }
        for (what, text) in [("vendor", &self.vendor), ("description", &self.description)] {
            if text.len() > TEXT_MAX {
                let length = text.len();
                return Err(format!(
                    "describe: the {what} has {length} bytes, {TEXT_MAX} are allowed"
                ));
            }
        }
        // They are printed by tools: nothing that could steer a terminal.
        let texts = [&self.vendor, &self.description];
        if texts.iter().any(|text| text.chars().any(char::is_control)) {
            return Err("describe: vendor or description holds control characters".to_owned());
        }
        if self.schema.len() > SCHEMA_MAX {
            let length = self.schema.len();
            return Err(format!(
                "config-schema: {length} bytes, {SCHEMA_MAX} are allowed"
            ));
        }
        let schema: serde_json::Value = serde_json::from_str(&self.schema)
            .map_err(|error| format!("config-schema: no JSON Schema, not even JSON: {error}"))?;
        let definition = Definition::from_schema(&schema)
            .map_err(|problem| format!("config-schema: {problem}"))?;
        Ok((definition, schema))
    }
    pub(crate) fn capabilities(&self) -> Capabilities {
        Capabilities {
            ends: self.ends,
            idempotent: self.idempotent,
            keeps_offsets: self.keeps_offsets,
            refuses: self.refuses,
        }
    }
    pub(crate) fn needs(&self) -> Columns {
        let wanted = COLUMNS.into_iter().zip(self.needs);
        let wanted = wanted.filter(|(_, wanted)| *wanted);
        wanted.fold(Columns::empty(), |all, (column, _)| all | column)
    }
    pub(crate) fn key_format(&self) -> Format {
        format(self.key_format)
    }
    pub(crate) fn value_format(&self) -> Format {
        format(self.value_format)
    }
}

fn number(format: Format) -> u8 {
    match format {
        Format::Bytes => 0,
        Format::Text => 1,
        Format::Json => 2,
    }
}

fn format(number: u8) -> Format {
    match number {
        0 => Format::Bytes,
        1 => Format::Text,
        _ => Format::Json,
    }
}

fn name_is_legal(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(legal)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// `major.minor.patch`, then perhaps `-` and `+` with identifiers between dots.
fn version_is_legal(version: &str) -> bool {
    let (version, build) = match version.split_once('+') {
        Some((version, build)) => (version, Some(build)),
        None => (version, None),
    };
    let (core, before) = match version.split_once('-') {
        Some((core, before)) => (core, Some(before)),
        None => (version, None),
    };
    let number = |text: &str| {
        (1..=9).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
    };
    let word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    version.len() <= NAME_MAX
        && core.split('.').count() == 3
        && core.split('.').all(number)
        && before.is_none_or(|text| text.split('.').all(word))
        && build.is_none_or(|text| text.len() <= NAME_MAX && text.split('.').all(word))
}
