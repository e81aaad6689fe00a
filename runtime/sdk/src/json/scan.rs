//! Spans in JSON text: one pass, no allocation, no recursion.

use crate::{Error, Result};
use std::ops::Range;

/// How deep arrays and objects may nest.
pub const DEPTH_MAX: u32 = 128;
/// How long the text of one number may be.
pub(super) const NUMBER_MAX: usize = 1000;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The span of the first JSON value in `text`, checked to be valid JSON and UTF-8; `None` if there is nothing but white space.
///
/// Text after the value is ignored, except right behind a number, or a word behind a literal. Errors are of kind Data and name the byte, not the text.
pub fn first(text: &[u8]) -> Result<Option<Range<usize>>> {
    let mut scanner = Scanner::new(text);
    if text.starts_with(b"\xEF\xBB\xBF") {
        scanner.at = 3;
    }
    scanner.space();
    if scanner.peek().is_none() {
        return Ok(None);
    }
    let start = scanner.at;
    scanner.value()?;
    let span = start..scanner.at;
    let scalar = !matches!(text[start], b'{' | b'[' | b'"');
    let number = matches!(text[start], b'-' | b'0'..=b'9');
    let joined = |byte: u8| match byte {
        b' ' | b'\n' | b'\r' | b'\t' => false,
        _ if number => true,
        _ => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..),
    };
    if scalar && scanner.peek().is_some_and(joined) {
        return Err(scanner.fault("text follows the value without a space"));
    }
    if let Err(error) = std::str::from_utf8(&text[span.clone()]) {
        scanner.at = start + error.valid_up_to();
        return Err(scanner.fault("the text is not UTF-8"));
    }
    Ok(Some(span))
}

/// Whether `text` is one JSON value, with nothing around it.
pub fn is_value(text: &str) -> bool {
    let mut scanner = Scanner::new(text.as_bytes());
    scanner.value().is_ok() && scanner.at == text.len()
}

/// A member of an object, as spans of the object's text.
#[derive(Clone, Debug)]
pub struct Member {
    /// The name between its quotes, escapes and all.
    pub name: Range<usize>,
    /// The value.
    pub value: Range<usize>,
    /// Whether the name holds escapes.
    pub escaped: bool,
}

impl Member {
    /// Whether the name, with its escapes resolved, is `name`.
    pub fn is(&self, text: &[u8], name: &str) -> bool {
        let raw = &text[self.name.clone()];
        if self.escaped {
            super::parse_name(raw) == name
        } else {
            raw == name.as_bytes()
        }
    }
}

/// The members of the object that `text` starts with, in order, repeated names included; `None` if it is no object.
pub fn members(text: &[u8]) -> Option<Members<'_>> {
    let mut scanner = Scanner::new(text);
    scanner.space();
    if scanner.peek() != Some(b'{') {
        return None;
    }
    scanner.at += 1;
    scanner.space();
    Some(Members {
        done: scanner.peek() == Some(b'}'),
        scanner,
    })
}

/// See [`members`].
#[derive(Debug)]
pub struct Members<'a> {
    scanner: Scanner<'a>,
    done: bool,
}

impl Members<'_> {
    /// Where reading stands; once the members are exhausted, the place of the closing brace.
    pub fn at(&self) -> usize {
        self.scanner.at
    }
    fn member(&mut self) -> Result<Member> {
        let scanner = &mut self.scanner;
        let (name, escaped) = scanner.name()?;
        let start = scanner.at;
        scanner.value()?;
        let value = start..scanner.at;
        scanner.space();
        match scanner.peek() {
            Some(b',') => {
                scanner.at += 1;
                scanner.space();
            }
            Some(b'}') => self.done = true,
            _ => return Err(scanner.fault("expected a comma or the end of the object")),
        }
        Ok(Member {
            name,
            value,
            escaped,
        })
    }
}

impl Iterator for Members<'_> {
    type Item = Result<Member>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let member = self.member();
        self.done |= member.is_err();
        Some(member)
    }
}

/// The spans of the items of the array that `text` starts with, in order; `None` if it is no array.
pub fn items(text: &[u8]) -> Option<Items<'_>> {
    let mut scanner = Scanner::new(text);
    scanner.space();
    if scanner.peek() != Some(b'[') {
        return None;
    }
    scanner.at += 1;
    scanner.space();
    Some(Items {
        done: scanner.peek() == Some(b']'),
        scanner,
    })
}

/// See [`items`].
#[derive(Debug)]
pub struct Items<'a> {
    scanner: Scanner<'a>,
    done: bool,
}

