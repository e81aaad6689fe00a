//! The text of JSON strings.

use crate::{Error, Result};
use std::borrow::Cow;

/// The text of what stands between the quotes of a JSON string. A surrogate without its other half, which is no letter, becomes U+FFFD.
/// Errors of kind data: an escape that JSON does not have.
pub fn unescaped(inner: &str) -> Result<Cow<'_, str>> {
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let letter = rest.chars().next().ok_or_else(no_escape)?;
        rest = &rest[letter.len_utf8()..];
        out.push(match letter {
            '"' | '\\' | '/' => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = unit(&mut rest).ok_or_else(no_escape)?;
                let mut behind = rest.strip_prefix("\\u").unwrap_or_default();
                match unit(&mut behind) {
                    Some(low)
                        if (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low) =>
                    {
                        rest = behind;
                        char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                    }
                    _ => char::from_u32(high),
                }
                .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(no_escape()),
        });
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// Takes the four digits of a `\u` escape.
fn unit(text: &mut &str) -> Option<u32> {
    let digits = text
        .get(..4)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    *text = &text[4..];
    u32::from_str_radix(digits, 16).ok()
}

fn no_escape() -> Error {
    Error::data(
        "a string of the value has an escape that JSON does not have: use a converter that makes JSON",
    )
}
