//! Texts of types that have a plain binary form.

use super::{Instant, Wrong, fixed};
use std::{
    fmt::Write,
    net::{Ipv4Addr, Ipv6Addr},
};

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex(byte: u8, text: &mut String) {
    text.push(char::from(HEX[usize::from(byte >> 4)]));
    text.push(char::from(HEX[usize::from(byte & 15)]));
}

pub(super) fn uuid(raw: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in raw.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        hex(*byte, &mut text);
    }
    text
}

pub(super) fn mac(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len() * 3);
    for (at, byte) in raw.iter().enumerate() {
        if at > 0 {
            text.push(':');
        }
        hex(*byte, &mut text);
    }
    text
}

/// An address, with its mask unless it is a host's.
pub(super) fn inet(raw: &[u8]) -> Result<String, Wrong> {
    let [family, bits, cidr, _, address @ ..] = raw else {
        return Err(Wrong::broken());
    };
    let (mut text, all) = match family {
        2 => (Ipv4Addr::from(fixed::<4>(address)?).to_string(), 32),
        3 => (Ipv6Addr::from(fixed::<16>(address)?).to_string(), 128),
        _ => return Err(Wrong::broken()),
    };
    if *cidr != 0 || *bits != all {
        // Writing to a string cannot fail.
        let _ = write!(text, "/{bits}");
    }
    Ok(text)
}

pub(super) fn bits(raw: &[u8]) -> Result<String, Wrong> {
    let (count, bytes) = raw.split_at_checked(4).ok_or_else(Wrong::broken)?;
    let count = u32::from_be_bytes(fixed(count)?) as usize;
    if bytes.len() != count.div_ceil(8) {
        return Err(Wrong::broken());
    }
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    Ok((0..count).map(|at| char::from(b'0' + bit(at))).collect())
}

pub(super) fn lsn(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xFFFF_FFFF)
}

/// ISO 8601 at UTC with exactly `digits` digits behind the second; infinity is a word.
pub(super) fn iso(instant: Instant, digits: usize) -> String {
    let mut text = instant.text("");
    if !matches!(instant, Instant::At(_)) {
        return text;
    }
    let era = text.find(" BC").map(|at| text.split_off(at));
    let behind = text.find('.').map_or(0, |at| text.len() - at - 1);
    if behind == 0 {
        text.push('.');
    }
    text.extend(std::iter::repeat_n('0', digits.saturating_sub(behind)));
    text.push('Z');
    text.push_str(era.as_deref().unwrap_or_default());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_show_their_mask_when_it_says_something() {
        let v4 = |bits, cidr| inet(&[2, bits, cidr, 4, 10, 0, 0, 1]).expect("an address");
        assert_eq!(v4(32, 0), "10.0.0.1");
        assert_eq!(v4(8, 0), "10.0.0.1/8");
        assert_eq!(v4(32, 1), "10.0.0.1/32");
        let mut v6 = vec![3, 128, 0, 16];
        v6.extend(Ipv6Addr::LOCALHOST.octets());
        assert_eq!(inet(&v6).expect("an address"), "::1");
        assert!(inet(&[2, 32, 0, 4, 1]).is_err() && inet(&[9]).is_err());
    }

    #[test]
    fn bits_may_end_within_a_byte() {
        assert_eq!(bits(&[0, 0, 0, 0]).expect("none"), "");
        assert_eq!(
            bits(&[0, 0, 0, 9, 0b1010_0000, 0x80]).expect("nine"),
            "101000001"
        );
        assert!(bits(&[0, 0, 0, 9, 1]).is_err());
    }

    #[test]
    fn other_texts_are_those_of_postgres() {
        assert_eq!(lsn(0x16_B374_D848), "16/B374D848");
        assert_eq!(mac(&[8, 0, 43, 1, 2, 255]), "08:00:2b:01:02:ff");
        let text = uuid(&[0xA0; 16]);
        assert_eq!(text, "a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a0a0");
        assert_eq!(
            iso(Instant::of_unix(500_000), 6),
            "1970-01-01T00:00:00.500000Z"
        );
        assert_eq!(
            iso(Instant::of_unix(0), 9),
            "1970-01-01T00:00:00.000000000Z"
        );
        assert_eq!(iso(Instant::Future, 9), "infinity");
    }
}
