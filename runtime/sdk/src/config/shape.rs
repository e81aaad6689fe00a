//! What a key's text must look like.

use super::{Finding, nearest::by_distance};
use std::fmt::{self, Write};

/// What a value's text must look like to be read into its field.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Any text; its length in characters.
    Text {
        /// At least as many.
        min: usize,
        /// At most as many.
        max: usize,
    },
    /// One of these names, in any case.
    Choice(Vec<String>),
    /// A whole number, bounds included.
    Int {
        /// The least.
        min: i128,
        /// The greatest.
        max: i128,
    },
    /// A finite number, bounds included.
    Float {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// `true` or `false`, in any case.
    Bool,
    /// Items between commas.
    List {
        /// The items' shape.
        item: Box<Shape>,
        /// At least as many.
        min: usize,
        /// At most as many.
        max: usize,
    },
    /// Something the schema does not tell; the field's own code judges it.
    Any,
}

impl Shape {
    /// Any text.
    pub const TEXT: Self = Self::Text {
        min: 0,
        max: usize::MAX,
    };

    /// Whether a value is of the type, be it allowed or not; one with a placeholder is.
    pub(super) fn reads(&self, value: &str) -> bool {
        let value = trimmed(value);
        holds_placeholder(value)
            || match self {
                Self::Bool => boolean(value).is_some(),
                Self::Int { .. } => value.parse::<i128>().is_ok(),
                Self::Float { .. } => number(value).is_some(),
                Self::List { item, .. } => items(value).all(|part| item.reads(part)),
                Self::Text { .. } | Self::Choice(_) | Self::Any => true,
            }
    }
    /// Checks a value; `secret` keeps it out of the finding (I8).
    pub(super) fn check(&self, key: &str, value: &str, secret: bool) -> Result<(), Finding> {
        let value = trimmed(value);
        let shown = Shown { value, secret };
        match self {
            Self::Any => Ok(()),
            Self::Text { min, max } => within(value.chars().count(), *min, *max, "character")
                .map_err(|expected| Finding::new(key, format!("expected {expected}, got {shown}"))),
            Self::Bool if boolean(value).is_some() => Ok(()),
            Self::Bool => Err(Finding::new(
                key,
                format!("expected true or false, got {shown}"),
            )),
            Self::Choice(names) => choose(value, names).map(drop).ok_or_else(|| {
                let listed = if secret {
                    names.clone()
                } else {
                    by_distance(value, names)
                };
                Finding::new(key, format!("expected one of its names, got {shown}"))
                    .suggest(format!("use {}", listed.join(", ")))
            }),
            Self::Int { min, max } => match value.parse::<i128>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok(()),
                Ok(_) => Err(out_of_range(key, &shown, min, max)),
                Err(_) => Err(Finding::new(
                    key,
                    format!("expected an integer, got {shown}"),
                )),
            },
            Self::Float { min, max } => match number(value) {
                Some(number) if (*min..=*max).contains(&number) => Ok(()),
                Some(_) => Err(out_of_range(key, &shown, min, max)),
                None => Err(Finding::new(key, format!("expected a number, got {shown}"))),
            },
            Self::List { item, min, max } => {
                for part in items(value) {
                    item.check(key, part, secret)?;
                }
                within(items(value).count(), *min, *max, "item").map_err(|expected| {
                    Finding::new(key, format!("expected {expected}, got {shown}"))
                })
            }
        }
    }
}

/// A value as findings show it: its shape, and itself unless it is secret.
struct Shown<'a> {
    value: &'a str,
    secret: bool,
}

/// Characters of a value that a finding quotes.
const QUOTED_MAX: usize = 60;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chars = self.value.chars().count();
        match chars {
            0 => return f.write_str("an empty string"),
            1 => f.write_str("a string of 1 character")?,
            _ => write!(f, "a string of {chars} characters")?,
        }
        if self.secret {
            return Ok(());
        }
        f.write_str(": ")?;
        for char in self.value.chars().take(QUOTED_MAX) {
            if char.is_control() {
                write!(f, "{}", char.escape_default())?;
            } else {
                f.write_char(char)?;
            }
        }
        f.write_str(if chars > QUOTED_MAX { ".." } else { "" })
    }
}

fn out_of_range(
    key: &str,
    shown: &Shown<'_>,
    min: &impl fmt::Display,
    max: &impl fmt::Display,
) -> Finding {
    let problem = format!("out of range: expected {min} to {max}, got {shown}");
    Finding::new(key, problem)
}

fn within(count: usize, min: usize, max: usize, unit: &str) -> Result<(), String> {
    let plural = |count| if count == 1 { "" } else { "s" };
    if count < min {
        Err(format!("at least {min} {unit}{}", plural(min)))
    } else if count > max {
        Err(format!("at most {max} {unit}{}", plural(max)))
    } else {
        Ok(())
    }
}

/// A value without the blanks and control characters around it: Kafka's ConfigDef trims every value so.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|char| char <= ' ')
}

/// Items between commas, trimmed; empty ones have no meaning and are left out.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(trimmed).filter(|item| !item.is_empty())
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The declared name that a text stands for: itself, else the first that differs in case only.
pub(super) fn choose<'a, N: AsRef<str>>(text: &str, names: &'a [N]) -> Option<&'a N> {
    let exact = names.iter().find(|name| name.as_ref() == text);
    exact.or_else(|| {
        names
            .iter()
            .find(|name| name.as_ref().eq_ignore_ascii_case(text))
    })
}

/// Whether a value holds a placeholder of a config provider, `${provider:path}` or `${provider:path:key}`: then its text is not known
/// before the task starts. `${topic}` and the like are not placeholders.
pub fn holds_placeholder(text: &str) -> bool {
    text.split("${").skip(1).any(|rest| {
        rest.split_once('}')
            .and_then(|(inside, _)| inside.split_once(':'))
            .is_some_and(|(provider, path)| !provider.is_empty() && !path.is_empty())
    })
}
