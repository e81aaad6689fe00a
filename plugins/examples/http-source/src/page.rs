//! One answer of the API.

use crate::pointer::{find, plain, shape};
use crate::position::Position;
use crate::settings::{Mode, Settings};
use longshore_guest::{Error, Result, http};
use serde_json::value::RawValue;

/// The records of an answer, and what it says about the next one.
pub(crate) struct Page {
    records: Vec<Box<RawValue>>,
    next: Option<String>,
    etag: Option<String>,
}

impl Page {
    /// Reads an answer. Errors of kind config: there is no list where the config says; of kind transient: it is no JSON, as when
    /// something on the way answers.
    pub(crate) fn read(response: &http::Response, settings: &Settings) -> Result<Self> {
        let text = std::str::from_utf8(&response.body).unwrap_or_default();
        serde_json::from_str::<&RawValue>(text).map_err(|error| {
            Error::transient(format!("the answer is no JSON: {error}"))
                .with("status", response.status)
        })?;
        let pointer = &settings.records_pointer;
        let list = find(text, pointer);
        let records = list
            .filter(|list| list.get().starts_with('['))
            .and_then(|list| serde_json::from_str(list.get()).ok());
        let Some(records) = records else {
            let found = list.map_or("nothing", shape);
            return Err(Error::config(format!(
                "records.pointer: expected a list at `{pointer}` of the answer, found {found}"
            )));
        };
        let pointer = &settings.cursor_pointer;
        let next = (settings.mode == Mode::Cursor && !pointer.is_empty())
            .then(|| find(text, pointer))
            .flatten();
        if let Some(next) = next
            && next.get().starts_with(['[', '{', 't', 'f'])
        {
            return Err(Error::config(format!(
                "cursor.pointer: expected a string or a number at `{pointer}` of the answer, found {}",
                shape(next)
            )));
        }
        Ok(Self {
            records,
            next: next.and_then(plain).filter(|next| !next.is_empty()),
            etag: response.header("ETag").map(str::to_owned),
        })
    }
    pub(crate) fn records(&self) -> &[Box<RawValue>] {
        &self.records
    }
    /// The position once all records of this page lie behind `at`: the next page, or this one, to be asked for again.
    pub(crate) fn behind(&self, at: &Position, settings: &Settings) -> Position {
        if let Some(number) = at.page {
            if at.index >= settings.page_size as usize {
                return Position::page(number.saturating_add(1), settings.page_size);
            }
        } else if let Some(next) = &self.next
            && self.next != at.cursor
        {
            return Position::cursor(Some(next.clone()));
        }
        at.read(self.etag.as_deref(), settings.pointers())
    }
}
