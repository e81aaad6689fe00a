//! Polls a JSON HTTP API, page by page or by cursor, and goes on exactly after the last record.

mod page;
mod pointer;
mod position;
mod settings;

use longshore_guest::prelude::*;
use page::Page;
use position::Position;
use serde_json::value::RawValue;
use settings::{Mode, Settings};

struct HttpSource {
    settings: Settings,
    lane: Lane,
    /// Where reading stands: what lies before it was given out.
    at: Position,
    /// The page that `at` points into, while it has records left.
    page: Option<Page>,
}

impl Source for HttpSource {
    type Config = Settings;
    type Position = Position;
    const INFO: Info = Info::new(
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_DESCRIPTION"),
    )
    .vendor("Longshore");

    fn check(settings: &Settings) -> Result<Vec<Problem>> {
        Ok(settings.problems())
    }
    fn promise(_: &Settings) -> Guarantee {
        Guarantee::exactly_once(
            "the position in the page is stored with the record; the API must not change or reorder what it has shown",
        )
    }
    fn start(settings: Settings, stored: Positions<Position>) -> Result<Self> {
        if let Some(problem) = settings.problems().into_iter().next() {
            return Err(problem.into());
        }
        let lane = Lane::of("url", &settings.url);
        let size = settings.page_size;
        let at = match (stored.of(&lane), settings.mode) {
            (Some(position), Mode::Page) if position.page.is_some() => {
                same_size(position.size, size)?;
                Position {
                    size: Some(size),
                    ..position.clone().looked_into(&settings.pointers())
                }
            }
            (Some(position), Mode::Cursor) if position.page.is_none() => {
                position.clone().looked_into(&settings.pointers())
            }
            (Some(_), _) => {
                return Err(Error::config(
                    "the stored offset is one of the other mode: set mode back, or reset the connector's offsets",
                ));
            }
            (None, Mode::Page) => Position::page(settings.page_start, size),
            (None, Mode::Cursor) => Position::cursor(None),
        };
        Ok(Self {
            settings,
            lane,
            at,
            page: None,
        })
    }
    fn poll(&mut self, _max_wait: Duration, batch: &mut Batch<Position>) -> Result<Next> {
        let page = match self.page.take() {
            Some(page) => page,
            None => match self.fetch()? {
                Some(page) => page,
                None => return Ok(self.idle()),
            },
        };
        // Nothing below asks the server: what was taken from `self` is put back, or given out.
        let mut at = self.at.clone();
        let records = page.records();
        while let Some(record) = records.get(at.index) {
            if batch.is_full() {
                self.at = at;
                self.page = Some(page);
                return Ok(Next::More);
            }
            at.index += 1;
            if at.index == records.len() {
                at = page.behind(&at, &self.settings);
                self.emit(record, &at, batch)?;
                break;
            }
            self.emit(record, &at, batch)?;
        }
        if records.len() < self.at.index {
            log::warn(
                "the page has fewer records than were read from it",
                &[("records", &records.len()), ("read", &self.at.index)],
            );
        }
        // A page without anything new may lead on, too; but not at once: a server may make up a cursor for every answer.
        if records.len() <= self.at.index {
            let behind = page.behind(&at, &self.settings);
            if behind != self.at {
                // Stored although there is no record: a restart neither asks for what is known to be empty nor loses the ETag.
                batch.advance(&self.lane, &behind)?;
                self.at = behind;
            }
            return Ok(self.idle());
        }
        let more = at.index == 0;
        self.at = at;
        Ok(if more { Next::More } else { self.idle() })
    }
}

impl HttpSource {
    /// The page that the position points into; `None` = the server says that it has not changed.
    fn fetch(&self) -> Result<Option<Page>> {
        let mut request = self.settings.request();
        if let Some(number) = self.at.page {
            request = request.query(&self.settings.page_param, &number.to_string());
            if !self.settings.page_size_param.is_empty() {
                let size = self.settings.page_size.to_string();
                request = request.query(&self.settings.page_size_param, &size);
            }
        }
        if let Some(cursor) = &self.at.cursor {
            request = request.query(&self.settings.cursor_param, cursor);
        }
        if let Some(etag) = &self.at.etag {
            request = request.header("If-None-Match", etag);
        }
        let response = request.send()?;
        if response.status == 304 {
            return Ok(None);
        }
        Page::read(&response.ok()?, &self.settings).map(Some)
    }
    fn emit(
        &self,
        record: &RawValue,
        position: &Position,
        batch: &mut Batch<Position>,
    ) -> Result<()> {
        let row = batch.record(&self.settings.topic).value(record.get());
        let pointer = &self.settings.key_pointer;
        let key = (!pointer.is_empty())
            .then(|| pointer::find(record.get(), pointer))
            .flatten()
            .and_then(pointer::plain);
        let row = match key {
            Some(key) => row.key(key),
            None => row,
        };
        row.emit(&self.lane, position)
    }
    fn idle(&self) -> Next {
        Next::After(Duration::from_millis(self.settings.interval.into()))
    }
}

/// Pages of another size hold other records under the same numbers.
fn same_size(stored: Option<u32>, size: u32) -> Result<()> {
    match stored {
        Some(stored) if stored != size => Err(Error::config(format!(
            "page.size: the stored offset counts pages of {stored} records, not of {size}: set page.size back, or reset the connector's offsets"
        ))),
        _ => Ok(()),
    }
}

longshore_guest::export_source!(HttpSource);

#[cfg(test)]
mod tests;
