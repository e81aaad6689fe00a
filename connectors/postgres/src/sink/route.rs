//! From topics to tables: what is known of each, and a record's fields into its table's columns.

use super::{
    batch::{Change, Rows},
    config::PkMode,
    encode::{Cell, Unfit, encode},
    record::{Fault, Object, Wish},
    settings::Settings,
    table::{Place, Plan},
    unavailable::unavailable,
};
use longshore_sdk::{Datum, Error, Schema, SinkRecord, Topic, Value};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// A table and its rows of the batch at hand.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) plan: Plan,
    pub(super) rows: Rows,
    /// The key's columns as they were asked for.
    pub(super) key: Vec<String>,
}

/// Where a topic's records go.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) slot: usize,
    key: Hints,
    value: Hints,
    /// The topic carries change events: a tombstone behind a deletion says nothing new.
    envelopes: bool,
    /// The schema of values that the table was last compared with.
    pub(super) seen: Option<Arc<Schema>>,
}

/// All topics and tables of a task. They are as many as topics are subscribed to.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) slots: Vec<Slot>,
    pub(super) topics: HashMap<Topic, Route>,
}

impl Routes {
    /// Whether a record brings a schema that its table was not compared with; without a schema or a table it brings nothing.
    pub(super) fn is_news(&self, record: &SinkRecord) -> bool {
        let Datum::Value(Value::Struct(_), Some(schema)) = &record.record.value else {
            return false;
        };
        let seen = |seen: &Arc<Schema>| Arc::ptr_eq(seen, schema);
        let route = self.topics.get(&record.record.topic);
        route.is_some_and(|route| !route.seen.as_ref().is_some_and(seen))
    }
}

/// Fields mostly come in the order of the last record: then no name is looked up.
#[derive(Debug, Default)]
struct Hints(Vec<(Box<[u8]>, Place)>);

impl Hints {
    fn place(&mut self, turn: usize, name: &[u8], look: impl FnOnce(&str) -> Place) -> Place {
        /// A table has 1600 columns at most.
        const TURNS_MAX: usize = 1600;
        if let Some((known, place)) = self.0.get(turn)
            && **known == *name
        {
            return *place;
        }
        let Ok(text) = std::str::from_utf8(name) else {
            return Place::Missing;
        };
        let place = look(text);
        if place != Place::Missing {
            let hint = (name.into(), place);
            let known = self.0.len();
            match self.0.get_mut(turn) {
                Some(slot) => *slot = hint,
                None if turn < TURNS_MAX && turn == known => self.0.push(hint),
                None => {}
            }
        }
        place
    }
}

/// Why a record did not become a row.
#[derive(Debug)]
pub(super) enum Unloaded {
    /// It is refused.
    Refused(Fault, Option<String>),
    /// The table, as it is known, has no column for this field.
    Missing(String),
}

impl From<Fault> for Unloaded {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault, None)
    }
}

impl Unloaded {
    /// The refusal of a record, naming table and column.
    pub(super) fn error(self, plan: &Plan, evolve: bool) -> Error {
        let (text, column) = match self {
            Self::Refused(text, column) => (text, column),
            Self::Missing(name) => {
                let help = if evolve {
                    "auto.evolve adds columns for records with a schema only: add it, or leave the field out by fields.whitelist"
                } else {
                    "add it, set auto.evolve=true, or leave the field out by fields.whitelist"
                };
                (
                    Cow::Owned(format!("the table has no such column: {help}")),
                    Some(name),
                )
            }
        };
        let error = Error::data("put", text).with("table", &plan.table.name);
        match column {
            Some(column) => error.with("column", column),
            None => error,
        }
    }
}

impl Route {
    pub(super) fn new(slot: usize) -> Self {
        Self {
            slot,
            key: Hints::default(),
            value: Hints::default(),
            envelopes: false,
            seen: None,
        }
    }
}

/// Puts records into rows; its cells are borrowed from the batch.
pub(super) struct Loader<'a, 's> {
    pub(super) settings: &'s Settings,
    pub(super) cells: Vec<Option<Cell<'a>>>,
    pub(super) columns: Vec<u16>,
}

