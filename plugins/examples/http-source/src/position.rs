//! Where reading goes on.

use longshore_guest::prelude::*;

/// The page that comes next, or that is being read, and how many of its records were taken.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    /// In mode page: the page's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) page: Option<u32>,
    /// In mode page: how many records a full page had, without which the number says nothing. Positions of older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u32>,
    /// In mode cursor: what the page is asked for by; none is the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
    /// How many records of the page lie behind.
    pub(crate) index: usize,
    /// What the server called the page's content, once all of it lies behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    /// Where the content was looked into, without which the ETag says nothing: what another pointer finds may be new. Positions of older
    /// versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pointers: Option<String>,
}

impl Position {
    /// The beginning of the page with this number, where a full page has `size` records.
    pub(crate) fn page(number: u32, size: u32) -> Self {
        Self {
            page: Some(number),
            size: Some(size),
            ..Self::default()
        }
    }
    /// The beginning of the page that a cursor asks for.
    pub(crate) fn cursor(cursor: Option<String>) -> Self {
        Self {
            cursor,
            ..Self::default()
        }
    }
    /// The same, once all of the page lies behind.
    pub(crate) fn read(&self, etag: Option<&str>, pointers: String) -> Self {
        Self {
            etag: etag.map(str::to_owned),
            pointers: etag.map(|_| pointers),
            ..self.clone()
        }
    }
    /// As it was stored, for a task that looks into pages by `pointers`.
    pub(crate) fn looked_into(mut self, pointers: &str) -> Self {
        if self.pointers.as_deref() != Some(pointers) {
            (self.etag, self.pointers) = (None, None);
        }
        self
    }
}
