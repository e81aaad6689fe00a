//! Columns of variable length: built in one buffer, read as slices of one.

use crate::abi::longshore::connector::types::{Column, Format};
use crate::dictionary::count;
use std::ops::Range;

/// Builds a column row by row: the bytes of all rows share one buffer.
#[derive(Debug)]
pub struct ColumnBuilder {
    format: Format,
    data: Vec<u8>,
    /// Empty while every row is null.
    ends: Vec<u32>,
    /// Empty while no row is null, or every row.
    nulls: Vec<u8>,
    rows: usize,
}

impl ColumnBuilder {
    /// A column without rows.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            data: Vec::new(),
            ends: Vec::new(),
            nulls: Vec::new(),
            rows: 0,
        }
    }
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// How many bytes the rows have together.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }
    /// Adds a row.
    pub fn push(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        self.end_row();
    }
    /// Adds a null row.
    pub fn push_null(&mut self) {
        if !self.ends.is_empty() {
            if self.nulls.is_empty() {
                self.nulls.resize(self.rows, 0);
            }
            self.nulls.push(1);
            self.ends.push(count(self.data.len()));
        }
        self.rows += 1;
    }
    /// Adds a row that `write` appends to the buffer. When it fails, there is no row.
    pub fn push_with<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.data.len();
        if let Err(error) = write(&mut self.data) {
            self.data.truncate(start);
            return Err(error);
        }
        // What was written before is not the writer's to shorten.
        if self.data.len() < start {
            self.data.resize(start, 0);
        }
        self.end_row();
        Ok(())
    }
    fn end_row(&mut self) {
        if self.ends.is_empty() && self.rows > 0 {
            self.ends.resize(self.rows, 0);
            self.nulls.resize(self.rows, 1);
        }
        self.ends.push(count(self.data.len()));
        if !self.nulls.is_empty() {
            self.nulls.push(0);
        }
        self.rows += 1;
    }
    /// Takes rows off the end until `rows` are left.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if rows >= self.rows {
            return;
        }
        self.ends.truncate(rows);
        self.nulls.truncate(rows);
        self.data
            .truncate(self.ends.last().map_or(0, |end| *end as usize));
        self.rows = rows;
        if self.nulls.iter().all(|null| *null == 1) && !self.nulls.is_empty() {
            self.ends.clear();
            self.nulls.clear();
        }
    }
    /// Adds null rows until there are `rows`.
    pub(crate) fn fill(&mut self, rows: usize) {
        while self.rows < rows {
            self.push_null();
        }
    }
    /// Adds the rows `from..to` of another column, at the price of copying their bytes.
    pub(crate) fn copy(&mut self, other: &Column, from: usize, to: usize) {
        if from >= to {
            return;
        }
        match other.ends.get(to - 1) {
            Some(end) => self.copy_bytes(other, begin(other, from)..*end as usize, from..to),
            None => self.fill(self.rows + to - from),
        }
    }
    /// The same with the bytes that stand for those rows, in one piece: they may leave out the begin of the first row, which is there already
    /// in another form, and go on into the row behind the last, which is no row yet.
    pub(crate) fn copy_bytes(&mut self, other: &Column, bytes: Range<usize>, rows: Range<usize>) {
        let shift = self.data.len();
        let start = bytes.start;
        self.data.extend_from_slice(&other.data[bytes]);
        if rows.is_empty() {
            return;
        }
        if self.ends.is_empty() && self.rows > 0 {
            self.ends.resize(self.rows, 0);
            self.nulls.resize(self.rows, 1);
        }
        let count_of = rows.len();
        let ends = other.ends[rows.clone()].iter();
        self.ends
            .extend(ends.map(|end| count(*end as usize - start + shift)));
        if other.nulls.is_empty() {
            if !self.nulls.is_empty() {
                self.nulls.resize(self.rows + count_of, 0);
            }
        } else {
            self.nulls.resize(self.rows, 0);
            self.nulls.extend_from_slice(&other.nulls[rows]);
        }
        self.rows += count_of;
    }
    /// Adds bytes to the row that is begun.
    pub(crate) fn begin_with(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }
    /// Room for what another column has.
    pub(crate) fn reserve(&mut self, other: &Column) {
        // What takes the place of something may be longer.
        self.data
            .reserve_exact(other.data.len() + other.data.len() / 8);
        self.ends.reserve_exact(other.ends.len());
    }
    /// The column as it crosses to the host.
    pub fn finish(self) -> Column {
        Column {
            format: self.format,
            data: self.data,
            ends: self.ends,
            nulls: self.nulls,
        }
    }
}

