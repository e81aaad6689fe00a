//! A date to text.

use super::{
    MONTHS, Part, SHORT, WEEKDAYS,
    calendar::{DAY_MS, date, days, week, week_of_month, weekday},
};

pub(super) fn print(parts: &[Part], ms: i64, out: &mut String) {
    let (day, clock) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let date = date(day);
    let hour = clock / 3_600_000;
    for part in parts {
        let (letter, count) = match part {
            Part::Text(text) => {
                out.push_str(text);
                continue;
            }
            Part::Field(letter, count) => (*letter, *count),
        };
        let number = match letter {
            'G' => {
                out.push_str(if date.year > 0 { "AD" } else { "BC" });
                continue;
            }
            'y' | 'Y' => {
                let year = match letter {
                    'Y' => week(day, date.year).0,
                    _ if date.year > 0 => date.year,
                    _ => 1 - date.year,
                };
                padded(if count == 2 { year % 100 } else { year }, count, out);
                continue;
            }
            'M' | 'L' if count >= SHORT => {
                named(MONTHS[date.month as usize - 1], count, out);
                continue;
            }
            'E' => {
                named(WEEKDAYS[weekday(day) as usize], count, out);
                continue;
            }
            'a' => {
                out.push_str(if hour < 12 { "AM" } else { "PM" });
                continue;
            }
            'z' => {
                let long = count > SHORT;
                out.push_str(if long {
                    "Coordinated Universal Time"
                } else {
                    "UTC"
                });
                continue;
            }
            'Z' => {
                out.push_str("+0000");
                continue;
            }
            'X' => {
                out.push('Z');
                continue;
            }
            'M' | 'L' => date.month,
            'd' => date.day,
            'D' => day - days(date.year, 1, 0) + 1,
            'w' => week(day, date.year).1,
            'W' => week_of_month(day, date),
            'F' => (day - days(date.year, date.month, 0)) / 7 + 1,
            'u' => (weekday(day) + 6) % 7 + 1,
            'H' => hour,
            'k' => (hour + 23) % 24 + 1,
            'K' => hour % 12,
            'h' => (hour + 11) % 12 + 1,
            'm' => clock / 60_000 % 60,
            's' => clock / 1000 % 60,
            _ => clock % 1000,
        };
        padded(number, count, out);
    }
}

fn padded(number: i64, count: usize, out: &mut String) {
    let digits = number.unsigned_abs().to_string();
    if number < 0 {
        out.push('-');
    }
    out.extend(std::iter::repeat_n('0', count.saturating_sub(digits.len())));
    out.push_str(&digits);
}

fn named(name: &str, count: usize, out: &mut String) {
    out.push_str(if count > SHORT { name } else { &name[..SHORT] });
}
