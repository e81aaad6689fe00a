//! From Java's dialect of regular expressions to that of the engine.

use std::{iter::Peekable, str::CharIndices};

/// What cannot be translated, and where it stands in the pattern (in bytes).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) at: usize,
}

/// The same pattern for the engine. It need not be valid: the engine judges what both dialects share.
pub(crate) fn translate(java: &str) -> Result<String, Fault> {
    let mut reader = Reader {
        java,
        rest: java.char_indices().peekable(),
        out: String::with_capacity(java.len() + 16),
        classes: Vec::new(),
        groups: Vec::new(),
    };
    while let Some((at, next)) = reader.rest.next() {
        reader.take(at, next)?;
    }
    if let Some(at) = reader.classes.last() {
        return Err(Fault {
            what: "a character class is not closed".into(),
            at: *at,
        });
    }
    if let Some(at) = reader.groups.last() {
        return Err(Fault {
            what: "a group is not closed".into(),
            at: *at,
        });
    }
    Ok(reader.out)
}

struct Reader<'a> {
    java: &'a str,
    rest: Peekable<CharIndices<'a>>,
    out: String,
    /// Where the open character classes and groups start.
    classes: Vec<usize>,
    groups: Vec<usize>,
}

const LINE_ENDS: &str = "\\n\\x0B\\f\\r\\x{85}\\x{2028}\\x{2029}";
const BLANKS: &str = " \\t\\x{A0}\\x{1680}\\x{180E}\\x{2000}-\\x{200A}\\x{202F}\\x{205F}\\x{3000}";
const SPACES: &str = " \\t\\n\\x0B\\f\\r";

/// Java's POSIX classes, which are ASCII.
const POSIX: [(&str, &str); 13] = [
    ("Lower", "a-z"),
    ("Upper", "A-Z"),
    ("ASCII", "\\x00-\\x7F"),
    ("Alpha", "A-Za-z"),
    ("Digit", "0-9"),
    ("Alnum", "0-9A-Za-z"),
    ("Punct", "!-/:-@\\[-`\\{-\\x7E"),
    ("Graph", "!-\\x7E"),
    ("Print", " -\\x7E"),
    ("Blank", " \\t"),
    ("Cntrl", "\\x00-\\x1F\\x7F"),
    ("XDigit", "0-9A-Fa-f"),
    ("Space", SPACES),
];