impl Items<'_> {
    fn item(&mut self) -> Result<Range<usize>> {
        let scanner = &mut self.scanner;
        let start = scanner.at;
        scanner.value()?;
        let item = start..scanner.at;
        scanner.space();
        match scanner.peek() {
            Some(b',') => {
                scanner.at += 1;
                scanner.space();
            }
            Some(b']') => self.done = true,
            _ => return Err(scanner.fault("expected a comma or the end of the array")),
        }
        Ok(item)
    }
}

impl Iterator for Items<'_> {
    type Item = Result<Range<usize>>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.item();
        self.done |= item.is_err();
        Some(item)
    }
}

/// Where in a text we are.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }
    pub(super) fn fault(&self, what: &str) -> Error {
        Error::data("json", format!("{what} at byte {}", self.at))
    }
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
    pub(super) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }
    /// Passes a member's name and colon, up to its value: the span between the quotes, and whether it holds escapes.
    pub(super) fn name(&mut self) -> Result<(Range<usize>, bool)> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a name in quotes"));
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let name = start..self.at - 1;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.fault("expected a colon"));
        }
        self.at += 1;
        self.space();
        Ok((name, escaped))
    }
    /// Passes one value that starts here. A stack of open brackets, one bit each, stands in for recursion.
    pub(super) fn value(&mut self) -> Result<()> {
        let mut objects: u128 = 0;
        let mut depth: u32 = 0;
        loop {
            let mut ended = true;
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == DEPTH_MAX {
                        return Err(self.fault("arrays and objects nest more than 128 deep"));
                    }
                    let object = open == b'{';
                    depth += 1;
                    objects = objects << 1 | u128::from(object);
                    self.at += 1;
                    self.space();
                    // Left standing before a closing bracket, the loop below takes it.
                    ended = self.peek() == Some(if object { b'}' } else { b']' });
                    if !ended && object {
                        self.name()?;
                    }
                }
                _ => self.scalar()?,
            }
            while ended {
                if depth == 0 {
                    return Ok(());
                }
                self.space();
                let object = objects & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.name()?;
                        }
                        ended = false;
                    }
                    Some(b'}') if object => (depth, objects) = (depth - 1, objects >> 1),
                    Some(b']') if !object => (depth, objects) = (depth - 1, objects >> 1),
                    _ => return Err(self.fault("expected a comma or a closing bracket")),
                }
                if ended {
                    self.at += 1;
                }
            }
        }
    }
    fn scalar(&mut self) -> Result<()> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            None => Err(self.fault("the text ends before the value does")),
            Some(_) => Err(self.fault("expected a value")),
        }
    }
    fn literal(&mut self, word: &[u8]) -> Result<()> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }
    fn digits(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > start
    }
    /// Passes a number; true if it is an integer.
    pub(super) fn number(&mut self) -> Result<bool> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let first = self.at;
        if !self.digits() {
            return Err(self.fault("expected a digit"));
        }
        if zero && self.at - first > 1 {
            return Err(self.fault("a number may not start with 0"));
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            integer = false;
            if !self.digits() {
                return Err(self.fault("expected a digit"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            integer = false;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !self.digits() {
                return Err(self.fault("expected a digit"));
            }
        }
        if self.at - start > NUMBER_MAX {
            return Err(self.fault("a number is longer than 1000 characters"));
        }
        Ok(integer)
    }
    /// Passes a string with its quotes; true if it holds escapes.
    pub(super) fn string(&mut self) -> Result<bool> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at = plain_until(self.text, self.at, false);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.fault("a control character must be escaped")),
                None => return Err(self.fault("the text ends inside a string")),
            }
        }
    }
    fn escape(&mut self) -> Result<()> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u')
                if self
                    .text
                    .get(self.at + 2..self.at + 6)
                    .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
            {
                self.at += 6;
            }
            _ => return Err(self.fault("unknown escape")),
        }
        Ok(())
    }
}

/// The first place from `at` on that holds a quote, a backslash or a control character - or, with `astral`, the start of a
/// character beyond 16 bits - else the end. Eight bytes at a time: this loop is where most of the text of most records is read.
pub(super) fn plain_until(text: &[u8], mut at: usize, astral: bool) -> usize {
    let equals = |word: u64, byte: u8| {
        let mixed = word ^ (ONES * u64::from(byte));
        mixed.wrapping_sub(ONES) & !mixed & HIGHS
    };
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let mut hits = control | equals(word, b'"') | equals(word, b'\\');
        if astral {
            hits |= word & word << 1 & word << 2 & word << 3 & HIGHS;
        }
        if hits != 0 {
            // A borrow can only raise false marks above a true one, so the lowest mark is true.
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let stops = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1F) || (astral && *byte >= 0xF0);
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(stops).unwrap_or(rest.len())
}
