//! Dates and times: numbers since an epoch, or text in ISO 8601 and Postgres's own form, years before Christ and infinity included.

use super::{Cell, Fit, Unfit, misfit};
use longshore_sdk::calendar;

const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;
/// From the Unix epoch to Postgres's, 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS * DAY;
/// What Postgres holds, in days and microseconds from its own epoch: 4713-11-24 BC up to 5874897-12-31 and 294276-12-31.
const DATE_MIN: i64 = -2_451_545;
const DATE_END: i64 = 2_145_031_949;
const TIMESTAMP_MIN: i64 = -211_813_488_000_000_000;
const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

const RANGE: Unfit = Unfit::because("a date or time is out of the range of its column's type");
/// The end of 9999-12-31. Counts of microseconds are beyond it, apart from those around 1970.
const YEAR_9999_MILLIS: i64 = 253_402_300_800_000;
const UNIT: Unfit = Unfit::because(
    "a number is taken for milliseconds, and is beyond a day (time) or the year 9999 (timestamp): if it counts microseconds, set schemas.enable=true so that the record says so, or Debezium's time.precision.mode=isostring",
);
const NO_DATE: Unfit = Unfit::because("a text is no date (YYYY-MM-DD) or timestamp in ISO 8601");
const NO_TIME: Unfit = Unfit::because("a text is no time of day (HH:MM:SS)");

/// Days since 2000-01-01. A number is days since the Unix epoch.
pub(super) fn date(cell: &Cell<'_>) -> Fit<i32> {
    let days = match cell {
        Cell::Infinity { negative } => return Ok(infinity(*negative, i32::MIN, i32::MAX)),
        Cell::Date(days) | Cell::Int(days) => *days,
        Cell::Number(_) => super::number::integer(cell)?,
        Cell::Timestamp(micros) if micros.rem_euclid(DAY) == 0 => micros.div_euclid(DAY),
        Cell::Text(text) => match read(text.trim()).ok_or(NO_DATE)? {
            Moment::Infinity { negative } => return Ok(infinity(negative, i32::MIN, i32::MAX)),
            Moment::At {
                days, micros: 0, ..
            } => days,
            Moment::At { .. } => {
                return Err(Unfit::because(
                    "a timestamp with a time of day does not fit a date",
                ));
            }
        },
        _ => return Err(misfit(cell, "date")),
    };
    let days = days.checked_sub(EPOCH_DAYS).ok_or(RANGE)?;
    let known = (DATE_MIN..DATE_END).contains(&days);
    known
        .then_some(days)
        .and_then(|days| i32::try_from(days).ok())
        .ok_or(RANGE)
}

/// Microseconds since midnight, 24:00 included. A number is milliseconds.
pub(super) fn time_of_day(cell: &Cell<'_>) -> Fit<i64> {
    let micros = match cell {
        Cell::Time(micros) => *micros,
        Cell::Int(_) | Cell::Number(_) => millis(cell, DAY / 1000)?,
        Cell::Timestamp(micros) if (0..DAY).contains(micros) => *micros,
        Cell::Text(text) => {
            let text = text.trim();
            let (micros, rest) = clock(text).ok_or(NO_TIME)?;
            if !rest.is_empty() && !matches!(rest, "Z" | "z") {
                return Err(NO_TIME);
            }
            micros
        }
        _ => return Err(misfit(cell, "time")),
    };
    (0..=DAY).contains(&micros).then_some(micros).ok_or(RANGE)
}

/// Microseconds since 2000-01-01 UTC. A number is milliseconds since the Unix epoch; text without a zone is UTC.
pub(super) fn timestamp(cell: &Cell<'_>) -> Fit<i64> {
    let micros = match cell {
        Cell::Infinity { negative } => return Ok(infinity(*negative, i64::MIN, i64::MAX)),
        Cell::Timestamp(micros) => micros.checked_sub(EPOCH_MICROS),
        Cell::Int(_) | Cell::Number(_) => millis(cell, YEAR_9999_MILLIS)?.checked_sub(EPOCH_MICROS),
        Cell::Date(days) => days
            .checked_sub(EPOCH_DAYS)
            .and_then(|days| days.checked_mul(DAY)),
        Cell::Text(text) => match read(text.trim()).ok_or(NO_DATE)? {
            Moment::Infinity { negative } => return Ok(infinity(negative, i64::MIN, i64::MAX)),
            Moment::At {
                days,
                micros,
                offset,
            } => (days - EPOCH_DAYS)
                .checked_mul(DAY)
                .and_then(|date| date.checked_add(micros - offset)),
        },
        _ => return Err(misfit(cell, "timestamp")),
    };
    let micros = micros.ok_or(RANGE)?;
    let known = (TIMESTAMP_MIN..TIMESTAMP_END).contains(&micros);
    known.then_some(micros).ok_or(RANGE)
}

/// A number's milliseconds as microseconds.
fn millis(cell: &Cell<'_>, most: i64) -> Fit<i64> {
    let ms = super::number::integer(cell)?;
    if !(-most..=most).contains(&ms) {
        return Err(UNIT);
    }
    Ok(ms * 1000)
}

fn infinity<T>(negative: bool, least: T, greatest: T) -> T {
    if negative { least } else { greatest }
}

/// A point in time as text gives it.
#[derive(Debug, PartialEq, Eq)]
enum Moment {
    /// `infinity`, `-infinity`.
    Infinity { negative: bool },
    /// Days since the Unix epoch, microseconds of the day, and the zone's microseconds east of Greenwich.
    At { days: i64, micros: i64, offset: i64 },
}

