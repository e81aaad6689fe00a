//! Text to a date.

use super::{
    MONTHS, Part, SHORT, WEEKDAYS,
    calendar::{DAY_MS, date, days, days_of_year, sunday, weekday},
};

/// What was read of a date. The place in the order of reading stands beside what competes: the later one counts.
#[derive(Default)]
struct Fields {
    before_christ: bool,
    year: Option<(usize, i64)>,
    /// The year that weeks are counted in.
    week_year: Option<(usize, i64)>,
    /// 1 is January.
    month: Option<i64>,
    day: Option<(usize, i64)>,
    day_of_year: Option<(usize, i64)>,
    week: Option<(usize, i64)>,
    week_of_month: Option<(usize, i64)>,
    /// The how manieth of its weekday in the month it is.
    turn: Option<(usize, i64)>,
    /// 0 is Sunday.
    weekday: Option<(usize, i64)>,
    /// A number of a weekday that is none of 1 to 7.
    odd_weekday: Option<i64>,
    hour_of_day: Option<(usize, i64)>,
    hour: Option<(usize, i64)>,
    afternoon: Option<(usize, bool)>,
    minute: i64,
    second: i64,
    ms: i64,
    /// The offset of the time zone, in milliseconds.
    zone: i64,
}

/// What a reading stands at.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    fields: Fields,
    /// A two-digit year that is the first of the century it was put in: it may belong a century later.
    ambiguous: bool,
}

pub(super) fn read(parts: &[Part], text: &str, century: i64) -> Option<i64> {
    let mut reader = Reader {
        text,
        at: 0,
        fields: Fields::default(),
        ambiguous: false,
    };
    let first_year = date(century.div_euclid(DAY_MS)).year;
    for (order, part) in parts.iter().enumerate() {
        match part {
            Part::Text(expected) => {
                let rest = reader.text.get(reader.at..)?;
                if !rest.starts_with(expected.as_str()) {
                    return None;
                }
                reader.at += expected.len();
            }
            Part::Field(letter, count) => {
                // Before another number a field takes as many characters as it has letters.
                let touching = parts.get(order + 1).is_some_and(is_number);
                let limit = touching.then_some(*count);
                reader.field(*letter, *count, limit, (order, first_year))?;
            }
        }
    }
    if reader.at == 0 {
        return None;
    }
    let ms = reader.fields.ms_of();
    if reader.ambiguous && ms < century {
        for (_, year) in [&mut reader.fields.year, &mut reader.fields.week_year]
            .into_iter()
            .flatten()
        {
            *year += 100;
        }
        return Some(reader.fields.ms_of());
    }
    Some(ms)
}

