//! `numeric`: from Postgres' binary form to text, to a decimal, to a number.

use super::Wrong;
use bytes::Bytes;
use longshore_sdk::Decimal;
use num_bigint::BigInt;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// Postgres' binary form: digits of base 10,000.
pub(super) struct Numeric<'a> {
    digits: &'a [u8],
    /// The first digit counts 10,000 to this power.
    weight: i32,
    sign: u16,
    /// Decimal digits behind the point.
    scale: usize,
}

impl<'a> Numeric<'a> {
    pub(super) fn read(raw: &'a [u8]) -> Result<Self, Wrong> {
        let word = |at: usize| -> Result<u16, Wrong> {
            let word = raw.get(at..at + 2).ok_or_else(Wrong::broken)?;
            Ok(u16::from_be_bytes([word[0], word[1]]))
        };
        let count = usize::from(word(0)?);
        let digits = raw.get(8..8 + 2 * count).ok_or_else(Wrong::broken)?;
        Ok(Self {
            digits,
            weight: i32::from(word(2)? as i16),
            sign: word(4)?,
            scale: usize::from(word(6)?),
        })
    }
    fn special(&self) -> Option<&'static str> {
        match self.sign {
            NAN => Some("NaN"),
            INFINITY => Some("Infinity"),
            MINUS_INFINITY => Some("-Infinity"),
            _ => None,
        }
    }
    /// The digit that counts 10,000 to the power `weight`.
    fn digit(&self, weight: i32) -> u16 {
        let at = 2 * i64::from(self.weight - weight);
        usize::try_from(at)
            .ok()
            .and_then(|at| self.digits.get(at..at + 2))
            .map_or(0, |digit| u16::from_be_bytes([digit[0], digit[1]]))
    }
    /// The text that Postgres prints: all digits of the scale, `NaN`, `Infinity`.
    pub(super) fn text(&self) -> String {
        if let Some(special) = self.special() {
            return special.to_owned();
        }
        let mut text = String::with_capacity(self.digits.len() * 2 + self.scale + 8);
        if self.sign == NEGATIVE {
            text.push('-');
        }
        self.whole(&mut text);
        if self.scale > 0 {
            text.push('.');
            self.fraction(&mut text);
        }
        text
    }
    fn whole(&self, text: &mut String) {
        if self.weight < 0 {
            return text.push('0');
        }
        text.push_str(itoa::Buffer::new().format(self.digit(self.weight)));
        for weight in (0..self.weight).rev() {
            four(self.digit(weight), text);
        }
    }
    fn fraction(&self, text: &mut String) {
        let end = text.len() + self.scale;
        let mut weight = -1;
        while text.len() < end {
            four(self.digit(weight), text);
            weight -= 1;
        }
        text.truncate(end);
    }
    /// As a decimal with exactly `scale` digits behind the point. Errors: it is not finite, or has more digits than that.
    pub(super) fn decimal(&self, scale: usize) -> Result<Decimal, Wrong> {
        if let Some(special) = self.special() {
            return Err(Wrong::because(format!("{special} is no Decimal")));
        }
        let mut text = String::with_capacity(self.digits.len() * 2 + scale + 8);
        if self.sign == NEGATIVE {
            text.push('-');
        }
        self.whole(&mut text);
        let start = text.len();
        self.fraction(&mut text);
        let behind = &text[start..];
        if behind.len() > scale && behind[scale..].bytes().any(|digit| digit != b'0') {
            return Err(Wrong::because(format!(
                "it has {} digits behind the point, its Decimal {scale}",
                behind.len()
            )));
        }
        text.truncate(start + scale.min(text.len() - start));
        while text.len() < start + scale {
            text.push('0');
        }
        let unscaled = match text.parse::<i64>() {
            Ok(number) => shortest(number),
            Err(_) => {
                let number: BigInt = text.parse().map_err(|_| Wrong::broken())?;
                Bytes::from(number.to_signed_bytes_be())
            }
        };
        Ok(Decimal {
            unscaled,
            scale: scale as i32,
        })
    }
}

/// Two's complement without bytes that say nothing.
fn shortest(number: i64) -> Bytes {
    let bytes = number.to_be_bytes();
    let spare = |at: usize| {
        let (fill, next) = (bytes[at], bytes[at + 1]);
        (fill == 0 && next < 0x80) || (fill == 0xFF && next >= 0x80)
    };
    let start = (0..7).take_while(|at| spare(*at)).count();
    Bytes::copy_from_slice(&bytes[start..])
}

fn four(digit: u16, text: &mut String) {
    for unit in [1000, 100, 10, 1] {
        text.push(char::from(b'0' + (digit / unit % 10) as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
        let mut raw = Vec::new();
        for word in [digits.len() as u16, weight as u16, sign, scale] {
            raw.extend(word.to_be_bytes());
        }
        for digit in digits {
            raw.extend(digit.to_be_bytes());
        }
        raw
    }

    #[test]
    fn numbers_print_as_postgres_prints_them() {
        for (raw, text) in [
            (raw(0, 0, 0, &[]), "0"),
            (raw(0, 0, 2, &[]), "0.00"),
            (raw(1, 0, 3, &[12, 3456, 7800]), "123456.780"),
            (raw(-1, NEGATIVE, 4, &[12]), "-0.0012"),
            (raw(-2, 0, 6, &[1200]), "0.000012"),
            (raw(2, 0, 0, &[1]), "100000000"),
            (raw(0, NAN, 0, &[]), "NaN"),
            (raw(0, MINUS_INFINITY, 0, &[]), "-Infinity"),
        ] {
            assert_eq!(Numeric::read(&raw).expect(text).text(), text);
        }
        assert!(Numeric::read(&[0, 1]).is_err());
        assert!(Numeric::read(&raw(0, 0, 0, &[1])[..9]).is_err());
    }

    #[test]
    fn decimals_have_exactly_their_scale() {
        let decimal = |raw: &[u8], scale| Numeric::read(raw).expect("numeric").decimal(scale);
        let value = raw(0, NEGATIVE, 2, &[1, 2800]);
        assert_eq!(&decimal(&value, 2).expect("-1.28").unscaled[..], [0x80]);
        assert_eq!(
            &decimal(&value, 3).expect("-1.280").unscaled[..],
            (-1280i16).to_be_bytes()
        );
        assert!(decimal(&value, 1).is_err());
        assert!(decimal(&raw(0, NAN, 0, &[]), 1).is_err());
        let long = raw(4, 0, 0, &[1, 0, 0, 0, 1]);
        let expected: BigInt = "10000000000000001".parse().expect("a number");
        assert_eq!(
            &decimal(&long, 0).expect("long").unscaled[..],
            expected.to_signed_bytes_be()
        );
    }
}