impl<'a> Loader<'a, '_> {
    /// Adds the row, or whatever else the record asks for. Errors: nothing is added.
    pub(super) fn load(
        &mut self,
        slot: &mut Slot,
        route: &mut Route,
        index: usize,
        record: &'a SinkRecord,
    ) -> Result<(), Unloaded> {
        let value = &record.record.value;
        let wish = Wish::of(value)?;
        self.cells.clear();
        self.cells.resize(slot.plan.columns.len(), None);
        match wish {
            Wish::Nothing => Ok(()),
            Wish::Truncate => {
                if self.settings.truncate {
                    let start = slot.rows.bytes.len();
                    slot.rows.push(index, Change::Truncate, &[], start, start);
                }
                Ok(())
            }
            Wish::Delete if !self.settings.delete => {
                // A change event says what happened; whether deletions are followed is the config's business.
                if !value.is_null() || self.settings.ignore_tombstones || route.envelopes {
                    return Ok(());
                }
                Err(Cow::Borrowed("the value is null, and delete.enabled is false: set it to true, or drop tombstones by a Filter with RecordIsTombstone").into())
            }
            Wish::Delete => {
                route.envelopes |= !value.is_null();
                self.key(slot, route, record)?;
                if self.cells[..slot.plan.keys]
                    .iter()
                    .any(|cell| matches!(cell, Some(Cell::Null)))
                {
                    return Err(Cow::Borrowed(
                        "a part of the key is null: no row can be found by it",
                    )
                    .into());
                }
                self.encode(slot, index, Change::Delete)
            }
            Wish::Write(object, envelope) => {
                route.envelopes |= envelope;
                self.key(slot, route, record)?;
                self.value(slot, route, record, object, envelope)?;
                self.encode(slot, index, Change::Write)
            }
        }
    }

    /// The key's columns, where they do not come from the value.
    fn key(
        &mut self,
        slot: &Slot,
        route: &mut Route,
        record: &'a SinkRecord,
    ) -> Result<(), Unloaded> {
        match self.settings.pk {
            PkMode::None | PkMode::RecordValue => Ok(()),
            PkMode::Kafka => {
                let place = [
                    Cell::Text(Cow::Borrowed(&record.at.topic)),
                    Cell::Int(i64::from(record.at.partition)),
                    Cell::Int(record.at.offset),
                ];
                for (cell, part) in self.cells.iter_mut().zip(place) {
                    *cell = Some(part);
                }
                Ok(())
            }
            PkMode::RecordKey => self.record_key(slot, route, &record.record.key),
        }
    }

    fn record_key(
        &mut self,
        slot: &Slot,
        route: &mut Route,
        key: &'a Datum,
    ) -> Result<(), Unloaded> {
        if key.is_null() {
            return Err(Cow::Borrowed("the record has no key, and pk.mode is record_key").into());
        }
        let (plan, settings) = (&slot.plan, self.settings);
        let Ok(object) = Object::of(key) else {
            if plan.keys != 1 {
                return Err(Fault::Owned(format!(
                    "the key is one value, but the table's key has {} columns (pk.fields)",
                    plan.keys
                ))
                .into());
            }
            self.cells[0] = Some(scalar(key).ok_or(Cow::Borrowed("the key is no text"))?);
            return Ok(());
        };
        let cells = &mut self.cells;
        object.each(|turn, name, cell| {
            let place =
                route
                    .key
                    .place(turn, name, |name| match plan.place(&settings.name(name)) {
                        Place::Column(at) if at < plan.keys => Place::Column(at),
                        _ => Place::Left,
                    });
            if let Place::Column(at) = place {
                cells[at] = Some(cell);
            }
            Ok(())
        })?;
        self.complete(plan, "key")
    }

    /// Every column of the key has its value.
    fn complete(&self, plan: &Plan, part: &str) -> Result<(), Unloaded> {
        match self.cells[..plan.keys].iter().position(Option::is_none) {
            None => Ok(()),
            Some(at) => {
                let name = plan.columns[at].name.clone();
                Err(Unloaded::Refused(
                    Cow::Owned(format!(
                        "the record's {part} has no field for this column of the table's key"
                    )),
                    Some(name),
                ))
            }
        }
    }

    fn value(
        &mut self,
        slot: &Slot,
        route: &mut Route,
        record: &'a SinkRecord,
        object: Object<'a>,
        envelope: bool,
    ) -> Result<(), Unloaded> {
        let (plan, settings, cells) = (&slot.plan, self.settings, &mut self.cells);
        let topic = &record.record.topic;
        let own_key = settings.pk == PkMode::RecordValue;
        let mut missing = None;
        object.each(|turn, name, cell| {
            let place = route.value.place(turn, name, |name| {
                let place = plan.place(&settings.name(name));
                match place {
                    // The key's own values win over the value's.
                    Place::Column(at) if at < plan.keys => {
                        if own_key {
                            place
                        } else {
                            Place::Left
                        }
                    }
                    _ if settings.takes(topic, name) => place,
                    _ => Place::Left,
                }
            });
            match place {
                Place::Column(at) => {
                    let untouched = envelope && unavailable(&cell);
                    cells[at] = (!untouched).then_some(cell);
                }
                Place::Left => {}
                Place::Missing => missing = Some(settings.name(&String::from_utf8_lossy(name))),
            }
            Ok(())
        })?;
        if let Some(name) = missing {
            return Err(Unloaded::Missing(name));
        }
        if own_key {
            self.complete(plan, "value")
        } else {
            Ok(())
        }
    }

    /// Encodes the cells that are there, the key's first.
    fn encode(&mut self, slot: &mut Slot, index: usize, change: Change) -> Result<(), Unloaded> {
        let start = slot.rows.bytes.len();
        let mut key_end = start;
        self.columns.clear();
        let wanted = if change == Change::Delete {
            slot.plan.keys
        } else {
            slot.plan.columns.len()
        };
        for (at, column) in slot.plan.columns[..wanted].iter().enumerate() {
            let Some(cell) = &self.cells[at] else {
                continue;
            };
            if let Err(Unfit(reason)) = encode(cell, column.wire, &mut slot.rows.bytes) {
                slot.rows.bytes.truncate(start);
                return Err(Unloaded::Refused(reason, Some(column.name.clone())));
            }
            self.columns.push(at as u16);
            if at < slot.plan.keys {
                key_end = slot.rows.bytes.len();
            }
        }
        if self.columns.is_empty() {
            return Err(Cow::Borrowed("no field of the record has a column to go to").into());
        }
        slot.rows.push(index, change, &self.columns, start, key_end);
        Ok(())
    }
}

/// A key that is one value.
fn scalar(key: &Datum) -> Option<Cell<'_>> {
    Some(match key {
        Datum::Null => Cell::Null,
        Datum::Json(text) => Cell::of_json(text),
        Datum::Text(text) => Cell::Text(Cow::Borrowed(std::str::from_utf8(text).ok()?)),
        Datum::Bytes(bytes) => Cell::Bytes(bytes),
        Datum::Value(value, schema) => Cell::of_value(value, schema.as_deref()),
    })
}
