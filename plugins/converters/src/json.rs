//! JsonConverter.

mod decode;
mod schema;
mod zeros;

use crate::{settings, tag};
use bytes::{BufMut, Bytes, BytesMut};
use longshore_sdk::{
    Datum, Error, Result, Schema, Value,
    config::{Definition, Finding, Flat},
    converter::{Codec, Part},
    erased::{ConverterPlugin, DynConverter},
    json::{Style, first, print, print_string},
};
use schema::Cache;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::HashMap, sync::Arc};

/// How much room the output buffer is given at a time: records share it, so that most of them cost no allocation.
const ROOM: usize = 16 * 1024;

/// Settings of JsonConverter.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// Whether every value is wrapped as `{"schema": .., "payload": ..}`.
    #[serde(rename = "schemas.enable", default = "yes")]
    schemas: bool,
    /// How many schemas are remembered in each direction.
    #[serde(rename = "schemas.cache.size", default = "cache_size")]
    cache_size: i32,
    /// How decimals are written: `BASE64` or `NUMERIC`. Both are read.
    #[serde(rename = "decimal.format", default = "base64")]
    decimals: String,
    /// Whether a null becomes its field's default value, where there is one.
    #[serde(rename = "replace.null.with.default", default = "yes")]
    defaults: bool,
}

fn yes() -> bool {
    true
}
fn cache_size() -> i32 {
    1000
}
fn base64() -> String {
    "BASE64".into()
}

pub(crate) fn plugin() -> ConverterPlugin {
    ConverterPlugin {
        plugin: tag(
            "json",
            &["org.apache.kafka.connect.json.JsonConverter"],
            "JSON text, plain or wrapped with its schema.",
            &["schema.content"],
        ),
        definition: Arc::new(Definition::of::<Config>),
        headers: true,
        data: true,
        build: Arc::new(build),
    }
}

fn build(flat: &Flat, _: Part) -> Result<Box<dyn DynConverter>> {
    Ok(Box::new(JsonConverter::new(&settings(flat)?)?))
}

struct JsonConverter {
    schemas: bool,
    style: Style,
    known: Cache,
    /// The text of each schema, by the address of the schema, which is held so that the address stays its own.
    printed: HashMap<usize, (Arc<Schema>, Bytes)>,
    printed_max: usize,
    out: BytesMut,
}

impl JsonConverter {
    fn new(config: &Config) -> Result<Self> {
        let numeric = config.decimals.eq_ignore_ascii_case("NUMERIC");
        if !numeric && !config.decimals.eq_ignore_ascii_case("BASE64") {
            let finding = Finding::new(
                "decimal.format",
                format!("{:?} is unknown", config.decimals),
            )
            .suggest("use BASE64 or NUMERIC");
            return Err(Error::config("converter", finding.to_string()));
        }
        let size = usize::try_from(config.cache_size).unwrap_or_default();
        Ok(Self {
            schemas: config.schemas,
            style: Style {
                numeric,
                defaults: config.defaults,
                bare: !config.schemas,
            },
            known: Cache::new(size, config.defaults),
            printed: HashMap::new(),
            printed_max: size,
            out: BytesMut::new(),
        })
    }
    /// What was printed since the last call.
    fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }
    /// Starts an envelope: `{"schema":..,"payload":`.
    fn open(&mut self, schema: Option<&Arc<Schema>>) -> Result<()> {
        self.out.put_slice(b"{\"schema\":");
        match schema {
            None => self.out.put_slice(b"null"),
            Some(schema) => {
                let address = Arc::as_ptr(schema) as usize;
                if let Some((_, text)) = self.printed.get(&address) {
                    self.out.put_slice(text);
                } else {
                    let start = self.out.len();
                    schema::print_schema(schema, None, self.style, &mut self.out)?;
                    if self.printed.len() >= self.printed_max {
                        self.printed.clear();
                    }
                    if self.printed_max > 0 {
                        let text = Bytes::copy_from_slice(&self.out[start..]);
                        self.printed.insert(address, (schema.clone(), text));
                    }
                }
            }
        }
        self.out.put_slice(b",\"payload\":");
        Ok(())
    }
    fn print(&mut self, value: &Value, schema: Option<&Arc<Schema>>) -> Result<()> {
        if self.schemas {
            self.open(schema)?;
        }
        print(value, schema.map(AsRef::as_ref), self.style, &mut self.out)?;
        if self.schemas {
            self.out.put_u8(b'}');
        }
        Ok(())
    }
}

impl Codec for JsonConverter {
    fn decode(&mut self, _: &str, bytes: Option<Bytes>) -> Result<Datum> {
        let Some(bytes) = bytes else {
            return Ok(Datum::Null);
        };
        if self.schemas
            && let Some(datum) = decode::envelope_again(&bytes, &self.known)
        {
            return Ok(datum);
        }
        let (bytes, span) = match first(&bytes) {
            Ok(span) => (bytes, span),
            Err(error) => {
                // The reference takes numbers that start with zeros; what is passed on must be JSON.
                let plain = zeros::without(&bytes).ok_or(error)?;
                let span = first(&plain)?;
                (plain, span)
            }
        };
        let Some(span) = span else {
            return if self.schemas {
                Err(decode::no_envelope())
            } else {
                Ok(Datum::Null)
            };
        };
        let text = bytes.slice(span);
        if self.schemas {
            decode::envelope(&text, &mut self.known)
        } else {
            Ok(decode::lazily(text))
        }
    }
    fn encode(&mut self, _: &str, datum: Datum) -> Result<Option<Bytes>> {
        if self.out.capacity() < ROOM / 16 {
            self.out.reserve(ROOM);
        }
        match datum {
            Datum::Null | Datum::Value(Value::Null, None) => return Ok(None),
            Datum::Bytes(bytes) => return Ok(Some(bytes)),
            Datum::Json(text) if !self.schemas => return Ok(Some(text)),
            Datum::Json(text) => {
                self.open(None)?;
                self.out.put_slice(&text);
                self.out.put_u8(b'}');
            }
            Datum::Text(text) => {
                if self.schemas {
                    self.open(None)?;
                }
                print_string(&String::from_utf8_lossy(&text), &mut self.out);
                if self.schemas {
                    self.out.put_u8(b'}');
                }
            }
            Datum::Value(value, schema) => {
                if let Err(error) = self.print(&value, schema.as_ref()) {
                    self.out.clear();
                    return Err(error);
                }
            }
        }
        Ok(Some(self.take()))
    }
}
