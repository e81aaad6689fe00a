//! JSON text to a schemaless value.

use super::scan::{DEPTH_MAX, Scanner, first};
use crate::{Result, Value};

/// The first value of `text`; nothing but white space is null.
///
/// Integers become int64 (wrapped beyond 64 bits), other numbers float64, objects maps with string keys in the order of the text.
/// A name that occurs again replaces the former value. Half of a surrogate pair becomes U+FFFD. Errors are of kind Data.
pub fn parse(text: &[u8]) -> Result<Value> {
    let Some(span) = first(text)? else {
        return Ok(Value::Null);
    };
    let mut scanner = Scanner::new(&text[span]);
    value(&mut scanner, 0)
}

fn value(scanner: &mut Scanner<'_>, depth: u32) -> Result<Value> {
    if depth > DEPTH_MAX {
        return Err(scanner.fault("arrays and objects nest more than 128 deep"));
    }
    match scanner.peek() {
        Some(b'{') => object(scanner, depth),
        Some(b'[') => array(scanner, depth),
        Some(b'"') => {
            let start = scanner.at + 1;
            let escaped = scanner.string()?;
            let raw = &scanner.text[start..scanner.at - 1];
            Ok(Value::String(string(raw, escaped)))
        }
        Some(b'-' | b'0'..=b'9') => {
            let start = scanner.at;
            let integer = scanner.number()?;
            let text = &scanner.text[start..scanner.at];
            Ok(if integer {
                Value::Int64(wrapped(text))
            } else {
                Value::Float64(float(text))
            })
        }
        other => {
            scanner.value()?;
            Ok(match other {
                Some(b't') => Value::Bool(true),
                Some(b'f') => Value::Bool(false),
                _ => Value::Null,
            })
        }
    }
}

fn object(scanner: &mut Scanner<'_>, depth: u32) -> Result<Value> {
    // Beyond this many members an index finds a repeated name: comparing each with each would be quadratic.
    const LISTED_MAX: usize = 16;
    let mut entries: Vec<(Value, Value)> = Vec::new();
    let mut index: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    scanner.at += 1;
    scanner.space();
    while scanner.peek() != Some(b'}') {
        let (span, escaped) = scanner.name()?;
        let name = string(&scanner.text[span], escaped);
        let item = value(scanner, depth + 1)?;
        let named = |key: &Value| matches!(key, Value::String(text) if *text == name);
        let known = if entries.len() < LISTED_MAX {
            entries.iter().position(|(key, _)| named(key))
        } else {
            if index.is_empty() {
                let names = entries.iter().enumerate().filter_map(|(at, entry)| {
                    if let Value::String(key) = &entry.0 {
                        Some((key.clone(), at))
                    } else {
                        None
                    }
                });
                index.extend(names);
            }
            let known = index.get(&name).copied();
            if known.is_none() {
                index.insert(name.clone(), entries.len());
            }
            known
        };
        match known {
            Some(at) => entries[at].1 = item,
            None => entries.push((Value::String(name), item)),
        }
        separator(scanner, b'}')?;
    }
    scanner.at += 1;
    Ok(Value::Map(entries))
}

fn array(scanner: &mut Scanner<'_>, depth: u32) -> Result<Value> {
    let mut items = Vec::new();
    scanner.at += 1;
    scanner.space();
    while scanner.peek() != Some(b']') {
        items.push(value(scanner, depth + 1)?);
        separator(scanner, b']')?;
    }
    scanner.at += 1;
    Ok(Value::Array(items))
}

/// Passes a comma; stays before `close`.
fn separator(scanner: &mut Scanner<'_>, close: u8) -> Result<()> {
    scanner.space();
    match scanner.peek() {
        Some(b',') => {
            scanner.at += 1;
            scanner.space();
            Ok(())
        }
        Some(byte) if byte == close => Ok(()),
        _ => Err(scanner.fault("expected a comma or a closing bracket")),
    }
}

/// The low 64 bits of an integer of any length, as the reference takes them.
fn wrapped(text: &[u8]) -> i64 {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let number = digits.iter().fold(0i64, |number, digit| {
        number
            .wrapping_mul(10)
            .wrapping_add(i64::from(digit - b'0'))
    });
    if digits.len() == text.len() {
        number
    } else {
        number.wrapping_neg()
    }
}

fn float(text: &[u8]) -> f64 {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let number: f64 = text.parse().unwrap_or(f64::NAN);
    // The reference reads by way of BigDecimal, which knows no negative zero.
    if number == 0.0 { 0.0 } else { number }
}

fn string(raw: &[u8], escaped: bool) -> String {
    if escaped {
        parse_name(raw)
    } else {
        String::from_utf8_lossy(raw).into_owned()
    }
}

/// The text that a JSON string stands for, given what is between its quotes. Half of a surrogate pair becomes U+FFFD.
pub fn parse_name(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        text.push_str(&String::from_utf8_lossy(&rest[..at]));
        let escape = rest.get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or_default();
        match escape {
            b'b' => text.push('\u{8}'),
            b'f' => text.push('\u{c}'),
            b'n' => text.push('\n'),
            b'r' => text.push('\r'),
            b't' => text.push('\t'),
            b'u' => rest = unicode(rest, &mut text),
            other => text.push(char::from(other)),
        }
    }
    text.push_str(&String::from_utf8_lossy(rest));
    text
}

/// Takes what follows a `\u`; a pair of surrogates is one character.
fn unicode<'a>(rest: &'a [u8], text: &mut String) -> &'a [u8] {
    let hex = |from: &[u8]| {
        let digits = std::str::from_utf8(from.get(..4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let unit = hex(rest).unwrap_or(0xFFFD);
    let rest = rest.get(4..).unwrap_or_default();
    if (0xD800..0xDC00).contains(&unit)
        && let Some(second) = rest.strip_prefix(b"\\u")
        && let Some(low @ 0xDC00..0xE000) = hex(second)
    {
        let point = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        text.push(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
        return second.get(4..).unwrap_or_default();
    }
    text.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}
