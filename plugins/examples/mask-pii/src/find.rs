//! E-mail addresses and card numbers in text.

use std::ops::Range;

/// The next e-mail address at or after `from`: a local part, an @, and a domain of at least two labels.
pub(crate) fn email(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte) || *byte >= 128;
    let domain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-".contains(byte) || *byte >= 128;
    let mut at = from;
    while let Some(found) = bytes.get(at..)?.iter().position(|byte| *byte == b'@') {
        let sign = at + found;
        let before = bytes[from..sign]
            .iter()
            .rev()
            .take_while(|byte| local(byte));
        let start = sign - before.count();
        let mut end = sign
            + 1
            + bytes[sign + 1..]
                .iter()
                .take_while(|byte| domain(byte))
                .count();
        // A sentence ends behind an address.
        while end > sign + 1 && b".-".contains(&bytes[end - 1]) {
            end -= 1;
        }
        let name = &text[sign + 1..end];
        let ends_well = name
            .rsplit_once('.')
            .is_some_and(|(rest, last)| !rest.is_empty() && last.chars().count() >= 2);
        if start < sign && ends_well {
            return Some(start..end);
        }
        at = sign + 1;
    }
    None
}

/// The next card number at or after `from`: 13 to 19 digits with a valid check digit, single blanks or hyphens between them. It
/// begins and ends where a group of digits does, whatever digits stand before and behind it. What could be read as several numbers that
/// share digits is found as one place: none of them is left half.
pub(crate) fn card(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut start = group(bytes, from)?;
    let mut end = loop {
        match card_end(bytes, start) {
            Some(end) => break end,
            None => start = group_behind(bytes, start)?,
        }
    };
    let mut at = start;
    while let Some(next) = group_behind(bytes, at).filter(|next| *next < end) {
        end = card_end(bytes, next).map_or(end, |further| further.max(end));
        at = next;
    }
    Some(start..end)
}

/// Where the next group of digits begins.
fn group(bytes: &[u8], from: usize) -> Option<usize> {
    let found = bytes.get(from..)?.iter().position(u8::is_ascii_digit)?;
    Some(from + found)
}

/// Where the group of digits behind the one at `start` begins.
fn group_behind(bytes: &[u8], start: usize) -> Option<usize> {
    let digits = bytes[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    group(bytes, start + digits.count())
}

/// Where the longest card number ends that begins with the group at `start`. Looks at no more than 20 digits.
fn card_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut digits = [0; 19];
    let mut count = 0;
    let mut longest = None;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        let more = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if byte.is_ascii_digit() {
            if count == digits.len() {
                break;
            }
            digits[count] = byte - b'0';
            count += 1;
            if !more && count >= 13 && luhn(&digits[..count]) {
                longest = Some(at + 1);
            }
        } else if !(matches!(byte, b' ' | b'-') && more) {
            break;
        }
        at += 1;
    }
    longest
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(*digit) << (place % 2);
            value / 10 + value % 10
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_and_their_surroundings_are_not() {
        let found = |text: &'static str| email(text, 0).map(|at| &text[at]);
        assert_eq!(
            found("write to Ann.Lee+x@mail.example.com."),
            Some("Ann.Lee+x@mail.example.com")
        );
        assert_eq!(found("<jürgen@müller.de>"), Some("jürgen@müller.de"));
        assert_eq!(found("a @ b.com, @home, me@localhost, x@y.z"), None);
        assert_eq!(found("@ first, then b@c.org"), Some("b@c.org"));
        assert_eq!(found("a@b@c.org"), Some("b@c.org"));
    }

    #[test]
    fn card_numbers_need_their_check_digit() {
        let found = |text: &'static str| card(text, 0).map(|at| &text[at]);
        assert_eq!(
            found("card 4111 1111 1111 1111, thanks"),
            Some("4111 1111 1111 1111")
        );
        assert_eq!(found("5500-0000-0000-0004"), Some("5500-0000-0000-0004"));
        assert_eq!(found("378282246310005"), Some("378282246310005"));
        assert_eq!(found("4111111111111112"), None);
        assert_eq!(found("0000000000000000 41111111111111111111111"), None);
        assert_eq!(found("2026-11-22 17:00:00"), None);
    }

    #[test]
    fn digits_around_a_card_number_do_not_hide_it() {
        for (text, card) in [
            ("4111 1111 1111 1111 12/27", "4111 1111 1111 1111"),
            ("4111111111111111 123", "4111111111111111"),
            ("order 7 4111111111111111", "4111111111111111"),
            ("paid 2026-11-22 4111111111111111", "4111111111111111"),
            ("12345678901234567890-4111111111111111", "4111111111111111"),
        ] {
            let found = super::card(text, 0);
            assert!(
                found
                    .clone()
                    .is_some_and(|found| text[found].contains(card)),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn cards_in_a_row_are_all_found_and_none_is_left_half() {
        let separate = "4111111111111111 378282246310005";
        assert_eq!(super::card(separate, 0), Some(0..16));
        assert_eq!(super::card(separate, 16), Some(17..32));
        // Whatever stands before a number, no digit of it is left: another reading of the same digits may pass the check, too.
        for number in 0..2000 {
            let text = format!("{number:04}-11-22 4111 1111 1111 1111 {number:03}");
            let covered = super::card(&text, 0).expect("a card");
            assert!(
                covered.start <= 11 && covered.end >= 30,
                "{text}: {covered:?}"
            );
        }
    }

    #[test]
    fn a_long_run_of_digits_is_gone_through_once() {
        assert_eq!(super::card(&"9".repeat(1 << 20), 0), None);
        assert_eq!(super::card(&"1 ".repeat(1 << 16), 0), None);
    }
}
