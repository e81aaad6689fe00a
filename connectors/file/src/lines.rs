//! Where lines end: at `\n`, `\r` or `\r\n`, as Kafka's file source has it.

use bytes::Bytes;
use memchr::{memchr2, memrchr2};

/// The length of the leading part of `text` that consists of whole lines. A `\r` at the very end decides nothing yet: it may be
/// half of a `\r\n`. Bytes before `from` are known to hold no line end.
pub(crate) fn complete(text: &[u8], from: usize) -> usize {
    let Some(end) = last_end(text, from) else {
        return 0;
    };
    if text[end] == b'\r' && end + 1 == text.len() {
        return last_end(&text[..end], from).map_or(0, |end| end + 1);
    }
    end + 1
}

fn last_end(text: &[u8], from: usize) -> Option<usize> {
    memrchr2(b'\n', b'\r', &text[from..]).map(|at| from + at)
}

/// The first line of `text`: its length without and with its end. A text without an end is one line.
pub(crate) fn first(text: &[u8]) -> (usize, usize) {
    match memchr2(b'\n', b'\r', text) {
        Some(end) if text[end] == b'\r' && text.get(end + 1) == Some(&b'\n') => (end, end + 2),
        Some(end) => (end, end + 1),
        None => (text.len(), text.len()),
    }
}

/// A line as valid UTF-8: what is not becomes U+FFFD.
pub(crate) fn repaired(line: Bytes) -> Bytes {
    match String::from_utf8_lossy(&line) {
        std::borrow::Cow::Borrowed(_) => line,
        std::borrow::Cow::Owned(text) => Bytes::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_end_at_the_last_end_that_is_certain() {
        for (text, whole) in [
            ("", 0),
            ("abc", 0),
            ("abc\n", 4),
            ("abc\nd", 4),
            ("abc\r", 0),
            ("abc\rd", 4),
            ("abc\r\n", 5),
            ("a\nb\r", 2),
            ("a\r\r", 2),
            ("\r", 0),
            ("\n", 1),
            ("\n\r", 1),
        ] {
            assert_eq!(complete(text.as_bytes(), 0), whole, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn lines_and_their_ends_are_the_text(text in "[ab\r\n]{0,40}") {
            let whole = &text.as_bytes()[..complete(text.as_bytes(), 0)];
            let mut at = 0;
            while at < whole.len() {
                let (line, end) = first(&whole[at..]);
                assert!(end > line, "a whole line has an end");
                assert!(!whole[at..at + line].iter().any(|byte| b"\r\n".contains(byte)));
                let pair = whole[at + line..].starts_with(b"\r\n");
                assert_eq!(end - line, if pair { 2 } else { 1 });
                at += end;
            }
            assert_eq!(at, whole.len());
            let rest = &text.as_bytes()[at..];
            assert!(!rest.contains(&b'\n') && !rest[..rest.len().saturating_sub(1)].contains(&b'\r'));
        }
    }

    #[test]
    fn only_what_is_no_utf8_is_replaced() {
        let line = Bytes::from_static("é☃".as_bytes());
        assert_eq!(repaired(line.clone()), line);
        assert_eq!(
            repaired(Bytes::from_static(b"a\xffb")),
            "a\u{fffd}b".as_bytes()
        );
    }
}
