//! How the values of a column travel.

use crate::client::{ColumnType, TypeKind};

/// The binary form of a column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    /// Text of all kinds, enums among them.
    Text,
    Bytea,
    Date,
    Time,
    /// With a zone or without: the same number.
    Timestamp,
    Uuid,
    Json,
    Jsonb,
    /// Text that the server casts to the column's type.
    Cast(Form),
}

/// What the text of a cast value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One value.
    One(Element),
    /// An array's literal.
    Array(Element),
}

/// How one value, or an array's element, is put into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Element {
    /// As it is.
    Plain,
    Bytea,
    Json,
    Date,
    Time,
    Timestamp,
    Numeric,
}

impl Wire {
    /// The form for a type; domains travel as what they are made of.
    pub(crate) fn of(kind: &ColumnType) -> Self {
        let base = kind.base();
        if let TypeKind::Enum(_) = base.made_of {
            return Self::Text;
        }
        if let TypeKind::Array(inner) = &base.made_of {
            return Self::Cast(Form::Array(Element::of(inner)));
        }
        match base.oid {
            16 => Self::Bool,
            21 => Self::Int2,
            23 => Self::Int4,
            20 => Self::Int8,
            700 => Self::Float4,
            701 => Self::Float8,
            1700 => Self::Numeric,
            19 | 25 | 1042 | 1043 => Self::Text,
            17 => Self::Bytea,
            1082 => Self::Date,
            1083 => Self::Time,
            1114 | 1184 => Self::Timestamp,
            2950 => Self::Uuid,
            114 => Self::Json,
            3802 => Self::Jsonb,
            _ => Self::Cast(Form::One(Element::Plain)),
        }
    }
}

impl Element {
    fn of(kind: &ColumnType) -> Self {
        match Wire::of(kind) {
            Wire::Bytea => Self::Bytea,
            Wire::Json | Wire::Jsonb => Self::Json,
            Wire::Date => Self::Date,
            Wire::Time => Self::Time,
            Wire::Timestamp => Self::Timestamp,
            Wire::Numeric => Self::Numeric,
            _ => Self::Plain,
        }
    }
}