fn read(text: &str) -> Option<Moment> {
    match text.to_ascii_lowercase().as_str() {
        "infinity" | "+infinity" => return Some(Moment::Infinity { negative: false }),
        "-infinity" => return Some(Moment::Infinity { negative: true }),
        _ => {}
    }
    let (text, before_christ) = match text.strip_suffix("BC") {
        Some(text) => (text.trim_end(), true),
        None => (text.strip_suffix("AD").map_or(text, str::trim_end), false),
    };
    let (days, rest) = civil(text, before_christ)?;
    // Debezium's IsoDate is a date with a zone: 2024-02-29Z.
    if matches!(rest, "" | "Z" | "z") {
        return Some(Moment::At {
            days,
            micros: 0,
            offset: 0,
        });
    }
    let (micros, zone) = clock(rest.strip_prefix(['T', 't', ' '])?)?;
    let offset = offset(zone.trim_start())?;
    Some(Moment::At {
        days,
        micros,
        offset,
    })
}

/// `[+-]YYYY-MM-DD` with four digits of the year or more; the rest behind it.
fn civil(text: &str, before_christ: bool) -> Option<(i64, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (year, rest) = number(unsigned, 4, 7)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2, 2)?;
    // ISO 8601 has a year 0, which is 1 BC.
    let year = match (text.starts_with('-'), before_christ) {
        (true, true) => return None,
        (true, false) => -year,
        (false, true) if year == 0 => return None,
        (false, true) => 1 - year,
        (false, false) => year,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    (1..=length)
        .contains(&day)
        .then(|| (calendar::days(year, month, day), rest))
}

/// `HH:MM[:SS[.ffffff]]` in microseconds, and the rest; digits beyond microseconds are rounded.
fn clock(text: &str) -> Option<(i64, &str)> {
    let (hours, rest) = number(text, 2, 2)?;
    let (minutes, rest) = number(rest.strip_prefix(':')?, 2, 2)?;
    let (seconds, rest) = match rest.strip_prefix(':') {
        Some(rest) => number(rest, 2, 2)?,
        None => (0, rest),
    };
    let (fraction, rest) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            if end == 0 || end > 30 {
                return None;
            }
            let mut micros: i64 = 0;
            for place in 0..6 {
                let digit = rest.as_bytes()[..end]
                    .get(place)
                    .map_or(0, |digit| digit - b'0');
                micros = micros * 10 + i64::from(digit);
            }
            let half = rest.as_bytes()[..end]
                .get(6)
                .is_some_and(|digit| *digit >= b'5');
            (micros + i64::from(half), &rest[end..])
        }
        None => (0, rest),
    };
    if hours > 24 || minutes > 59 || seconds > 60 {
        return None;
    }
    let micros = hours * HOUR + minutes * 60_000_000 + seconds * 1_000_000 + fraction;
    (micros <= DAY).then_some((micros, rest))
}

/// `Z`, `+HH`, `+HHMM`, `+HH:MM`, `+HH:MM:SS`, or nothing.
fn offset(text: &str) -> Option<i64> {
    if matches!(text, "" | "Z" | "z" | "UTC" | "GMT") {
        return Some(0);
    }
    let east = text.strip_prefix(['+', '-'])?;
    let (hours, rest) = number(east, 2, 2)?;
    let (minutes, rest) = match rest {
        "" => (0, ""),
        _ => number(rest.strip_prefix(':').unwrap_or(rest), 2, 2)?,
    };
    let (seconds, rest) = match rest {
        "" => (0, ""),
        _ => number(rest.strip_prefix(':')?, 2, 2)?,
    };
    if !rest.is_empty() || hours > 15 || minutes > 59 || seconds > 59 {
        return None;
    }
    let offset = hours * HOUR + minutes * 60_000_000 + seconds * 1_000_000;
    Some(if text.starts_with('-') {
        -offset
    } else {
        offset
    })
}

/// The number that the text starts with, of so many digits, and the rest.
fn number(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let digits = text
        .bytes()
        .take_while(u8::is_ascii_digit)
        .take(most)
        .count();
    if digits < least {
        return None;
    }
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// Text of a date, for types that the server reads.
pub(super) fn date_text(unix_days: i64) -> Option<String> {
    let (year, month, day) = civil_of(unix_days)?;
    Some(if year > 0 {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{:04}-{month:02}-{day:02} BC", 1 - year)
    })
}

/// Text of a timestamp in UTC; before Christ there is no form that every type reads.
pub(super) fn timestamp_text(micros: i64) -> Option<String> {
    let (year, month, day) = civil_of(micros.div_euclid(DAY))?;
    let clock = clock_text(micros.rem_euclid(DAY));
    Some(if year > 0 {
        format!("{year:04}-{month:02}-{day:02} {clock}+00")
    } else {
        format!("{:04}-{month:02}-{day:02} {clock}+00 BC", 1 - year)
    })
}

/// Text of a time of day.
pub(super) fn clock_text(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{:06}",
        seconds % 60,
        micros % 1_000_000
    )
}

/// The date of a count that may be anything: the last ones of 64 bits are no dates.
fn civil_of(unix_days: i64) -> Option<(i64, i64, i64)> {
    (unix_days <= i64::MAX - 719_468).then(|| calendar::civil(unix_days))
}
