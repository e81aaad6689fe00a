//! Which part of a record a transform works on, and what it finds there.

use longshore_sdk::{
    Datum, Error, Kind, Record, Result, Schema, Transform, Value, Verdict, json::parse,
};
use std::sync::{Arc, LazyLock};

/// `$Key` or `$Value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Key,
    Value,
}

impl Side {
    pub(crate) fn of(self, record: &mut Record) -> &mut Datum {
        match self {
            Self::Key => &mut record.key,
            Self::Value => &mut record.value,
        }
    }
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
        }
    }
    /// The error of a transform that needs fields and found `datum`.
    pub(crate) fn no_fields(self, transform: &str, datum: &Datum) -> Error {
        let side = self.name();
        let found = match datum {
            Datum::Bytes(_) => {
                return Error::data(
                    "transform",
                    format!(
                        "{transform} needs data with fields, but the {side} is undecoded bytes: set {side}.converter to JsonConverter or another that decodes them"
                    ),
                );
            }
            Datum::Null => "null",
            Datum::Json(text) => match text.first() {
                Some(b'[') => "a JSON array",
                Some(b'"') => "a JSON string",
                Some(b't' | b'f') => "a JSON boolean",
                _ => "a JSON number",
            },
            Datum::Text(_) => "a string",
            Datum::Value(value, _) => value.name(),
        };
        Error::data(
            "transform",
            format!(
                "{transform} needs a struct, a map or a JSON object, but the {side} is {found}"
            ),
        )
    }
}

/// A transform that looks at one record at a time.
pub(crate) trait Change: Send {
    /// Changes the record in place; on error it may be half changed and is refused.
    fn change(&mut self, record: &mut Record) -> Result<()>;
}

/// Runs a [`Change`] over batches.
pub(crate) struct Each<C>(pub(crate) C);

impl<C: Change> Transform for Each<C> {
    async fn apply(&mut self, batch: Vec<Record>) -> Vec<Verdict> {
        let verdicts = batch
            .into_iter()
            .map(|mut record| match self.0.change(&mut record) {
                Ok(()) => Verdict::Keep(record),
                Err(error) => Verdict::Refuse(error),
            });
        verdicts.collect()
    }
}

/// The parts of a decoded struct; `None` for everything else.
pub(crate) fn as_struct(datum: &Datum) -> Option<(&[Value], &Arc<Schema>)> {
    match datum {
        Datum::Value(Value::Struct(values), Some(schema)) => Some((values, schema)),
        _ => None,
    }
}

/// What StringConverter and ByteArrayConverter say of their data, which comes undecoded.
static TEXT: LazyLock<Arc<Schema>> =
    LazyLock::new(|| std::sync::Arc::new(Schema::new(Kind::String).optional()));
static BYTES: LazyLock<Arc<Schema>> =
    LazyLock::new(|| std::sync::Arc::new(Schema::new(Kind::Bytes).optional()));

/// Takes data out of a record, decoded whatever its form, with its schema; null is left in its place.
pub(crate) fn opened(datum: &mut Datum) -> Result<(Value, Option<Arc<Schema>>)> {
    Ok(match std::mem::take(datum) {
        Datum::Null => (Value::Null, None),
        Datum::Bytes(bytes) => (Value::Bytes(bytes), Some(BYTES.clone())),
        Datum::Json(text) => (parse(&text)?, None),
        Datum::Text(text) => {
            let text = String::from_utf8_lossy(&text).into_owned();
            (Value::String(text), Some(TEXT.clone()))
        }
        Datum::Value(value, schema) => (value, schema),
    })
}

/// The plugins of both sides of a transform: `$Key` and `$Value`.
macro_rules! both_sides {
    ($class:literal, $about:literal, $unsupported:expr, $config:ty, $build:path) => {
        pub(crate) fn plugins() -> [longshore_sdk::erased::TransformPlugin; 2] {
            [
                longshore_sdk::erased::TransformPlugin {
                    plugin: $crate::tag(
                        concat!($class, "$Key"),
                        &[concat!(
                            "org.apache.kafka.connect.transforms.",
                            $class,
                            "$Key"
                        )],
                        $about,
                        $unsupported,
                    ),
                    definition: std::sync::Arc::new(
                        longshore_sdk::config::Definition::of::<$config>,
                    ),
                    build: std::sync::Arc::new(|flat| $build(flat, $crate::side::Side::Key)),
                },
                longshore_sdk::erased::TransformPlugin {
                    plugin: $crate::tag(
                        concat!($class, "$Value"),
                        &[concat!(
                            "org.apache.kafka.connect.transforms.",
                            $class,
                            "$Value"
                        )],
                        $about,
                        $unsupported,
                    ),
                    definition: std::sync::Arc::new(
                        longshore_sdk::config::Definition::of::<$config>,
                    ),
                    build: std::sync::Arc::new(|flat| $build(flat, $crate::side::Side::Value)),
                },
            ]
        }
    };
}
pub(crate) use both_sides;
