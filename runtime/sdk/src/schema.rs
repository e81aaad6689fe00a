//! Schemas, as Kafka Connect has them.

use crate::Value;
use std::sync::Arc;

/// The shape of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// The physical type.
    pub kind: Kind,
    /// Whether null is allowed.
    pub optional: bool,
    /// What stands in for a missing value.
    pub default: Option<Value>,
    /// A name: of a struct, or of a logical type such as `org.apache.kafka.connect.data.Timestamp`.
    pub name: Option<Arc<str>>,
    /// The version of the named schema.
    pub version: Option<i32>,
    /// Documentation.
    pub doc: Option<Arc<str>>,
    /// Parameters in order (a decimal's `scale`).
    pub parameters: Vec<(String, String)>,
}

/// A physical type.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A boolean.
    Bool,
    /// 8 bits, signed.
    Int8,
    /// 16 bits, signed.
    Int16,
    /// 32 bits, signed.
    Int32,
    /// 64 bits, signed.
    Int64,
    /// Single precision.
    Float32,
    /// Double precision.
    Float64,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// Items of one schema.
    Array(Arc<Schema>),
    /// Keys of one schema to values of one schema.
    Map(Arc<Schema>, Arc<Schema>),
    /// Named fields in order.
    Struct(Vec<Field>),
}

impl Kind {
    /// The name that JSON schemas of Kafka Connect have for it: `int8`, `float`, `double`, `struct`, ..
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float",
            Self::Float64 => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Array(_) => "array",
            Self::Map(..) => "map",
            Self::Struct(_) => "struct",
        }
    }
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Arc<str>,
    /// Its schema.
    pub schema: Arc<Schema>,
}

impl Schema {
    /// A required, unnamed schema.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            optional: false,
            default: None,
            name: None,
            version: None,
            doc: None,
            parameters: Vec::new(),
        }
    }
    /// The same, with null allowed.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
    /// The same, with a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }
    /// The fields of a struct; empty for every other kind.
    pub fn fields(&self) -> &[Field] {
        if let Kind::Struct(fields) = &self.kind {
            fields
        } else {
            &[]
        }
    }
    /// A struct's field by name, with its position.
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields()
            .iter()
            .enumerate()
            .find(|(_, field)| &*field.name == name)
    }
}

/// Names of Kafka Connect's logical types.
pub mod logical {
    /// A decimal; parameter `scale`.
    pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
    /// Days since the Unix epoch (int32).
    pub const DATE: &str = "org.apache.kafka.connect.data.Date";
    /// Milliseconds since midnight (int32).
    pub const TIME: &str = "org.apache.kafka.connect.data.Time";
    /// Milliseconds since the Unix epoch (int64).
    pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
    /// Longshore's own: a number of any size and precision as text (string), `NaN` and `Infinity` included. JSON without schemas shows
    /// it as a number.
    pub const NUMERIC: &str = "longshore.Numeric";
}
