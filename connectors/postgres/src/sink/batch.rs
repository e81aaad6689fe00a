//! The rows of one table in one batch: encoded, reduced to one change per key, and sorted.

use super::{config::InsertMode, table::Shape};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// To be there.
    Write,
    /// To go. It has nothing but its key.
    Delete,
    /// All rows before it to go.
    Truncate,
}

/// An encoded row: cells one behind the other in the order of its shape's columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// The record that it comes from, by its place in the batch.
    pub(crate) record: usize,
    pub(crate) change: Change,
    /// Its columns, by the number of the shape.
    pub(crate) shape: usize,
    /// Other changes to its key went into it, or were replaced by it: should it be refused, it may not be its own fault.
    pub(crate) several: bool,
    start: usize,
    /// Where the key's cells end.
    key_end: usize,
    end: usize,
}

/// The rows of a table.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) bytes: Vec<u8>,
    list: Vec<Row>,
    shapes: Vec<Shape>,
}

/// What is to be written, in this order.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    pub(crate) truncate: bool,
    /// Rows whose keys are to go first, sorted by key.
    pub(crate) deletes: Vec<Row>,
    /// Rows to write, by shape; sorted by key where they are found by it.
    pub(crate) writes: Vec<(usize, Vec<Row>)>,
}

/// All that a batch changes in a table.
#[derive(Debug, Default)]
pub(crate) struct Reduced {
    pub(crate) segments: Vec<Segment>,
    /// Some row stands for several changes to its key.
    pub(crate) several: bool,
}

impl Rows {
    /// Forgets the rows, keeps the room.
    pub(crate) fn clear(&mut self) {
        /// A buffer that grew beyond this for one batch is given back (I6).
        const KEPT_MAX: usize = 4 * 1024 * 1024;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_MAX);
        self.list.clear();
        self.shapes.clear();
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    /// The columns of a shape.
    pub(crate) fn shape(&self, number: usize) -> &Shape {
        &self.shapes[number]
    }
    /// Adds a row whose cells were appended to `bytes` from `start` on, the key's up to `key_end`.
    pub(crate) fn push(
        &mut self,
        record: usize,
        change: Change,
        columns: &[u16],
        start: usize,
        key_end: usize,
    ) {
        let shape = self.shape_of(columns);
        self.list.push(Row {
            record,
            change,
            shape,
            several: false,
            start,
            key_end,
            end: self.bytes.len(),
        });
    }
    /// Shapes are few: mostly the last one comes again.
    fn shape_of(&mut self, columns: &[u16]) -> usize {
        let known = self.shapes.iter().rposition(|shape| **shape == *columns);
        known.unwrap_or_else(|| {
            self.shapes.push(columns.into());
            self.shapes.len() - 1
        })
    }
    /// A row's cells.
    pub(crate) fn cells(&self, row: &Row) -> &[u8] {
        &self.bytes[row.start..row.end]
    }
    /// The cells of a row's key.
    pub(crate) fn key(&self, row: &Row) -> &[u8] {
        &self.bytes[row.start..row.key_end]
    }

    /// What is left to write when the last change of each key wins, without the records that were refused. The changes to `apart` keys are
    /// kept apart: each is made for itself, in order.
    pub(crate) fn reduce(
        &mut self,
        mode: InsertMode,
        keys: usize,
        refused: &BTreeMap<usize, super::Refusal>,
        apart: &BTreeSet<Vec<u8>>,
    ) -> Reduced {
        let list = self.list.iter();
        let list: Vec<Row> = list
            .filter(|row| !refused.contains_key(&row.record))
            .copied()
            .collect();
        if mode == InsertMode::Insert || keys == 0 {
            return self.in_order(&list);
        }
        // What stands before a truncation is gone, whatever it was.
        let last = list.iter().rposition(|row| row.change == Change::Truncate);
        let rest = &list[last.map_or(0, |at| at + 1)..];
        let mut order: Vec<usize> = (0..rest.len()).collect();
        // Sorted by key, so that two tasks with the same keys take their locks in the same order; the sort is stable, so that of one key
        // the last change stands last.
        order.sort_by(|a, b| self.key(&rest[*a]).cmp(self.key(&rest[*b])));
        let mut segments = vec![Segment {
            truncate: last.is_some(),
            ..Segment::default()
        }];
        let mut several = false;
        let mut at = 0;
        while at < order.len() {
            let first = rest[order[at]];
            let mut end = at + 1;
            while end < order.len() && self.key(&rest[order[end]]) == self.key(&first) {
                end += 1;
            }
            let changes = &order[at..end];
            at = end;
            if !apart.is_empty() && apart.contains(self.key(&first)) {
                segments.resize_with(segments.len().max(changes.len() + 1), Segment::default);
                for (turn, change) in changes.iter().enumerate() {
                    let (segment, row) = (&mut segments[turn + 1], rest[*change]);
                    match row.change {
                        Change::Delete => segment.deletes.push(row),
                        _ => by_shape(&mut segment.writes, row),
                    }
                }
                continue;
            }
            several |= changes.len() > 1;
            self.settle(mode, changes, rest, &mut segments[0]);
        }
        Reduced { segments, several }
    }