/// A row of a column; `None` = null.
pub(crate) fn row(column: &Column, row: usize) -> Option<&[u8]> {
    let end = *column.ends.get(row)? as usize;
    if column.nulls.get(row).is_some_and(|null| *null != 0) {
        return None;
    }
    column.data.get(begin(column, row)..end)
}

/// Where a row's bytes begin.
pub(crate) fn begin(column: &Column, row: usize) -> usize {
    if row == 0 {
        0
    } else {
        column.ends[row - 1] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(column: &Column, count: usize) -> Vec<Option<&[u8]>> {
        (0..count).map(|at| row(column, at)).collect()
    }

    #[test]
    fn rows_come_back_and_columns_of_nulls_alone_are_empty() {
        let mut column = ColumnBuilder::new(Format::Bytes);
        column.fill(3);
        assert_eq!(column.rows(), 3);
        assert!(column.finish().ends.is_empty());

        let mut column = ColumnBuilder::new(Format::Text);
        column.push_null();
        column.push(b"one");
        column.push(b"");
        column.push_null();
        let column = column.finish();
        assert_eq!(column.nulls, [1, 0, 0, 1]);
        assert_eq!(
            rows(&column, 4),
            [None, Some(&b"one"[..]), Some(&b""[..]), None]
        );

        let mut column = ColumnBuilder::new(Format::Text);
        column.push(b"a");
        column.push(b"b");
        let column = column.finish();
        assert!(column.nulls.is_empty(), "no row is null");
        assert_eq!(column.ends, [1, 2]);
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let mut column = ColumnBuilder::new(Format::Text);
        column.push_null();
        column.push(b"one");
        column.truncate(1);
        column.push_null();
        assert!(column.finish().ends.is_empty());

        let mut column = ColumnBuilder::new(Format::Text);
        column.push(b"one");
        let failed: Result<(), &str> = column.push_with(|out| {
            out.extend_from_slice(b"half");
            Err("no")
        });
        assert!(failed.is_err());
        column.push(b"two");
        assert_eq!(
            rows(&column.finish(), 2),
            [Some(&b"one"[..]), Some(&b"two"[..])]
        );
    }

    #[test]
    fn ranges_of_other_columns_are_copied_with_their_nulls() {
        let mut from = ColumnBuilder::new(Format::Text);
        for text in [Some("a"), None, Some("ccc"), Some("dd")] {
            match text {
                Some(text) => from.push(str::as_bytes(text)),
                None => from.push_null(),
            }
        }
        let from = from.finish();
        for start in 0..4 {
            let mut to = ColumnBuilder::new(Format::Text);
            to.push(b"first");
            to.copy(&from, start, 4);
            to.push_null();
            let to = to.finish();
            assert_eq!(row(&to, 0), Some(&b"first"[..]));
            for at in start..4 {
                assert_eq!(row(&to, at - start + 1), row(&from, at), "from {start}");
            }
            assert_eq!(row(&to, 5 - start), None);
        }
        let empty = ColumnBuilder::new(Format::Text).finish();
        let mut to = ColumnBuilder::new(Format::Text);
        to.copy(&empty, 0, 2);
        to.push(b"x");
        assert_eq!(rows(&to.finish(), 3), [None, None, Some(&b"x"[..])]);
        let mut to = ColumnBuilder::new(Format::Text);
        to.push_null();
        to.copy(&from, 2, 4);
        assert_eq!(
            rows(&to.finish(), 3),
            [None, Some(&b"ccc"[..]), Some(&b"dd"[..])]
        );
    }
}
