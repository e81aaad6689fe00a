//! What a guest answers, checked before it is believed.

use super::{alike, present::only_json};
use crate::bindings::host::longshore::connector::types::{Column, Format};
use bytes::Bytes;
use longshore_sdk::{Datum, Header, Headers, Topic, json::is_value};

/// A column that does not keep the ABI's promises: the plugin is broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// The column or list.
    pub(crate) column: &'static str,
    /// What is wrong, without any data.
    pub(crate) problem: String,
}

impl Rejected {
    pub(crate) fn new(column: &'static str, problem: impl Into<String>) -> Self {
        Self {
            column,
            problem: problem.into(),
        }
    }
}

/// A column that was checked: rows are slices of one buffer.
pub(crate) struct Taken {
    format: Format,
    data: Bytes,
    ends: Vec<u32>,
    nulls: Vec<u8>,
    count: usize,
}

/// Checks a column of `count` rows and takes its bytes over.
pub(crate) fn take_column(
    name: &'static str,
    column: Column,
    count: usize,
) -> Result<Taken, Rejected> {
    take_changed(name, column, count, None)
}

/// The same for a column that the guest made of one that it was `given`: where little changed, little is checked.
pub(crate) fn take_changed(
    name: &'static str,
    column: Column,
    count: usize,
    given: Option<&Column>,
) -> Result<Taken, Rejected> {
    let Column {
        format,
        data,
        ends,
        nulls,
    } = column;
    if ends.is_empty() && data.is_empty() && nulls.is_empty() {
        return Ok(Taken {
            format,
            data: Bytes::new(),
            ends,
            nulls,
            count,
        });
    }
    check_ends(name, &ends, count, data.len())?;
    if !nulls.is_empty() && nulls.len() != count {
        let problem = format!("{} null marks for {count} rows", nulls.len());
        return Err(Rejected::new(name, problem));
    }
    if nulls.iter().any(|mark| *mark > 1) {
        return Err(Rejected::new(name, "a null mark is neither 0 nor 1"));
    }
    let taken = Taken {
        format,
        data: Bytes::from(data),
        ends,
        nulls,
        count,
    };
    match format {
        Format::Bytes => {}
        Format::Text => taken.check_text(name)?,
        Format::Json => {
            let given = given.filter(|given| given.format == Format::Json);
            taken.check_json(name, given)?;
        }
    }
    Ok(taken)
}

fn check_ends(
    name: &'static str,
    ends: &[u32],
    count: usize,
    length: usize,
) -> Result<(), Rejected> {
    if ends.len() != count {
        let problem = format!("{} ends for {count} rows", ends.len());
        return Err(Rejected::new(name, problem));
    }
    if ends.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err(Rejected::new(name, "its ends fall"));
    }
    let last = ends.last().map_or(0, |end| *end as usize);
    if last != length {
        let problem = format!("its ends stop at {last}, but it has {length} bytes or entries");
        return Err(Rejected::new(name, problem));
    }
    Ok(())
}

/// Where a row stands; `None` where it is null.
fn place(ends: &[u32], nulls: &[u8], row: usize) -> Option<std::ops::Range<usize>> {
    if nulls.get(row) == Some(&1) {
        return None;
    }
    let end = *ends.get(row)? as usize;
    let start = row.checked_sub(1).map_or(0, |before| ends[before] as usize);
    Some(start..end)
}

impl Taken {
    /// What it takes of the worker's memory.
    pub(crate) fn bytes_held(&self) -> usize {
        self.data.len() + size_of_val(self.ends.as_slice()) + self.nulls.len()
    }
    fn range(&self, row: usize) -> Option<std::ops::Range<usize>> {
        place(&self.ends, &self.nulls, row)
    }
    /// The bytes of a row; `None` where it is null.
    pub(crate) fn bytes(&self, row: usize) -> Option<Bytes> {
        self.range(row).map(|range| self.data.slice(range))
    }
    /// The row as data.
    pub(crate) fn datum(&self, row: usize) -> Datum {
        match (self.bytes(row), self.format) {
            (None, _) => Datum::Null,
            (Some(bytes), Format::Bytes) => Datum::Bytes(bytes),
            (Some(bytes), Format::Text) => Datum::Text(bytes),
            (Some(bytes), Format::Json) => Datum::Json(bytes),
        }
    }
    /// One pass over all rows: each is text if the whole is, and no row ends within a character.
    fn check_text(&self, name: &'static str) -> Result<(), Rejected> {
        let whole = std::str::from_utf8(&self.data).ok();
        let within = whole.is_some_and(|text| {
            self.ends
                .iter()
                .all(|end| text.is_char_boundary(*end as usize))
        });
        if within {
            return Ok(());
        }
        let bad = (0..self.count).find(|row| {
            self.range(*row)
                .is_some_and(|range| std::str::from_utf8(&self.data[range]).is_err())
        });
        match bad {
            Some(row) => Err(Rejected::new(
                name,
                format!("row {row} is said to be text, but is no UTF-8"),
            )),
            // Only null rows hold such bytes, and nobody reads those.
            None => Ok(()),
        }
    }
    /// What the guest was given is JSON; so is what hardly differs from it.
    fn check_json(&self, name: &'static str, given: Option<&Column>) -> Result<(), Rejected> {
        // One pass says that all of it is text.
        let whole = std::str::from_utf8(&self.data).ok();
        for row in 0..self.count {
            let Some(range) = self.range(row) else {
                continue;
            };
            let text = whole.and_then(|whole| whole.get(range.clone()));
            let old = given.and_then(|given| {
                let place = place(&given.ends, &given.nulls, row)?;
                given.data.get(place)
            });
            let good = |text: &str| {
                old.is_some_and(|old| alike(old, text.as_bytes()))
                    || (text != "null" && is_value(text))
            };
            if text.is_some_and(good) {
                continue;
            }
            let text = &self.data[range];
            let problem = match only_json(text) {
                Some(b"null") => "is the JSON value null: mark the row as null instead",
                Some(value) if value.len() == text.len() => continue,
                Some(_) => "is JSON with white space around it",
                None => "is said to be JSON, but is not one JSON value",
            };
            return Err(Rejected::new(name, format!("row {row} {problem}")));
        }
        Ok(())
    }
}