    /// The net effect of the changes to one key.
    fn settle(&mut self, mode: InsertMode, changes: &[usize], rest: &[Row], segment: &mut Segment) {
        let mut deleted = None;
        let mut written: Option<Row> = None;
        for at in changes {
            let row = rest[*at];
            match (row.change, written) {
                (Change::Truncate, _) => {}
                (Change::Delete, _) => (deleted, written) = (Some(row), None),
                // A row that was just deleted is not there to be updated.
                (Change::Write, _) if deleted.is_some() && mode == InsertMode::Update => {}
                (Change::Write, Some(former)) if former.shape != row.shape => {
                    written = Some(self.merged(&former, &row));
                }
                (Change::Write, _) => written = Some(row),
            }
        }
        let several = changes.len() > 1;
        segment
            .deletes
            .extend(deleted.map(|row| Row { several, ..row }));
        if let Some(row) = written {
            let row = Row { several, ..row };
            by_shape(&mut segment.writes, row);
        }
    }

    /// A later write over a former one of other columns: columns that only the former has keep its values.
    fn merged(&mut self, former: &Row, later: &Row) -> Row {
        let mut cells: BTreeMap<u16, (usize, usize)> = BTreeMap::new();
        for row in [former, later] {
            let mut at = row.start;
            for column in self.shapes[row.shape].iter() {
                let end = at + cell_length(&self.bytes[at..]);
                cells.insert(*column, (at, end));
                at = end;
            }
        }
        let columns: Vec<u16> = cells.keys().copied().collect();
        let shape = self.shape_of(&columns);
        if shape == later.shape {
            return *later;
        }
        let start = self.bytes.len();
        for (from, to) in cells.into_values() {
            self.bytes.extend_from_within(from..to);
        }
        Row {
            shape,
            start,
            key_end: start + (later.key_end - later.start),
            end: self.bytes.len(),
            ..*later
        }
    }

    /// Every row for itself, in the order of the batch; a new segment begins where the order of two changes to a key would be lost.
    fn in_order(&self, list: &[Row]) -> Reduced {
        let mut segments = vec![Segment::default()];
        let deletes = list.iter().any(|row| row.change == Change::Delete);
        let mut touched: HashSet<&[u8]> = HashSet::new();
        for row in list {
            if row.change == Change::Truncate
                || (row.change == Change::Delete && touched.contains(self.key(row)))
            {
                segments.push(Segment {
                    truncate: row.change == Change::Truncate,
                    ..Segment::default()
                });
                touched.clear();
            }
            let Some(segment) = segments.last_mut() else {
                continue;
            };
            match row.change {
                Change::Truncate => {}
                Change::Delete => {
                    touched.insert(self.key(row));
                    segment.deletes.push(*row);
                }
                Change::Write => {
                    if deletes {
                        touched.insert(self.key(row));
                    }
                    by_shape(&mut segment.writes, *row);
                }
            }
        }
        for segment in &mut segments {
            segment.deletes.sort_by(|a, b| self.key(a).cmp(self.key(b)));
            segment.deletes.dedup_by(|b, a| self.key(a) == self.key(b));
        }
        Reduced {
            segments,
            several: false,
        }
    }
}

fn by_shape(writes: &mut Vec<(usize, Vec<Row>)>, row: Row) {
    match writes
        .iter_mut()
        .rev()
        .find(|(shape, _)| *shape == row.shape)
    {
        Some((_, rows)) => rows.push(row),
        None => writes.push((row.shape, vec![row])),
    }
}

