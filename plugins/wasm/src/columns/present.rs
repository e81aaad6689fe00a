//! Data in the format that a guest asked for.

use crate::bindings::host::longshore::connector::types::{Column, Format};
use bytes::{Bytes, BytesMut};
use longshore_sdk::{
    Datum, Error, Result, Value,
    json::{Style, first, print, print_string},
};

/// As JsonConverter prints without schemas.
const STYLE: Style = Style {
    numeric: false,
    defaults: true,
    bare: true,
};

/// Fills a column, row by row, and keeps its buffers for the next batch.
pub(crate) struct Presenter {
    what: &'static str,
    scratch: BytesMut,
    /// Whether any row of the column is not null.
    some: bool,
}

impl Presenter {
    /// `what` names the column in errors.
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            scratch: BytesMut::new(),
            some: false,
        }
    }
    /// Begins a column.
    pub(crate) fn begin(&mut self, column: &mut Column, format: Format) {
        column.format = format;
        column.data.clear();
        column.ends.clear();
        column.nulls.clear();
        self.some = false;
    }
    /// Adds a row. After an error the column is as before.
    pub(crate) fn push(&mut self, column: &mut Column, datum: &Datum) -> Result<()> {
        let start = column.data.len();
        let present = match column.format {
            Format::Bytes => self.bytes(&mut column.data, datum),
            Format::Text => self.text(&mut column.data, datum),
            Format::Json => self.json(&mut column.data, datum),
        };
        let end = u32::try_from(column.data.len());
        match (present, end) {
            (Ok(present), Ok(end)) => {
                if !present && column.nulls.is_empty() {
                    column.nulls.resize(column.ends.len(), 0);
                }
                if !present || !column.nulls.is_empty() {
                    column.nulls.push(u8::from(!present));
                }
                column.ends.push(end);
                self.some |= present;
                Ok(())
            }
            (present, _) => {
                column.data.truncate(start);
                Err(present.err().unwrap_or_else(|| {
                    Error::data(
                        "present",
                        format!("the {} is too large for a column", self.what),
                    )
                }))
            }
        }
    }
    /// Takes the last row back.
    pub(crate) fn pop(&mut self, column: &mut Column) {
        column.ends.pop();
        column.nulls.pop();
        let end = column.ends.last().copied().unwrap_or(0);
        column.data.truncate(end as usize);
    }
    /// Ends a column: one whose rows are all null is empty.
    pub(crate) fn end(&mut self, column: &mut Column) {
        if !self.some {
            column.data.clear();
            column.ends.clear();
            column.nulls.clear();
        }
    }

    fn bytes(&mut self, out: &mut Vec<u8>, datum: &Datum) -> Result<bool> {
        match datum {
            Datum::Null | Datum::Value(Value::Null, _) => return Ok(false),
            Datum::Bytes(bytes) | Datum::Json(bytes) | Datum::Text(bytes) => {
                out.extend_from_slice(bytes);
            }
            Datum::Value(Value::Bytes(bytes), _) => out.extend_from_slice(bytes),
            Datum::Value(..) => return self.text(out, datum),
        }
        Ok(true)
    }
    fn text(&mut self, out: &mut Vec<u8>, datum: &Datum) -> Result<bool> {
        match datum {
            Datum::Null | Datum::Value(Value::Null, _) => return Ok(false),
            Datum::Json(bytes) | Datum::Text(bytes) => out.extend_from_slice(bytes),
            Datum::Bytes(bytes) | Datum::Value(Value::Bytes(bytes), _) => {
                if std::str::from_utf8(bytes).is_err() {
                    return Err(self.unfit("bytes that are no UTF-8 text", "text"));
                }
                out.extend_from_slice(bytes);
            }
            Datum::Value(Value::String(text), _) => out.extend_from_slice(text.as_bytes()),
            Datum::Value(..) => return self.json(out, datum),
        }
        Ok(true)
    }
    fn json(&mut self, out: &mut Vec<u8>, datum: &Datum) -> Result<bool> {
        match datum {
            Datum::Null | Datum::Value(Value::Null, _) => return Ok(false),
            Datum::Json(bytes) => out.extend_from_slice(bytes),
            Datum::Bytes(bytes) => {
                let Some(value) = only_json(bytes) else {
                    return Err(self.unfit("bytes that are not one JSON value", "JSON"));
                };
                if value == b"null" {
                    return Ok(false);
                }
                out.extend_from_slice(value);
            }
            Datum::Text(text) => {
                self.scratch.clear();
                let text = utf8(text)
                    .ok_or_else(|| Error::bug("present", "a text of this record is no UTF-8"))?;
                print_string(text, &mut self.scratch);
                out.extend_from_slice(&self.scratch);
            }
            Datum::Value(value, schema) => {
                self.scratch.clear();
                print(value, schema.as_deref(), STYLE, &mut self.scratch)?;
                // What prints as null is null: a number that JSON does not have.
                if &self.scratch[..] == b"null" {
                    return Ok(false);
                }
                out.extend_from_slice(&self.scratch);
            }
        }
        Ok(true)
    }
    fn unfit(&self, what: &str, wanted: &str) -> Error {
        Error::data(
            "present",
            format!(
                "the {} is {what}, but the plugin asks for {wanted}: use a converter that decodes it",
                self.what
            ),
        )
    }
}

fn utf8(bytes: &Bytes) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The one JSON value that `bytes` consist of, but for white space around it.
pub(super) fn only_json(bytes: &[u8]) -> Option<&[u8]> {
    let range = first(bytes).ok()??;
    let rest = bytes.get(range.end..)?;
    let blank = rest
        .iter()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    blank.then(|| bytes.get(range)).flatten()
}
