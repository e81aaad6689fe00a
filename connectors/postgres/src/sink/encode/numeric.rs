//! Exact decimals: text, decimals and integers into Postgres's base-10000 digits.

use super::{Cell, Fit, Unfit, misfit, number::RANGE};
use base64::{Engine, engine::general_purpose::STANDARD};
use longshore_sdk::{Decimal, json::members};
use num_bigint::BigInt;
use std::borrow::Cow;

/// Digits that Postgres keeps behind the decimal point.
const SCALE_MAX: i64 = 16_383;
/// Digits that it keeps before.
const WHOLE_MAX: i64 = 131_072;
/// Text longer than all digits together, with room for a sign, a point, zeros and an exponent, is refused unread (I6).
const TEXT_MAX: usize = 200_000;
/// The same for the bytes of an unscaled integer.
const UNSCALED_MAX: usize = 64 * 1024;

/// Unscaled bytes in base64 are not guessed at: without a schema nobody says what their scale is.
const NO_NUMBER: Unfit = Unfit::because(
    "a text is no number (the bytes of a decimal have no scale in JSON without schemas: set schemas.enable=true, or Debezium's decimal.handling.mode=string)",
);

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// Writes the binary form of a numeric.
pub(super) fn write(cell: &Cell<'_>, out: &mut Vec<u8>) -> Fit {
    let mut buffer = itoa::Buffer::new();
    match cell {
        Cell::Int(number) => of_text(buffer.format(*number), out),
        Cell::Number(text) => of_text(text, out),
        Cell::Text(text) => of_text(text.trim(), out),
        Cell::Decimal(decimal) => Digits::of_decimal(decimal)?.write(out),
        Cell::Double(number) if !number.is_finite() => special(&number.to_string(), out),
        Cell::Float(number) if !number.is_finite() => special(&number.to_string(), out),
        // The shortest digits that read back the same.
        Cell::Double(number) => of_text(ryu::Buffer::new().format_finite(*number), out),
        Cell::Float(number) => of_text(ryu::Buffer::new().format_finite(*number), out),
        Cell::Json(text) => match variable_scale(text) {
            Some(number) => of_text(&number, out),
            None => Err(misfit(cell, "numeric")),
        },
        _ => Err(misfit(cell, "numeric")),
    }
}

/// Debezium's number with a scale of its own, in JSON without schemas: `{"scale":2,"value":"AfQ="}`, the unscaled integer in base64.
fn variable_scale(text: &[u8]) -> Option<String> {
    let (mut scale, mut unscaled) = (None, None);
    for member in members(text)? {
        let member = member.ok()?;
        let value = &text[member.value];
        match &text[member.name] {
            b"scale" => scale = std::str::from_utf8(value).ok()?.parse::<i32>().ok(),
            b"value" => {
                let base64 = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
                if base64.len() > UNSCALED_MAX.div_ceil(3) * 4 {
                    return None;
                }
                unscaled = STANDARD.decode(base64).ok();
            }
            _ => return None,
        }
    }
    scaled(&unscaled?, scale?)
}

/// An unscaled big-endian integer and its scale as text. `None` = more digits than any numeric holds: making them decimal would take time that grows with
/// their square (I6).
pub(super) fn scaled(unscaled: &[u8], scale: i32) -> Option<String> {
    if unscaled.len() > UNSCALED_MAX {
        return None;
    }
    let digits = BigInt::from_signed_bytes_be(unscaled);
    Some(format!("{digits}e{}", -i64::from(scale)))
}

fn of_text(text: &str, out: &mut Vec<u8>) -> Fit {
    match Digits::read(text) {
        Some(digits) => digits.write(out),
        None => special(text, out),
    }
}