fn is_number(part: &Part) -> bool {
    match part {
        Part::Text(_) => false,
        Part::Field('M' | 'L', count) => *count < SHORT,
        Part::Field(letter, _) => !matches!(letter, 'G' | 'E' | 'a' | 'z' | 'Z' | 'X'),
    }
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }
    /// Reads one field; names and white space as the reference does: a number may have blanks before it, a name may not.
    fn field(
        &mut self,
        letter: char,
        count: usize,
        limit: Option<usize>,
        (order, first_year): (usize, i64),
    ) -> Option<()> {
        let start = self.at;
        let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        if blanks == self.rest().len() {
            return None;
        }
        match letter {
            'G' => {
                let eras = ["AD", "BC", "Anno Domini", "Before Christ"];
                self.fields.before_christ = self.name(&eras)? % 2 == 1;
                return Some(());
            }
            'M' | 'L' if count >= SHORT => {
                self.fields.month = Some(self.named(&MONTHS)? as i64 + 1);
                return Some(());
            }
            'E' => {
                self.fields.weekday = Some((order, self.named(&WEEKDAYS)? as i64));
                return Some(());
            }
            'a' => {
                self.fields.afternoon = Some((order, self.name(&["AM", "PM"])? == 1));
                return Some(());
            }
            'z' | 'Z' => {
                self.at += blanks;
                return self.zone(start);
            }
            'X' => {
                self.at += blanks;
                return self.iso_zone(count);
            }
            _ => {}
        }
        self.at += blanks;
        let digits = self.at;
        let number = self.number(limit.map(|limit| start + limit))?;
        let fields = &mut self.fields;
        match letter {
            'y' | 'Y' => {
                let text = &self.text[digits..self.at];
                let short = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
                let mut year = number;
                if count <= 2 && short {
                    self.ambiguous = number == first_year % 100;
                    let next = if number < first_year % 100 { 100 } else { 0 };
                    year += first_year / 100 * 100 + next;
                }
                *if letter == 'y' {
                    &mut fields.year
                } else {
                    &mut fields.week_year
                } = Some((order, year));
            }
            'w' => fields.week = Some((order, number)),
            'W' => fields.week_of_month = Some((order, number)),
            'F' => fields.turn = Some((order, number)),
            'M' | 'L' => fields.month = Some(number),
            'd' => fields.day = Some((order, number)),
            'D' => fields.day_of_year = Some((order, number)),
            // 1 is Monday and 7 is Sunday; numbers that are neither count from Sunday, except in weeks of a week year.
            'u' if (1..=7).contains(&number) => fields.weekday = Some((order, number % 7)),
            'u' => {
                fields.weekday = Some((order, (number - 1).rem_euclid(7)));
                fields.odd_weekday = Some(number);
            }
            'H' => fields.hour_of_day = Some((order, number)),
            'k' => fields.hour_of_day = Some((order, if number == 24 { 0 } else { number })),
            'K' => fields.hour = Some((order, number)),
            'h' => fields.hour = Some((order, if number == 12 { 0 } else { number })),
            'm' => fields.minute = number,
            's' => fields.second = number,
            'S' => fields.ms = number,
            _ => return None,
        }
        Some(())
    }
    /// An integer, up to `end`; what is beyond 32 bits keeps its low ones.
    fn number(&mut self, end: Option<usize>) -> Option<i64> {
        let end = end.unwrap_or(self.text.len());
        let text = self.text.as_bytes().get(self.at..end)?;
        let negative = text.first() == Some(&b'-');
        let digits = &text[usize::from(negative)..];
        let count = digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            return None;
        }
        self.at += usize::from(negative) + count;
        let number = digits[..count].iter().try_fold(0i64, |number, digit| {
            number.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
        });
        Some(match number {
            Some(number) if negative => i64::from(number.wrapping_neg() as i32),
            Some(number) => i64::from(number as i32),
            None if negative => i64::from(i32::MIN),
            None => i64::from(i32::MAX),
        })
    }
    /// The place of the longest of the names that the text goes on with, in any case.
    fn name(&mut self, names: &[&str]) -> Option<usize> {
        let rest = self.rest();
        let starts = |name: &str| {
            rest.get(..name.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(name))
        };
        let found = names.iter().enumerate().filter(|(_, name)| starts(name));
        let (at, name) = found.max_by_key(|(_, name)| name.len())?;
        self.at += name.len();
        Some(at)
    }
    /// The same for names that have a short form of three letters.
    fn named(&mut self, names: &[&str]) -> Option<usize> {
        self.name(names).or_else(|| {
            let short: Vec<&str> = names.iter().map(|name| &name[..SHORT]).collect();
            self.name(&short)
        })
    }
    /// `GMT`, `GMT+1:00`, `UTC`, `+0100`.
    fn zone(&mut self, start: usize) -> Option<()> {
        if self.sign().is_some() {
            return self.offset(2, false);
        }
        if start == self.at && self.name(&["GMT"]).is_some() {
            if self.sign().is_some() {
                return self.offset(0, true);
            }
            self.fields.zone = 0;
            return Some(());
        }
        // As in the reference a name leaves an offset that was read before.
        self.name(&[
            "UTC",
            "UCT",
            "Zulu",
            "Coordinated Universal Time",
            "Greenwich Mean Time",
        ])?;
        Some(())
    }
    /// `Z`, `+01`, `+0100` or `+01:00`, by the count of letters.
    fn iso_zone(&mut self, count: usize) -> Option<()> {
        if self.rest().starts_with('Z') {
            self.at += 1;
            self.fields.zone = 0;
            return Some(());
        }
        self.sign()?;
        self.offset(count, count == 3)
    }
    fn sign(&self) -> Option<i64> {
        match self.rest().bytes().next()? {
            b'+' => Some(1),
            b'-' => Some(-1),
            _ => None,
        }
    }
    /// Hours and, unless `count` is 1, minutes behind a sign. Without a count (0) one digit of hours will do.
    fn offset(&mut self, count: usize, colon: bool) -> Option<()> {
        let sign = self.sign()?;
        let text = self.text.as_bytes().get(self.at + 1..)?;
        let digit = |at: usize| {
            let byte = text.get(at).copied()?;
            byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
        };
        let (mut hours, mut at) = (digit(0)?, 1);
        if let Some(second) = digit(1) {
            (hours, at) = (hours * 10 + second, 2);
        } else if count > 0 || !colon {
            return None;
        }
        let mut minutes = 0;
        if count != 1 {
            if colon {
                if text.get(at) != Some(&b':') {
                    return None;
                }
                at += 1;
            }
            minutes = digit(at)? * 10 + digit(at + 1)?;
            at += 2;
        }
        if hours > 23 || minutes > 59 {
            return None;
        }
        self.fields.zone = sign * (hours * 60 + minutes) * 60_000;
        self.at += 1 + at;
        Some(())
    }
}

