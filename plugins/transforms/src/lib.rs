//! Built-in single message transforms and predicates, under the names and with the behaviour of Apache Kafka Connect's.
//!
//! A transform takes data in every form. Undecoded JSON is not decoded: the fields in question are found by scanning the text, and new text
//! is spliced in. Names are compared with their escapes resolved, and every occurrence of a repeated name counts. Bytes that no converter
//! has decoded are refused with an error of kind Data that says so.
//!
//! Recordings of a real worker are replayed in tests/compat. What differs on purpose: in JSON text a masked field is judged by its JSON type
//! (base64 of bytes is a string there); Cast reads no hexadecimal floats; TimestampConverter reads no names of time zones but UTC and
//! GMT; a pattern that TimestampRouter cannot print is refused when it is set, not when a record comes.

mod cast;
mod date_format;
mod drop_headers;
mod extract_field;
mod field_path;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod java_regex;
mod mask_field;
mod predicates;
mod regex_router;
mod replace_field;
mod set_schema_metadata;
mod side;
mod splice;
mod structs;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

pub use predicates::predicates;

use longshore_sdk::{
    Capabilities, Error, Plugin, Result,
    config::{Flat, read},
    erased::TransformPlugin,
};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};

/// Every built-in transform; `$Key` and `$Value` are plugins of their own.
pub fn all() -> Vec<TransformPlugin> {
    let mut all = vec![
        drop_headers::plugin(),
        filter::plugin(),
        insert_header::plugin(),
        regex_router::plugin(),
        timestamp_router::plugin(),
        value_to_key::plugin(),
    ];
    all.extend(cast::plugins());
    all.extend(extract_field::plugins());
    all.extend(flatten::plugins());
    all.extend(header_from::plugins());
    all.extend(hoist_field::plugins());
    all.extend(insert_field::plugins());
    all.extend(mask_field::plugins());
    all.extend(replace_field::plugins());
    all.extend(set_schema_metadata::plugins());
    all.extend(timestamp_converter::plugins());
    all
}

/// The settings of what has none.
#[derive(Debug, Deserialize, JsonSchema)]
struct NoConfig {}

const fn tag(
    name: &'static str,
    aliases: &'static [&'static str],
    about: &'static str,
    unsupported: &'static [&'static str],
) -> Plugin {
    Plugin {
        name,
        aliases,
        version: env!("CARGO_PKG_VERSION"),
        about,
        unsupported,
        capabilities: Capabilities {
            ends: false,
            idempotent: false,
            keeps_offsets: false,
            refuses: false,
        },
    }
}

fn settings<T: DeserializeOwned + JsonSchema>(flat: &Flat) -> Result<T> {
    read(flat).map_err(|findings| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        Error::config("transform", findings.join("; "))
    })
}

fn unfit(key: &str, problem: &str) -> Error {
    Error::config("transform", format!("{key}: {problem}"))
}

fn yes() -> bool {
    true
}
