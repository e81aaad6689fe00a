//! The type of a text without one - a header's, a literal's in a setting -, guessed as the reference guesses it. Its oddities are kept, since
//! sinks rely on what comes out: a leading number counts whatever follows a delimiter (`22:13:20` is 22), and numbers with a fraction are
//! single precision.

use crate::{Datum, Kind, Schema, Value, calendar::days, json::decimal_from_text, schema::logical};
use std::sync::Arc;

/// How deep arrays and maps may nest before they count as text.
const DEPTH_MAX: u32 = 32;

/// A value and its schema; `None` where its parts have no common one.
type Guessed = (Value, Option<Arc<Schema>>);

/// What cannot be read is text as a whole.
struct NotData;

/// The value that `text` stands for. A schema is known unless parts of an array or map differ in type, or there are none.
pub fn guess(text: &str) -> Datum {
    let mut reader = Reader { text, at: 0 };
    match reader.value(None) {
        Ok(Some((Value::Null, _))) => Datum::Null,
        Ok(Some((value, schema))) => Datum::Value(value, schema),
        Ok(None) | Err(NotData) => {
            let (value, schema) = of(Kind::String, Value::String(text.to_owned()));
            Datum::Value(value, schema)
        }
    }
}

fn of(kind: Kind, value: Value) -> Guessed {
    (value, Some(Arc::new(Schema::new(kind))))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }
    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }
    fn takes(&mut self, delimiter: char) -> bool {
        self.space();
        let takes = self.rest().starts_with(delimiter);
        self.at += usize::from(takes);
        takes
    }
    /// Up to the next delimiter.
    fn token(&mut self) -> &str {
        let start = self.at;
        let rest = self.rest();
        self.at += rest
            .find(['[', ']', '{', '}', ',', ':', '"', '\\'])
            .unwrap_or(rest.len());
        self.text[start..self.at].trim()
    }
    /// One value. `inside` is how deep it stands in arrays and maps; text needs quotes there, and has none elsewhere.
    fn value(&mut self, inside: Option<u32>) -> Result<Option<Guessed>, NotData> {
        let depth = inside.unwrap_or(0);
        if depth > DEPTH_MAX {
            return Err(NotData);
        }
        self.space();
        if inside.is_some() && self.takes('"') {
            return self.quoted().map(Some);
        }
        if self.takes('[') {
            return self.array(depth).map(Some);
        }
        if self.takes('{') {
            return self.map(depth).map(Some);
        }
        if let Some((length, guessed)) = temporal(self.rest()) {
            self.at += length;
            return Ok(Some(guessed));
        }
        let token = self.token();
        let guessed = match token {
            "null" => Some((Value::Null, None)),
            "true" => Some(of(Kind::Bool, Value::Bool(true))),
            "false" => Some(of(Kind::Bool, Value::Bool(false))),
            token => number(token),
        };
        match guessed {
            None if inside.is_some() => Err(NotData),
            guessed => Ok(guessed),
        }
    }
    fn quoted(&mut self) -> Result<Guessed, NotData> {
        let mut text = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((at, next)) = characters.next() {
            match next {
                '"' => {
                    self.at += at + 1;
                    return Ok(of(Kind::String, Value::String(text)));
                }
                '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
                other => text.push(other),
            }
        }
        Err(NotData)
    }
    fn array(&mut self, depth: u32) -> Result<Guessed, NotData> {
        let mut items = Vec::new();
        while !self.takes(']') {
            items.push(self.value(Some(depth + 1))?.ok_or(NotData)?);
            // A comma may stand behind the last item.
            if !self.takes(',') {
                if self.takes(']') {
                    break;
                }
                return Err(NotData);
            }
        }
        let (items, schema) = aligned(items)?;
        let schema = schema.map(|items| Arc::new(Schema::new(Kind::Array(items))));
        Ok((Value::Array(items), schema))
    }
    fn map(&mut self, depth: u32) -> Result<Guessed, NotData> {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        while !self.takes('}') {
            keys.push(self.value(Some(depth + 1))?.ok_or(NotData)?);
            if !self.takes(':') {
                return Err(NotData);
            }
            values.push(self.value(Some(depth + 1))?.ok_or(NotData)?);
            // No comma is missed between entries.
            self.takes(',');
        }
        let (keys, key) = aligned(keys)?;
        let (values, value) = aligned(values)?;
        let schema = key
            .zip(value)
            .map(|(key, value)| Arc::new(Schema::new(Kind::Map(key, value))));
        Ok((Value::Map(entries(keys, values)?), schema))
    }
}