impl Fields {
    fn ms_of(&self) -> i64 {
        let clock = ((self.hours() * 60 + self.minute) * 60 + self.second) * 1000 + self.ms;
        (self.date() + clock.div_euclid(DAY_MS))
            .wrapping_mul(DAY_MS)
            .wrapping_add(clock.rem_euclid(DAY_MS))
            .wrapping_sub(self.zone)
    }
    /// The day. Of ways to say it that compete the one that was completed last counts; a week or a turn is complete with a weekday.
    fn date(&self) -> i64 {
        if let Some((order, year)) = self.week_year
            && self.year.is_none_or(|(other, _)| other < order)
        {
            let first = days(year, 1, 0);
            return match self.odd_weekday {
                // It runs over into other weeks, whose days are counted from Monday but start with Sunday.
                Some(odd) => {
                    let week = self.week.map_or(1, |(_, week)| week) + (odd - 1).div_euclid(7);
                    sunday(first) + ((odd - 1).rem_euclid(7) + 1) % 7 + 7 * (week - 1)
                }
                None => self.in_week(first, self.week),
            };
        }
        let year = self.year.map_or(1970, |(_, year)| year);
        let year = if self.before_christ { 1 - year } else { year };
        let first = days(year, self.month.unwrap_or(1), 0);
        let order = |field: Option<(usize, i64)>| field.map(|(order, _)| order);
        let complete = |field| Some(order(field)?.max(order(self.weekday)?));
        let (day, of_year) = (order(self.day), order(self.day_of_year));
        let mut week_of_month = complete(self.week_of_month);
        let mut turn = complete(self.turn);
        let week = complete(self.week);
        let mut best = day.max(week_of_month).max(turn).max(of_year).max(week);
        if best.is_none() {
            week_of_month = order(self.week_of_month);
            turn = order(self.turn).max(order(self.weekday));
            best = week_of_month.max(turn).max(order(self.week));
        }
        if best == day {
            let day = self.day.map_or(1, |(_, day)| day);
            return days(year, self.month.unwrap_or(1), day - 1);
        }
        let before_week = |field| order(field) < order(self.week);
        let by_week = best == week_of_month && !before_week(self.week_of_month);
        if by_week && (week_of_month != turn || order(self.week_of_month) >= order(self.turn)) {
            self.in_week(first, self.week_of_month)
        } else if by_week || (best == turn && !before_week(self.turn)) {
            self.by_turn(first, days(year, self.month.unwrap_or(1) + 1, 0))
        } else if best == of_year {
            days_of_year(year, self.day_of_year.map_or(0, |(_, day)| day - 1))
        } else {
            self.in_week(days(year, 1, 0), self.week)
        }
    }
    /// The weekday, or the Sunday, of a week; week 1 is that of the day `first`.
    fn in_week(&self, first: i64, week: Option<(usize, i64)>) -> i64 {
        let week = week.map_or(1, |(_, week)| week);
        sunday(first) + self.weekday.map_or(0, |(_, weekday)| weekday) + 7 * (week - 1)
    }
    /// The how manieth weekday from the first of a month on, or back from the first of the next one.
    fn by_turn(&self, first: i64, next: i64) -> i64 {
        let wanted = self.weekday.map_or(0, |(_, weekday)| weekday);
        let last = match self.turn.map_or(1, |(_, turn)| turn) {
            turn @ 0.. => first + 7 * turn - 1,
            turn => next + 7 * (turn + 1) - 1,
        };
        last - (weekday(last) - wanted).rem_euclid(7)
    }
    fn hours(&self) -> i64 {
        let half = self.hour.zip(self.afternoon);
        let half = half.map(|((hour, _), (afternoon, _))| hour.max(afternoon));
        match (self.hour_of_day, half) {
            (Some((order, hour)), half) if half.is_none_or(|half| half < order) => hour,
            _ => {
                let afternoon = self.afternoon.is_some_and(|(_, afternoon)| afternoon);
                self.hour.map_or(0, |(_, hour)| hour) + if afternoon { 12 } else { 0 }
            }
        }
    }
}
