//! Java's regular expressions, run by an engine of another dialect: the pattern is translated where the two differ, and refused where it
//! cannot be.

#[cfg(test)]
mod tests;
mod translate;

use crate::unfit;
use fancy_regex::{Captures, Regex};
use longshore_sdk::{Error, Result};

/// A pattern. Matching gives up with an error of kind Data after a million steps of backtracking.
#[derive(Debug)]
pub(crate) struct Pattern {
    whole: Regex,
    first: Regex,
}

fn gave_up(error: &fancy_regex::Error) -> Error {
    Error::data(
        "transform",
        format!("the regular expression gave up on a topic: {error}"),
    )
}

impl Pattern {
    /// Reads the setting `key`.
    pub(crate) fn new(key: &str, java: &str) -> Result<Self> {
        let translated = translate::translate(java)
            .map_err(|fault| unfit(key, &format!("{} at position {}", fault.what, fault.at)))?;
        let compile = |pattern: &str| {
            Regex::new(pattern)
                .map_err(|error| unfit(key, &format!("it is no regular expression: {error}")))
        };
        Ok(Self {
            first: compile(&translated)?,
            whole: compile(&format!("\\A(?:{translated})\\z"))?,
        })
    }
    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str) -> Result<bool> {
        self.whole.is_match(text).map_err(|error| gave_up(&error))
    }
    /// If the whole of `text` matches: the text with its first match replaced, which may be less than the whole.
    pub(crate) fn replaced(&self, text: &str, replacement: &Replacement) -> Result<Option<String>> {
        if !self.matches(text)? {
            return Ok(None);
        }
        let found = self.first.captures(text).map_err(|error| gave_up(&error))?;
        let Some(found) = found else {
            return Ok(Some(text.to_owned()));
        };
        let (start, end) = found
            .get(0)
            .map_or((0, 0), |whole| (whole.start(), whole.end()));
        let mut new = text[..start].to_owned();
        let names: Vec<&str> = self.first.capture_names().flatten().collect();
        replacement.append(&found, &names, &mut new)?;
        new.push_str(&text[end..]);
        Ok(Some(new))
    }
}

/// A replacement, as `Matcher.appendReplacement` reads it. What is wrong with it shows only when it is used, as in the reference.
#[derive(Debug)]
pub(crate) struct Replacement(Vec<char>);

impl Replacement {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.chars().collect())
    }
    fn append(&self, found: &Captures<'_>, names: &[&str], new: &mut String) -> Result<()> {
        let mut rest = self.0.iter().copied().peekable();
        while let Some(next) = rest.next() {
            match next {
                '\\' => new.push(
                    rest.next()
                        .ok_or_else(|| wrong("it ends with a backslash"))?,
                ),
                '$' if rest.peek() == Some(&'{') => {
                    rest.next();
                    let mut name = String::new();
                    while let Some(part) = rest.next_if(char::is_ascii_alphanumeric) {
                        name.push(part);
                    }
                    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
                        return Err(wrong("the name of a group is missing behind ${"));
                    }
                    if rest.next() != Some('}') {
                        return Err(wrong("the closing brace of a group's name is missing"));
                    }
                    if !names.contains(&name.as_str()) {
                        return Err(wrong(&format!("there is no group {name:?}")));
                    }
                    new.push_str(found.name(&name).map_or("", |group| group.as_str()));
                }
                '$' => {
                    let mut digit = || {
                        rest.next_if(char::is_ascii_digit)
                            .and_then(|digit| digit.to_digit(10))
                    };
                    let mut group = digit()
                        .ok_or_else(|| wrong("a group's number is missing behind $"))?
                        as usize;
                    if group >= found.len() {
                        return Err(wrong(&format!("there is no group {group}")));
                    }
                    // More digits belong to the number as long as there is such a group.
                    while let Some(more) = rest.peek().and_then(|digit| digit.to_digit(10)) {
                        let longer = group * 10 + more as usize;
                        if longer >= found.len() {
                            break;
                        }
                        group = longer;
                        rest.next();
                    }
                    new.push_str(found.get(group).map_or("", |group| group.as_str()));
                }
                other => new.push(other),
            }
        }
        Ok(())
    }
}

fn wrong(problem: &str) -> Error {
    Error::data("transform", format!("replacement: {problem}"))
}
