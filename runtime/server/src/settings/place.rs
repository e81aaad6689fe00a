//! Where in a file something stands.

use longshore_sdk::config::Finding;
use std::{fmt, sync::Arc};

/// A place in a file. Lines and columns count from 1, columns in characters; line 0 is the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file's path as it was given.
    pub(crate) file: Arc<str>,
    /// The line.
    pub(crate) line: usize,
    /// The column.
    pub(crate) column: usize,
}

impl Place {
    /// A file as a whole.
    pub(crate) fn whole(file: &Arc<str>) -> Self {
        Self::at(file, 0, 0)
    }
    /// A line and column of a file.
    pub(crate) fn at(file: &Arc<str>, line: usize, column: usize) -> Self {
        Self {
            file: Arc::clone(file),
            line,
            column,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(&self.file)
        } else {
            write!(f, "{}:{}:{}", self.file, self.line, self.column)
        }
    }
}

/// A finding and where it is to be mended: `file:line:column: key: problem (suggestion)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// Where.
    pub(crate) place: Place,
    /// What.
    pub(crate) finding: Finding,
}

impl Located {
    /// A finding at a place.
    pub(crate) fn new(place: Place, finding: Finding) -> Self {
        Self { place, finding }
    }
    /// A problem that belongs to no key.
    pub(crate) fn text(place: Place, problem: impl Into<String>) -> Self {
        Self::new(place, Finding::new("", problem))
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.finding)
    }
}
