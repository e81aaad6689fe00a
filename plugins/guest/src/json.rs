//! Places in JSON text: what a plugin changes is found without building a document, what it leaves is copied as it stands.
//!
//! ```
//! use longshore_guest::json::Fields;
//!
//! # fn main() -> longshore_guest::Result<()> {
//! let mut fields = Fields::new(["ssn", "user.email"]);
//! let text = br#"{"ssn": 12, "user": {"email": "a@b.org"}, "email": "kept"}"#;
//! let mut places = Vec::new();
//! fields.find(text, &mut places)?;
//! let found: Vec<_> = places.into_iter().map(|place| &text[place]).collect();
//! assert_eq!(found, [&b"12"[..], b"\"a@b.org\""]);
//! # Ok(())
//! # }
//! ```
//!
//! With [`crate::Edit::splice_value`], nothing is allocated for a record.

mod scan;
mod search;
mod unescape;

use crate::{Error, Result};
use scan::Scan;
use search::Needle;
use std::ops::Range;
pub use unescape::unescaped;

/// How deep arrays and objects may stand in one another.
pub const DEPTH_MAX: usize = 128;

/// So many names are searched for one by one; more are found by reading the text.
const SEARCHED_MAX: usize = 4;

/// Finds the values of members by name, wherever they stand in a document.
#[derive(Debug)]
pub struct Fields {
    /// Each as the names from its end.
    paths: Vec<Vec<String>>,
    /// The last name of each path; none when searching does not pay, or a name cannot be told from what stands between strings.
    needles: Vec<Needle>,
    /// The names of the members that the scanner stands in, as places of the text.
    open: Vec<Range<usize>>,
}

impl Fields {
    /// Each field is a name (`ssn`, at any depth) or the end of a path (`user.email`).
    pub fn new<F: AsRef<str>>(fields: impl IntoIterator<Item = F>) -> Self {
        let names = |field: F| field.as_ref().rsplit('.').map(str::to_owned).collect();
        let paths: Vec<Vec<String>> = fields.into_iter().map(names).collect();
        let needles: Option<Vec<Needle>> = paths
            .iter()
            .map(|path| path.first().and_then(|name| Needle::new(name)))
            .collect();
        let needles = needles.filter(|needles| needles.len() <= SEARCHED_MAX);
        Self {
            paths,
            needles: needles.unwrap_or_default(),
            open: Vec::new(),
        }
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
    /// Puts the places of their values into `places`, which is emptied first: in the order of the text, and none within another, since nothing
    /// is looked for in a value that was found. A name that occurs again is found again; escapes in names are understood.
    ///
    /// `text` is JSON as the host gives it in a column of [`crate::Format::Json`]: checked. So it is read only as far as needed; errors of
    /// kind data where that is no JSON, or deeper than [`DEPTH_MAX`].
    pub fn find(&mut self, text: &[u8], places: &mut Vec<Range<usize>>) -> Result<()> {
        places.clear();
        if !self.searched(text, places) {
            places.clear();
            Scan::new(text, &self.paths, &mut self.open, places).document()?;
        }
        Ok(())
    }
    /// The same by searching for the names; false = the text has to be read.
    fn searched(&self, text: &[u8], places: &mut Vec<Range<usize>>) -> bool {
        let ([b'{', .., b'}'] | [b'[', .., b']']) = text else {
            return false;
        };
        let found = self
            .needles
            .iter()
            .all(|needle| needle.search(text, places));
        if self.needles.is_empty() || !found {
            return false;
        }
        if places.is_empty() {
            return true;
        }
        // What a path's earlier names are only the scanner tells.
        if self.paths.iter().any(|path| path.len() > 1) {
            return false;
        }
        if places.len() > 1 {
            places.sort_unstable_by_key(|place| place.start);
            let mut end = 0;
            places.retain(|place| {
                let outside = place.start >= end;
                if outside {
                    end = place.end;
                }
                outside
            });
        }
        true
    }
}

/// The error of a text that is no JSON.
fn no_json() -> Error {
    Error::data("the value is no JSON, or deeper than 128 levels: use a converter that makes JSON")
}

#[cfg(test)]
mod tests;
