//! Zeros before numbers, which JSON does not allow and the reference does.

use bytes::Bytes;

/// The text without zeros that stand before another digit of a number, outside of strings; `None`: there are none.
pub(super) fn without(text: &[u8]) -> Option<Bytes> {
    let mut out = Vec::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in text.iter().enumerate() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            quoted = byte == b'"';
            // A zero within a number, its fraction or its exponent is a digit like others.
            let goes_on = matches!(
                out[..],
                [.., b'0'..=b'9' | b'.' | b'e' | b'E' | b'+'] | [.., b'e' | b'E', b'-']
            );
            if byte == b'0' && !goes_on && text.get(at + 1).is_some_and(u8::is_ascii_digit) {
                continue;
            }
        }
        out.push(byte);
    }
    (out.len() < text.len()).then(|| Bytes::from(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leading_zeros_go() {
        for (text, expected) in [
            ("007", "7"),
            ("-007.50", "-7.50"),
            ("00", "0"),
            (
                r#"{"a":01,"0\"02":[003.001e-05,10]}"#,
                r#"{"a":1,"0\"02":[3.001e-05,10]}"#,
            ),
        ] {
            let plain = without(text.as_bytes()).expect(text);
            assert_eq!(plain, expected.as_bytes());
        }
        assert_eq!(without(br#"{"a":0.05,"b":"007","c":1e05,"d":100}"#), None);
    }
}
