//! Days and dates of the proleptic Gregorian calendar, for whatever year: Postgres and Java know more of them than calendar crates do.

/// Days from 0000-03-01 to the Unix epoch. Years are counted from March, so that a leap day is the last of its year.
const EPOCH: i64 = 719_468;
/// Days of 400 years, which are alike.
const ERA: i64 = 146_097;

/// Days from the Unix epoch to a date. Year 0 is 1 BC; months and days count on beyond their bounds (the 32nd of January is the 1st of February).
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let months = year * 12 + month - 3;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12));
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - EPOCH
}

/// Year, month (1..=12) and day (1..=31) of a day counted from the Unix epoch.
pub fn civil(days: i64) -> (i64, i64, i64) {
    // In two steps, so that no day is too late.
    let day = days.rem_euclid(ERA) + EPOCH;
    let (era, day) = (days.div_euclid(ERA) + day / ERA, day % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{civil, days};

    #[test]
    fn dates_are_the_same_there_and_back() {
        for day in (-3_000_000..110_000_000).step_by(997).chain(-1_000..20_000) {
            let (year, month, of_month) = civil(day);
            assert!((1..=12).contains(&month) && (1..=31).contains(&of_month));
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn known_days() {
        // The ends of what there is.
        assert!(civil(i64::MAX).0 > 0 && civil(i64::MIN).0 < 0);
        for (date, day) in [
            ((1970, 1, 1), 0),
            ((1969, 12, 31), -1),
            ((2000, 2, 29), 11_016),
            ((1900, 3, 1), -25_508),
            ((0, 3, 1), -719_468),
            ((-4713, 11, 24), -2_440_588),
            ((294_247, 1, 10), 106_751_991),
        ] {
            assert_eq!(civil(day), date);
            assert_eq!(days(date.0, date.1, date.2), day);
        }
        assert_eq!(days(2023, 14, 30), days(2024, 3, 1));
    }
}