/// Keys and their values; of a key that occurs twice the last value stays. A key may not be null.
fn entries(keys: Vec<Value>, values: Vec<Value>) -> Result<Vec<(Value, Value)>, NotData> {
    /// Comparing each key with each is quadratic.
    const KEYS_MAX: usize = 1024;
    if keys.len() > KEYS_MAX || keys.contains(&Value::Null) {
        return Err(NotData);
    }
    let mut entries: Vec<(Value, Value)> = Vec::with_capacity(keys.len());
    for (key, value) in keys.into_iter().zip(values) {
        match entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => entries.push((key, value)),
        }
    }
    Ok(entries)
}

/// Gives the items their common type: the widest of numbers, the last of arrays or of maps. Nulls beside items of a common type are more
/// than the reference can read.
fn aligned(items: Vec<Guessed>) -> Result<(Vec<Value>, Option<Arc<Schema>>), NotData> {
    // The first value of the common type, and the schema so far.
    let mut common: Option<(&Value, Option<Arc<Schema>>)> = None;
    let mut nulls = false;
    let mut same = true;
    for (value, schema) in &items {
        if *value == Value::Null {
            nulls = true;
            continue;
        }
        let Some((first, known)) = &mut common else {
            common = Some((value, schema.clone()));
            continue;
        };
        match (&**first, value, &*known, schema) {
            (Value::Array(_), Value::Array(_), ..) | (Value::Map(_), Value::Map(_), ..) => {
                known.clone_from(schema);
            }
            (_, _, Some(left), Some(right)) if left == right => {}
            (_, _, Some(left), Some(right)) => match (rank(&left.kind), rank(&right.kind)) {
                (Some(left), Some(wider)) if left < wider => known.clone_from(schema),
                (Some(_), Some(_)) => {}
                _ => same = false,
            },
            _ => same = false,
        }
    }
    let schema = match common {
        Some(_) if same && nulls => return Err(NotData),
        Some((_, schema)) if same => schema,
        _ => None,
    };
    let values = items.into_iter().map(|(value, _)| value);
    let values = match &schema {
        Some(schema) => values.map(|value| widened(value, &schema.kind)).collect(),
        None => values.collect(),
    };
    Ok((values, schema))
}

fn rank(kind: &Kind) -> Option<u8> {
    Some(match kind {
        Kind::Int8 => 0,
        Kind::Int16 => 1,
        Kind::Int32 => 2,
        Kind::Int64 => 3,
        Kind::Float32 => 4,
        Kind::Float64 => 5,
        _ => return None,
    })
}

fn widened(value: Value, kind: &Kind) -> Value {
    let integer = match value {
        Value::Int8(number) => i64::from(number),
        Value::Int16(number) => i64::from(number),
        Value::Int32(number) => i64::from(number),
        Value::Int64(number) => number,
        Value::Float32(number) if *kind == Kind::Float64 => {
            return Value::Float64(f64::from(number));
        }
        other => return other,
    };
    match kind {
        Kind::Int8 => Value::Int8(integer as i8),
        Kind::Int16 => Value::Int16(integer as i16),
        Kind::Int32 => Value::Int32(integer as i32),
        Kind::Float32 => Value::Float32(integer as f32),
        Kind::Float64 => Value::Float64(integer as f64),
        _ => Value::Int64(integer),
    }
}

