//! Numbers as text, as a JVM prints them.

use crate::{Decimal, Error, Result};
use bytes::{BufMut, Bytes, BytesMut};

/// How long a decimal's unscaled integer may be, in bytes: printing one takes quadratic time.
const UNSCALED_MAX: usize = 2048;
/// How long the text of a decimal may be.
const DECIMAL_TEXT_MAX: usize = 4096;
/// 10^9: what one 32-bit limb takes at a time.
const BILLION: u64 = 1_000_000_000;

/// Prints a double as `Double.toString` does: `1.0`, `1.0E10`, `NaN`, `Infinity`; digits are the shortest that read back the same.
pub fn double_text(number: f64, out: &mut BytesMut) {
    if !number.is_finite() {
        special(number, out);
    } else if number != 0.0 && number.abs() < 1e-300 {
        java_text(&two_digits(number, |text| text.parse() == Ok(number)), out);
    } else {
        java_text(ryu::Buffer::new().format_finite(number), out);
    }
}

/// Prints a float as `Float.toString` does.
pub fn float_text(number: f32, out: &mut BytesMut) {
    if !number.is_finite() {
        special(f64::from(number), out);
    } else if number != 0.0 && number.abs() < 1e-35 {
        java_text(&two_digits(number, |text| text.parse() == Ok(number)), out);
    } else {
        java_text(ryu::Buffer::new().format_finite(number), out);
    }
}

/// Java prints at least two digits, and the two nearest ones: `4.9E-324`, where one digit (5) would do. Only the smallest numbers show it.
fn two_digits<N: std::fmt::LowerExp>(number: N, same: impl Fn(&str) -> bool) -> String {
    let nearest = format!("{number:.1e}");
    if same(&nearest) {
        nearest
    } else {
        format!("{number:e}")
    }
}

fn special(number: f64, out: &mut BytesMut) {
    out.put_slice(match number {
        number if number.is_nan() => b"NaN",
        number if number > 0.0 => b"Infinity",
        _ => b"-Infinity",
    });
}

/// Takes the digits of the shortest form apart and sets them as Java does: plain from 10^-3 up to 10^7, with an exponent elsewhere.
fn java_text(shortest: &str, out: &mut BytesMut) {
    let unsigned = shortest.strip_prefix('-').unwrap_or(shortest);
    if unsigned.len() < shortest.len() {
        out.put_u8(b'-');
    }
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = [0u8; 32];
    let mut count = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        digits[count.min(31)] = digit;
        count += 1;
    }
    let count = count.min(32);
    let leading = digits[..count]
        .iter()
        .take_while(|digit| **digit == b'0')
        .count();
    let trailing = digits[leading..count]
        .iter()
        .rev()
        .take_while(|digit| **digit == b'0')
        .count();
    let digits = &digits[leading..count - trailing];
    if digits.is_empty() {
        return out.put_slice(b"0.0");
    }
    // The number is 0.d1d2.. * 10^point.
    let point = whole.len() as i32 - leading as i32 + exponent;
    set(digits, point, out);
}

fn set(digits: &[u8], point: i32, out: &mut BytesMut) {
    if (-2..=0).contains(&point) {
        out.put_slice(b"0.");
        out.put_bytes(b'0', point.unsigned_abs() as usize);
        out.put_slice(digits);
    } else if (1..=7).contains(&point) {
        let whole = (point as usize).min(digits.len());
        out.put_slice(&digits[..whole]);
        out.put_bytes(b'0', point as usize - whole);
        out.put_u8(b'.');
        out.put_slice(if whole == digits.len() {
            b"0"
        } else {
            &digits[whole..]
        });
    } else {
        out.put_u8(digits[0]);
        out.put_u8(b'.');
        out.put_slice(if digits.len() == 1 {
            b"0"
        } else {
            &digits[1..]
        });
        out.put_u8(b'E');
        out.put_slice(itoa::Buffer::new().format(point - 1).as_bytes());
    }
}

