//! Which version of a plugin a config means: `connector.plugin.version` and its kin.

use std::{cmp::Ordering, fmt};

/// What a config asks for, as Kafka Connect reads it: nothing or `latest` is the newest there is; `1.2.0` is that one and no other;
/// `[1.0,2.0)`, `(,1.5]`, `[1.2.0]`, and several of these between commas are ranges, of which the newest is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement(Vec<Range>);

/// Versions between two bounds; a bound counts itself in or not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    least: Option<(String, bool)>,
    greatest: Option<(String, bool)>,
}

/// Characters of a requirement (I6).
const LENGTH_MAX: usize = 500;

/// Why a plugin is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// None has that name.
    Name,
    /// There are other versions, newest first.
    Version {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: Vec<&'static str>,
    },
    /// What was asked for is no version.
    Requirement(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("there is no plugin of that name"),
            Self::Version { wanted, there } => write!(
                f,
                "there is no version {wanted:?}, there is {}",
                there.join(", ")
            ),
            Self::Requirement(problem) => write!(f, "it is no version: {problem}"),
        }
    }
}

impl Requirement {
    /// Whatever is newest.
    pub const NEWEST: Self = Self(Vec::new());

    /// Reads one; `Err` says what is wrong with it.
    pub fn read(text: Option<&str>) -> Result<Self, String> {
        let text = text.map_or("", str::trim);
        if text.is_empty() || text == "latest" {
            return Ok(Self::NEWEST);
        }
        if text.len() > LENGTH_MAX {
            return Err(format!("it is longer than {LENGTH_MAX} bytes"));
        }
        if !text.contains(['[', ']', '(', ')']) {
            let exact = Some((text.to_owned(), true));
            let (least, greatest) = (exact.clone(), exact);
            return Ok(Self(vec![Range { least, greatest }]));
        }
        let (mut ranges, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let open = rest.chars().next().filter(|char| ['[', '('].contains(char));
            let end = rest.find([']', ')']);
            let (Some(open), Some(end)) = (open, end) else {
                return Err(format!("{text:?} is no range: write [1.0,2.0) or 1.2.0"));
            };
            let closed = rest[end..].starts_with(']');
            ranges.push(Range::read(&rest[1..end], open == '[', closed)?);
            rest = rest[end + 1..].trim_start();
            if let Some(more) = rest.strip_prefix(',') {
                rest = more.trim_start();
                if rest.is_empty() {
                    return Err(format!("{text:?} ends with a comma"));
                }
            } else if !rest.is_empty() {
                return Err(format!("a comma is missing before {rest:?}"));
            }
        }
        Ok(Self(ranges))
    }
    /// Whether a version is meant.
    pub fn allows(&self, version: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|range| range.holds(version))
    }
}

impl Range {
    fn read(inside: &str, low: bool, high: bool) -> Result<Self, String> {
        let bound = |text: &str, included: bool| {
            let text = text.trim();
            (!text.is_empty()).then(|| (text.to_owned(), included))
        };
        let range = match inside.split_once(',') {
            Some((least, greatest)) => Self {
                least: bound(least, low),
                greatest: bound(greatest, high),
            },
            None if low && high && !inside.trim().is_empty() => Self {
                least: bound(inside, true),
                greatest: bound(inside, true),
            },
            None => {
                return Err(format!(
                    "a single version must stand in [ and ], got {inside:?}"
                ));
            }
        };
        if let (Some((least, _)), Some((greatest, _))) = (&range.least, &range.greatest)
            && (greatest.contains(',') || order(least, greatest) == Ordering::Greater)
        {
            return Err(format!(
                "{inside:?} is no range: the lower version stands first"
            ));
        }
        Ok(range)
    }
    fn holds(&self, version: &str) -> bool {
        let above = self.least.as_ref().is_none_or(|(least, included)| {
            let order = order(version, least);
            order == Ordering::Greater || *included && order == Ordering::Equal
        });
        let below = self.greatest.as_ref().is_none_or(|(greatest, included)| {
            let order = order(version, greatest);
            order == Ordering::Less || *included && order == Ordering::Equal
        });
        above && below
    }
}

