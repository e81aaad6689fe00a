//! `topics.regex` in the client library's own language: POSIX extended expressions, as the C library reads them.

use longshore_sdk::{Error, Result};
use std::{iter::Peekable, str::Chars};

const WORD: &str = "A-Za-z0-9_";
const DIGIT: &str = "0-9";

/// The expression that means the same, for whole topic names. Err (Config): a form that has no such twin. It is never guessed: a sink whose
/// expression silently matches nothing reads nothing.
pub(crate) fn posix(regex: &str) -> Result<String> {
    let mut out = String::from("^(");
    let mut rest = regex.chars().peekable();
    let mut repeated = false;
    while let Some(char) = rest.next() {
        let before = std::mem::take(&mut repeated);
        match char {
            '\\' => out.push_str(&escaped(rest.next())?),
            '[' => out.push_str(&class(&mut rest)?),
            '(' => {
                out.push('(');
                if rest.next_if_eq(&'?').is_some() && rest.next_if_eq(&':').is_none() {
                    return Err(unfit("(?..)"));
                }
            }
            // What matches a whole name does not depend on who takes first.
            '?' if before => {}
            '+' if before => return Err(unfit("a possessive quantifier")),
            '*' | '+' | '?' | '}' => {
                out.push(char);
                repeated = true;
            }
            _ => out.push(char),
        }
    }
    out.push_str(")$");
    Ok(out)
}

fn escaped(char: Option<char>) -> Result<String> {
    Ok(match char {
        Some('d') => format!("[{DIGIT}]"),
        Some('D') => format!("[^{DIGIT}]"),
        Some('w') => format!("[{WORD}]"),
        Some('W') => format!("[^{WORD}]"),
        Some(char) if ".[]{}()*+?^$|\\".contains(char) => format!("\\{char}"),
        Some(char) if char.is_ascii_punctuation() => char.to_string(),
        Some(char) => return Err(unfit(&format!("\\{char}"))),
        None => return Err(unfit("a backslash at its end")),
    })
}

/// A class after its opening bracket. Only what a topic's name can hold is kept of it.
fn class(rest: &mut Peekable<Chars<'_>>) -> Result<String> {
    let negated = rest.next_if_eq(&'^').is_some();
    let (mut items, mut dash) = (String::new(), false);
    loop {
        let one = match rest.next() {
            Some(']') => break,
            Some('\\') => match rest.next() {
                Some('d') => {
                    items.push_str(DIGIT);
                    continue;
                }
                Some('w') => {
                    items.push_str(WORD);
                    continue;
                }
                Some(char) if char.is_ascii_punctuation() => char,
                _ => return Err(unfit("an escape within [..]")),
            },
            Some('[') => return Err(unfit("[ within [..]")),
            Some('&') if rest.peek() == Some(&'&') => return Err(unfit("&& within [..]")),
            Some('-') => {
                dash = true;
                continue;
            }
            Some(char) => char,
            None => return Err(unfit("a [ that is not closed")),
        };
        let mut ahead = rest.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => Some(to),
            _ => None,
        };
        match to {
            Some(to) if one.is_ascii_alphanumeric() && to.is_ascii_alphanumeric() => {
                items.extend([one, '-', to]);
                rest.nth(1);
            }
            Some(_) => return Err(unfit("a range of other characters than letters and digits")),
            None if one == '-' => dash = true,
            None if one.is_ascii_alphanumeric() || "._".contains(one) => items.push(one),
            None => {}
        }
    }
    if dash {
        items.push('-');
    }
    match (negated, items.is_empty()) {
        (false, false) => Ok(format!("[{items}]")),
        (true, false) => Ok(format!("[^{items}]")),
        (true, true) => Ok(".".to_owned()),
        (false, true) => Err(unfit("a class without any character of topic names")),
    }
}

fn unfit(what: &str) -> Error {
    let text = format!(
        "topics.regex: {what} is not supported: write it otherwise, or list the topics in topics"
    );
    Error::config("subscribe", text).with("key", "topics.regex")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_names_match() {
        for (regex, wanted) in [
            ("orders", "^(orders)$"),
            ("^a.*$", "^(^a.*$)$"),
            (r"a\.(?:b|c)-\d+", r"^(a\.(b|c)-[0-9]+)$"),
            (r"[\w.-]+", "^([A-Za-z0-9_.-]+)$"),
            (r"t[\d]", "^(t[0-9])$"),
            (r"[a-c\-_\.]{2,3}?", "^([a-c_.-]{2,3})$"),
            (r"[^\]x]", "^([^x])$"),
            (r"[^#]", "^(.)$"),
            (r"a\-b\W", "^(a-b[^A-Za-z0-9_])$"),
        ] {
            assert_eq!(posix(regex).expect(regex), wanted, "{regex}");
        }
    }

    #[test]
    fn what_would_match_other_names_is_refused() {
        for regex in [
            r"(?!_).*",
            r"(?i)a",
            r"\bx",
            r"a++",
            r"[a[b]]",
            r"[a-z&&[^b]]",
            r"[#]",
            r"\p{L}",
            r"[\s]",
            r"a\",
            r"[a",
            r"(?<n>a)",
        ] {
            let error = posix(regex).expect_err(regex);
            assert_eq!(error.kind(), longshore_sdk::ErrorKind::Config, "{regex}");
        }
    }
}
