//! Dates and times: from Postgres' binary forms to text, exactly.

use super::Wrong;
use longshore_sdk::calendar;

/// Microseconds of a day, a second.
const DAY: i64 = 86_400_000_000;
const SECOND: i64 = 1_000_000;
/// From the Unix epoch to 2000-01-01, Postgres' own.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH: i64 = EPOCH_DAYS * DAY;

/// Microseconds since 2000-01-01, as Postgres counts them: its last years do not fit 64 bits of the Unix epoch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::source) enum Instant {
    /// `-infinity`.
    Past,
    /// A point in time.
    At(i64),
    /// `infinity`.
    Future,
}

impl Instant {
    /// Postgres' binary form.
    pub(in crate::source) fn of_postgres(micros: i64) -> Self {
        match micros {
            i64::MIN => Self::Past,
            i64::MAX => Self::Future,
            micros => Self::At(micros),
        }
    }
    /// From microseconds since the Unix epoch.
    pub(in crate::source) fn of_unix(micros: i64) -> Self {
        Self::At(micros.saturating_sub(EPOCH))
    }
    /// Microseconds since the Unix epoch; `None` for infinity, and beyond the year 294246.
    pub(in crate::source) fn unix(self) -> Option<i64> {
        match self {
            Self::At(micros) => micros.checked_add(EPOCH),
            Self::Past | Self::Future => None,
        }
    }
    /// Milliseconds since the Unix epoch; `None` for infinity.
    pub(super) fn unix_ms(self) -> Option<i64> {
        match self {
            Self::At(micros) => Some(micros.div_euclid(1000) + EPOCH / 1000),
            Self::Past | Self::Future => None,
        }
    }
    /// Postgres' binary form: days since 2000-01-01.
    pub(super) fn of_days(days: i32) -> Option<i64> {
        (days != i32::MIN && days != i32::MAX).then(|| i64::from(days) + EPOCH_DAYS)
    }
    /// A date's text: `2024-02-29`, `0044-03-15 BC`, `infinity`.
    pub(super) fn date_text(days: i32) -> String {
        match Self::of_days(days) {
            None if days == i32::MAX => "infinity".to_owned(),
            None => "-infinity".to_owned(),
            Some(days) => {
                let mut text = String::with_capacity(16);
                let era = date(days, &mut text);
                text.push_str(era);
                text
            }
        }
    }
    /// A timestamp's text, as RFC 3339 has it (`2024-02-29T12:00:00.5Z`) wherever that can say it: years beyond 9999 have more digits, those
    /// before our era a ` BC` behind, and infinity is a word. Postgres reads all of them. `zone` is `Z` or nothing.
    pub(in crate::source) fn text(self, zone: &str) -> String {
        let micros = match self {
            Self::Past => return "-infinity".to_owned(),
            Self::Future => return "infinity".to_owned(),
            Self::At(micros) => micros,
        };
        let mut text = String::with_capacity(32);
        let era = date(micros.div_euclid(DAY) + EPOCH_DAYS, &mut text);
        text.push('T');
        clock(micros.rem_euclid(DAY), &mut text);
        text.push_str(zone);
        text.push_str(era);
        text
    }
}

/// The text of a time of day; 24:00:00 is one for Postgres.
pub(super) fn time_text(micros: i64) -> Result<String, Wrong> {
    if !(0..=DAY).contains(&micros) {
        return Err(Wrong::broken());
    }
    let mut text = String::with_capacity(16);
    clock(micros, &mut text);
    Ok(text)
}

/// The text of a time of day with a zone: `12:00:00+05:30`. `west` is in seconds, as Postgres sends it.
pub(super) fn timetz_text(micros: i64, west: i32) -> Result<String, Wrong> {
    let mut text = time_text(micros)?;
    let (sign, seconds) = if west > 0 {
        ('-', west.unsigned_abs())
    } else {
        ('+', west.unsigned_abs())
    };
    text.push(sign);
    two(seconds / 3600, &mut text);
    text.push(':');
    two(seconds / 60 % 60, &mut text);
    if seconds % 60 != 0 {
        text.push(':');
        two(seconds % 60, &mut text);
    }
    Ok(text)
}

