//! Where a field is: a name, or with field.syntax.version=V2 names joined by dots, quoted in backticks where they hold dots themselves.

use crate::unfit;
use longshore_sdk::{Error, Result};

/// The names on the way to a field; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldPath {
    /// As the config has it.
    pub(crate) text: String,
    pub(crate) steps: Vec<String>,
}

impl FieldPath {
    /// Reads the setting `field` by the rules of `version` (`V1` or `V2`, in any case).
    pub(crate) fn new(text: &str, version: &str) -> Result<Self> {
        let steps = if version.eq_ignore_ascii_case("V1") {
            vec![text.to_owned()]
        } else if version.eq_ignore_ascii_case("V2") {
            steps(text)?
        } else {
            let problem = format!("{version:?} is unknown: use V1 or V2");
            return Err(unfit("field.syntax.version", &problem));
        };
        if steps.is_empty() {
            return Err(unfit("field", "the path is empty"));
        }
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }
}

fn steps(text: &str) -> Result<Vec<String>> {
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        let ended = if let Some(quoted) = rest.strip_prefix('`') {
            let (step, after) = quoted_step(quoted).ok_or_else(|| unclosed(text, rest))?;
            steps.push(step);
            after
        } else if rest.is_empty() && steps.is_empty() {
            None
        } else {
            let (step, after) = rest
                .split_once('.')
                .map_or((rest, None), |(step, after)| (step, Some(after)));
            steps.push(step.to_owned());
            after
        };
        match ended {
            Some(after) => rest = after,
            None => return Ok(steps),
        }
    }
}

/// Takes a name up to its closing backtick - the first one that stands before a dot or the end - and what follows the dot.
/// A backslash before a backtick that would close the name makes it part of the name.
fn quoted_step(quoted: &str) -> Option<(String, Option<&str>)> {
    let mut step = String::new();
    let mut start = 0;
    for (at, _) in quoted.match_indices('`') {
        let after = &quoted[at + 1..];
        let escaped = quoted[..at].ends_with('\\');
        if after.is_empty() {
            step.push_str(&quoted[start..at]);
            return (!escaped).then_some((step, None));
        }
        let Some(after) = after.strip_prefix('.') else {
            continue;
        };
        if escaped {
            step.push_str(&quoted[start..at - 1]);
            step.push('`');
            start = at + 1;
            continue;
        }
        step.push_str(&quoted[start..at]);
        return Some((step, Some(after)));
    }
    None
}

fn unclosed(text: &str, rest: &str) -> Error {
    let at = text.len() - rest.len();
    let problem = format!(
        "the backtick at position {at} is not closed: put a backslash before it if it is part of the name"
    );
    unfit("field", &problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let cases: &[(&str, &[&str])] = &[
            ("a", &["a"]),
            ("a.b", &["a", "b"]),
            ("`a.b`", &["a.b"]),
            ("`a.b`.c", &["a.b", "c"]),
            ("a.`c.d`", &["a", "c.d"]),
            ("a..b", &["a", "", "b"]),
            (".a", &["", "a"]),
            ("a.", &["a", ""]),
            ("a.`b``c`", &["a", "b``c"]),
            ("`a\\`.b`.c", &["a`.b", "c"]),
            ("a`b.c", &["a`b", "c"]),
        ];
        for (text, expected) in cases {
            let path = FieldPath::new(text, "v2").expect(text);
            assert_eq!(path.steps, *expected, "{text}");
            assert_eq!(FieldPath::new(text, "V1").expect(text).steps, [*text]);
        }
        for text in ["", "`open", "a.`b", "`a\\`"] {
            assert!(FieldPath::new(text, "V2").is_err(), "{text}");
        }
        assert!(FieldPath::new("a", "V3").is_err());
    }
}
