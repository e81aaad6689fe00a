//! The SQL that reads on from a place.

use super::{
    decode::Instant,
    offset::{PAST, Position},
};
use crate::client::{Column, quote, quote_literal};
use tokio_postgres::types::Type;

/// The columns that say which rows are new.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cursor {
    pub(super) id: Option<IdColumn>,
    pub(super) time: Option<TimeColumns>,
}

/// The growing column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct IdColumn {
    sql: String,
}

/// The columns that say when; the first that is not NULL counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeColumns {
    sql: String,
    kind: TimeKind,
    /// The zone that values without one mean.
    zone: String,
    /// How much a column rounds, in microseconds: a time just passed may be given to rows that are yet to come.
    pub(super) grain: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum TimeKind {
    Zoned,
    Local,
    Date,
}

/// Up to where rows may be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Upper {
    /// This id included.
    pub(super) id: Option<i64>,
    /// This time included, in microseconds since the Unix epoch.
    pub(super) time: Option<i64>,
    /// Before this time.
    pub(super) before: Option<i64>,
}

/// What is read goes by this name: a column behind it is the table's own, whatever the SELECT calls its outputs.
pub(super) const ROW: &str = "longshore_row";

fn own(column: &Column) -> String {
    format!("{ROW}.{}", quote(&column.name))
}

impl IdColumn {
    /// Errors: what is wrong with the column's type.
    pub(super) fn of(column: &Column) -> Result<Self, String> {
        let base = column.kind.base();
        let whole = [Type::INT2, Type::INT4, Type::INT8, Type::NUMERIC, Type::OID];
        if !whole.iter().any(|known| known.oid() == base.oid) {
            return Err(format!(
                "column {} is of type {}: an incrementing column must be an integer or a numeric",
                column.name, column.kind.shown
            ));
        }
        Ok(Self { sql: own(column) })
    }
}

impl TimeColumns {
    /// Errors: what is wrong with the columns' types.
    pub(super) fn of(columns: &[&Column], zone: &str) -> Result<Self, String> {
        let (mut kinds, mut grain) = (Vec::new(), 0);
        for column in columns {
            let base = column.kind.base();
            if let Ok(digits @ 0..6) = u32::try_from(base.modifier) {
                grain = grain.max(10i64.pow(6 - digits));
            }
            let kind = match Type::from_oid(base.oid) {
                Some(Type::TIMESTAMPTZ) => TimeKind::Zoned,
                Some(Type::TIMESTAMP) => TimeKind::Local,
                Some(Type::DATE) => TimeKind::Date,
                _ => {
                    return Err(format!(
                        "column {} is of type {}: a timestamp column must be a timestamp, with or without time zone, or a date",
                        column.name, column.kind.shown
                    ));
                }
            };
            kinds.push(kind);
        }
        let Some(kind) = kinds.first().copied() else {
            return Err("no timestamp column is named".to_owned());
        };
        if kinds.iter().any(|other| *other != kind) {
            return Err("the timestamp columns are of different types".to_owned());
        }
        let names: Vec<String> = columns.iter().map(|column| own(column)).collect();
        Ok(Self {
            sql: match &names[..] {
                [one] => one.clone(),
                several => format!("COALESCE({})", several.join(", ")),
            },
            kind,
            zone: quote_literal(zone),
            grain,
        })
    }
    /// A value of the columns' type as a point in time, to be decoded.
    fn instant(&self, value: &str) -> String {
        match self.kind {
            TimeKind::Zoned => value.to_owned(),
            TimeKind::Local => format!("({value} AT TIME ZONE {})", self.zone),
            TimeKind::Date => format!("(({value})::timestamp AT TIME ZONE {})", self.zone),
        }
    }
    /// A point in time as a constant of the columns' type, so that an index on them serves.
    fn constant(&self, micros: i64) -> String {
        let instant = if micros == PAST {
            Instant::Past
        } else {
            Instant::of_unix(micros)
        };
        let text = quote_literal(&instant.text("Z"));
        match self.kind {
            TimeKind::Zoned => format!("{text}::timestamptz"),
            TimeKind::Local => format!("({text}::timestamptz AT TIME ZONE {})", self.zone),
            TimeKind::Date => format!("({text}::timestamptz AT TIME ZONE {})::date", self.zone),
        }
    }
}