/// An interval as ISO 8601 has it, with a sign for each part: `P1Y2M-3DT4H5M6.7S`.
pub(super) fn interval_text(micros: i64, days: i32, months: i32) -> String {
    use std::fmt::Write;
    // Version 17 has infinite ones.
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => return "infinity".to_owned(),
        (i64::MIN, i32::MIN, i32::MIN) => return "-infinity".to_owned(),
        (0, 0, 0) => return "PT0S".to_owned(),
        _ => {}
    }
    let mut text = String::from("P");
    let part = |number: i64, unit: char, text: &mut String| {
        if number != 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{number}{unit}");
        }
    };
    part(i64::from(months / 12), 'Y', &mut text);
    part(i64::from(months % 12), 'M', &mut text);
    part(i64::from(days), 'D', &mut text);
    if micros != 0 {
        text.push('T');
        part(micros / (3600 * SECOND), 'H', &mut text);
        part(micros / (60 * SECOND) % 60, 'M', &mut text);
        let (seconds, fraction) = (micros / SECOND % 60, (micros % SECOND).unsigned_abs());
        if seconds != 0 || fraction != 0 {
            if micros < 0 {
                text.push('-');
            }
            let _ = write!(text, "{}", seconds.unsigned_abs());
            decimals(fraction as u32, &mut text);
            text.push('S');
        }
    }
    text
}

/// Appends year, month and day; answers what has to follow the time of day. Its calendar is Postgres'.
fn date(days: i64, text: &mut String) -> &'static str {
    let (year, month, day) = calendar::civil(days);
    let (shown, behind) = if year > 0 {
        (year, "")
    } else {
        (1 - year, " BC")
    };
    if shown < 1000 {
        text.push_str(
            &"000"[..if shown < 10 {
                3
            } else if shown < 100 {
                2
            } else {
                1
            }],
        );
    }
    text.push_str(itoa::Buffer::new().format(shown));
    text.push('-');
    two(month as u32, text);
    text.push('-');
    two(day as u32, text);
    behind
}

fn clock(micros: i64, text: &mut String) {
    let seconds = (micros / SECOND) as u32;
    two(seconds / 3600, text);
    text.push(':');
    two(seconds / 60 % 60, text);
    text.push(':');
    two(seconds % 60, text);
    decimals((micros % SECOND) as u32, text);
}

/// `.` and microseconds without zeros behind; nothing for none.
fn decimals(micros: u32, text: &mut String) {
    if micros == 0 {
        return;
    }
    text.push('.');
    let mut rest = micros;
    let mut unit = 100_000;
    while rest > 0 {
        text.push(char::from(b'0' + (rest / unit) as u8));
        rest %= unit;
        unit /= 10;
    }
}

fn two(number: u32, text: &mut String) {
    text.push(char::from(b'0' + (number / 10 % 10) as u8));
    text.push(char::from(b'0' + (number % 10) as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_where_that_can_say_them() {
        let shown = |micros| Instant::of_postgres(micros).text("Z");
        assert_eq!(shown(0), "2000-01-01T00:00:00Z");
        assert_eq!(shown(1), "2000-01-01T00:00:00.000001Z");
        assert_eq!(shown(-500_000), "1999-12-31T23:59:59.5Z");
        assert_eq!(shown(i64::MAX), "infinity");
        assert_eq!(shown(i64::MIN), "-infinity");
        // Postgres' last and first microsecond.
        assert_eq!(
            shown(9_223_371_331_199_999_999),
            "294276-12-31T23:59:59.999999Z"
        );
        assert_eq!(shown(-211_813_488_000_000_000), "4714-11-24T00:00:00Z BC");
    }

    #[test]
    fn dates_cross_leap_years_and_eras() {
        assert_eq!(Instant::date_text(0), "2000-01-01");
        assert_eq!(Instant::date_text(59), "2000-02-29");
        assert_eq!(Instant::date_text(-730_119), "0001-01-01");
        assert_eq!(Instant::date_text(-730_120), "0001-12-31 BC");
        assert_eq!(Instant::date_text(2_145_031_948), "5874897-12-31");
        assert_eq!(Instant::date_text(i32::MAX), "infinity");
    }

    #[test]
    fn times_have_zones_and_a_twenty_fifth_hour() {
        assert_eq!(time_text(DAY).expect("24:00"), "24:00:00");
        assert_eq!(time_text(1_500_000).expect("a time"), "00:00:01.5");
        assert!(time_text(DAY + 1).is_err() && time_text(-1).is_err());
        assert_eq!(timetz_text(0, -19_800).expect("east"), "00:00:00+05:30");
        assert_eq!(timetz_text(0, 3601).expect("west"), "00:00:00-01:00:01");
    }

    #[test]
    fn intervals_keep_the_sign_of_each_part() {
        assert_eq!(interval_text(0, 0, 0), "PT0S");
        assert_eq!(interval_text(14_706_700_000, -3, 14), "P1Y2M-3DT4H5M6.7S");
        assert_eq!(interval_text(-500_000, 0, -1), "P-1MT-0.5S");
        assert_eq!(interval_text(-3_600_000_000, 1, 0), "P1DT-1H");
    }
}
