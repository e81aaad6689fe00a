//! Rows into tables, many at a time; those that the database refuses are found by halving.

use super::{
    Refusal,
    batch::{Reduced, Row, Rows, Segment},
    config::InsertMode,
    link::Link,
    table::Plan,
};
use crate::client::{Failure, Outcome};
use bytes::{BufMut, Bytes, BytesMut};
use longshore_sdk::Error;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};
use tokio_postgres::error::SqlState;

const OP: &str = "put";
/// The start of the binary form of COPY: signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Its end.
const TRAILER: i16 = -1;

/// The server cannot read what we encoded for a column: it is of another type now. The record is not to blame.
const OTHER_TYPE: SqlState = SqlState::INVALID_BINARY_REPRESENTATION;

/// Which rows the database refused, by record.
pub(super) type Refused = BTreeMap<usize, Refusal>;

/// A piece of work.
#[derive(Clone, Copy)]
enum Work<'a> {
    Delete,
    Write(&'a [u16]),
}

/// Writes the rows of one table within the open transaction.
pub(super) struct Writer<'a> {
    pub(super) link: &'a mut Link,
    pub(super) plan: &'a Plan,
    pub(super) mode: InsertMode,
    /// Rows to a piece.
    pub(super) rows_max: usize,
    /// Keys whose changes are made one by one; empty at first.
    pub(super) apart: BTreeSet<Vec<u8>>,
}

