//! One value to another type, by the rules of a JVM: numbers lose what does not fit, texts must be numbers as a whole.

use super::spec::Target;
use crate::date_format::iso_text;
use bytes::BytesMut;
use longshore_sdk::{
    Decimal, Error, Kind, Result, Schema, Value,
    json::{decimal_text, double_text, float_text, print_base64},
};

const DAY_MS: i64 = 86_400_000;

/// `value` as `target`; null stays null. Errors are of kind Data.
pub(super) fn cast(value: &Value, schema: Option<&Schema>, target: Target) -> Result<Value> {
    if *value == Value::Null {
        return Ok(Value::Null);
    }
    let input = match schema.map(|schema| &schema.kind) {
        Some(Kind::Array(_) | Kind::Map(..) | Kind::Struct(_)) => false,
        Some(_) => true,
        None => !matches!(
            value,
            Value::Decimal(_) | Value::Date(_) | Value::Time(_) | Value::Timestamp(_)
        ),
    };
    let composite = matches!(value, Value::Array(_) | Value::Map(_) | Value::Struct(_));
    if !input || composite {
        let kind = value.name();
        let how = if schema.is_none() {
            " without a schema"
        } else {
            ""
        };
        let problem = format!("Cast does not cast from {kind}{how}");
        return Err(Error::data("transform", problem));
    }
    if target == Target::String {
        return Ok(Value::String(text(value)?));
    }
    let number = number(value, target)?;
    Ok(match target {
        Target::Int8 => Value::Int8(number.narrow()? as i8),
        Target::Int16 => Value::Int16(number.narrow()? as i16),
        Target::Int32 => Value::Int32(number.narrow()?),
        Target::Int64 => Value::Int64(number.wide()?),
        Target::Float32 => Value::Float32(number.single()?),
        Target::Float64 => Value::Float64(number.double()?),
        Target::Boolean => Value::Bool(number.wide()? != 0),
        Target::String => Value::Null,
    })
}

/// A number in the width that it had.
enum Number<'a> {
    Integer(i64),
    Single(f32),
    Double(f64),
    Decimal(&'a Decimal),
}

fn number(value: &Value, target: Target) -> Result<Number<'_>> {
    Ok(match value {
        Value::Bool(flag) => Number::Integer(i64::from(*flag)),
        Value::Int8(number) => Number::Integer(i64::from(*number)),
        Value::Int16(number) => Number::Integer(i64::from(*number)),
        Value::Int32(number) => Number::Integer(i64::from(*number)),
        Value::Int64(number) => Number::Integer(*number),
        Value::Float32(number) => Number::Single(*number),
        Value::Float64(number) => Number::Double(*number),
        Value::Decimal(decimal) => Number::Decimal(decimal),
        Value::String(text) => return parsed(text, target),
        Value::Timestamp(ms) => Number::Integer(*ms),
        Value::Date(ms) if ms % DAY_MS == 0 => Number::Integer(i64::from((ms / DAY_MS) as i32)),
        Value::Time(ms) if (0..=DAY_MS).contains(ms) => Number::Integer(*ms),
        Value::Date(_) => return Err(misfit("a date has a time of day")),
        Value::Time(_) => return Err(misfit("a time of day is not within a day")),
        _ => {
            let problem = format!("a value of type {} is no number", value.name());
            return Err(misfit(&problem));
        }
    })
}

fn misfit(problem: &str) -> Error {
    Error::data("transform", format!("Cast: {problem}"))
}

/// A text as a number that fits `target`; the text is not shown.
fn parsed(text: &str, target: Target) -> Result<Number<'static>> {
    let number = match target {
        Target::Boolean => Some(Number::Integer(i64::from(
            text.eq_ignore_ascii_case("true"),
        ))),
        Target::Int8 => integer(text.parse::<i8>()),
        Target::Int16 => integer(text.parse::<i16>()),
        Target::Int32 => integer(text.parse::<i32>()),
        Target::Int64 => integer(text.parse::<i64>()),
        Target::Float32 => float(text).map(Number::Single),
        Target::Float64 | Target::String => float(text).map(Number::Double),
    };
    number.ok_or_else(|| {
        let length = text.chars().count();
        misfit(&format!(
            "a string of {length} characters is no number that fits the type {target:?}"
        ))
    })
}

