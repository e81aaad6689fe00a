//! Arrays: of any depth, with NULLs, with lower bounds of their own.

use super::{Form, Wrong, fixed};
use longshore_sdk::Value;
use std::fmt::Write;

/// How a value of an array column is held: the schema of its record depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::source) enum Shape {
    /// One dimension that starts at 1, or no items: an array.
    Flat,
    /// This many dimensions, each starting at 1: arrays of arrays.
    Nested(u8),
    /// Another lower bound: Postgres' own text.
    Text,
}

/// Postgres' limit is 6.
const DIMENSIONS_MAX: usize = 6;

struct Header {
    /// Items and lower bound of each dimension.
    dimensions: Vec<(usize, i32)>,
}

impl Form {
    /// The value of an array column whose items have this form.
    pub(in crate::source) fn decode_array(&self, raw: &[u8]) -> Result<(Value, Shape), Wrong> {
        let (header, items) = Header::read(raw)?;
        let mut rest = items;
        let count = header
            .dimensions
            .iter()
            .try_fold(1usize, |all, (items, _)| {
                all.checked_mul(*items).ok_or_else(Wrong::broken)
            })?;
        if header.dimensions.is_empty() || count == 0 {
            return Ok((Value::Array(Vec::new()), Shape::Flat));
        }
        // Every item has a length of four bytes: a count that the bytes cannot hold is refused before it is allocated (I6).
        if count > rest.len() / 4 {
            return Err(Wrong::broken());
        }
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(self.item(&mut rest)?);
        }
        if header.dimensions.iter().any(|(_, lower)| *lower != 1) {
            return Ok((Value::String(header.text(&values)), Shape::Text));
        }
        let mut depth = 1;
        for (items, _) in header.dimensions[1..].iter().rev() {
            values = nested(values, *items);
            depth += 1;
        }
        let shape = if depth == 1 {
            Shape::Flat
        } else {
            Shape::Nested(depth)
        };
        Ok((Value::Array(values), shape))
    }

    fn item(&self, rest: &mut &[u8]) -> Result<Value, Wrong> {
        let (length, behind) = rest.split_at_checked(4).ok_or_else(Wrong::broken)?;
        let length = i32::from_be_bytes(fixed(length)?);
        let Ok(length) = usize::try_from(length) else {
            *rest = behind;
            return Ok(Value::Null);
        };
        let (item, behind) = behind.split_at_checked(length).ok_or_else(Wrong::broken)?;
        *rest = behind;
        self.decode(item)
    }
}

fn nested(values: Vec<Value>, items: usize) -> Vec<Value> {
    let mut outer = Vec::with_capacity(values.len() / items.max(1));
    let mut values = values.into_iter();
    loop {
        let inner: Vec<Value> = values.by_ref().take(items).collect();
        if inner.is_empty() {
            return outer;
        }
        outer.push(Value::Array(inner));
    }
}

impl Header {
    fn read(raw: &[u8]) -> Result<(Self, &[u8]), Wrong> {
        let word = |at: usize| -> Result<i32, Wrong> {
            let word = raw.get(at..at + 4).ok_or_else(Wrong::broken)?;
            Ok(i32::from_be_bytes(fixed(word)?))
        };
        let count = usize::try_from(word(0)?).map_err(|_| Wrong::broken())?;
        if count > DIMENSIONS_MAX {
            return Err(Wrong::broken());
        }
        let mut dimensions = Vec::with_capacity(count);
        for at in 0..count {
            let items = usize::try_from(word(12 + 8 * at)?).map_err(|_| Wrong::broken())?;
            dimensions.push((items, word(16 + 8 * at)?));
        }
        let items = raw.get(12 + 8 * count..).ok_or_else(Wrong::broken)?;
        Ok((Self { dimensions }, items))
    }

