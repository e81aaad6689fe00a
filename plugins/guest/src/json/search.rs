//! Members by their names' bytes, sixteen at a time.

use std::ops::Range;

/// How many bytes are compared at once.
const STEP: usize = 16;
type Chunk = [u8; STEP];

/// A quoted name.
#[derive(Debug)]
pub(super) struct Needle(Vec<u8>);

impl Needle {
    /// `None`: the name could also stand between two strings, or only with escapes.
    pub(super) fn new(name: &str) -> Option<Self> {
        // Between two strings of a document there is a comma or a colon at least.
        let unclear = |byte: u8| matches!(byte, b',' | b':' | b'"' | b'\\' | 0..0x20);
        let clear = !name.is_empty() && !name.bytes().any(unclear);
        clear.then(|| Self([b"\"", name.as_bytes(), b"\""].concat()))
    }
    /// Adds the places of the values of all members of this name. False = the text must be read instead: it has a backslash, or is no JSON.
    /// Without backslashes every other quote opens a string.
    #[cfg_attr(target_family = "wasm", target_feature(enable = "simd128"))]
    pub(super) fn search(&self, text: &[u8], places: &mut Vec<Range<usize>>) -> bool {
        let last = self.0.len() - 1;
        let (starts, _) = text.as_chunks::<STEP>();
        let (ends, _) = text.get(last..).unwrap_or_default().as_chunks::<STEP>();
        let mut at = 0;
        // The chunk at a name's start and the chunk at its end both lie in the text.
        for (starts, ends) in starts.iter().zip(ends) {
            let hits = quotes_or_backslash(starts, ends);
            if hits != 0 && !self.hits(text, at, hits, places) {
                return false;
            }
            at += STEP;
        }
        // What is left is shorter: the last chunks are read again, without what was seen.
        let left = text.len().checked_sub(last + STEP);
        let left =
            left.and_then(|begin| Some((begin, chunk(text, begin)?, chunk(text, begin + last)?)));
        let Some((begin, starts, ends)) = left.filter(|_| last <= STEP) else {
            return self.search_slowly(text, at, places);
        };
        // What stands in the last chunk alone is at no name's start.
        let unseen = u32::MAX << (at - begin);
        quotes_or_backslash(ends, ends) == quotes(ends)
            && self.hits(
                text,
                begin,
                quotes_or_backslash(starts, ends) & unseen,
                places,
            )
    }
    /// The same from `at` on, byte by byte.
    fn search_slowly(&self, text: &[u8], at: usize, places: &mut Vec<Range<usize>>) -> bool {
        let rest = text.get(at..).unwrap_or_default();
        let mut starts = rest.windows(self.0.len()).zip(at..);
        !rest.contains(&b'\\')
            && starts.all(|(within, start)| within[0] != b'"' || self.hit(text, start, places))
    }
    /// Looks at the places that a chunk's bits say.
    fn hits(&self, text: &[u8], chunk: usize, hits: u32, places: &mut Vec<Range<usize>>) -> bool {
        let mut left = hits;
        while left != 0 {
            if !self.hit(text, chunk + left.trailing_zeros() as usize, places) {
                return false;
            }
            left &= left - 1;
        }
        true
    }
    /// Looks closer at a place where the name may begin.
    #[cfg_attr(target_family = "wasm", target_feature(enable = "simd128"))]
    fn hit(&self, text: &[u8], start: usize, places: &mut Vec<Range<usize>>) -> bool {
        let end = start + self.0.len();
        if text.get(start..end) != Some(&self.0) {
            return text.get(start) != Some(&b'\\');
        }
        let colon = blanks(text, end);
        if text.get(colon) != Some(&b':') {
            // A value, not a name.
            return true;
        }
        let value = blanks(text, colon + 1);
        match value_end(text, value) {
            Some(end) => {
                places.push(value..end);
                true
            }
            None => false,
        }
    }
}

fn chunk(text: &[u8], at: usize) -> Option<&Chunk> {
    text.get(at..)?.first_chunk()
}

/// The first place from `at` on that is not blank.
fn blanks(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Where the value at `start` ends, in text without backslashes.
#[cfg_attr(target_family = "wasm", target_feature(enable = "simd128"))]
fn value_end(text: &[u8], start: usize) -> Option<usize> {
    match text.get(start)? {
        b'"' => string_end(text, start),
        b'{' | b'[' => {
            let mut at = start;
            let mut depth = 0_usize;
            loop {
                at = match text.get(at)? {
                    b'"' => string_end(text, at)?,
                    b'{' | b'[' => {
                        depth += 1;
                        at + 1
                    }
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at + 1);
                        }
                        at + 1
                    }
                    _ => at + 1,
                };
            }
        }
        _ => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            let length = text[start..].iter().position(ends)?;
            (length > 0).then_some(start + length)
        }
    }
}

/// The end of the string whose quote stands at `start`.
#[cfg_attr(target_family = "wasm", target_feature(enable = "simd128"))]
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    while let Some(bytes) = chunk(text, at) {
        let quotes = quotes(bytes);
        if quotes != 0 {
            return Some(at + quotes.trailing_zeros() as usize + 1);
        }
        at += STEP;
    }
    let length = text.get(at..)?.iter().position(|byte| *byte == b'"')?;
    Some(at + length + 1)
}

/// By the instructions of WASM 2.0, which the host has: plugins need no flags for them.
#[cfg(target_family = "wasm")]
mod lanes {
    use super::Chunk;
    use core::arch::wasm32::{
        u8x16_bitmask, u8x16_eq, u8x16_splat, u64x2, v128, v128_and, v128_or,
    };

    /// One load, as the compiler sees it.
    #[target_feature(enable = "simd128")]
    #[inline]
    fn lanes(chunk: &Chunk) -> v128 {
        let (low, high) = chunk.split_at(8);
        let half = |half: &[u8]| {
            half.first_chunk()
                .map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        u64x2(half(low), half(high))
    }
    #[target_feature(enable = "simd128")]
    #[inline]
    pub(super) fn quotes(chunk: &Chunk) -> u32 {
        u32::from(u8x16_bitmask(u8x16_eq(lanes(chunk), u8x16_splat(b'"'))))
    }
    #[target_feature(enable = "simd128")]
    #[inline]
    pub(super) fn quotes_or_backslash(starts: &Chunk, ends: &Chunk) -> u32 {
        let quote = u8x16_splat(b'"');
        let starts = lanes(starts);
        let quotes = v128_and(u8x16_eq(starts, quote), u8x16_eq(lanes(ends), quote));
        let backslashes = u8x16_eq(starts, u8x16_splat(b'\\'));
        u32::from(u8x16_bitmask(v128_or(quotes, backslashes)))
    }
}

/// For unit tests: the same, byte by byte.
#[cfg(not(target_family = "wasm"))]
mod lanes {
    use super::Chunk;

    /// A bit for each quote.
    pub(super) fn quotes(chunk: &Chunk) -> u32 {
        let bits = chunk.iter().rev();
        bits.fold(0, |mask, byte| mask << 1 | u32::from(*byte == b'"'))
    }
    /// A bit for each place where both have a quote, or the first a backslash.
    pub(super) fn quotes_or_backslash(starts: &Chunk, ends: &Chunk) -> u32 {
        let places = starts.iter().zip(ends).rev();
        places.fold(0, |mask, (start, end)| {
            let hit = *start == b'\\' || (*start == b'"' && *end == b'"');
            mask << 1 | u32::from(hit)
        })
    }
}
use lanes::{quotes, quotes_or_backslash};