impl Cursor {
    /// What is selected behind the row's own columns: the id as bigint, the time as timestamptz, where the cursor has them.
    fn outputs(&self) -> String {
        let mut outputs = String::new();
        if let Some(id) = &self.id {
            outputs.push_str(&format!(", ({})::int8", id.sql));
        }
        if let Some(time) = &self.time {
            outputs.push_str(&format!(", {}", time.instant(&time.sql)));
        }
        outputs
    }
    /// A page in the order of the cursor; rows that are equal to the last one come with it. A `suffix` of the user's takes the limit's place.
    pub(super) fn page(
        &self,
        (select, from): (&str, &str),
        after: Position,
        upto: Upper,
        (limit, suffix): (u64, Option<&str>),
    ) -> String {
        let mut conditions = self.conditions(after, upto);
        let by: Vec<&str> = [
            self.time.as_ref().map(|time| time.sql.as_str()),
            self.id.as_ref().map(|id| id.sql.as_str()),
        ]
        .into_iter()
        .flatten()
        .collect();
        let end = match (suffix, &self.time, &self.id) {
            (None, ..) => format!("FETCH FIRST {limit} ROWS WITH TIES"),
            // A limit of the user's would part rows of one time, and those behind it would be passed: it says up to which time.
            (Some(suffix), Some(time), None) => {
                let within = conditions.join(" AND ");
                conditions.push(format!(
                    "{0} <= (SELECT max(longshore_at) FROM (SELECT {0} AS longshore_at FROM {from} WHERE {within} ORDER BY {0} {suffix}\n) AS longshore_cut)",
                    time.sql
                ));
                String::new()
            }
            (Some(suffix), ..) => suffix.to_owned(),
        };
        format!(
            "SELECT {select}{}{} FROM {from}{} ORDER BY {} {end}",
            if select.is_empty() { "NULL" } else { "" },
            self.outputs(),
            if conditions.is_empty() {
                String::new()
            } else {
                format!(" WHERE {}", conditions.join(" AND "))
            },
            by.join(", ")
        )
    }
    fn conditions(&self, after: Position, upto: Upper) -> Vec<String> {
        let mut conditions = Vec::new();
        match (&self.time, &self.id, after.time, after.id) {
            (Some(time), Some(id), Some(at), Some(last)) => conditions.push(format!(
                "({}, {}) > ({}, {last})",
                time.sql,
                id.sql,
                time.constant(at)
            )),
            // A place without an id is one that all rows of its time come after: where a task starts, or a former mode left it.
            (Some(time), Some(_), Some(at), None) => {
                conditions.push(format!("{} >= {}", time.sql, time.constant(at)));
            }
            (Some(time), None, Some(at), _) => {
                conditions.push(format!("{} > {}", time.sql, time.constant(at)));
            }
            (None, Some(id), _, Some(last)) => conditions.push(format!("{} > {last}", id.sql)),
            _ => {}
        }
        match (&self.time, &self.id) {
            (Some(time), id) => {
                conditions.push(match (upto.time, upto.before) {
                    (Some(last), _) => format!("{} <= {}", time.sql, time.constant(last)),
                    (None, Some(end)) => format!("{} < {}", time.sql, time.constant(end)),
                    (None, None) => format!("{} IS NOT NULL", time.sql),
                });
                if let Some(id) = id {
                    conditions.push(format!("{} IS NOT NULL", id.sql));
                }
            }
            (None, Some(id)) => match upto.id {
                Some(end) => conditions.push(format!("{} <= {end}", id.sql)),
                None => conditions.push(format!("{} IS NOT NULL", id.sql)),
            },
            (None, None) => {}
        }
        conditions
    }
    /// The highest id, or the latest time, that can be seen behind a place and before a bound; or NULL.
    pub(super) fn newest(&self, from: &str, after: Position, before: Upper) -> String {
        let newest = match (&self.time, &self.id) {
            (Some(time), _) => time.instant(&format!("max({})", time.sql)),
            (None, Some(id)) => format!("max({})::int8", id.sql),
            (None, None) => "NULL".to_owned(),
        };
        let conditions = self.conditions(after, before);
        format!(
            "SELECT {newest} FROM {from}{}",
            if conditions.is_empty() {
                String::new()
            } else {
                format!(" WHERE {}", conditions.join(" AND "))
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{ColumnType, TypeKind};

    fn column(name: &str, known: &Type) -> Column {
        Column {
            name: name.to_owned(),
            kind: ColumnType {
                oid: known.oid(),
                schema: "pg_catalog".to_owned(),
                name: known.name().to_owned(),
                modifier: -1,
                shown: known.name().to_owned(),
                made_of: TypeKind::Base,
            },
            nullable: false,
            default: false,
            generated: false,
        }
    }
    fn cursor(id: bool, times: &[(&str, Type)]) -> Cursor {
        let columns: Vec<Column> = times.iter().map(|(name, of)| column(name, of)).collect();
        let columns: Vec<&Column> = columns.iter().collect();
        Cursor {
            id: id.then(|| IdColumn::of(&column("Id", &Type::INT8)).expect("an integer")),
            time: (!times.is_empty())
                .then(|| TimeColumns::of(&columns, "Europe/Berlin").expect("times")),
        }
    }

    #[test]
    fn ids_are_compared_as_they_are_so_that_an_index_serves() {
        let cursor = cursor(true, &[]);
        let after = |id| Position { time: None, id };
        let upto = Upper {
            id: Some(9),
            ..Upper::default()
        };
        assert_eq!(
            cursor.page(("\"a\"", "t"), after(Some(-1)), upto, (10, None)),
            "SELECT \"a\", (longshore_row.\"Id\")::int8 FROM t WHERE longshore_row.\"Id\" > -1 AND longshore_row.\"Id\" <= 9 ORDER BY longshore_row.\"Id\" FETCH FIRST 10 ROWS WITH TIES"
        );
        assert_eq!(
            cursor.page(
                ("\"a\"", "t"),
                after(None),
                Upper::default(),
                (10, Some("LIMIT 3"))
            ),
            "SELECT \"a\", (longshore_row.\"Id\")::int8 FROM t WHERE longshore_row.\"Id\" IS NOT NULL ORDER BY longshore_row.\"Id\" LIMIT 3"
        );
        assert_eq!(
            cursor.newest("t", after(Some(3)), Upper::default()),
            "SELECT max(longshore_row.\"Id\")::int8 FROM t WHERE longshore_row.\"Id\" > 3 AND longshore_row.\"Id\" IS NOT NULL"
        );
    }

    #[test]
    fn times_are_compared_in_their_own_type_and_zone() {
        let at = Position {
            time: Some(1_500_000),
            id: Some(4),
        };
        let upto = Upper {
            before: Some(2_000_000),
            ..Upper::default()
        };
        let page = cursor(true, &[("at", Type::TIMESTAMPTZ)]).page(("x", "t"), at, upto, (1, None));
        assert!(
            page.contains("(longshore_row.\"at\", longshore_row.\"Id\") > ('1970-01-01T00:00:01.5Z'::timestamptz, 4) AND longshore_row.\"at\" < '1970-01-01T00:00:02Z'::timestamptz AND longshore_row.\"Id\" IS NOT NULL ORDER BY longshore_row.\"at\", longshore_row.\"Id\""),
            "{page}"
        );
        let times = [("new", Type::TIMESTAMP), ("old", Type::TIMESTAMP)];
        let page = cursor(false, &times).page(("x", "t"), at, upto, (1, None));
        assert!(
            page.contains("COALESCE(longshore_row.\"new\", longshore_row.\"old\") > ('1970-01-01T00:00:01.5Z'::timestamptz AT TIME ZONE 'Europe/Berlin')"),
            "{page}"
        );
        let start = Position { id: None, ..at };
        let page = cursor(true, &[("at", Type::DATE)]).page(("x", "t"), start, upto, (1, None));
        assert!(page.contains("longshore_row.\"at\" >= ("), "{page}");
        let newest = cursor(true, &[("at", Type::TIMESTAMP)]).newest("t", at, upto);
        assert!(
            newest.starts_with("SELECT (max(longshore_row.\"at\") AT TIME ZONE 'Europe/Berlin') FROM t WHERE (longshore_row.\"at\", "),
            "{newest}"
        );
        // A date is not over before its last row: the bound itself is read.
        let last = Upper {
            time: Some(2_000_000),
            ..upto
        };
        let page = cursor(false, &[("at", Type::DATE)]).page(("x", "t"), at, last, (1, None));
        assert!(page.contains("longshore_row.\"at\" <= ("), "{page}");
    }

    #[test]
    fn columns_of_other_types_are_refused_by_name() {
        let error = IdColumn::of(&column("u", &Type::UUID)).expect_err("no integer");
        assert!(error.contains("column u is of type uuid"), "{error}");
        let text = column("t", &Type::TEXT);
        assert!(TimeColumns::of(&[&text], "UTC").is_err());
        let (date, zoned) = (column("d", &Type::DATE), column("z", &Type::TIMESTAMPTZ));
        assert!(TimeColumns::of(&[&date, &zoned], "UTC").is_err());
        assert!(TimeColumns::of(&[], "UTC").is_err());
    }
}
