//! Java's .properties syntax: `key=value`, `key: value` or `key value`; `\` escapes and goes on in the next line; `#` and `!` are comments.

use std::{iter::Peekable, str::CharIndices};

/// One entry and where it stands, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line that it begins at.
    pub line: usize,
    /// The column of its key.
    pub column: usize,
    /// Its key, escapes resolved.
    pub key: String,
    /// Its value, escapes resolved.
    pub value: String,
}

/// An entry that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The line that it begins at.
    pub line: usize,
    /// The column of its key.
    pub column: usize,
    /// What is wrong: it quotes the text.
    pub problem: String,
}

/// The entries in order; of a key that stands there twice the last value holds, as in Java.
pub fn entries(text: &str) -> impl Iterator<Item = Result<Entry, Malformed>> {
    logical_lines(text).into_iter().map(|line| {
        let malformed = |problem| Malformed {
            line: line.number,
            column: line.column,
            problem,
        };
        let (key, value) = split(&line.text);
        Ok(Entry {
            line: line.number,
            column: line.column,
            key: unescape(key).map_err(malformed)?,
            value: unescape(value).map_err(malformed)?,
        })
    })
}

/// A line whose continuations are joined to it, without the blanks before it.
struct Line {
    number: usize,
    column: usize,
    text: String,
}

fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\x0c')
}

fn logical_lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut goes_on = false;
    for (index, natural) in natural_lines(text).enumerate() {
        let start = natural.trim_start_matches(is_blank);
        // A continuation may look like a comment, and may be blank: it ends the line then.
        if !goes_on && (start.is_empty() || start.starts_with(['#', '!'])) {
            continue;
        }
        let (start, more) = match start.strip_suffix('\\') {
            Some(rest) if trailing_backslashes(rest).is_multiple_of(2) => (rest, true),
            _ => (start, false),
        };
        match lines.last_mut() {
            Some(line) if goes_on => line.text.push_str(start),
            _ => lines.push(Line {
                number: index + 1,
                column: natural.chars().take_while(|char| is_blank(*char)).count() + 1,
                text: start.to_owned(),
            }),
        }
        goes_on = more;
    }
    lines
}

/// Lines that end with \n, \r or \r\n.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\r')
    })
}

fn trailing_backslashes(text: &str) -> usize {
    text.chars().rev().take_while(|char| *char == '\\').count()
}

/// A line's key and value, escapes still in them: the key ends at the first `=`, `:` or blank that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|char: char| {
        let ends = !escaped && (matches!(char, '=' | ':') || is_blank(char));
        escaped = char == '\\' && !escaped;
        ends
    });
    let Some(end) = end else {
        return (line, "");
    };
    let rest = line[end..].trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some((_, 't')) => out.push('\t'),
            Some((_, 'n')) => out.push('\n'),
            Some((_, 'r')) => out.push('\r'),
            Some((_, 'f')) => out.push('\x0c'),
            Some((_, 'u')) => out.push(unicode(&mut chars).ok_or_else(|| malformed(&text[at..]))?),
            Some((_, other)) => out.push(other),
            None => {}
        }
    }
    Ok(out)
}

fn malformed(text: &str) -> String {
    let shown: String = text.chars().take(6).collect();
    format!("{shown} is no character: expected \\u and four hexadecimal digits")
}

/// The character after `\u`; two of them are one character where they are a surrogate pair.
fn unicode(chars: &mut Peekable<CharIndices<'_>>) -> Option<char> {
    let high = unit(chars)?;
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high);
    }
    let (_, '\\') = chars.next()? else {
        return None;
    };
    let (_, 'u') = chars.next()? else {
        return None;
    };
    let low = unit(chars)?;
    (0xdc00..0xe000)
        .contains(&low)
        .then(|| char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)))
        .flatten()
}

fn unit(chars: &mut Peekable<CharIndices<'_>>) -> Option<u32> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + chars.next()?.1.to_digit(16)?;
    }
    Some(unit)
}