/// Prints a decimal as `BigDecimal.toString` does: `-123.45`, `1E-10`, `-1E+3`. An unscaled integer beyond 2048 bytes is an error of kind Data.
pub fn decimal_text(decimal: &Decimal, out: &mut BytesMut) -> Result<()> {
    if decimal.unscaled.len() > UNSCALED_MAX {
        let problem = format!(
            "a decimal of {} bytes is too long to print",
            decimal.unscaled.len()
        );
        return Err(Error::data("decimal", problem));
    }
    let (negative, digits) = unscaled_digits(&decimal.unscaled);
    if negative {
        out.put_u8(b'-');
    }
    let count = digits.len() as i64;
    let scale = i64::from(decimal.scale);
    let adjusted = count - 1 - scale;
    if scale >= 0 && adjusted >= -6 {
        let whole = count - scale;
        if whole > 0 {
            out.put_slice(&digits[..whole as usize]);
        } else {
            out.put_u8(b'0');
        }
        if scale > 0 {
            out.put_u8(b'.');
            out.put_bytes(b'0', (-whole).max(0) as usize);
            out.put_slice(&digits[whole.max(0) as usize..]);
        }
        return Ok(());
    }
    out.put_u8(digits[0]);
    if count > 1 {
        out.put_u8(b'.');
        out.put_slice(&digits[1..]);
    }
    if adjusted != 0 {
        out.put_slice(if adjusted > 0 { b"E+" } else { b"E" });
        out.put_slice(itoa::Buffer::new().format(adjusted).as_bytes());
    }
    Ok(())
}

/// Sign and decimal digits, at least one, of a big-endian two's complement integer.
fn unscaled_digits(bytes: &[u8]) -> (bool, Vec<u8>) {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let mut limbs: Vec<u32> = bytes
        .rchunks(4)
        .map(|chunk| {
            let fill = if negative { u32::MAX } else { 0 };
            chunk
                .iter()
                .fold(fill, |limb, byte| limb << 8 | u32::from(*byte))
        })
        .collect();
    if negative {
        negate(&mut limbs);
    }
    let mut digits = Vec::new();
    while limbs.iter().any(|limb| *limb != 0) {
        let mut rest = 0u64;
        for limb in limbs.iter_mut().rev() {
            let part = rest << 32 | u64::from(*limb);
            *limb = (part / BILLION) as u32;
            rest = part % BILLION;
        }
        for _ in 0..9 {
            digits.push(b'0' + (rest % 10) as u8);
            rest /= 10;
        }
    }
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    if digits.is_empty() {
        digits.push(b'0');
    }
    digits.reverse();
    (negative, digits)
}

/// Two's complement, little-endian limbs.
fn negate(limbs: &mut [u32]) {
    let mut carry = true;
    for limb in limbs {
        (*limb, carry) = (!*limb).overflowing_add(u32::from(carry));
    }
}

/// Reads decimal text, with or without an exponent, exactly. Errors are of kind Data and do not show the text.
pub fn decimal_from_text(text: &str) -> Result<Decimal> {
    let fault = || {
        Error::data(
            "decimal",
            format!("{} characters are no decimal number", text.len()),
        )
    };
    if text.len() > DECIMAL_TEXT_MAX {
        return Err(fault());
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().map_err(|_| fault())?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 {
        return Err(fault());
    }
    let mut limbs: Vec<u32> = Vec::new();
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return Err(fault());
        }
        let mut carry = u64::from(digit - b'0');
        for limb in &mut limbs {
            let part = u64::from(*limb) * 10 + carry;
            *limb = part as u32;
            carry = part >> 32;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    // One more limb keeps the sign bit free.
    limbs.push(0);
    if text.starts_with('-') {
        negate(&mut limbs);
    }
    let bytes: Vec<u8> = limbs
        .iter()
        .rev()
        .flat_map(|limb| limb.to_be_bytes())
        .collect();
    let scale = (fraction.len() as i32)
        .checked_sub(exponent)
        .ok_or_else(fault)?;
    Ok(Decimal {
        unscaled: shortest(&bytes),
        scale,
    })
}

/// Drops leading bytes that only repeat the sign.
fn shortest(bytes: &[u8]) -> Bytes {
    let repeats = bytes.windows(2).take_while(|pair| {
        (pair[0] == 0 && pair[1] < 0x80) || (pair[0] == 0xFF && pair[1] >= 0x80)
    });
    Bytes::copy_from_slice(&bytes[repeats.count()..])
}
