//! JSON text as Kafka Connect's JsonConverter writes it.

use serde_json::Value;
use std::fmt::Write;

/// Appends `text` as a JSON string: characters beyond the basic plane as `\uD83D\uDE00`, control characters in upper-case hex.
pub(super) fn string(text: &str, into: &mut String) {
    into.push('"');
    for char in text.chars() {
        match char {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\u{8}' => into.push_str("\\b"),
            '\t' => into.push_str("\\t"),
            '\n' => into.push_str("\\n"),
            '\u{c}' => into.push_str("\\f"),
            '\r' => into.push_str("\\r"),
            _ if char < ' ' || u32::from(char) > 0xFFFF => {
                let mut units = [0; 2];
                for unit in char.encode_utf16(&mut units) {
                    // Writing to a string cannot fail.
                    let _ = write!(into, "\\u{unit:04X}");
                }
            }
            _ => into.push(char),
        }
    }
    into.push('"');
}

/// Appends a value, compact, in its own field order.
pub(super) fn value(json: &Value, into: &mut String) {
    match json {
        Value::String(text) => string(text, into),
        Value::Array(items) => {
            let mut first = true;
            into.push('[');
            for item in items {
                comma(&mut first, into);
                value(item, into);
            }
            into.push(']');
        }
        Value::Object(fields) => {
            let mut first = true;
            into.push('{');
            for (name, field) in fields {
                comma(&mut first, into);
                string(name, into);
                into.push(':');
                value(field, into);
            }
            into.push('}');
        }
        plain => {
            let _ = write!(into, "{plain}");
        }
    }
}

/// `{"properties":{..}}` in the order given.
pub(super) fn properties<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::from("{\"properties\":{");
    let mut first = true;
    for (name, value) in entries {
        comma(&mut first, &mut text);
        string(name, &mut text);
        text.push(':');
        string(value, &mut text);
    }
    text.push_str("}}");
    text
}

fn comma(first: &mut bool, into: &mut String) {
    if !std::mem::take(first) {
        into.push(',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_the_reference_does() {
        for (text, wanted) in [
            ("plain é☃", "\"plain é☃\""),
            ("a\"b\\c/d", "\"a\\\"b\\\\c/d\""),
            ("\u{8}\t\n\u{c}\r", "\"\\b\\t\\n\\f\\r\""),
            ("\u{1f}\u{0}", "\"\\u001F\\u0000\""),
            ("😀", "\"\\uD83D\\uDE00\""),
        ] {
            let mut into = String::new();
            string(text, &mut into);
            assert_eq!(into, wanted);
            assert_eq!(serde_json::from_str::<String>(&into).expect("JSON"), text);
        }
    }
}
