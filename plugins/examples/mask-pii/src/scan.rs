//! JSON text as a stream of places: nothing is built, nothing is copied.

use std::ops::Range;

/// How deep arrays and objects may stand in one another.
const DEPTH_MAX: usize = 128;

/// The text is no JSON, or too deep.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// What the scanner finds, in order of the text.
pub(crate) trait Visit {
    /// A member of an object begins; `name` is the place of its quoted name. True = its value is not looked into, but given to
    /// `replaced`.
    fn member(&mut self, name: Range<usize>) -> bool;
    /// The whole value of a member that `member` asked for.
    fn replaced(&mut self, value: Range<usize>);
    /// The member's value has ended.
    fn left(&mut self);
    /// A string that is a value, quotes included.
    fn string(&mut self, text: Range<usize>);
}

/// Walks through one JSON value.
pub(crate) fn walk(text: &[u8], visit: &mut impl Visit) -> Result<(), Broken> {
    let mut scan = Scan { text, at: 0 };
    scan.value(Some(visit), 0)?;
    scan.blanks();
    if scan.at == text.len() {
        Ok(())
    } else {
        Err(Broken)
    }
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&mut self) -> Result<u8, Broken> {
        self.blanks();
        self.text.get(self.at).copied().ok_or(Broken)
    }
    fn blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
    fn expect(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek()? != byte {
            return Err(Broken);
        }
        self.at += 1;
        Ok(())
    }
    /// `None` = nobody looks into the value.
    fn value<V: Visit>(&mut self, visit: Option<&mut V>, depth: usize) -> Result<(), Broken> {
        if depth > DEPTH_MAX {
            return Err(Broken);
        }
        match self.peek()? {
            b'{' => self.object(visit, depth),
            b'[' => self.array(visit, depth),
            b'"' => {
                let string = self.quoted()?;
                if let Some(visit) = visit {
                    visit.string(string);
                }
                Ok(())
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                while matches!(
                    self.text.get(self.at),
                    Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E')
                ) {
                    self.at += 1;
                }
                Ok(())
            }
            _ => Err(Broken),
        }
    }
    fn object<V: Visit>(&mut self, mut visit: Option<&mut V>, depth: usize) -> Result<(), Broken> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.peek()?;
            let name = self.quoted()?;
            self.expect(b':')?;
            self.peek()?;
            let start = self.at;
            match visit.as_deref_mut() {
                Some(visit) => {
                    if visit.member(name) {
                        self.value::<V>(None, depth + 1)?;
                        visit.replaced(start..self.at);
                    } else {
                        self.value(Some(&mut *visit), depth + 1)?;
                    }
                    visit.left();
                }
                None => self.value::<V>(None, depth + 1)?,
            }
            if !self.another(b'}')? {
                return Ok(());
            }
        }
    }
    fn array<V: Visit>(&mut self, mut visit: Option<&mut V>, depth: usize) -> Result<(), Broken> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(visit.as_deref_mut(), depth + 1)?;
            if !self.another(b']')? {
                return Ok(());
            }
        }
    }
    fn another(&mut self, end: u8) -> Result<bool, Broken> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b',' {
            Ok(true)
        } else if byte == end {
            Ok(false)
        } else {
            Err(Broken)
        }
    }
    fn quoted(&mut self) -> Result<Range<usize>, Broken> {
        let start = self.at;
        self.expect(b'"')?;
        while let Some(byte) = self.text.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => return Ok(start..self.at),
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        Err(Broken)
    }
}
