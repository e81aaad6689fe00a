//! What a record says: JSON text that follows from seed, share and id.

use crate::Generator;
use longshore_sdk::calendar;
use std::ops::Range;

const FIRST: [&str; 16] = [
    "ada",
    "alan",
    "barbara",
    "claude",
    "dennis",
    "donald",
    "edsger",
    "frances",
    "grace",
    "jean",
    "john",
    "katherine",
    "ken",
    "leslie",
    "margaret",
    "tim",
];
const LAST: [&str; 16] = [
    "allen", "backus", "dijkstra", "hamilton", "hopper", "johnson", "knuth", "lamport", "lee",
    "liskov", "lovelace", "ritchie", "sammet", "shannon", "thompson", "turing",
];
const ITEMS: [&str; 8] = [
    "anchor", "buoy", "compass", "lantern", "net", "oar", "rope", "sail",
];
const COUNTRIES: [&str; 8] = ["BR", "DE", "FR", "IN", "JP", "KE", "NO", "US"];
const PAGES: [&str; 8] = [
    "/",
    "/cart",
    "/checkout",
    "/help",
    "/login",
    "/offers",
    "/products",
    "/search",
];
const ACTIONS: [&str; 4] = ["click", "leave", "scroll", "view"];

/// Records are a millisecond apart, from here on: 2025-01-01T00:00:00Z.
const FIRST_MS: u64 = 1_735_689_600_000;
const DAY_MS: u64 = 86_400_000;
/// Length of the padding's source text; longer padding repeats it.
const NOISE_BYTES: usize = 16 * 1024;

/// Writes the records of one share.
#[derive(Debug)]
pub(crate) struct Writer {
    generator: Generator,
    share: u32,
    seed: u64,
    bytes_min: usize,
    /// Letters that a compressor cannot make much of; empty without padding.
    noise: Vec<u8>,
    /// The day that was printed last: dates are worked out once per day, not per record.
    day: u64,
    date: String,
}

impl Writer {
    /// The records of `share`; each value is padded to `bytes_min` bytes.
    pub(crate) fn new(generator: Generator, seed: u64, share: u32, bytes_min: u32) -> Self {
        let seed = mix(seed ^ mix(u64::from(share)));
        let noise_bytes = if bytes_min == 0 { 0 } else { NOISE_BYTES };
        Self {
            generator,
            share,
            seed,
            bytes_min: bytes_min as usize,
            noise: noise(seed, noise_bytes),
            day: u64::MAX,
            date: String::new(),
        }
    }

    /// Appends the JSON text of record `id` and returns where in `out` the digits of the id stand.
    pub(crate) fn write(&mut self, id: u64, out: &mut Vec<u8>) -> Range<usize> {
        let start = out.len();
        let mut dice = Dice(mix(self.seed ^ mix(id)));
        out.extend_from_slice(b"{\"id\":");
        let digits = out.len();
        number(out, id);
        let digits = digits..out.len();
        match self.generator {
            Generator::Orders => order(out, &mut dice),
            Generator::Users => user(out, &mut dice),
            Generator::Clickstream => view(out, &mut dice),
        }
        out.extend_from_slice(b",\"created\":\"");
        self.instant(out, FIRST_MS.saturating_add(id));
        out.extend_from_slice(b"\",\"share\":");
        number(out, u64::from(self.share));
        self.pad(out, start, dice.0);
        out.push(b'}');
        digits
    }

    fn pad(&self, out: &mut Vec<u8>, start: usize, at: u64) {
        const FRAME: usize = b",\"pad\":\"\"}".len();
        let written = out.len() - start;
        // The closing brace is still to come.
        if written + 1 >= self.bytes_min {
            return;
        }
        let mut missing = self.bytes_min.saturating_sub(written + FRAME);
        out.extend_from_slice(b",\"pad\":\"");
        let mut from = below(at, self.noise.len() as u64) as usize;
        while missing > 0 {
            let piece = missing.min(self.noise.len() - from);
            out.extend_from_slice(&self.noise[from..from + piece]);
            missing -= piece;
            from = 0;
        }
        out.push(b'"');
    }

