//! What becomes of which type.
//!
//! | Postgres | native | by the reference's class, or `numeric.mapping`, `timestamp.granularity` |
//! |---|---|---|
//! | `bool`, `smallint`, `int`, `bigint`, `real`, `double precision`, `bytea` | boolean, int16, int32, int64, float, double, bytes | the same |
//! | `oid` | int64 | the same |
//! | `text`, `varchar`, `char`, `name`, `"char"`, `xml`, enums | string | the same |
//! | `numeric`, `money` | string `longshore.Numeric`: exact, `NaN` and `Infinity` included; JSON without schemas shows a number | Decimal, integer or double by `numeric.mapping`; without a scale of its own as natively |
//! | `date` | string `io.debezium.time.IsoDate` | Connect's Date |
//! | `time`, `timetz` | string `io.debezium.time.IsoTime`, `io.debezium.time.ZonedTime` | Connect's Time |
//! | `timestamp`, `timestamptz` | string `io.debezium.time.IsoTimestamp`, `io.debezium.time.ZonedTimestamp` (RFC 3339 at UTC) | by `timestamp.granularity` |
//! | `interval` | string `io.debezium.time.Interval`, ISO 8601 | the same |
//! | `uuid`, `json` and `jsonb` | string `io.debezium.data.Uuid`, `io.debezium.data.Json` (the document's text: JSON's null is no NULL) | the same |
//! | arrays | array of the item's native form; more dimensions are arrays of arrays, lower bounds other than 1 Postgres' text | the same |
//! | domains | their base type | the same |
//! | ranges, composites, `inet`, `bit`, `tsvector`, extensions' and all other types | string, the text that Postgres prints | the same |
//!
//! Infinity, years before our era and beyond 9999 are texts that Postgres reads back (`infinity`, `0044-03-15 BC`). All fields are optional but
//! those of NOT NULL columns. A row whose arrays have more dimensions, or other bounds, has a schema of its own.

use super::{
    config::{Granularity, NumericMapping},
    decode::Form,
};
use crate::client::{ColumnType, TypeKind, numeric_limits};
use longshore_sdk::{Kind, schema::logical};
use tokio_postgres::types::Type;

/// What the settings say about values.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) numeric: NumericMapping,
    pub(super) granularity: Granularity,
    pub(super) timezone: String,
}

/// How a column is selected.
pub(super) enum Cast {
    /// As it is: its binary form is known.
    None,
    /// As another type.
    To(Type),
    /// As an array of another type.
    ToArray(Type),
    /// A time without a zone as the point in time that it means in the configured zone.
    AtZone,
}

