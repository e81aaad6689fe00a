//! Findings in the words that tools and people know from Kafka Connect.

use longshore_sdk::config::{
    Definition, Finding, Flat, Key, KeyType, Shape, info::HIDDEN, trimmed,
};

/// The text of a finding: Kafka's, where its ConfigDef has one for it, else ours.
pub(super) fn of(finding: &Finding, definition: &Definition, config: &Flat) -> String {
    // Whole sentences are Kafka's own already.
    if finding.problem.starts_with(char::is_uppercase) || finding.problem.ends_with('.') {
        return finding.problem.clone();
    }
    let key = definition.get(&finding.key);
    match config.get(&finding.key) {
        None if finding.problem.starts_with("required") => {
            format!(
                "Missing required configuration \"{}\" which has no default value.",
                finding.key
            )
        }
        Some(value) => {
            let why = key
                .filter(|key| !key.is_prefix())
                .and_then(|key| why(key, trimmed(value)));
            match why {
                Some(why) => {
                    let shown = if definition.is_secret(&finding.key) {
                        HIDDEN
                    } else {
                        trimmed(value)
                    };
                    format!(
                        "Invalid value {shown} for configuration {}: {why}",
                        finding.key
                    )
                }
                None => finding.to_string(),
            }
        }
        None => finding.to_string(),
    }
}

/// The same about a value that no text may show (I8).
pub(super) fn of_hidden(finding: &Finding, definition: &Definition, value: &str) -> String {
    let key = definition.get(&finding.key);
    let why = key
        .filter(|key| !key.is_prefix())
        .and_then(|key| why(key, trimmed(value)));
    match why {
        Some(why) => format!(
            "Invalid value {HIDDEN} for configuration {}: {why}",
            finding.key
        ),
        None => finding.to_string(),
    }
}

/// What Kafka's ConfigDef says of a value that its type or validator refuses; `None` = it would take it.
fn why(key: &Key, value: &str) -> Option<String> {
    match &key.shape {
        Shape::Bool => {
            let fits = value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false");
            (!fits).then(|| "Expected value to be either true or false".to_owned())
        }
        Shape::Choice(names) => {
            let fits = names.iter().any(|name| name.eq_ignore_ascii_case(value));
            (!fits).then(|| format!("String must be one of: {}", names.join(", ")))
        }
        Shape::Int { min, max } => match value.parse::<i128>() {
            Ok(number) if number < *min => Some(format!("Value must be at least {min}")),
            Ok(number) if number > *max && !is_type_bound(*max) => {
                Some(format!("Value must be no more than {max}"))
            }
            Ok(number) if number <= *max => None,
            _ => Some(format!("Not a number of type {}", type_name(key.kind))),
        },
        Shape::Float { min, max } => match value.parse::<f64>() {
            Ok(number) if number < *min => Some(format!("Value must be at least {min:?}")),
            Ok(number) if number > *max => Some(format!("Value must be no more than {max:?}")),
            Ok(_) => None,
            Err(_) => Some("Not a number of type DOUBLE".to_owned()),
        },
        Shape::Text { min, .. } if value.chars().count() < *min => {
            Some("String must be non-empty".to_owned())
        }
        Shape::Text { .. } | Shape::List { .. } | Shape::Any => None,
    }
}

fn is_type_bound(max: i128) -> bool {
    [
        i16::MAX.into(),
        i32::MAX.into(),
        i64::MAX.into(),
        u32::MAX.into(),
        u64::MAX.into(),
    ]
    .contains(&max)
}

fn type_name(kind: KeyType) -> &'static str {
    match kind {
        KeyType::Short => "SHORT",
        KeyType::Int => "INT",
        _ => "LONG",
    }
}