    /// RFC 3339 with milliseconds, in UTC.
    fn instant(&mut self, out: &mut Vec<u8>, ms: u64) {
        let (day, ms) = (ms / DAY_MS, ms % DAY_MS);
        if day != self.day {
            self.day = day;
            self.date = date(day);
        }
        out.extend_from_slice(self.date.as_bytes());
        let two = |n: u64| [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        let [h1, h2] = two(ms / 3_600_000);
        let [m1, m2] = two(ms / 60_000 % 60);
        let [s1, s2] = two(ms / 1000 % 60);
        let [f1, f2] = two(ms % 1000 / 10);
        let f3 = b'0' + (ms % 10) as u8;
        out.extend_from_slice(&[
            b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', f1, f2, f3, b'Z',
        ]);
    }
}

fn order(out: &mut Vec<u8>, dice: &mut Dice) {
    let customer = dice.below(10_000);
    let (quantity, cents) = (1 + dice.below(9), 100 + dice.below(50_000));
    out.extend_from_slice(b",\"customer\":\"c");
    number(out, customer);
    out.extend_from_slice(b"\",\"email\":\"");
    // The address belongs to the customer, not to the order.
    email(out, &mut Dice(mix(customer)), customer);
    out.extend_from_slice(b"\",\"item\":\"");
    out.extend_from_slice(dice.pick(&ITEMS).as_bytes());
    out.extend_from_slice(b"\",\"quantity\":");
    number(out, quantity);
    out.extend_from_slice(b",\"amount\":");
    let cents = cents * quantity;
    number(out, cents / 100);
    let rest = cents % 100;
    out.extend_from_slice(&[b'.', b'0' + (rest / 10) as u8, b'0' + (rest % 10) as u8]);
}

fn user(out: &mut Vec<u8>, dice: &mut Dice) {
    let (first, last) = (dice.pick(&FIRST), dice.pick(&LAST));
    out.extend_from_slice(b",\"name\":\"");
    out.extend_from_slice(first.as_bytes());
    out.push(b' ');
    out.extend_from_slice(last.as_bytes());
    out.extend_from_slice(b"\",\"email\":\"");
    let number = dice.below(100_000);
    email(out, dice, number);
    out.extend_from_slice(b"\",\"country\":\"");
    out.extend_from_slice(dice.pick(&COUNTRIES).as_bytes());
    let active: &[u8] = if dice.below(4) == 0 {
        b"\",\"active\":false"
    } else {
        b"\",\"active\":true"
    };
    out.extend_from_slice(active);
}

fn view(out: &mut Vec<u8>, dice: &mut Dice) {
    out.extend_from_slice(b",\"user\":");
    number(out, 1 + dice.below(10_000));
    out.extend_from_slice(b",\"page\":\"");
    out.extend_from_slice(dice.pick(&PAGES).as_bytes());
    out.extend_from_slice(b"\",\"action\":\"");
    out.extend_from_slice(dice.pick(&ACTIONS).as_bytes());
    out.extend_from_slice(b"\",\"duration_ms\":");
    number(out, dice.below(60_000));
}

fn email(out: &mut Vec<u8>, dice: &mut Dice, suffix: u64) {
    out.extend_from_slice(dice.pick(&FIRST).as_bytes());
    out.push(b'.');
    out.extend_from_slice(dice.pick(&LAST).as_bytes());
    number(out, suffix);
    out.extend_from_slice(b"@example.com");
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `YYYY-MM-DD` of a day since the Unix epoch, by the proleptic Gregorian calendar.
fn date(day: u64) -> String {
    let (year, month, day) = calendar::civil(day.cast_signed());
    format!("{year:04}-{month:02}-{day:02}")
}

/// Numbers that follow from a record's id: a generator of our own, so that records stay the same over versions of any crate.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = mix(self.0);
        below(self.0, limit)
    }
    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Scales 64 random bits to `0..limit`.
fn below(bits: u64, limit: u64) -> u64 {
    ((u128::from(bits) * u128::from(limit)) >> 64) as u64
}

/// The finalizer of SplitMix64: a bijection whose output bits each depend on every input bit.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut dice = Dice(seed);
    (0..bytes)
        .map(|_| LETTERS[dice.below(64) as usize])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn record(generator: Generator, seed: u64, share: u32, bytes: u32, id: u64) -> Vec<u8> {
        let mut out = Vec::new();
        Writer::new(generator, seed, share, bytes).write(id, &mut out);
        out
    }

    #[test]
    fn every_generator_writes_one_json_object_on_one_line_with_its_id() {
        for generator in [Generator::Orders, Generator::Users, Generator::Clickstream] {
            for id in [1, 9, 10, 86_400_000, u64::MAX / 2] {
                let mut out = b"before".to_vec();
                let digits = Writer::new(generator, 7, 3, 0).write(id, &mut out);
                assert_eq!(out[digits], *id.to_string().as_bytes());
                let value: Value = serde_json::from_slice(&out[6..]).expect("valid JSON");
                assert_eq!(value["id"], id);
                assert_eq!(value["share"], 3);
                assert!(!out.contains(&b'\n'));
            }
        }
        let order: Value =
            serde_json::from_slice(&record(Generator::Orders, 0, 0, 0, 1)).expect("valid JSON");
        assert!(
            order["email"]
                .as_str()
                .is_some_and(|text| text.ends_with("@example.com"))
        );
        assert!(order["amount"].is_f64() && order["customer"].is_string());
        assert_eq!(order["created"], "2025-01-01T00:00:00.001Z");
    }

    #[test]
    fn what_a_record_holds_follows_from_seed_share_and_id_alone() {
        let mut in_order = Writer::new(Generator::Users, 5, 1, 300);
        for id in 1..=100 {
            let mut out = Vec::new();
            in_order.write(id, &mut out);
            assert_eq!(out, record(Generator::Users, 5, 1, 300, id));
        }
        let one = record(Generator::Users, 5, 1, 0, 7);
        assert_ne!(one, record(Generator::Users, 6, 1, 0, 7), "another seed");
        let other_share = record(Generator::Users, 5, 2, 0, 7);
        assert_ne!(one[..40], other_share[..40], "another share");
    }

    #[test]
    fn padding_reaches_the_wanted_size_and_never_more_than_its_frame() {
        for bytes in [1, 150, 180, 181, 1024, 100_000] {
            let plain = record(Generator::Orders, 1, 0, 0, 42).len();
            let out = record(Generator::Orders, 1, 0, bytes, 42);
            let value: Value = serde_json::from_slice(&out).expect("valid JSON");
            assert_eq!(value["id"], 42);
            let bytes = bytes as usize;
            assert!(out.len() >= bytes, "{} < {bytes}", out.len());
            assert!(
                out.len() <= bytes.max(plain) + 9,
                "{} for {bytes}",
                out.len()
            );
        }
        assert_eq!(record(Generator::Orders, 1, 0, 1024, 42).len(), 1024);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let days = [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (20_089, "2025-01-01"),
            (20_512, "2026-02-28"),
            (20_513, "2026-03-01"),
            (47_482, "2100-01-01"),
        ];
        for (day, text) in days {
            assert_eq!(date(day), text);
        }
    }
}