fn integer<N: Into<i64>, E>(number: Result<N, E>) -> Option<Number<'static>> {
    Some(Number::Integer(number.ok()?.into()))
}

/// `Double.parseDouble`, hexadecimal numbers aside.
fn float<N: std::str::FromStr>(text: &str) -> Option<N> {
    let text = text.trim_matches(|next: char| next <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return text.parse().ok();
    }
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    text.strip_suffix(['f', 'F', 'd', 'D'])
        .unwrap_or(text)
        .parse()
        .ok()
}

impl Number<'_> {
    /// The low 32 bits of an integer; a float at the bounds of 32 bits if it is beyond them.
    fn narrow(&self) -> Result<i32> {
        Ok(match self {
            Self::Single(number) => *number as i32,
            Self::Double(number) => *number as i32,
            _ => self.wide()? as i32,
        })
    }
    fn wide(&self) -> Result<i64> {
        Ok(match self {
            Self::Integer(number) => *number,
            Self::Single(number) => *number as i64,
            Self::Double(number) => *number as i64,
            Self::Decimal(decimal) => low_bits(decimal)?,
        })
    }
    fn single(&self) -> Result<f32> {
        Ok(match self {
            Self::Integer(number) => *number as f32,
            Self::Single(number) => *number,
            Self::Double(number) => *number as f32,
            Self::Decimal(decimal) => plain(decimal)?.parse().unwrap_or(f32::NAN),
        })
    }
    fn double(&self) -> Result<f64> {
        Ok(match self {
            Self::Integer(number) => *number as f64,
            Self::Single(number) => f64::from(*number),
            Self::Double(number) => *number,
            Self::Decimal(decimal) => plain(decimal)?.parse().unwrap_or(f64::NAN),
        })
    }
}

fn plain(decimal: &Decimal) -> Result<String> {
    let mut out = BytesMut::new();
    decimal_text(decimal, &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The low 64 bits of a decimal without its fraction.
fn low_bits(decimal: &Decimal) -> Result<i64> {
    let unscaled = Decimal {
        unscaled: decimal.unscaled.clone(),
        scale: 0,
    };
    let text = plain(&unscaled)?;
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let cut = usize::try_from(decimal.scale)
        .unwrap_or(0)
        .min(digits.len());
    let whole = digits[..digits.len() - cut].bytes();
    let low = whole.fold(0i64, |low, digit| {
        low.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'))
    });
    // 10^64 has 64 zero bits at its end.
    let low = match decimal.scale {
        ..=-64 => 0,
        -63..0 => low.wrapping_mul(10i64.wrapping_pow(decimal.scale.unsigned_abs())),
        _ => low,
    };
    Ok(if text.len() > digits.len() {
        low.wrapping_neg()
    } else {
        low
    })
}

/// As a JVM's `toString` prints it; dates in the forms of ISO 8601, bytes as base64.
fn text(value: &Value) -> Result<String> {
    let mut out = BytesMut::new();
    match value {
        Value::String(text) => return Ok(text.clone()),
        Value::Bool(flag) => return Ok(flag.to_string()),
        Value::Int8(number) => return Ok(number.to_string()),
        Value::Int16(number) => return Ok(number.to_string()),
        Value::Int32(number) => return Ok(number.to_string()),
        Value::Int64(number) => return Ok(number.to_string()),
        Value::Date(ms) | Value::Time(ms) | Value::Timestamp(ms) => return Ok(iso_text(*ms)),
        Value::Decimal(decimal) => return plain(decimal),
        Value::Float32(number) => float_text(*number, &mut out),
        Value::Float64(number) => double_text(*number, &mut out),
        Value::Bytes(bytes) => print_base64(bytes, &mut out),
        _ => return Err(misfit("a composite value has no text")),
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
