//! StringConverter.

use crate::{settings, tag, text};
use bytes::{Bytes, BytesMut};
use longshore_sdk::{
    Datum, Error, Result, Value,
    config::{Definition, Finding, Flat},
    converter::{Codec, Part},
    erased::{ConverterPlugin, DynConverter},
    json::parse_name,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of StringConverter.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The character set; UTF-8 only.
    #[serde(rename = "converter.encoding", default = "utf8")]
    encoding: String,
}

fn utf8() -> String {
    "UTF-8".into()
}

pub(crate) fn plugin() -> ConverterPlugin {
    ConverterPlugin {
        plugin: tag(
            "string",
            &["org.apache.kafka.connect.storage.StringConverter"],
            "UTF-8 text; other data as its printed form.",
            &[],
        ),
        definition: Definition::of::<Config>,
        headers: true,
        data: true,
        build,
    }
}

fn build(flat: &Flat, part: Part) -> Result<Box<dyn DynConverter>> {
    let mut config: Config = settings(flat)?;
    // As in the reference, the key's and the value's own setting go before the common one.
    let own = match part {
        Part::Key => flat.get("key.converter.encoding"),
        Part::Value => flat.get("value.converter.encoding"),
        Part::Headers => None,
    };
    if let Some(own) = own {
        config.encoding.clone_from(own);
    }
    if !["UTF-8", "UTF8"]
        .iter()
        .any(|name| config.encoding.trim().eq_ignore_ascii_case(name))
    {
        let finding = Finding::new(
            "converter.encoding",
            format!("{:?} is not supported", config.encoding),
        )
        .suggest("use UTF-8, or ByteArrayConverter to pass other encodings on");
        return Err(Error::config("converter", finding.to_string()));
    }
    Ok(Box::new(StringConverter {
        out: BytesMut::new(),
    }))
}

struct StringConverter {
    out: BytesMut,
}

impl Codec for StringConverter {
    /// Text without a copy. Bytes that are not UTF-8 become U+FFFD, as in the reference.
    fn decode(&mut self, _: &str, bytes: Option<Bytes>) -> Result<Datum> {
        Ok(match bytes {
            None => Datum::Null,
            Some(bytes) if std::str::from_utf8(&bytes).is_ok() => Datum::Text(bytes),
            Some(bytes) => Datum::string(String::from_utf8_lossy(&bytes)),
        })
    }
    /// Undecoded JSON stays JSON text, where the reference prints `{a=1}`; only a JSON string loses its quotes.
    fn encode(&mut self, _: &str, datum: Datum) -> Result<Option<Bytes>> {
        Ok(match datum {
            Datum::Null | Datum::Value(Value::Null, _) => None,
            Datum::Bytes(bytes) | Datum::Text(bytes) => Some(bytes),
            Datum::Json(json) => Some(unquoted(json)),
            Datum::Value(Value::String(text), _) => Some(Bytes::from(text)),
            Datum::Value(value, schema) => {
                if let Err(error) = text::print(&value, schema.as_deref(), &mut self.out) {
                    self.out.clear();
                    return Err(error);
                }
                Some(self.out.split().freeze())
            }
        })
    }
}

fn unquoted(json: Bytes) -> Bytes {
    if json.len() < 2 || json[0] != b'"' {
        return json;
    }
    let inner = json.slice(1..json.len() - 1);
    if inner.contains(&b'\\') {
        Bytes::from(parse_name(&inner))
    } else {
        inner
    }
}