fn special(text: &str, out: &mut Vec<u8>) -> Fit {
    let (minus, word) = match text.strip_prefix('-') {
        Some(word) => (true, word),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let infinite = word.eq_ignore_ascii_case("infinity") || word.eq_ignore_ascii_case("inf");
    let sign = match (word.eq_ignore_ascii_case("nan"), infinite, minus) {
        (true, ..) => NAN,
        (_, true, false) => INFINITY,
        (_, true, true) => MINUS_INFINITY,
        _ => return Err(NO_NUMBER),
    };
    header(out, 0, 0, sign, 0);
    Ok(())
}

fn header(out: &mut Vec<u8>, digits: i16, weight: i16, sign: u16, scale: u16) {
    out.extend_from_slice(&digits.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
}

/// A decimal number taken apart: `0.d1d2d3.. * 10^point`.
#[derive(Debug)]
pub(super) struct Digits<'a> {
    negative: bool,
    /// Decimal digits without leading zeros; empty = 0.
    digits: Cow<'a, [u8]>,
    point: i64,
    /// Digits behind the decimal point as written.
    scale: i64,
}

impl<'a> Digits<'a> {
    /// Reads `-12.50e3`; `None` if it is no such text, or too long.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let bytes = text.as_bytes();
        let negative = bytes.first() == Some(&b'-');
        let unsigned = match bytes.first() {
            Some(b'-' | b'+') => &bytes[1..],
            _ => bytes,
        };
        let end = unsigned
            .iter()
            .position(|byte| matches!(byte, b'e' | b'E'))
            .unwrap_or(unsigned.len());
        let exponent: i64 = match unsigned.get(end + 1..) {
            None => 0,
            Some(exponent) => {
                let text = std::str::from_utf8(exponent).ok()?;
                // Beyond every numeric; kept small so that sums do not overflow.
                text.parse::<i64>().ok()?.clamp(-10_000_000, 10_000_000)
            }
        };
        let mantissa = &unsigned[..end];
        let dot = mantissa.iter().position(|byte| *byte == b'.');
        let whole = dot.unwrap_or(mantissa.len());
        let digits: Cow<'a, [u8]> = match dot {
            None => Cow::Borrowed(mantissa),
            Some(dot) => Cow::Owned([&mantissa[..dot], &mantissa[dot + 1..]].concat()),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let fraction = (digits.len() - whole) as i64;
        Some(Self::new(
            negative,
            digits,
            whole as i64 + exponent,
            (fraction - exponent).max(0),
        ))
    }

    /// Reads a decimal of Connect.
    pub(super) fn of_decimal(decimal: &Decimal) -> Fit<Digits<'static>> {
        let unscaled = &decimal.unscaled;
        if unscaled.len() > UNSCALED_MAX {
            return Err(RANGE);
        }
        let text = if unscaled.len() <= 16 {
            let fill = if unscaled.first().is_some_and(|byte| *byte >= 0x80) {
                -1
            } else {
                0
            };
            let number = unscaled
                .iter()
                .fold(fill, |number: i128, byte| number << 8 | i128::from(*byte));
            itoa::Buffer::new().format(number).to_owned()
        } else {
            BigInt::from_signed_bytes_be(unscaled).to_string()
        };
        let negative = text.starts_with('-');
        let digits = text.into_bytes().split_off(usize::from(negative));
        let point = digits.len() as i64 - i64::from(decimal.scale);
        Ok(Digits::new(
            negative,
            Cow::Owned(digits),
            point,
            i64::from(decimal.scale).max(0),
        ))
    }

    fn new(negative: bool, digits: Cow<'a, [u8]>, point: i64, scale: i64) -> Self {
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        let digits = match digits {
            Cow::Borrowed(digits) => Cow::Borrowed(&digits[zeros..]),
            Cow::Owned(mut digits) => {
                digits.drain(..zeros);
                Cow::Owned(digits)
            }
        };
        Self {
            negative,
            point: point - zeros as i64,
            digits,
            scale,
        }
    }

    /// Sign and digits of a number without a fraction; `None` if it has one, or is far too long.
    pub(super) fn whole(&self) -> Option<(bool, String)> {
        let kept = self.digits.iter().rposition(|digit| *digit != b'0');
        let kept = kept.map_or(0, |last| last + 1);
        if kept == 0 {
            return Some((false, "0".to_owned()));
        }
        if (kept as i64) > self.point || self.point > 100 {
            return None;
        }
        let mut text = String::from_utf8_lossy(&self.digits[..kept]).into_owned();
        text.extend(std::iter::repeat_n('0', self.point as usize - kept));
        Some((self.negative, text))
    }

    /// The number as text with an exponent.
    pub(super) fn to_text(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        format!(
            "{sign}0.{}e{}",
            String::from_utf8_lossy(&self.digits),
            self.point
        )
    }

    /// The number as text with all its digits, the scale kept.
    pub(super) fn plain(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let digits = String::from_utf8_lossy(&self.digits);
        let point = usize::try_from(self.point.clamp(0, WHOLE_MAX + 1)).unwrap_or(0);
        let leading = usize::try_from((-self.point).clamp(0, SCALE_MAX + 1)).unwrap_or(0);
        let split = point.min(digits.len());
        let whole = format!("{:0<point$}", &digits[..split]);
        let whole = if whole.is_empty() { "0" } else { &whole };
        let mut fraction = "0".repeat(leading.min(usize::try_from(self.scale).unwrap_or(0)));
        fraction.push_str(&digits[split..]);
        let scale = usize::try_from(self.scale).unwrap_or(0);
        while fraction.len() < scale {
            fraction.push('0');
        }
        let dot = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{dot}{fraction}")
    }

    /// Writes the binary form: groups of four digits, aligned at the decimal point.
    fn write(&self, out: &mut Vec<u8>) -> Fit {
        if self.point > WHOLE_MAX || self.scale > SCALE_MAX {
            return Err(RANGE);
        }
        let kept = self.digits.iter().rposition(|digit| *digit != b'0');
        let digits = &self.digits[..kept.map_or(0, |last| last + 1)];
        let scale = u16::try_from(self.scale).map_err(|_| RANGE)?;
        if digits.is_empty() {
            header(out, 0, 0, POSITIVE, scale);
            return Ok(());
        }
        let first = (self.point - 1).rem_euclid(4) as usize + 1;
        let weight = i16::try_from((self.point - 1).div_euclid(4)).map_err(|_| RANGE)?;
        let groups = 1 + digits.len().saturating_sub(first).div_ceil(4);
        let count = i16::try_from(groups).map_err(|_| RANGE)?;
        let sign = if self.negative { NEGATIVE } else { POSITIVE };
        header(out, count, weight, sign, scale);
        let (head, tail) = digits.split_at(first.min(digits.len()));
        group(head, first, out);
        for part in tail.chunks(4) {
            group(part, 4, out);
        }
        Ok(())
    }
}

/// One group: digits that are missing behind are zeros.
fn group(digits: &[u8], width: usize, out: &mut Vec<u8>) {
    let mut number = digits
        .iter()
        .fold(0i16, |number, digit| number * 10 + i16::from(digit - b'0'));
    for _ in digits.len()..width {
        number *= 10;
    }
    out.extend_from_slice(&number.to_be_bytes());
}
