//! Date patterns as Java's SimpleDateFormat has them, in UTC, with English names and the weeks of the USA.
//!
//! Reading is lenient as in the reference: what follows the pattern is ignored, and days and hours beyond their bounds run over. A time zone in
//! a text is `UTC`, `GMT`, `Z` or an offset. Years of weeks before Christ are not those of the reference, which loses count there.

mod calendar;
mod print;
mod read;

use calendar::DAY_MS;
use longshore_sdk::Result;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::unfit;

/// How long a pattern may be, in bytes.
const PATTERN_MAX: usize = 512;
const LETTERS: &str = "GyYMLwWDdFEuaHkKhmsSzZX";

/// A pattern, ready to print and read.
#[derive(Debug)]
pub(crate) struct DateFormat {
    pattern: String,
    parts: Vec<Part>,
    /// Two-digit years stand for those of the hundred years from here on, in milliseconds since the Unix epoch.
    century: i64,
}

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Field(char, usize),
}

impl DateFormat {
    /// Reads the pattern that stands in the setting `key`.
    pub(crate) fn new(key: &str, pattern: &str) -> Result<Self> {
        if pattern.len() > PATTERN_MAX {
            let problem = format!("the pattern is longer than {PATTERN_MAX} bytes");
            return Err(unfit(key, &problem));
        }
        let parts = parts(pattern).map_err(|problem| {
            unfit(
                key,
                &format!("{pattern:?} is no date pattern of Java's SimpleDateFormat: {problem}"),
            )
        })?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        Ok(Self {
            pattern: pattern.to_owned(),
            parts,
            century: eighty_years_before(now),
        })
    }
    /// The pattern as it was given.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }
    /// Appends the date of milliseconds since the Unix epoch.
    pub(crate) fn print(&self, ms: i64, out: &mut String) {
        print::print(&self.parts, ms, out);
    }
    /// Milliseconds since the Unix epoch; `None`: the text does not fit the pattern.
    pub(crate) fn read(&self, text: &str) -> Option<i64> {
        read::read(&self.parts, text, self.century)
    }
}

fn eighty_years_before(ms: i64) -> i64 {
    let now = calendar::date(ms.div_euclid(DAY_MS));
    calendar::days(now.year - 80, now.month, now.day - 1) * DAY_MS + ms.rem_euclid(DAY_MS)
}

/// Takes a pattern apart. A quote starts and ends plain text, and two of them are one of the text.
fn parts(pattern: &str) -> Result<Vec<Part>, String> {
    let mut parts: Vec<Part> = Vec::new();
    let mut quoted = false;
    let mut rest = pattern.chars().peekable();
    while let Some(next) = rest.next() {
        if next == '\'' {
            if rest.next_if_eq(&'\'').is_some() {
                text(&mut parts, '\'');
            } else {
                quoted = !quoted;
            }
        } else if quoted || !next.is_ascii_alphabetic() {
            text(&mut parts, next);
        } else if LETTERS.contains(next) {
            let mut count = 1;
            while rest.next_if_eq(&next).is_some() {
                count += 1;
            }
            if next == 'X' && count > 3 {
                return Err("X stands at most three times".into());
            }
            parts.push(Part::Field(next, count));
        } else {
            return Err(format!(
                "the letter {next} has no meaning: put it in quotes if it is text"
            ));
        }
    }
    if quoted {
        return Err("a quote is not closed".into());
    }
    Ok(parts)
}

fn text(parts: &mut Vec<Part>, next: char) {
    if let Some(Part::Text(text)) = parts.last_mut() {
        text.push(next);
    } else {
        parts.push(Part::Text(next.to_string()));
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
/// Letters of a short name.
const SHORT: usize = 3;

/// A date as texts of ISO 8601, as the reference chooses the form by the number alone: what lies before the second day is a time, whole days
/// are dates, the rest are timestamps.
pub(crate) fn iso_text(ms: i64) -> String {
    let field = |letter, count| Part::Field(letter, count);
    let text = |text: &str| Part::Text(text.to_owned());
    let date = || {
        [
            field('y', 4),
            text("-"),
            field('M', 2),
            text("-"),
            field('d', 2),
        ]
    };
    let clock = || {
        let (hour, minute, second) = (field('H', 2), field('m', 2), field('s', 2));
        [
            hour,
            text(":"),
            minute,
            text(":"),
            second,
            text("."),
            field('S', 3),
            text("Z"),
        ]
    };
    let mut out = String::new();
    if ms >= DAY_MS {
        print::print(&date(), ms, &mut out);
    }
    if ms >= DAY_MS && ms % DAY_MS != 0 {
        out.push('T');
    }
    if ms < DAY_MS || ms % DAY_MS != 0 {
        print::print(&clock(), ms, &mut out);
    }
    out
}

#[cfg(test)]
mod tests;
