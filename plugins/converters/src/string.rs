//! StringConverter.

mod encoding;

use crate::{settings, tag, text};
use bytes::{Bytes, BytesMut};
use encoding::Encoding;
use longshore_sdk::{
    Datum, Error, Result, Value,
    config::{Definition, Finding, Flat},
    converter::{Codec, Part},
    erased::{ConverterPlugin, DynConverter},
    json::parse_name,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Settings of StringConverter.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The character set: UTF-8, US-ASCII, ISO-8859-1, UTF-16, UTF-16BE or UTF-16LE.
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
            "Text; other data as its printed form.",
            &[],
        ),
        definition: Arc::new(Definition::of::<Config>),
        headers: true,
        data: true,
        build: Arc::new(build),
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
    let Some(encoding) = Encoding::named(&config.encoding) else {
        let finding = Finding::new(
            "converter.encoding",
            format!("{:?} is not supported", config.encoding),
        )
        .suggest("use UTF-8, US-ASCII, ISO-8859-1, UTF-16, UTF-16BE or UTF-16LE, or ByteArrayConverter to pass other encodings on");
        return Err(Error::config("converter", finding.to_string()));
    };
    Ok(Box::new(StringConverter {
        encoding,
        out: BytesMut::new(),
    }))
}

struct StringConverter {
    encoding: Encoding,
    out: BytesMut,
}

impl Codec for StringConverter {
    /// UTF-8 without a copy. Bytes that stand for no character become U+FFFD, as in the reference.
    fn decode(&mut self, _: &str, bytes: Option<Bytes>) -> Result<Datum> {
        let utf8 = self.encoding == Encoding::Utf8;
        Ok(match bytes {
            None => Datum::Null,
            Some(bytes) if utf8 && std::str::from_utf8(&bytes).is_ok() => Datum::Text(bytes),
            Some(bytes) => Datum::string(self.encoding.decode(&bytes)),
        })
    }
    /// Undecoded JSON stays JSON text, where the reference prints `{a=1}`; only a JSON string loses its quotes.
    fn encode(&mut self, _: &str, datum: Datum) -> Result<Option<Bytes>> {
        if let Datum::Bytes(bytes) = datum {
            return Ok(Some(bytes));
        }
        let text = match datum {
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
        };
        Ok(text.map(|text| match self.encoding {
            Encoding::Utf8 => text,
            encoding => encoding.encode(&String::from_utf8_lossy(&text)),
        }))
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
