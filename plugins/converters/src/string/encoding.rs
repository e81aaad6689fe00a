//! Character sets of text on the wire.

use bytes::Bytes;

/// The character sets that StringConverter knows; the ones that every JVM has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    /// U+0000 to U+00FF as one byte each.
    Latin1,
    /// The same up to U+007F.
    Ascii,
    /// Written big-endian with a byte order mark, read by its mark, big-endian without one.
    Utf16,
    Utf16Be,
    Utf16Le,
}

impl Encoding {
    /// By a name that Java has for it, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_uppercase().replace('_', "-");
        Some(match name.as_str() {
            "UTF-8" | "UTF8" => Self::Utf8,
            "ISO-8859-1" | "ISO8859-1" | "8859-1" | "LATIN1" | "L1" => Self::Latin1,
            "US-ASCII" | "ASCII" | "ISO646-US" => Self::Ascii,
            "UTF-16" | "UTF16" | "UNICODE" => Self::Utf16,
            "UTF-16BE" => Self::Utf16Be,
            "UTF-16LE" => Self::Utf16Le,
            _ => return None,
        })
    }
    /// Bytes that stand for no character become U+FFFD, as in the reference.
    pub(super) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Latin1 => bytes.iter().copied().map(char::from).collect(),
            Self::Ascii => {
                let ascii = |byte: &u8| {
                    let known = byte.is_ascii();
                    if known {
                        char::from(*byte)
                    } else {
                        char::REPLACEMENT_CHARACTER
                    }
                };
                bytes.iter().map(ascii).collect()
            }
            Self::Utf16 => match bytes {
                [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
                [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
                bytes => wide(bytes, u16::from_be_bytes),
            },
            Self::Utf16Be => wide(bytes, u16::from_be_bytes),
            Self::Utf16Le => wide(bytes, u16::from_le_bytes),
        }
    }
    /// Characters that the set does not have become question marks, as in the reference.
    pub(super) fn encode(self, text: &str) -> Bytes {
        let narrow = |last: char| {
            let byte = |next: char| if next <= last { next as u8 } else { b'?' };
            text.chars().map(byte).collect()
        };
        let wide = |mark: &[u8], to: fn(u16) -> [u8; 2]| {
            let mark = if text.is_empty() { &[] } else { mark };
            let units = text.encode_utf16().flat_map(to);
            mark.iter().copied().chain(units).collect()
        };
        match self {
            Self::Utf8 => Bytes::copy_from_slice(text.as_bytes()),
            Self::Latin1 => narrow('\u{FF}'),
            Self::Ascii => narrow('\u{7F}'),
            Self::Utf16 => wide(&[0xFE, 0xFF], u16::to_be_bytes),
            Self::Utf16Be => wide(&[], u16::to_be_bytes),
            Self::Utf16Le => wide(&[], u16::to_le_bytes),
        }
    }
}

fn wide(bytes: &[u8], from: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| from([pair[0], pair[1]]));
    let mut text: String = char::decode_utf16(units)
        .map(|next| next.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    if bytes.len() % 2 == 1 {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_from_every_set_that_holds_it() {
        for (name, text) in [
            ("utf-8", "a\u{1F600}é"),
            ("latin1", "aé\u{FF}"),
            ("US-ASCII", "a~"),
            ("UTF-16", "a\u{1F600}é"),
            ("UTF-16LE", "a\u{1F600}é"),
            ("UTF-16BE", "a\u{1F600}é"),
        ] {
            let encoding = Encoding::named(name).expect(name);
            assert_eq!(encoding.decode(&encoding.encode(text)), text, "{name}");
        }
        assert_eq!(&Encoding::Utf16.encode("a")[..], [0xFE, 0xFF, 0, b'a']);
        assert_eq!(Encoding::Utf16.decode(&[0xFF, 0xFE, b'a', 0]), "a");
        assert_eq!(&Encoding::Ascii.encode("é\u{1F600}")[..], b"??");
        assert_eq!(
            Encoding::Utf16Be.decode(&[0, b'a', 0xD8, 0, 7]),
            "a\u{FFFD}\u{FFFD}"
        );
        assert_eq!(Encoding::named("EBCDIC"), None);
    }
}