    /// The literal that Postgres reads back: `[0:1]={a,NULL}`.
    fn text(&self, values: &[Value]) -> String {
        let mut text = String::new();
        for (items, lower) in &self.dimensions {
            let upper = i64::from(*lower) + *items as i64 - 1;
            // Writing to a string cannot fail.
            let _ = write!(text, "[{lower}:{upper}]");
        }
        text.push('=');
        let mut values = values.iter();
        self.level(0, &mut values, &mut text);
        text
    }
    fn level<'a>(
        &self,
        depth: usize,
        values: &mut impl Iterator<Item = &'a Value>,
        text: &mut String,
    ) {
        text.push('{');
        for at in 0..self.dimensions[depth].0 {
            if at > 0 {
                text.push(',');
            }
            if depth + 1 < self.dimensions.len() {
                self.level(depth + 1, values, text);
            } else if let Some(value) = values.next() {
                literal(value, text);
            }
        }
        text.push('}');
    }
}

/// An item in a literal; texts are quoted always, so that `NULL` and commas keep their meaning.
fn literal(value: &Value, text: &mut String) {
    let plain = match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int8(number) => number.to_string(),
        Value::Int16(number) => number.to_string(),
        Value::Int32(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::Float32(number) => number.to_string(),
        Value::Float64(number) => number.to_string(),
        Value::String(value) => return quoted(value, text),
        Value::Bytes(bytes) => {
            text.push_str("\"\\\\x");
            for byte in bytes {
                let _ = write!(text, "{byte:02x}");
            }
            return text.push('"');
        }
        // Items are decoded as texts where Connect has a logical type: see mapping.
        _ => String::new(),
    };
    text.push_str(&plain);
}

fn quoted(value: &str, text: &mut String) {
    text.push('"');
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(dimensions: &[(i32, i32)], items: &[Option<&[u8]>]) -> Vec<u8> {
        let mut raw = Vec::new();
        for word in [dimensions.len() as i32, 0, 25] {
            raw.extend(word.to_be_bytes());
        }
        for (items, lower) in dimensions {
            raw.extend(items.to_be_bytes());
            raw.extend(lower.to_be_bytes());
        }
        for item in items {
            let length = item.map_or(-1, |item| item.len() as i32);
            raw.extend(length.to_be_bytes());
            raw.extend(item.unwrap_or_default());
        }
        raw
    }
    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn arrays_keep_nulls_depth_and_bounds() {
        let read = |raw: &[u8]| Form::Text.decode_array(raw).expect("an array");
        assert_eq!(read(&raw(&[], &[])), (Value::Array(vec![]), Shape::Flat));
        assert_eq!(
            read(&raw(&[(2, 1)], &[Some(b"a"), None])),
            (Value::Array(vec![text("a"), Value::Null]), Shape::Flat)
        );
        let pair = |a: &str, b: &str| Value::Array(vec![text(a), text(b)]);
        let items: Vec<Option<&[u8]>> = vec![Some(b"1"), Some(b"2"), Some(b"3"), Some(b"4")];
        assert_eq!(
            read(&raw(&[(2, 1), (2, 1)], &items)),
            (
                Value::Array(vec![pair("1", "2"), pair("3", "4")]),
                Shape::Nested(2)
            )
        );
        assert_eq!(
            read(&raw(&[(2, 0), (2, -1)], &items)),
            (
                text("[0:1][-1:0]={{\"1\",\"2\"},{\"3\",\"4\"}}"),
                Shape::Text
            )
        );
        assert_eq!(
            read(&raw(&[(2, 5)], &[Some(b"a\"\\,"), None])),
            (text("[5:6]={\"a\\\"\\\\,\",NULL}"), Shape::Text)
        );
    }

    #[test]
    fn broken_arrays_are_refused_before_room_is_made_for_them() {
        for raw in [
            raw(&[(i32::MAX, 1)], &[]),
            raw(&[(i32::MAX, 1), (i32::MAX, 1), (i32::MAX, 1)], &[]),
            raw(&[(1, 1)], &[]),
            raw(&[(1, 1); 7], &[Some(b"a")]),
            vec![0; 5],
        ] {
            assert!(Form::Text.decode_array(&raw).is_err());
        }
    }
}
