//! A record's values as Postgres reads them: the binary form of the column's type, straight into the batch's buffer.
//!
//! The table's column decides, not the record: text forms are read into numerics, times, uuids and so on. Types without a binary form
//! here (ranges, intervals, addresses, arrays, whatever an extension brings) travel as text and are cast by the server.

mod cell;
mod literal;
mod number;
mod numeric;
mod time;
mod wire;

pub(crate) use cell::Cell;
pub(crate) use wire::{Form, Wire};

use bytes::BytesMut;
use longshore_sdk::json::{Style, first, print, print_string};
use std::borrow::Cow;

/// Why a value does not go into its column; it names types, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfit(pub(crate) Cow<'static, str>);

impl Unfit {
    pub(crate) const fn because(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }
}

type Fit<T = ()> = Result<T, Unfit>;

/// The length of a null, in Postgres's binary forms.
const NULL: [u8; 4] = (-1i32).to_be_bytes();
/// JSON numbers are exact, whatever a converter would have made of them.
const JSON: Style = Style {
    numeric: true,
    defaults: true,
    bare: true,
};

/// Appends a value with its length in front. After an error `out` holds rubbish behind its former end.
pub(crate) fn encode(cell: &Cell<'_>, wire: Wire, out: &mut Vec<u8>) -> Fit {
    if matches!(cell, Cell::Null) {
        out.extend_from_slice(&NULL);
        return Ok(());
    }
    let start = out.len();
    out.extend_from_slice(&NULL);
    match wire {
        Wire::Bool => out.push(u8::from(boolean(cell)?)),
        Wire::Int2 => {
            let number = i16::try_from(number::integer(cell)?).map_err(|_| number::RANGE)?;
            out.extend_from_slice(&number.to_be_bytes());
        }
        Wire::Int4 => {
            let number = i32::try_from(number::integer(cell)?).map_err(|_| number::RANGE)?;
            out.extend_from_slice(&number.to_be_bytes());
        }
        Wire::Int8 => out.extend_from_slice(&number::integer(cell)?.to_be_bytes()),
        Wire::Float4 => out.extend_from_slice(&number::single(cell)?.to_be_bytes()),
        Wire::Float8 => out.extend_from_slice(&number::double(cell)?.to_be_bytes()),
        Wire::Numeric => numeric::write(cell, out)?,
        Wire::Text => literal::text(cell, out)?,
        Wire::Bytea => literal::bytes(cell, out)?,
        Wire::Date => out.extend_from_slice(&time::date(cell)?.to_be_bytes()),
        Wire::Time => out.extend_from_slice(&time::time_of_day(cell)?.to_be_bytes()),
        Wire::Timestamp => out.extend_from_slice(&time::timestamp(cell)?.to_be_bytes()),
        Wire::Uuid => literal::uuid(cell, out)?,
        Wire::Json => json(cell, out)?,
        Wire::Jsonb => {
            // The version of the binary form.
            out.push(1);
            json(cell, out)?;
        }
        Wire::Cast(form) => literal::write(cell, form, out)?,
    }
    let length = i32::try_from(out.len() - start - 4)
        .map_err(|_| Unfit::because("a value is longer than 2 GiB"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn boolean(cell: &Cell<'_>) -> Fit<bool> {
    match cell {
        Cell::Bool(value) => Ok(*value),
        Cell::Text(text) => match text.as_ref() {
            "t" | "true" | "TRUE" | "True" => Ok(true),
            "f" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(Unfit::because("a text is neither true nor false")),
        },
        _ => Err(misfit(cell, "boolean")),
    }
}

/// A value as JSON text.
fn json(cell: &Cell<'_>, out: &mut Vec<u8>) -> Fit {
    match cell {
        Cell::Json(text) => out.extend_from_slice(text),
        Cell::JsonText(text) => out.extend_from_slice(text.as_bytes()),
        Cell::Number(text) => out.extend_from_slice(text.as_bytes()),
        // A document that came as text, as sources of databases send them; any other text is a string of JSON.
        Cell::Text(text) if is_document(text) => out.extend_from_slice(text.as_bytes()),
        Cell::Text(text) => {
            let mut printed = BytesMut::new();
            print_string(text, &mut printed);
            out.extend_from_slice(&printed);
        }
        Cell::Nested(value, schema) => {
            let mut printed = BytesMut::new();
            print(value, *schema, JSON, &mut printed)
                .map_err(|_| Unfit::because("the value has no form in JSON"))?;
            out.extend_from_slice(&printed);
        }
        Cell::Double(number) if !number.is_finite() => {
            return Err(Unfit::because("JSON has no NaN and no infinity"));
        }
        Cell::Float(number) if !number.is_finite() => {
            return Err(Unfit::because("JSON has no NaN and no infinity"));
        }
        Cell::Bool(_) | Cell::Int(_) | Cell::Double(_) | Cell::Float(_) => {
            literal::text(cell, out)?;
        }
        _ => return Err(misfit(cell, "json")),
    }
    Ok(())
}

/// Whether a text is meant as a JSON document: an object or array by its first character, whatever else by being valid.
fn is_document(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(['{', '['])
        || matches!(first(text.as_bytes()), Ok(Some(span)) if span.end == text.len())
}

/// A value of a type that has no way into the column's.
fn misfit(cell: &Cell<'_>, column: &str) -> Unfit {
    Unfit(Cow::Owned(format!(
        "a value of type {} does not fit a column of type {column}",
        cell.name()
    )))
}

#[cfg(test)]
mod tests;
