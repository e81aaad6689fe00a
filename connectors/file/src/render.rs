//! Records as lines.

use crate::{Format, json};
use base64::{Engine, display::Base64Display, engine::general_purpose::STANDARD};
use longshore_sdk::{Datum, Error, Result, Value};
use memchr::{memchr, memchr2};
use std::io::Write;

/// Appends `datum` as one line, its end included. After an error `out` holds a part of it.
pub(crate) fn line(format: Format, datum: &Datum, out: &mut Vec<u8>) -> Result<()> {
    match (format, datum) {
        (_, Datum::Null) => out.extend_from_slice(b"null"),
        (Format::Lines, Datum::Bytes(bytes) | Datum::Text(bytes)) => out.extend_from_slice(bytes),
        (Format::Lines, Datum::Json(json)) if json.trim_ascii_start().first() == Some(&b'"') => {
            unquoted(json.trim_ascii(), out)?;
        }
        (Format::Lines, Datum::Value(Value::String(text), _)) => {
            out.extend_from_slice(text.as_bytes());
        }
        (Format::Lines, Datum::Value(Value::Bytes(bytes), _)) => out.extend_from_slice(bytes),
        (Format::Ndjson, Datum::Bytes(bytes)) => {
            let _ = write!(out, "\"{}\"", Base64Display::new(bytes, &STANDARD));
        }
        (Format::Ndjson, Datum::Text(text)) => match std::str::from_utf8(text) {
            Ok(text) => json::string(text, out)?,
            Err(error) => return Err(Error::data("put", "the text is not UTF-8").because(error)),
        },
        (_, Datum::Json(json)) => one_line(json, out),
        (_, Datum::Value(value, schema)) => json::write(value, schema.as_deref(), out)?,
    }
    out.push(b'\n');
    Ok(())
}

/// Line ends in JSON text are insignificant: inside a string they are escaped.
fn one_line(mut json: &[u8], out: &mut Vec<u8>) {
    while let Some(end) = memchr2(b'\n', b'\r', json) {
        out.extend_from_slice(&json[..end]);
        json = &json[end + 1..];
    }
    out.extend_from_slice(json);
}

/// The text of a JSON string.
fn unquoted(json: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if let [b'"', text @ .., b'"'] = json
        && memchr(b'\\', text).is_none()
    {
        out.extend_from_slice(text);
        return Ok(());
    }
    let text: String = serde_json::from_slice(json)
        .map_err(|error| Error::data("put", "the value is no JSON string").because(error))?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Bytes as a JSON string in base64.
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    out.truncate(start + written.unwrap_or(0));
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn text(format: Format, datum: &Datum) -> String {
        let mut out = Vec::new();
        line(format, datum, &mut out).expect("a line");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn strings_and_bytes_are_lines_as_they_are() {
        let json = |text: &'static str| Datum::Json(Bytes::from_static(text.as_bytes()));
        for (datum, wanted) in [
            (Datum::Null, "null\n"),
            (Datum::Bytes(Bytes::from_static(b"a,b")), "a,b\n"),
            (Datum::Text(Bytes::from_static(b"")), "\n"),
            (Datum::string("two\nlines"), "two\nlines\n"),
            (json("\"plain\""), "plain\n"),
            (json(" \"a\\tb\\u00e9\" "), "a\tbé\n"),
            (json("12.50"), "12.50\n"),
            (json("{\"a\":\r\n [1,\n2]}\n"), "{\"a\": [1,2]}\n"),
            (Datum::Value(Value::Int32(-7), None), "-7\n"),
        ] {
            assert_eq!(text(Format::Lines, &datum), wanted, "{datum:?}");
        }
    }

    #[test]
    fn every_line_of_ndjson_is_one_json_value() {
        for (datum, wanted) in [
            (Datum::Null, "null\n"),
            (Datum::Bytes(Bytes::from_static(b"\xff\0")), "\"/wA=\"\n"),
            (
                Datum::Text(Bytes::from_static(b"a\"b\n")),
                "\"a\\\"b\\n\"\n",
            ),
            (Datum::string("x"), "\"x\"\n"),
            (Datum::Json(Bytes::from_static(b"\"x\"")), "\"x\"\n"),
        ] {
            assert_eq!(text(Format::Ndjson, &datum), wanted, "{datum:?}");
        }
    }

    #[test]
    fn a_broken_json_string_is_refused() {
        let datum = Datum::Json(Bytes::from_static(b"\"a\\x\""));
        let error = line(Format::Lines, &datum, &mut Vec::new()).expect_err("no escape");
        assert_eq!(error.kind(), longshore_sdk::ErrorKind::Data);
    }
}
