//! Built-in converters: bytes to data and back, under the names and with the behaviour of Apache Kafka Connect's.
//!
//! Each converter is a [`Codec`](longshore_sdk::converter::Codec). Bytes that no converter has decoded ([`Datum::Bytes`](longshore_sdk::Datum))
//! are passed on by every encoder as they are.
//!
//! Recordings of a real worker are replayed in tests/compat. What differs on purpose:
//! * JsonConverter keeps JSON without a schema as the text that it read, and writes that text again: spacing, spelling of numbers, integers
//!   beyond 64 bits and repeated names stay as they were. It nests 128 deep at most, where the reference takes 1000.
//! * StringConverter writes such text as it is, where the reference prints a map (`{a=1}`); a JSON string loses its quotes. Bytes print as
//!   base64, where the reference prints an object's address. Character sets other than those of every JVM are refused.
//! * Floats print with the fewest digits that read back the same, as JDK 19 and later do.
//! * Text, bytes and nulls that were read carry no schema, and arrays and maps whose parts differ in type (SimpleHeaderConverter) neither.

mod header;
mod json;
mod primitive;
mod string;
mod text;

use longshore_sdk::{
    Capabilities, Error, Plugin, Result,
    config::{Flat, read},
    erased::ConverterPlugin,
};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};

/// Every built-in converter.
pub fn all() -> Vec<ConverterPlugin> {
    let mut all = vec![json::plugin(), string::plugin(), header::plugin()];
    all.extend(primitive::plugins());
    all
}

/// Settings of a converter that has none of its own.
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
        Error::config("converter", findings.join("; "))
    })
}