/// The length of the cell that `bytes` starts with, its own length's four bytes included.
fn cell_length(bytes: &[u8]) -> usize {
    let length = bytes
        .first_chunk::<4>()
        .map_or(-1, |length| i32::from_be_bytes(*length));
    4 + usize::try_from(length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with a key `k` (column 0) and two more columns.
    #[derive(Default)]
    struct Script {
        rows: Rows,
        records: usize,
        apart: BTreeSet<Vec<u8>>,
    }

    impl Script {
        fn add(&mut self, change: Change, cells: &[(u16, &str)]) -> &mut Self {
            let start = self.rows.bytes.len();
            let mut key_end = start;
            for (at, (_, text)) in cells.iter().enumerate() {
                self.rows
                    .bytes
                    .extend_from_slice(&(text.len() as i32).to_be_bytes());
                self.rows.bytes.extend_from_slice(text.as_bytes());
                if at == 0 {
                    key_end = self.rows.bytes.len();
                }
            }
            let columns: Vec<u16> = cells.iter().map(|(column, _)| *column).collect();
            self.rows
                .push(self.records, change, &columns, start, key_end);
            self.records += 1;
            self
        }
        fn write(&mut self, key: &str, value: &str) -> &mut Self {
            self.add(Change::Write, &[(0, key), (1, value)])
        }
        fn delete(&mut self, key: &str) -> &mut Self {
            self.add(Change::Delete, &[(0, key)])
        }
        fn truncate(&mut self) -> &mut Self {
            self.add(Change::Truncate, &[])
        }
        fn texts(&self, row: &Row) -> String {
            let mut texts = Vec::new();
            let mut rest = self.rows.cells(row);
            while !rest.is_empty() {
                let length = cell_length(rest);
                texts.push(String::from_utf8_lossy(&rest[4..length]).into_owned());
                rest = &rest[length..];
            }
            texts.join("=")
        }
        /// `!` truncate, `-k` delete, `k=v` write; segments between bars.
        fn reduced(&mut self, mode: InsertMode) -> String {
            let reduced = self.rows.reduce(mode, 1, &BTreeMap::new(), &self.apart);
            let mut words = Vec::new();
            for segment in &reduced.segments {
                let mut parts = Vec::new();
                parts.extend(segment.truncate.then(|| "!".to_owned()));
                parts.extend(
                    segment
                        .deletes
                        .iter()
                        .map(|row| format!("-{}", self.texts(row))),
                );
                let writes = segment.writes.iter().flat_map(|(_, rows)| rows);
                parts.extend(writes.map(|row| self.texts(row)));
                words.push(parts.join(" "));
            }
            words.join(" | ")
        }
    }

    #[test]
    fn the_last_change_of_a_key_wins_and_keys_are_sorted() {
        let mut script = Script::default();
        script
            .write("b", "1")
            .write("a", "1")
            .write("b", "2")
            .delete("c")
            .write("d", "1")
            .delete("d");
        assert_eq!(script.reduced(InsertMode::Upsert), "-c -d a=1 b=2");
        let reduced = script
            .rows
            .reduce(InsertMode::Upsert, 1, &BTreeMap::new(), &script.apart);
        assert!(reduced.several);
        script
            .apart
            .insert(script.rows.key(&script.rows.list[0]).to_vec());
        assert_eq!(script.reduced(InsertMode::Upsert), "-c -d a=1 | b=1 | b=2");
        let mut script = Script::default();
        script
            .delete("a")
            .write("a", "1")
            .truncate()
            .write("z", "1")
            .delete("y")
            .write("y", "2");
        assert_eq!(
            script.reduced(InsertMode::Upsert),
            "! -y y=2 z=1",
            "a row that comes again starts from nothing"
        );
        let mut script = Script::default();
        script.delete("a").write("a", "1").write("b", "1");
        assert_eq!(
            script.reduced(InsertMode::Update),
            "-a b=1",
            "a deleted row is not updated"
        );
    }

    #[test]
    fn columns_that_only_the_former_write_has_keep_its_values() {
        let mut script = Script::default();
        script
            .add(Change::Write, &[(0, "a"), (1, "one"), (2, "two")])
            .add(Change::Write, &[(0, "a"), (1, "ONE")])
            .add(Change::Write, &[(0, "b"), (2, "two")])
            .add(Change::Write, &[(0, "b"), (1, "one")]);
        assert_eq!(script.reduced(InsertMode::Upsert), "a=ONE=two b=one=two");
    }

    #[test]
    fn inserts_keep_their_order_and_their_duplicates() {
        let mut script = Script::default();
        script.write("b", "1").write("a", "1").write("b", "2");
        assert_eq!(script.reduced(InsertMode::Insert), "b=1 a=1 b=2");
        let mut script = Script::default();
        script
            .delete("c")
            .write("b", "1")
            .delete("a")
            .delete("b")
            .write("b", "2")
            .truncate()
            .write("b", "3");
        assert_eq!(
            script.reduced(InsertMode::Insert),
            "-a -c b=1 | -b b=2 | ! b=3"
        );
    }
}
