//! JSON pointers into text: what they point to stays as it was written, numbers of any length included.

use serde_json::value::RawValue;
use std::collections::HashMap;

/// The value that `pointer` points to within one JSON value.
pub(crate) fn find<'t>(text: &'t str, pointer: &str) -> Option<&'t RawValue> {
    let mut at: &RawValue = serde_json::from_str(text).ok()?;
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        at = if at.get().starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(at.get()).ok()?;
            items.get(name.parse::<usize>().ok()?).copied()?
        } else {
            let members: HashMap<String, &RawValue> = serde_json::from_str(at.get()).ok()?;
            members.get(&name).copied()?
        };
    }
    Some(at)
}

/// A string without quotes and escapes, every other value as it stands; null is none.
pub(crate) fn plain(value: &RawValue) -> Option<String> {
    match value.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        text => Some(text.to_owned()),
    }
}

/// What a value is, for people.
pub(crate) fn shape(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'"') => "a string",
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_stays_as_written() {
        let text = r#"{"a/b": [ {"n": 12345678901234567890123.50 } ], "m~n": "x\"y", "z": null}"#;
        let found = |pointer| find(text, pointer).map(RawValue::get);
        assert_eq!(found("/a~1b/0/n"), Some("12345678901234567890123.50"));
        assert_eq!(found("/a~1b/1"), None);
        assert_eq!(found("/z/deeper"), None);
        assert_eq!(find(text, "/m~0n").and_then(plain).as_deref(), Some("x\"y"));
        assert_eq!(find(text, "/z").and_then(plain), None);
        assert_eq!(find("[1]", "").map(shape), Some("a list"));
    }
}
