//! Rows on their way: one statement that is being answered.

use super::{
    config::Mode,
    decode::Instant as When,
    lane::Lane,
    offset::{PAST, Position},
};
use crate::client::{Failure, Session};
use futures::{FutureExt, TryStreamExt};
use longshore_sdk::{Datum, Error, Offset, Record, Result, Schema, SourceRecord, Value};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio_postgres::{Row, RowStream, types::FromSql};

/// No batch is larger (I6), whatever `batch.max.rows` says.
pub(super) const BATCH_ROWS_MAX: usize = 5000;
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Rows that one statement reads: large enough that the statement costs nothing, small enough that the server's snapshot stays young.
pub(super) const PAGE_ROWS: u64 = 50_000;
/// How long a batch that has rows waits for the server's next.
const LINGER: Duration = Duration::from_millis(20);

/// A statement that is being answered.
pub(super) struct Page {
    stream: Pin<Box<RowStream>>,
    mode: Mode,
    /// Rows that the server sent so far.
    pub(super) rows: u64,
    checked: bool,
    /// The last row: whether all rows of its place are delivered behind it is not known before the next one comes.
    held: Option<Held>,
    /// Up to where everything is handed out.
    done: Position,
    /// No more rows come of this statement.
    pub(super) ended: bool,
    /// Why it ended before its end: told once the records before are handed out. Then it is sent again from where the lane stands, which may
    /// be before some of them: untold, an error amid rows of one place would repeat them for ever.
    failed: Option<Error>,
}

/// A row's value with its schema, or why there is none.
type Decoded = Result<(Value, Arc<Schema>)>;

struct Held {
    place: Position,
    value: Value,
    schema: Arc<Schema>,
}

impl Page {
    /// Sends the statement; the rows come by [`Page::fill`].
    pub(super) async fn open(
        session: &Session,
        lane: &Lane,
        mode: Mode,
        sql: &str,
    ) -> Result<Self> {
        let none: [(i32, tokio_postgres::types::Type); 0] = [];
        let asked = session.client().query_typed_raw(sql, none);
        let stream = session.bounded("poll", asked).await;
        let stream = stream.map_err(|failure| failure.with("read", lane.subject.shown()))?;
        Ok(Self {
            stream: Box::pin(stream),
            mode,
            rows: 0,
            checked: false,
            held: None,
            done: lane.position,
            ended: false,
            failed: None,
        })
    }

    /// What [`Page::fill`] kept back behind its last records.
    pub(super) fn failure(&mut self) -> Option<Error> {
        self.failed.take()
    }