impl Reader<'_> {
    fn fault<T>(&self, at: usize, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault {
            what: what.into(),
            at,
        })
    }
    fn take(&mut self, at: usize, next: char) -> Result<(), Fault> {
        match next {
            '\\' => self.escape(at),
            '[' => {
                self.classes.push(at);
                self.out.push('[');
                Ok(())
            }
            ']' if !self.classes.is_empty() => {
                self.classes.pop();
                self.out.push(']');
                Ok(())
            }
            next if !self.classes.is_empty() => {
                self.in_class(next);
                Ok(())
            }
            '(' => self.group(at),
            ')' => {
                if self.groups.pop().is_none() {
                    return self.fault(at, "a closing parenthesis has no opening one");
                }
                self.out.push(')');
                Ok(())
            }
            other => {
                self.out.push(other);
                Ok(())
            }
        }
    }
    /// `--` and `~~` are operators of the engine's classes, and single characters in Java's: there `[+--]` is a range that ends in a
    /// hyphen. `&&` is the same in both.
    fn in_class(&mut self, next: char) {
        match next {
            '~' => self.out.push_str("\\~"),
            '-' if self.out.ends_with(['[', '^']) => self.out.push_str("\\-"),
            '-' if self.rest.next_if(|(_, next)| *next == '-').is_some() => {
                self.out.push_str("-\\-")
            }
            other => self.out.push(other),
        }
    }
    fn group(&mut self, at: usize) -> Result<(), Fault> {
        self.groups.push(at);
        self.out.push('(');
        let inside = &self.java[at + 1..];
        let Some(special) = inside.strip_prefix('?') else {
            return Ok(());
        };
        let flags = special.len()
            - special
                .trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '-')
                .len();
        if flags == 0 || !matches!(special.as_bytes().get(flags), Some(b')' | b':')) {
            return Ok(());
        }
        self.out.push('?');
        self.rest.next();
        for _ in 0..flags {
            let Some((at, flag)) = self.rest.next() else {
                break;
            };
            match flag {
                'i' | 'm' | 's' | 'x' | '-' => self.out.push(flag),
                // Unix lines and Unicode case change nothing for names of topics.
                'd' | 'u' => {}
                _ => return self.fault(at, format!("the flag {flag:?} is not supported")),
            }
        }
        // Flags that were all left out leave an empty list.
        if self.out.ends_with("?-") {
            self.out.pop();
        }
        if self.out.ends_with("(?") && special.as_bytes().get(flags) == Some(&b')') {
            self.out.push(':');
        }
        Ok(())
    }
    fn set(&mut self, content: &str, negated: bool) {
        self.out.push_str(if negated { "[^" } else { "[" });
        self.out.push_str(content);
        self.out.push(']');
    }
    fn escape(&mut self, at: usize) -> Result<(), Fault> {
        let Some((_, next)) = self.rest.next() else {
            return self.fault(at, "the pattern ends with a backslash");
        };
        let in_class = !self.classes.is_empty();
        match next {
            'Q' => self.quoted(at),
            'E' => {}
            'd' | 'D' => self.set("0-9", next == 'D'),
            'w' | 'W' => self.set("0-9A-Za-z_", next == 'W'),
            's' | 'S' => self.set(SPACES, next == 'S'),
            'h' | 'H' => self.set(BLANKS, next == 'H'),
            'v' | 'V' => self.set(LINE_ENDS, next == 'V'),
            'R' if !in_class => {
                self.out.push_str("(?:\\r\\n|[");
                self.out.push_str(LINE_ENDS);
                self.out.push_str("])");
            }
            'Z' if !in_class => self.out.push_str("(?=\\r?\\n?\\z)"),
            'p' | 'P' => self.property(at, next == 'P')?,
            't' | 'n' | 'r' | 'f' | 'a' => {
                self.out.push('\\');
                self.out.push(next);
            }
            'b' | 'B' | 'A' | 'z' | 'k' | '1'..='9' if !in_class => {
                self.out.push('\\');
                self.out.push(next);
            }
            'e' => self.out.push_str("\\x1B"),
            'x' | 'u' | '0' | 'c' => self.code(at, next)?,
            next if next.is_alphanumeric() => {
                return self.fault(at, format!("the escape \\{next} is not supported"));
            }
            next => self.literal(next),
        }
        Ok(())
    }
    fn literal(&mut self, next: char) {
        if next.is_ascii_punctuation() {
            self.out.push('\\');
        }
        self.out.push(next);
    }
    fn quoted(&mut self, at: usize) {
        let text = &self.java[at + 2..];
        let text = text.split_once("\\E").map_or(text, |(quoted, _)| quoted);
        for next in text.chars() {
            self.literal(next);
            self.rest.next();
        }
        // Passes the \E, if there is one.
        self.rest.next();
        self.rest.next();
    }
    fn braced(&mut self, at: usize) -> Result<String, Fault> {
        let mut text = String::new();
        for (_, next) in self.rest.by_ref() {
            if next == '}' {
                return Ok(text);
            }
            text.push(next);
        }
        self.fault(at, "a closing brace is missing")
    }
    fn property(&mut self, at: usize, negated: bool) -> Result<(), Fault> {
        let name = match self.rest.next() {
            Some((_, '{')) => self.braced(at)?,
            Some((_, letter)) => letter.to_string(),
            None => return self.fault(at, "the name of a property is missing"),
        };
        if let Some((_, content)) = POSIX.iter().find(|(posix, _)| *posix == name) {
            self.set(content, negated);
            return Ok(());
        }
        let known = match name.as_str() {
            "javaLowerCase" => "Lowercase",
            "javaUpperCase" => "Uppercase",
            "javaWhitespace" => "White_Space",
            name if name.starts_with("In") || name.starts_with("java") => {
                return self.fault(at, format!("the property {name} is not supported"));
            }
            name => name.strip_prefix("Is").unwrap_or(name),
        };
        self.out.push_str(if negated { "\\P{" } else { "\\p{" });
        self.out.push_str(known);
        self.out.push('}');
        Ok(())
    }
    /// A character by its number.
    fn code(&mut self, at: usize, kind: char) -> Result<(), Fault> {
        let (digits, radix, most) = match kind {
            'x' if matches!(self.rest.peek(), Some((_, '{'))) => {
                self.rest.next();
                (self.braced(at)?, 16, 6)
            }
            'x' => (self.digits(2, 16), 16, 2),
            'u' => (self.digits(4, 16), 16, 4),
            '0' => (self.digits(3, 8), 8, 3),
            _ => {
                let control = self.rest.next().filter(|(_, next)| next.is_ascii());
                let Some((_, control)) = control else {
                    return self.fault(at, "a control character is missing");
                };
                (format!("{:x}", control as u32 ^ 0x40), 16, 2)
            }
        };
        let number = u32::from_str_radix(&digits, radix)
            .ok()
            .and_then(char::from_u32);
        let exact = kind != 'u' && kind != 'x' || !digits.is_empty() && digits.len() <= most;
        match number {
            Some(number) if exact => {
                self.out
                    .push_str(&format!("\\x{{{:X}}}", u32::from(number)));
                Ok(())
            }
            _ => self.fault(at, "this is no character's number"),
        }
    }
    fn digits(&mut self, most: usize, radix: u32) -> String {
        let mut digits = String::new();
        while digits.len() < most
            && let Some((_, digit)) = self.rest.next_if(|(_, next)| next.is_digit(radix))
        {
            digits.push(digit);
        }
        digits
    }
}