/// Checks one value that stands alone.
pub(crate) fn take_value(
    name: &'static str,
    value: Vec<u8>,
    format: Format,
) -> Result<Datum, Rejected> {
    let end =
        u32::try_from(value.len()).map_err(|_| Rejected::new(name, "a value is too large"))?;
    let column = Column {
        format,
        data: value,
        ends: vec![end],
        nulls: Vec::new(),
    };
    Ok(take_column(name, column, 1)?.datum(0))
}

/// Whether `text` is one JSON object.
pub(crate) fn json_object(text: &[u8]) -> bool {
    only_json(text).is_some_and(|value| value.len() == text.len() && value.first() == Some(&b'{'))
}

/// Checks the topics of a batch or an edit, and the numbers that name them.
pub(crate) fn take_topics(
    topics: Vec<String>,
    topic: &[u32],
    count: usize,
    needed: bool,
) -> Result<Vec<Topic>, Rejected> {
    if !topic.is_empty() && topic.len() != count {
        let problem = format!("{} numbers for {count} rows", topic.len());
        return Err(Rejected::new("topic", problem));
    }
    if let Some(number) = topic
        .iter()
        .find(|number| **number as usize >= topics.len())
    {
        let problem = format!("there is no topic {number} among {}", topics.len());
        return Err(Rejected::new("topic", problem));
    }
    if needed && count > 0 && topics.is_empty() {
        return Err(Rejected::new("topics", "it is empty, but there are rows"));
    }
    let legal = |name: &String| {
        (1..=249).contains(&name.len())
            && !matches!(name.as_str(), "." | "..")
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    if let Some(place) = topics.iter().position(|name| !legal(name)) {
        let problem = format!("name {place} is no topic's: letters, digits, . _ -, 249 at most");
        return Err(Rejected::new("topics", problem));
    }
    Ok(topics.into_iter().map(Topic::from).collect())
}

/// Headers of one record, and of all records of a batch: a header costs the host more memory than the guest.
const ROW_HEADERS_MAX: usize = 1_000;
const HEADERS_MAX: usize = 200_000;

/// The headers of a batch, checked.
pub(crate) struct TakenHeaders {
    ends: Vec<u32>,
    names: Vec<Topic>,
    name: Vec<u32>,
    value: Taken,
}

/// Checks the headers of a batch of `count` rows.
pub(crate) fn take_headers(
    ends: Vec<u32>,
    names: Vec<String>,
    name: Vec<u32>,
    value: Column,
    count: usize,
) -> Result<TakenHeaders, Rejected> {
    if ends.is_empty() {
        if !name.is_empty() {
            return Err(Rejected::new(
                "header-ends",
                "it is empty, but there are headers",
            ));
        }
    } else {
        check_ends("header-ends", &ends, count, name.len())?;
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let most = ends
        .iter()
        .zip(starts)
        .map(|(end, start)| end - start)
        .max();
    if name.len() > HEADERS_MAX || most.is_some_and(|most| most as usize > ROW_HEADERS_MAX) {
        let problem = format!(
            "{} headers, at most {} in a row; {HEADERS_MAX} and {ROW_HEADERS_MAX} are allowed",
            name.len(),
            most.unwrap_or(0)
        );
        return Err(Rejected::new("header-name", problem));
    }
    if let Some(number) = name.iter().find(|number| **number as usize >= names.len()) {
        let problem = format!("there is no name {number} among {}", names.len());
        return Err(Rejected::new("header-name", problem));
    }
    let value = take_column("header-value", value, name.len())?;
    Ok(TakenHeaders {
        ends,
        names: names.into_iter().map(Topic::from).collect(),
        name,
        value,
    })
}

impl TakenHeaders {
    /// The headers of a row; none cost nothing.
    pub(crate) fn row(&self, row: usize) -> Headers {
        let Some(end) = self.ends.get(row) else {
            return Headers::new();
        };
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        let places = start as usize..*end as usize;
        places
            .map(|place| Header {
                key: self.names[self.name[place] as usize].clone(),
                value: self.value.datum(place),
            })
            .collect()
    }
}