    /// The next records: some, or the end. Errors: those before are handed out first, the next call tells the error.
    pub(super) async fn fill(
        &mut self,
        session: &Session,
        lane: &mut Lane,
        rows_max: usize,
    ) -> Result<Vec<SourceRecord>> {
        let mut records = Vec::with_capacity(rows_max.min(256));
        let mut bytes = 0;
        while records.len() < rows_max && bytes < BATCH_BYTES_MAX {
            let judged = |error| Failure::of("poll", &error);
            let next = match self.stream.try_next().now_or_never() {
                Some(next) => next.map_err(judged),
                None if records.is_empty() => session.bounded("poll", self.stream.try_next()).await,
                None => match tokio::time::timeout(LINGER, self.stream.try_next()).await {
                    Ok(next) => next.map_err(judged),
                    Err(_) => break,
                },
            };
            let row = match next {
                Ok(None) => {
                    self.ended = true;
                    if let Some(held) = self.held.take() {
                        self.done = held.place;
                        records.push(self.record(lane, held));
                    }
                    break;
                }
                Ok(Some(row)) => row,
                Err(failure) => {
                    let error = failure.with("read", lane.subject.shown()).into();
                    if records.is_empty() {
                        return Err(error);
                    }
                    self.failed = Some(error);
                    break;
                }
            };
            self.rows += 1;
            bytes += row.raw_size_bytes();
            let (before, taken) = self.take(lane, &row);
            records.extend(before);
            match taken {
                Ok(()) => {}
                Err(error) if records.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok(self.handed_out(lane, records))
    }

    fn handed_out(&self, lane: &mut Lane, records: Vec<SourceRecord>) -> Vec<SourceRecord> {
        lane.position = self.done;
        records
    }

    /// Takes a row, and answers with the one before it.
    fn take(&mut self, lane: &mut Lane, row: &Row) -> (Option<SourceRecord>, Result<()>) {
        let (place, decoded) = match self.decoded(lane, row) {
            Ok(decoded) => decoded,
            Err(error) => return (None, Err(error)),
        };
        let before = self.held.take();
        // Rows of one place are one step: a task that starts between them reads them all again, and leaves none out (I1).
        let step = |before: &Held| place != before.place || self.mode == Mode::Bulk;
        if let Some(before) = before.as_ref().filter(|before| step(before)) {
            self.done = before.place;
        } else if decoded.is_err() {
            // The one before is not complete without this one.
            return (None, decoded.map(drop));
        }
        let before = before.map(|before| self.record(lane, before));
        let (value, schema) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return (before, Err(error)),
        };
        self.held = Some(Held {
            place,
            value,
            schema,
        });
        (before, Ok(()))
    }

    fn decoded(&mut self, lane: &mut Lane, row: &Row) -> Result<(Position, Decoded)> {
        let Some(described) = &mut lane.described else {
            return Err(Error::bug("poll", "rows of a table that is not described"));
        };
        if !self.checked {
            if !described.columns.fit(row) {
                lane.described = None;
                let shown = lane.subject.shown();
                let problem = format!("{shown} was altered under way: it is read anew");
                return Err(Error::transient("poll", problem));
            }
            self.checked = true;
        }
        let place = place(row, described.columns.len(), self.mode)?;
        Ok((place, described.columns.decode(row)))
    }

    fn record(&self, lane: &Lane, row: Held) -> SourceRecord {
        let mut record = Record::new(lane.topic.clone());
        record.value = Datum::Value(row.value, Some(row.schema));
        SourceRecord {
            record,
            lane: lane.partition.clone(),
            offset: if self.mode == Mode::Bulk {
                Offset::from_json(bytes::Bytes::from_static(b"{}"))
            } else {
                self.done.offset()
            },
        }
    }
}

/// The cursor's columns stand behind the row's own.
fn place(row: &Row, own: usize, mode: Mode) -> Result<Position> {
    let mut place = Position::default();
    let mut at = own;
    if mode.by_id() {
        place.id = Some(taken(row, at, "incrementing.column.name")?);
        at += 1;
    }
    if mode.by_time() {
        // What lies in the far future is not before any bound, and so never here.
        let at: Micros = taken(row, at, "timestamp.column.name")?;
        place.time = at.unix();
    }
    Ok(place)
}

fn taken<'a, T: FromSql<'a>>(row: &'a Row, at: usize, key: &'static str) -> Result<T> {
    row.try_get(at).map_err(|error| {
        Error::data(
            "poll",
            format!("the column of {key} has no value that can be read"),
        )
        .because(error)
    })
}

/// A timestamp as it is on the wire.
pub(super) struct Micros(i64);

impl Micros {
    /// Microseconds since the Unix epoch; [`PAST`] for `-infinity`, nothing for what 64 bits do not hold.
    pub(super) fn unix(self) -> Option<i64> {
        match When::of_postgres(self.0) {
            When::Past => Some(PAST),
            at => at.unix(),
        }
    }
}

impl<'a> FromSql<'a> for Micros {
    fn from_sql(
        _: &tokio_postgres::types::Type,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?)))
    }
    fn accepts(of: &tokio_postgres::types::Type) -> bool {
        *of == tokio_postgres::types::Type::TIMESTAMPTZ
    }
}