/// A number in the narrowest type: an integer if it is whole, else a float that does not overflow, else a decimal. A whole number that
/// is too long and written without an exponent is a decimal.
fn number(token: &str) -> Option<Guessed> {
    if !token.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'))
    {
        return None;
    }
    let decimal = decimal_from_text(token).ok()?;
    let exact: f64 = token.parse().ok()?;
    if let Some(integer) = integer(token) {
        return Some(match integer {
            -0x80..=0x7F => of(Kind::Int8, Value::Int8(integer as i8)),
            -0x8000..=0x7FFF => of(Kind::Int16, Value::Int16(integer as i16)),
            -0x8000_0000..=0x7FFF_FFFF => of(Kind::Int32, Value::Int32(integer as i32)),
            _ => of(Kind::Int64, Value::Int64(integer)),
        });
    }
    let single: f32 = token.parse().ok()?;
    if decimal.scale != 0 && single.is_finite() {
        return Some(of(Kind::Float32, Value::Float32(single)));
    }
    if decimal.scale != 0 && exact.is_finite() {
        return Some(of(Kind::Float64, Value::Float64(exact)));
    }
    let mut schema = Schema::new(Kind::Bytes).named(logical::DECIMAL);
    schema.version = Some(1);
    schema
        .parameters
        .push(("scale".into(), decimal.scale.to_string()));
    Some((Value::Decimal(decimal), Some(Arc::new(schema))))
}

/// The number if it is whole, however it is written, and fits 64 bits.
fn integer(token: &str) -> Option<i64> {
    let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let negative = whole.starts_with('-');
    let digits = format!("{}{fraction}", whole.trim_start_matches(['+', '-']));
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let digits = digits.trim_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let power = exponent.checked_sub(fraction.len() as i64)? + zeros as i64;
    let factor = 10i128.checked_pow(u32::try_from(power).ok()?)?;
    let number = digits.parse::<i128>().ok()?.checked_mul(factor)?;
    i64::try_from(if negative { -number } else { number }).ok()
}

/// A date, time or timestamp that `text` starts with, and its length. Months and days beyond the calendar run over into the next ones.
fn temporal(text: &str) -> Option<(usize, Guessed)> {
    const DAY: i64 = 86_400_000;
    let shaped = |pattern: &str| {
        let (head, tail) = text.split_at_checked(pattern.len())?;
        let fits = head.bytes().zip(pattern.bytes()).all(|(byte, shape)| {
            if shape == b'0' {
                byte.is_ascii_digit()
            } else {
                byte == shape
            }
        });
        let tail = tail.trim_start();
        let ends = tail.is_empty() || tail.starts_with([']', '}', ',', ':']);
        (fits && ends).then_some(pattern.len())
    };
    let part =
        |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<i64>().ok());
    let clock = |from: usize| {
        let seconds = part(from, from + 2)? * 3600
            + part(from + 3, from + 5)? * 60
            + part(from + 6, from + 8)?;
        Some(seconds * 1000 + part(from + 9, from + 12)?)
    };
    let date = || Some(days(part(0, 4)?, part(5, 7)?, part(8, 10)?) * DAY);
    let (length, value, kind, name) = if let Some(length) = shaped("0000-00-00T00:00:00.000Z") {
        (
            length,
            Value::Timestamp(date()? + clock(11)?),
            Kind::Int64,
            logical::TIMESTAMP,
        )
    } else if let Some(length) = shaped("00:00:00.000Z") {
        (length, Value::Time(clock(0)?), Kind::Int32, logical::TIME)
    } else if let Some(length) = shaped("0000-00-00") {
        (length, Value::Date(date()?), Kind::Int32, logical::DATE)
    } else {
        return None;
    };
    let mut schema = Schema::new(kind).named(name);
    schema.version = Some(1);
    Some((length, (value, Some(Arc::new(schema)))))
}