/// Semantic versions in their order: numbers by value, a pre-release before its release, build metadata aside. What is no semantic version has
/// an order, too.
pub fn order(a: &str, b: &str) -> Ordering {
    let ((a, a_pre), (b, b_pre)) = (parts(a), parts(b));
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let (left, right) = (a.next(), b.next());
        if left.is_none() && right.is_none() {
            break;
        }
        // 1.2 is 1.2.0.
        let order = identifiers(left.unwrap_or("0"), right.unwrap_or("0"));
        if order != Ordering::Equal {
            return order;
        }
    }
    match (a_pre, b_pre) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => {
            let (mut a, mut b) = (a.split('.'), b.split('.'));
            loop {
                return match (a.next(), b.next()) {
                    (None, None) => Ordering::Equal,
                    (None, Some(_)) => Ordering::Less,
                    (Some(_), None) => Ordering::Greater,
                    (Some(a), Some(b)) => match identifiers(a, b) {
                        Ordering::Equal => continue,
                        order => order,
                    },
                };
            }
        }
    }
}

fn parts(version: &str) -> (&str, Option<&str>) {
    let version = version.split_once('+').map_or(version, |(core, _)| core);
    match version.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (version, None),
    }
}

fn identifiers(a: &str, b: &str) -> Ordering {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.trim_start_matches('0').to_owned())
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.len().cmp(&b.len()).then(a.cmp(&b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_semantic_versions() {
        let rising = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2",
            "1.10.0",
            "2",
            "10.0.0",
            "99999999999999999999999.0.0",
        ];
        for (at, a) in rising.iter().enumerate() {
            for (other, b) in rising.iter().enumerate() {
                assert_eq!(order(a, b), at.cmp(&other), "{a} {b}");
            }
        }
        for (a, b) in [("1.0", "1.0.0"), ("1.0.0+a", "1.0.0+b"), ("01.0", "1.00")] {
            assert_eq!(order(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    #[test]
    fn a_requirement_allows_what_kafka_connect_would_take() {
        for (text, yes, no) in [
            ("", "1.0.0 0.0.1-x", ""),
            ("latest", "1.0.0", ""),
            (" 1.2.0 ", "1.2.0 1.2", "1.2.1 1.2.0-rc.1"),
            ("[1.2.0]", "1.2.0", "1.2.1"),
            ("[1.0,2.0)", "1.0.0 1.9.9 2.0.0-rc.1", "2.0.0 0.9.0"),
            ("(1.0,2.0]", "1.0.1 2.0.0", "1.0.0 2.0.1"),
            ("[1.5,)", "1.5 99", "1.4.9"),
            ("(,1.5]", "0.1 1.5", "1.5.1"),
            ("(,1.0],[1.2,)", "0.9 1.0 1.2 3", "1.1"),
        ] {
            let requirement = Requirement::read(Some(text)).expect(text);
            for version in yes.split_whitespace() {
                assert!(requirement.allows(version), "{text} {version}");
            }
            for version in no.split_whitespace() {
                assert!(!requirement.allows(version), "{text} {version}");
            }
        }
        assert_eq!(Requirement::read(None), Ok(Requirement::NEWEST));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        let long = "1".repeat(501);
        for text in [
            "[",
            "]",
            "[1.0",
            "1.0]",
            "(1.0)",
            "[]",
            "[2.0,1.0]",
            "[1.0,2.0",
            "[1,2,3]",
            "[1.0] [2.0]",
            "[1.0],",
            "[1.0]x",
            "x[1.0]",
            &long,
        ] {
            let problem = Requirement::read(Some(text)).expect_err(text);
            assert!(!problem.is_empty());
        }
    }
}
