//! JSON text, read from its begin to its end: nothing is built, nothing is copied.

use super::{DEPTH_MAX, no_json, unescaped};
use crate::Result;
use std::ops::Range;

/// Reads one document for [`super::Fields`].
pub(super) struct Scan<'s> {
    text: &'s [u8],
    at: usize,
    paths: &'s [Vec<String>],
    open: &'s mut Vec<Range<usize>>,
    places: &'s mut Vec<Range<usize>>,
}

impl<'s> Scan<'s> {
    pub(super) fn new(
        text: &'s [u8],
        paths: &'s [Vec<String>],
        open: &'s mut Vec<Range<usize>>,
        places: &'s mut Vec<Range<usize>>,
    ) -> Self {
        open.clear();
        Self {
            text,
            at: 0,
            paths,
            open,
            places,
        }
    }
    /// Errors of kind data: the text is not one JSON value, or too deep.
    pub(super) fn document(&mut self) -> Result<()> {
        self.value(0, true)?;
        self.blanks();
        self.require(self.at == self.text.len())
    }
    fn require(&self, holds: bool) -> Result<()> {
        holds.then_some(()).ok_or_else(no_json)
    }
    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
    fn blanks(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
    fn peek(&mut self) -> Result<u8> {
        self.blanks();
        self.byte().ok_or_else(no_json)
    }
    /// Within a value that was found already, nothing is looked for.
    fn value(&mut self, depth: usize, look: bool) -> Result<()> {
        let first = self.peek()?;
        let nested = matches!(first, b'{' | b'[');
        self.require(!nested || depth < DEPTH_MAX)?;
        match first {
            b'{' => self.object(depth, look),
            b'[' => self.array(depth, look),
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            _ => self.word(b"null"),
        }
    }
    fn object(&mut self, depth: usize, look: bool) -> Result<()> {
        self.at += 1;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let quoted = self.peek()? == b'"';
            self.require(quoted)?;
            let name = self.string()?;
            let colon = self.peek()? == b':';
            self.require(colon)?;
            self.at += 1;
            self.peek()?;
            let start = self.at;
            if look {
                self.open.push(name);
                let found = self.is_field()?;
                self.value(depth + 1, !found)?;
                self.open.pop();
                if found {
                    self.places.push(start..self.at);
                }
            } else {
                self.value(depth + 1, false)?;
            }
            if !self.another(b'}')? {
                return Ok(());
            }
        }
    }
    fn array(&mut self, depth: usize, look: bool) -> Result<()> {
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1, look)?;
            if !self.another(b']')? {
                return Ok(());
            }
        }
    }
    fn another(&mut self, end: u8) -> Result<bool> {
        let byte = self.peek()?;
        self.require(byte == b',' || byte == end)?;
        self.at += 1;
        Ok(byte == b',')
    }
    /// Whether the names that stand open end like one of the paths.
    fn is_field(&self) -> Result<bool> {
        for path in self.paths {
            let mut same = path.len() <= self.open.len();
            for (name, place) in path.iter().zip(self.open.iter().rev()) {
                same = same && self.is_name(place.clone(), name)?;
            }
            if same {
                return Ok(true);
            }
        }
        Ok(false)
    }
    fn is_name(&self, place: Range<usize>, name: &str) -> Result<bool> {
        let raw = &self.text[place];
        if raw.contains(&b'\\') {
            let text = std::str::from_utf8(raw).map_err(|_| no_json())?;
            Ok(unescaped(text)? == name)
        } else {
            Ok(raw == name.as_bytes())
        }
    }
    /// Passes a string; what stands between its quotes.
    fn string(&mut self) -> Result<Range<usize>> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.byte().ok_or_else(no_json)? {
                b'"' => {
                    self.at += 1;
                    return Ok(start..self.at - 1);
                }
                b'\\' => self.escape()?,
                0..0x20 => return Err(no_json()),
                _ => self.at += 1,
            }
        }
    }
    fn escape(&mut self) -> Result<()> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6);
                let hex = digits.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
                self.require(hex)?;
                self.at += 6;
            }
            _ => return Err(no_json()),
        }
        Ok(())
    }
    fn word(&mut self, word: &[u8]) -> Result<()> {
        self.require(self.text[self.at..].starts_with(word))?;
        self.at += word.len();
        Ok(())
    }
    fn digits(&mut self) -> Result<()> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.require(self.at > start)
    }
    fn number(&mut self) -> Result<()> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
}