/// How it is decoded, what it is in a schema, and under which name; how it is selected.
pub(super) type Chosen = (Form, Kind, Option<&'static str>, Cast);

/// The text that Postgres prints.
pub(super) fn text() -> Chosen {
    (Form::Text, Kind::String, None, Cast::To(Type::TEXT))
}

/// A type that is not made of others.
pub(super) fn scalar(base: &ColumnType, mapping: &Mapping) -> Chosen {
    let Some(known) = Type::from_oid(base.oid) else {
        return text();
    };
    match known {
        Type::NUMERIC => numeric(base.modifier, mapping.numeric),
        Type::DATE | Type::TIME | Type::TIMETZ | Type::TIMESTAMP | Type::TIMESTAMPTZ
            if mapping.granularity != Granularity::Native =>
        {
            temporal(&known, mapping)
        }
        known => native(&known),
    }
}

/// The form that keeps everything.
fn native(known: &Type) -> Chosen {
    let (form, kind, named) = match *known {
        Type::BOOL => (Form::Bool, Kind::Bool, None),
        Type::INT2 => (Form::Int2, Kind::Int16, None),
        Type::INT4 => (Form::Int4, Kind::Int32, None),
        Type::INT8 => (Form::Int8, Kind::Int64, None),
        Type::OID => (Form::Oid, Kind::Int64, None),
        Type::FLOAT4 => (Form::Float4, Kind::Float32, None),
        Type::FLOAT8 => (Form::Float8, Kind::Float64, None),
        Type::BYTEA => (Form::Bytes, Kind::Bytes, None),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => (Form::Text, Kind::String, None),
        Type::NUMERIC => (Form::Numeric, Kind::String, Some(logical::NUMERIC)),
        Type::MONEY => {
            let cast = Cast::To(Type::NUMERIC);
            return (Form::Numeric, Kind::String, Some(logical::NUMERIC), cast);
        }
        Type::JSON => (Form::Text, Kind::String, Some("io.debezium.data.Json")),
        Type::JSONB => (Form::Jsonb, Kind::String, Some("io.debezium.data.Json")),
        Type::UUID => (Form::Uuid, Kind::String, Some("io.debezium.data.Uuid")),
        Type::DATE => (
            Form::DateText,
            Kind::String,
            Some("io.debezium.time.IsoDate"),
        ),
        Type::TIME => (
            Form::TimeText,
            Kind::String,
            Some("io.debezium.time.IsoTime"),
        ),
        Type::TIMETZ => (
            Form::TimetzText,
            Kind::String,
            Some("io.debezium.time.ZonedTime"),
        ),
        Type::TIMESTAMP => (
            Form::LocalText,
            Kind::String,
            Some("io.debezium.time.IsoTimestamp"),
        ),
        Type::TIMESTAMPTZ => (
            Form::InstantText,
            Kind::String,
            Some("io.debezium.time.ZonedTimestamp"),
        ),
        Type::INTERVAL => (
            Form::Interval,
            Kind::String,
            Some("io.debezium.time.Interval"),
        ),
        Type::INET | Type::CIDR => (Form::Inet, Kind::String, None),
        Type::MACADDR | Type::MACADDR8 => (Form::Mac, Kind::String, None),
        Type::BIT | Type::VARBIT => (Form::Bits, Kind::String, None),
        Type::PG_LSN => (Form::Lsn, Kind::String, None),
        _ => return text(),
    };
    (form, kind, named, Cast::None)
}

/// An array's items are always native: Connect's logical types have no infinity, and a setting for columns says nothing about items.
pub(super) fn array_item(item: &ColumnType) -> Chosen {
    let known = match item.made_of {
        TypeKind::Base => Type::from_oid(item.oid),
        _ => None,
    };
    let (form, kind, named, cast) = known.as_ref().map_or_else(text, native);
    let cast = match cast {
        Cast::To(target) => Cast::ToArray(target),
        other => other,
    };
    (form, kind, named, cast)
}

fn numeric(modifier: i32, mapping: NumericMapping) -> Chosen {
    let limits = numeric_limits(modifier).filter(|_| mapping != NumericMapping::Native);
    let Some((precision, scale)) = limits else {
        return native(&Type::NUMERIC);
    };
    let integers = mapping != NumericMapping::None;
    let doubles = match mapping {
        NumericMapping::BestFit => precision < 19,
        NumericMapping::BestFitEagerDouble => true,
        _ => false,
    };
    let (form, kind) = if integers && scale <= 0 && precision - scale < 19 {
        match precision - scale {
            ..=2 => (Form::Number(1), Kind::Int8),
            3..=4 => (Form::Number(2), Kind::Int16),
            5..=9 => (Form::Number(4), Kind::Int32),
            _ => (Form::Number(8), Kind::Int64),
        }
    } else if doubles && scale > 0 {
        (Form::Number(0), Kind::Float64)
    } else {
        let scale = usize::try_from(scale).unwrap_or(0);
        let form = Form::Decimal(scale);
        return (form, Kind::Bytes, Some(logical::DECIMAL), Cast::None);
    };
    (form, kind, None, Cast::None)
}

fn temporal(known: &Type, mapping: &Mapping) -> Chosen {
    let (form, kind, named) = match *known {
        Type::DATE => (Form::Date, Kind::Int32, Some(logical::DATE)),
        Type::TIME => (Form::Time, Kind::Int32, Some(logical::TIME)),
        Type::TIMETZ => (Form::Timetz, Kind::Int32, Some(logical::TIME)),
        _ => timestamp(mapping.granularity),
    };
    let local = *known == Type::TIMESTAMP && !mapping.timezone.eq_ignore_ascii_case("UTC");
    (
        form,
        kind,
        named,
        if local { Cast::AtZone } else { Cast::None },
    )
}

fn timestamp(granularity: Granularity) -> (Form, Kind, Option<&'static str>) {
    let count = |nanos, text| {
        let kind = if text { Kind::String } else { Kind::Int64 };
        (Form::Count { nanos, text }, kind, None)
    };
    match granularity {
        Granularity::MicrosLong => count(1000, false),
        Granularity::MicrosString => count(1000, true),
        Granularity::NanosLong => count(1, false),
        Granularity::NanosString => count(1, true),
        Granularity::MicrosIsoDatetimeString => (Form::Iso(6), Kind::String, None),
        Granularity::NanosIsoDatetimeString => (Form::Iso(9), Kind::String, None),
        Granularity::ConnectLogical | Granularity::Native => {
            (Form::Timestamp, Kind::Int64, Some(logical::TIMESTAMP))
        }
    }
}
