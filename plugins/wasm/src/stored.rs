//! Stored positions that a guest may not understand, such as those of another version of it.

use crate::refusal::{Tag, cut};
use longshore_sdk::{Error, ErrorKind, Offsets};
use serde_json::Value;
use std::fmt::Write;

/// Keys of an object that are shown, how deep it is looked into, and the length of a key and of the whole.
const KEYS_MAX: usize = 8;
const DEPTH_MAX: usize = 4;
const KEY_MAX: usize = 40;
const SHAPE_MAX: usize = 300;

/// The error of a start that a person has to look at, with what the guest was given: it may be that it could not read it. I8: keys and kinds
/// of values, never a value.
pub(crate) fn doubt(
    error: Error,
    tag: Tag,
    offsets: &Offsets,
    scrub: impl Fn(&str) -> String,
) -> Error {
    let looked_at = matches!(
        error.kind(),
        ErrorKind::Config | ErrorKind::Data | ErrorKind::Bug
    );
    let Some(position) = offsets.values().next().filter(|_| looked_at) else {
        return error;
    };
    let mut shape = String::new();
    match serde_json::from_slice(&position.json()) {
        Ok(json) => write_shape(&json, DEPTH_MAX, &mut shape),
        Err(_) => shape.push_str("no JSON"),
    }
    let shape = scrub(cut(&shape, SHAPE_MAX));
    let named = format!("{tag}: ");
    let message = error.message();
    let message = message.strip_prefix(&named).unwrap_or(message);
    let text = format!(
        "{named}{message}; it was given {} stored positions of the shape {shape}: if another version of the plugin wrote them, run that one \
         (connector.plugin.version), or alter or reset the connector's offsets",
        offsets.len()
    );
    let context = error.context().iter();
    context.fold(
        Error::new(error.kind(), error.op(), text),
        |same, (name, value)| same.with(name, value),
    )
}

fn write_shape(json: &Value, depth: usize, out: &mut String) {
    let kind = match json {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) if depth == 0 => "object",
        Value::Object(keys) => {
            out.push('{');
            for (number, (key, value)) in keys.iter().enumerate() {
                if number > 0 {
                    out.push_str(", ");
                }
                if number == KEYS_MAX {
                    out.push_str("..");
                    break;
                }
                let _ = write!(out, "{:?}: ", cut(key, KEY_MAX));
                write_shape(value, depth - 1, out);
            }
            out.push('}');
            return;
        }
    };
    out.push_str(kind);
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_sdk::{Offset, Partition};

    const TAG: Tag = Tag {
        name: "probe",
        version: "1.0.0",
    };

    fn offsets(position: &'static str) -> Offsets {
        Offsets::from([(
            Partition::from_json("{}".into()),
            Offset::from_json(position.into()),
        )])
    }

    #[test]
    fn the_shape_of_a_position_is_told_and_none_of_its_values() {
        let given = offsets(
            r#"{"cursor":{"page":4,"token":"hunter22","more":[1],"end":null},"done":false}"#,
        );
        let error = doubt(
            Error::config("start", "no next"),
            TAG,
            &given,
            str::to_owned,
        );
        assert_eq!(error.kind(), ErrorKind::Config);
        let expected = r#"the plugin probe 1.0.0: no next; it was given 1 stored positions of the shape {"cursor": {"page": number, "token": text, "more": list, "end": null}, "done": boolean}: if another version"#;
        assert!(error.message().starts_with(expected), "{error}");
        // One that names the plugin already.
        let named = Error::bug("start", "the plugin probe 1.0.0: start panicked");
        let error = doubt(named, TAG, &given, str::to_owned);
        assert!(
            error
                .message()
                .starts_with("the plugin probe 1.0.0: start panicked; it was given")
        );
    }

    #[test]
    fn what_time_mends_or_nobody_gave_stays_as_it_is() {
        let later = Error::transient("start", "later");
        assert_eq!(
            doubt(later, TAG, &offsets("{}"), str::to_owned).message(),
            "later"
        );
        let config = Error::config("start", "no topic");
        assert_eq!(
            doubt(config, TAG, &Offsets::new(), str::to_owned).message(),
            "no topic"
        );
    }

    #[test]
    fn a_large_position_is_cut() {
        let deep = format!("{}1{}", "{\"k\":".repeat(100), "}".repeat(100));
        let wide: String = (0..1_000)
            .map(|number| format!("\"{number}\":1,"))
            .collect();
        for json in [deep, format!("{{{wide}\"last\":2}}")] {
            let json: Value = serde_json::from_str(&json).expect("JSON");
            let mut shape = String::new();
            write_shape(&json, DEPTH_MAX, &mut shape);
            assert!(shape.len() < 200, "{shape}");
        }
    }
}