impl Writer<'_> {
    /// Writes `rows`; what the database refuses is noted in `refused`, all else is written. Errors: nothing is, and the transaction has failed.
    pub(super) async fn write(&mut self, rows: &mut Rows, refused: &mut Refused) -> Outcome<()> {
        if self.plan.deferred {
            // At the commit nobody could be told which record it was.
            self.link.run(OP, "SET CONSTRAINTS ALL IMMEDIATE").await?;
        }
        loop {
            let reduced = rows.reduce(self.mode, self.plan.keys, refused, &self.apart);
            let before = self.apart.len();
            if reduced.several {
                self.link.run(OP, "SAVEPOINT longshore_table").await?;
            }
            Box::pin(self.line_up(rows, &reduced)).await?;
            for segment in &reduced.segments {
                Box::pin(self.segment(rows, segment, refused)).await?;
            }
            if self.apart.len() == before {
                return Ok(());
            }
            // A refused row stands for several records of its key: which of them is to blame shows when each is written for itself.
            self.link
                .run(OP, "ROLLBACK TO SAVEPOINT longshore_table")
                .await?;
            self.link.unstage();
        }
    }

    async fn segment(
        &mut self,
        rows: &Rows,
        segment: &Segment,
        refused: &mut Refused,
    ) -> Outcome<()> {
        if segment.truncate {
            self.link.run(OP, &self.plan.truncate()).await?;
        }
        for piece in segment.deletes.chunks(self.rows_max) {
            self.piece(rows, Work::Delete, piece, refused).await?;
        }
        for (shape, list) in &segment.writes {
            let shape = rows.shape(*shape).clone();
            if !self.plan.changes(&shape) {
                continue;
            }
            for piece in list.chunks(self.rows_max) {
                self.piece(rows, Work::Write(&shape), piece, refused)
                    .await?;
            }
        }
        Ok(())
    }

    /// Sees to it that two tasks with the same keys wait for each other instead of dying together.
    async fn line_up(&mut self, rows: &Rows, reduced: &Reduced) -> Outcome<()> {
        if self.plan.keys == 0 {
            return Ok(());
        }
        let mut runs = 0;
        for segment in &reduced.segments {
            runs += usize::from(!segment.deletes.is_empty());
            if self.mode != InsertMode::Insert {
                runs += segment.writes.len();
            }
        }
        if runs == 0 {
            return Ok(());
        }
        self.link.run(OP, &self.plan.line_up(runs > 1)).await?;
        match &reduced.segments[..] {
            // An upsert locks as it goes, row by row; a deletion or update takes the order that the planner likes.
            [segment]
                if runs == 1 && (self.mode != InsertMode::Upsert || segment.writes.is_empty()) =>
            {
                self.lock(rows, segment).await
            }
            _ => Ok(()),
        }
    }

    /// Locks the rows to change in the order of their keys.
    async fn lock(&mut self, rows: &Rows, segment: &Segment) -> Outcome<()> {
        if !self.plan.locks() {
            return Ok(());
        }
        let mut keys: Vec<&Row> = segment.deletes.iter().collect();
        if self.mode != InsertMode::Insert {
            keys.extend(segment.writes.iter().flat_map(|(_, rows)| rows));
        }
        if keys.len() < 2 {
            return Ok(());
        }
        keys.sort_by(|a, b| rows.key(a).cmp(rows.key(b)));
        self.prepare_stage(true).await?;
        self.link.run(OP, "SAVEPOINT longshore_rows").await?;
        let data = packed(self.plan.keys, keys.iter().map(|row| rows.key(row)));
        let locked = async {
            self.link.copy(OP, &self.plan.copy_keys(), data).await?;
            self.link.execute(OP, &self.plan.lock()).await
        };
        match locked.await {
            Ok(_) => self.link.run(OP, "RELEASE SAVEPOINT longshore_rows").await,
            // A key that is no key: whoever writes it finds out which.
            Err(failure) if failure.refuses_record() => self.take_back().await,
            Err(failure) => Err(failure),
        }
    }

    /// Does one piece of work; where a record is to blame, halves of it, until it stands alone.
    async fn piece(
        &mut self,
        rows: &Rows,
        work: Work<'_>,
        piece: &[Row],
        refused: &mut Refused,
    ) -> Outcome<()> {
        let mut open: Vec<Range<usize>> = std::iter::once(0..piece.len()).collect();
        while let Some(range) = open.pop() {
            let part = &piece[range.clone()];
            // Outside of the savepoint, so that it outlives what is taken back.
            self.prepare_for(work).await?;
            self.link.run(OP, "SAVEPOINT longshore_rows").await?;
            let failure = match self.attempt(rows, work, part).await {
                Ok(()) => {
                    self.keep(work).await?;
                    continue;
                }
                Err(failure) => failure,
            };
            let stale = failure.is(&OTHER_TYPE);
            if stale || !failure.refuses_record() {
                return Err(failure);
            }
            let culprit = self.link.culprit.take();
            self.take_back().await?;
            if let [row] = part
                && row.several
            {
                self.apart.insert(rows.key(row).to_vec());
            } else if let [row] = part {
                refused.insert(row.record, self.refusal(failure, culprit));
            } else {
                let middle = range.start + part.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
        }
        Ok(())
    }

    async fn take_back(&mut self) -> Outcome<()> {
        let sql = "ROLLBACK TO SAVEPOINT longshore_rows; RELEASE SAVEPOINT longshore_rows";
        self.link.run(OP, sql).await
    }

    /// Keeps what was written. Rows that went into the table itself were encoded for the types that it had when it was read: the lock that
    /// the copy has taken keeps them from now on, so that what is the same now was the same then.
    async fn keep(&mut self, work: Work<'_>) -> Outcome<()> {
        let release = "RELEASE SAVEPOINT longshore_rows";
        match work {
            Work::Write(shape) if self.plan.direct(shape) => {
                let sql = format!("{release}; {}", self.plan.types_now());
                let types = self.link.ask(OP, &sql).await?;
                if types == self.plan.types() {
                    return Ok(());
                }
                let text = "a table was altered while records were written";
                let error = Error::transient(OP, text).with("table", &self.plan.table.name);
                Err(Failure::coded(OTHER_TYPE, error))
            }
            _ => self.link.run(OP, release).await,
        }
    }

    async fn prepare_for(&mut self, work: Work<'_>) -> Outcome<()> {
        match work {
            Work::Delete => self.prepare_stage(true).await,
            Work::Write(shape) if self.plan.direct(shape) => Ok(()),
            Work::Write(_) => self.prepare_stage(false).await,
        }
    }

    /// An empty staging table.
    async fn prepare_stage(&mut self, keys: bool) -> Outcome<()> {
        let number = self.plan.number();
        self.link
            .stage(OP, number, &self.plan.create_stages())
            .await?;
        if self.link.soil(number, keys) {
            self.link.run(OP, &self.plan.empty_stage(keys)).await?;
        }
        Ok(())
    }

    async fn attempt(&mut self, rows: &Rows, work: Work<'_>, part: &[Row]) -> Outcome<()> {
        match work {
            Work::Delete => {
                let data = packed(self.plan.keys, part.iter().map(|row| rows.key(row)));
                self.link.copy(OP, &self.plan.copy_keys(), data).await?;
                self.link.execute(OP, &self.plan.delete()).await?;
            }
            Work::Write(shape) => {
                let data = packed(shape.len(), part.iter().map(|row| rows.cells(row)));
                if self.plan.direct(shape) {
                    self.link.copy(OP, &self.plan.copy(shape), data).await?;
                } else {
                    self.link
                        .copy(OP, &self.plan.copy_stage(shape), data)
                        .await?;
                    self.link.execute(OP, &self.plan.merge(shape)).await?;
                }
            }
        }
        Ok(())
    }

    /// Why a record is refused, with table and column.
    fn refusal(&self, failure: Failure, culprit: Option<String>) -> Refusal {
        let known = |name: &str| {
            failure
                .error()
                .context()
                .iter()
                .any(|(known, _)| *known == name)
        };
        let (table, column) = (known("table"), known("column"));
        // Behind the name may follow a value.
        let named = culprit.and_then(|text| {
            let fits = |name: &str| {
                text.strip_prefix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
            };
            self.plan.columns.iter().find(|column| fits(&column.name))
        });
        let mut failure = failure;
        if !table {
            failure = failure.with("table", &self.plan.table.name);
        }
        if let (false, Some(named)) = (column, named) {
            failure = failure.with("column", &named.name);
        }
        Refusal(failure.into())
    }
}

/// Rows in the binary form of COPY.
fn packed<'a>(columns: usize, rows: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let size: usize = rows.clone().map(|row| row.len() + 2).sum();
    let mut data = BytesMut::with_capacity(HEADER.len() + size + 2);
    data.put_slice(HEADER);
    for row in rows {
        data.put_u16(columns as u16);
        data.put_slice(row);
    }
    data.put_i16(TRAILER);
    data.freeze()
}
