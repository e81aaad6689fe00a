//! Values as a JVM's `toString` prints them.

use bytes::{BufMut, BytesMut};
use longshore_sdk::{
    Error, Kind, Result, Schema, Value,
    calendar::civil,
    json::{DEPTH_MAX, decimal_text, double_text, float_text, print_base64},
};

/// Appends what `String.valueOf` gives for a value: `{a=1, b=null}`, `[1, x]`, `Struct{a=1,b=x}` (nulls left out), dates as
/// `Tue Nov 14 22:13:20 UTC 2023`. Bytes are base64: the reference prints an object's address, which means nothing to anybody.
pub(crate) fn print(value: &Value, schema: Option<&Schema>, out: &mut BytesMut) -> Result<()> {
    any(value, schema, 0, out)
}

fn any(value: &Value, schema: Option<&Schema>, depth: u32, out: &mut BytesMut) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(Error::data("string", "the value nests more than 128 deep"));
    }
    match value {
        Value::Null => out.put_slice(b"null"),
        Value::Bool(true) => out.put_slice(b"true"),
        Value::Bool(false) => out.put_slice(b"false"),
        Value::Int8(number) => integer(i64::from(*number), out),
        Value::Int16(number) => integer(i64::from(*number), out),
        Value::Int32(number) => integer(i64::from(*number), out),
        Value::Int64(number) => integer(*number, out),
        Value::Float32(number) => float_text(*number, out),
        Value::Float64(number) => double_text(*number, out),
        Value::String(text) => out.put_slice(text.as_bytes()),
        Value::Bytes(bytes) => print_base64(bytes, out),
        Value::Decimal(decimal) => decimal_text(decimal, out)?,
        Value::Date(ms) | Value::Time(ms) | Value::Timestamp(ms) => date(*ms, out),
        Value::Array(items) => {
            let part = match schema.map(|schema| &schema.kind) {
                Some(Kind::Array(part)) => Some(&**part),
                _ => None,
            };
            for (at, item) in items.iter().enumerate() {
                out.put_slice(if at == 0 { b"[" } else { b", " });
                any(item, part, depth + 1, out)?;
            }
            out.put_slice(if items.is_empty() { b"[]" } else { b"]" });
        }
        Value::Map(entries) => {
            let (keys, values) = match schema.map(|schema| &schema.kind) {
                Some(Kind::Map(keys, values)) => (Some(&**keys), Some(&**values)),
                _ => (None, None),
            };
            for (at, (key, value)) in entries.iter().enumerate() {
                out.put_slice(if at == 0 { b"{" } else { b", " });
                any(key, keys, depth + 1, out)?;
                out.put_u8(b'=');
                any(value, values, depth + 1, out)?;
            }
            out.put_slice(if entries.is_empty() { b"{}" } else { b"}" });
        }
        Value::Struct(values) => fields(values, schema, depth, out)?,
    }
    Ok(())
}

fn fields(values: &[Value], schema: Option<&Schema>, depth: u32, out: &mut BytesMut) -> Result<()> {
    out.put_slice(b"Struct{");
    let fields = schema.map_or(&[][..], Schema::fields);
    let mut first = true;
    for (field, value) in fields.iter().zip(values) {
        if *value == Value::Null {
            continue;
        }
        if !first {
            out.put_u8(b',');
        }
        first = false;
        out.put_slice(field.name.as_bytes());
        out.put_u8(b'=');
        any(value, Some(&field.schema), depth + 1, out)?;
    }
    out.put_u8(b'}');
    Ok(())
}

fn integer(number: i64, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `java.util.Date.toString` in UTC, by the Gregorian calendar throughout.
fn date(ms: i64, out: &mut BytesMut) {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let month = MONTHS[month as usize - 1];
    let text = format!(
        "{weekday} {month} {day:02} {hour:02}:{minute:02}:{:02} UTC {year:04}",
        second % 60
    );
    out.put_slice(text.as_bytes());
}
