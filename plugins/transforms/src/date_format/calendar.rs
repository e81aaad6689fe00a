//! Days and dates by the calendar that the reference prints in: Julian before 15 October 1582, Gregorian from then on.

use longshore_sdk::calendar;

/// 15 October 1582, in days from the Unix epoch.
const GREGORIAN_FROM: i64 = -141_427;
const GREGORIAN_YEAR: i64 = 1582;
pub(super) const DAY_MS: i64 = 86_400_000;

/// A day of the calendar. Year 0 is 1 BC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) year: i64,
    /// 1..=12
    pub(super) month: i64,
    /// 1..=31
    pub(super) day: i64,
}

/// Days from 1 March of year 0 to the first of a month (1..=12) of a year, without the century rules; years start in March here.
fn from_march(year: i64, month: i64) -> (i64, i64) {
    let (year, shifted) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    (year, (153 * shifted + 2) / 5)
}

fn julian(year: i64, month: i64) -> i64 {
    let (year, days) = from_march(year, month);
    365 * year + year.div_euclid(4) + days - 719_470
}

/// Which of two counts of a date holds: years before that of the change are Julian, later ones are Gregorian unless the day is before it.
/// The days that were left out in October 1582 count on in the Julian calendar.
fn chosen(year: i64, gregorian: i64, julian: i64) -> i64 {
    if year >= GREGORIAN_YEAR && gregorian >= GREGORIAN_FROM {
        gregorian
    } else {
        julian
    }
}

/// The day `more` days after the first of a month; months count on beyond 12, and below 1.
pub(super) fn days(year: i64, month: i64, more: i64) -> i64 {
    let months = year * 12 + month - 1;
    let (turned, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    // The calendar is that of the year as given, wherever the months lead.
    chosen(
        year,
        calendar::days(turned, month, 1) + more,
        julian(turned, month) + more,
    )
}

/// The day `more` days after 1 January; the year of the change is counted from its start, by the Julian calendar.
pub(super) fn days_of_year(year: i64, more: i64) -> i64 {
    if year == GREGORIAN_YEAR {
        return julian(year, 1) + more;
    }
    days(year, 1, more)
}

/// The date of a day counted from the Unix epoch.
pub(super) fn date(days: i64) -> Day {
    let gregorian = days >= GREGORIAN_FROM;
    // Years from March, so that leap days come last: 400 of them are alike in one calendar, 4 in the other.
    let (base, day) = if gregorian {
        let day = days + 719_468;
        let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
        let century = (day / 36_524).min(3);
        (era * 400 + century * 100, day - century * 36_524)
    } else {
        (0, days + 719_470)
    };
    let (four, day) = (day.div_euclid(1461), day.rem_euclid(1461));
    let one = (day / 365).min(3);
    let day = day - one * 365;
    let turned = (5 * day + 2) / 153;
    let month = if turned < 10 { turned + 3 } else { turned - 9 };
    Day {
        year: base + four * 4 + one + i64::from(month <= 2),
        month,
        day: day - (153 * turned + 2) / 5 + 1,
    }
}

/// 0 is Sunday.
pub(super) fn weekday(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

/// The Sunday on or before a day.
pub(super) fn sunday(days: i64) -> i64 {
    days - weekday(days)
}

/// Year and number of the week of a day. Weeks start on Sunday, and week 1 is the one that holds 1 January, as in the USA.
pub(super) fn week(day: i64, year: i64) -> (i64, i64) {
    if day >= sunday(days(year + 1, 1, 0)) {
        return (year + 1, 1);
    }
    (year, (day - sunday(days(year, 1, 0))) / 7 + 1)
}

/// The week of the month of a day.
pub(super) fn week_of_month(day: i64, date: Day) -> i64 {
    (day - sunday(days(date.year, date.month, 0))) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_the_same_there_and_back() {
        for day in (-1_500_000..1_500_000)
            .step_by(13)
            .chain(-142_000..-140_900)
        {
            let date = date(day);
            assert_eq!(days(date.year, date.month, date.day - 1), day, "{date:?}");
        }
        assert_eq!(
            date(0),
            Day {
                year: 1970,
                month: 1,
                day: 1
            }
        );
        assert_eq!(
            date(GREGORIAN_FROM),
            Day {
                year: 1582,
                month: 10,
                day: 15
            }
        );
        assert_eq!(
            date(GREGORIAN_FROM - 1),
            Day {
                year: 1582,
                month: 10,
                day: 4
            }
        );
        assert_eq!(
            date(-719_162),
            Day {
                year: 1,
                month: 1,
                day: 3
            }
        );
    }
}
