//! One table, or the query: where it stands, and up to where it may be read.

use super::{
    columns::Columns,
    config::{Late, Mode, Quote, SourceConfig},
    cursor::{Cursor, IdColumn, ROW, TimeColumns, Upper},
    mapping::Mapping,
    offset::Position,
    read::Micros,
    window::{Fence, Sight, Transactions},
};
use crate::client::{Column, ColumnType, Relation, Session, TableName, TypeKind, catalogue};
use longshore_sdk::{Error, Partition, Result, Topic};
use std::collections::VecDeque;
use tokio::time::Instant;
use tokio_postgres::types::{Kind, Type};

/// Bounds that wait at the same time (I6). When there are as many, every second one is given up, which costs nothing but an opportunity:
/// so they lie the further apart the longer a transaction keeps them waiting, and the latest is always young.
const FENCES_MAX: usize = 16;

/// What is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Subject {
    /// A table, by schema and name.
    Table(TableName),
    /// A SELECT.
    Query(String),
}

impl Subject {
    /// For messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Table(name) => format!("table {name}"),
            Self::Query(_) => "the query".to_owned(),
        }
    }
    /// What stands behind FROM.
    pub(super) fn from(&self) -> String {
        match self {
            Self::Table(name) => format!("{} AS {ROW}", name.sql()),
            Self::Query(query) => format!("({query}\n) AS {ROW}"),
        }
    }
}

/// How a subject is read, as it looked when a range was begun.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) columns: Columns,
    pub(super) cursor: Cursor,
}

/// One table, or the query.
pub(super) struct Lane {
    pub(super) subject: Subject,
    pub(super) partition: Partition,
    pub(super) topic: Topic,
    /// Everything up to here is handed out.
    pub(super) position: Position,
    /// When new rows are looked for again.
    pub(super) due: Instant,
    /// Up to where rows may be read; `None` when there is nothing to read now.
    pub(super) ready: Option<Upper>,
    pub(super) described: Option<Described>,
    /// Whether the description is that of the range that is read.
    pub(super) begun: bool,
    fences: VecDeque<Fence>,
    /// The latest bound that was looked up.
    bound: Option<Upper>,
}

impl Lane {
    pub(super) fn new(
        subject: Subject,
        partition: Partition,
        topic: Topic,
        position: Position,
    ) -> Self {
        Self {
            subject,
            partition,
            topic,
            position,
            due: Instant::now(),
            ready: None,
            described: None,
            begun: false,
            fences: VecDeque::new(),
            bound: None,
        }
    }

    /// Whether bounds wait for transactions.
    pub(super) fn waits(&self) -> bool {
        !self.fences.is_empty()
    }

    /// Describes what is read. Errors are of kind Config where the table, or a column that the mode needs, is gone.
    pub(super) async fn describe(
        &mut self,
        session: &Session,
        config: &SourceConfig,
    ) -> Result<()> {
        let (columns, knows_nulls) = match &self.subject {
            Subject::Table(name) => match catalogue::table(session, "poll", name).await? {
                Some(table) => (table.columns, knows_nulls(table.relation)),
                None => {
                    let problem = format!(
                        "table {name} is not there any more: it was dropped or renamed, or its schema is closed to the user. \
                         Restore it, or take it out of the connector's tables and restart"
                    );
                    return Err(Error::config("poll", problem).with("table", name));
                }
            },
            Subject::Query(_) => {
                let columns = query_columns(session, &self.subject.from()).await?;
                (columns, false)
            }
        };
        let cursor = cursor(&self.subject.shown(), &columns, knows_nulls, config)?;
        let mapping = Mapping {
            numeric: config.numeric(),
            granularity: config.granularity(),
            timezone: config.timezone.clone(),
        };
        let shown = self.subject.shown();
        let name = match &self.subject {
            Subject::Table(name) => Some(name.table.as_str()),
            Subject::Query(_) => None,
        };
        self.described = Some(Described {
            columns: Columns::plan(&shown, name, &columns, &mapping),
            cursor,
        });
        Ok(())
    }

    /// Looks up a new bound: how far rows go that can be seen. `clock` is the server's, less the margin.
    pub(super) async fn look_up(
        &mut self,
        session: &Session,
        mode: Mode,
        clock: i64,
    ) -> Result<Option<Upper>> {
        if mode == Mode::Bulk {
            return Ok(Some(Upper::default()));
        }
        let Some(described) = &self.described else {
            return Ok(None);
        };
        let time = described.cursor.time.as_ref();
        let before = Upper {
            before: time.map(|time| clock - time.grain),
            ..Upper::default()
        };
        let from = self.subject.from();
        let sql = described.cursor.newest(&from, self.position, before);
        let rows = session.client().query_typed(&sql, &[]);
        let rows = session.bounded("poll", rows).await;
        let rows = rows.map_err(|failure| failure.with("read", self.subject.shown()))?;
        let upto = if mode.by_time() {
            let latest = rows.first().and_then(|row| row.get::<_, Option<Micros>>(0));
            // Seen, so that who comes later writes later: that holds whatever zone or clock the column's times are of.
            Upper {
                time: latest.and_then(Micros::unix),
                ..Upper::default()
            }
        } else {
            Upper {
                id: rows.first().and_then(|row| row.get(0)),
                ..Upper::default()
            }
        };
        // Nothing new: nothing to wait for.
        if upto == Upper::default() {
            return Ok(None);
        }
        if self.bound == Some(upto) && self.ready.is_none() && self.waits() {
            return Ok(None);
        }
        Ok(Some(upto))
    }

    /// Takes a bound that was looked up before `sight`.
    pub(super) fn bounded_by(&mut self, upto: Upper, transactions: &Transactions, sight: &Sight) {
        self.bound = Some(upto);
        if self.fences.len() >= FENCES_MAX {
            let mut second = false;
            self.fences.retain(|_| {
                second = !second;
                second
            });
        }
        self.fences.push_back(transactions.fence(upto, sight));
    }

    /// Opens the bounds that nobody is waited for any more; the latest of them is the one to read up to.
    pub(super) fn pass(&mut self, transactions: &Transactions, sight: &Sight) {
        let shown = self.subject.shown();
        let mut open = None;
        for (at, fence) in self.fences.iter_mut().enumerate() {
            if transactions.is_open(fence, sight, &shown) {
                open = Some(at);
            }
        }
        // A later bound is open only if all that an earlier one waits for is over below it, too: whoever was open at the earlier look and
        // still is was open at the later one.
        if let Some(at) = open {
            self.ready = self.fences.get(at).map(|fence| fence.upto);
            self.fences.drain(..=at);
        }
    }

    /// Everything up to the bound is read, or the attempt is given up: then it is looked up anew.
    pub(super) fn rest(&mut self, due: Instant) {
        self.ready = None;
        self.begun = false;
        self.due = due;
    }

    /// Reads up to a bound without waiting for anybody.
    pub(super) fn ignore_late(&mut self, upto: Upper, late: Late) -> bool {
        if late == Late::Ignore {
            self.ready = Some(upto);
        }
        late == Late::Ignore
    }
}

/// The columns of a query, as the server describes its answer.
pub(super) async fn query_columns(session: &Session, from: &str) -> Result<Vec<Column>> {
    let sql = format!("SELECT * FROM {from}");
    let prepared = session
        .bounded("poll", session.client().prepare(&sql))
        .await
        .map_err(|failure| failure.with("read", "the query"))?;
    let columns = prepared.columns().iter();
    let columns: Vec<Column> = columns
        .map(|column| Column {
            name: column.name().to_owned(),
            kind: column_type(column.type_(), column.type_modifier()),
            nullable: true,
            default: false,
            generated: false,
        })
        .collect();
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].iter().any(|other| other.name == column.name) {
            let problem = format!(
                "the query answers with two columns named {}: give one of them another name (AS ..)",
                column.name
            );
            return Err(Error::config("poll", problem));
        }
    }
    Ok(columns)
}

fn column_type(known: &Type, modifier: i32) -> ColumnType {
    ColumnType {
        oid: known.oid(),
        schema: known.schema().to_owned(),
        name: known.name().to_owned(),
        modifier,
        shown: known.name().to_owned(),
        made_of: match known.kind() {
            Kind::Simple | Kind::Pseudo => TypeKind::Base,
            Kind::Enum(labels) => TypeKind::Enum(labels.clone()),
            Kind::Domain(inner) => TypeKind::Domain(Box::new(column_type(inner, -1))),
            Kind::Array(item) => TypeKind::Array(Box::new(column_type(item, -1))),
            _ => TypeKind::Composite,
        },
    }
}

/// Whether the catalogue knows which columns may hold NULL: of a view it does not.
pub(super) fn knows_nulls(relation: Relation) -> bool {
    matches!(relation, Relation::Table | Relation::Partitioned)
}

/// The columns that the mode goes by. Errors are of kind Config and name the key.
pub(super) fn cursor(
    shown: &str,
    columns: &[Column],
    knows_nulls: bool,
    config: &SourceConfig,
) -> Result<Cursor> {
    let find = |key: &'static str, name: &str| {
        let exact = columns.iter().find(|column| column.name == name);
        let found = exact.or_else(|| {
            let folded = |column: &&Column| column.name.eq_ignore_ascii_case(name);
            columns
                .iter()
                .find(|column| config.quote == Quote::Never && folded(column))
        });
        found.ok_or_else(|| {
            let names = columns.iter().map(|column| column.name.as_str());
            let advice = longshore_sdk::config::nearest(name, names)
                .map(|near| format!("; did you mean {near}?"))
                .unwrap_or_default();
            let problem = format!("{key}: {shown} has no column {name}{advice}");
            Error::config("poll", problem).with("key", key)
        })
    };
    let wrong = |key: &'static str| {
        move |problem: String| {
            Error::config("poll", format!("{key}: {problem} ({shown})")).with("key", key)
        }
    };
    let strict = config.validate_non_null && knows_nulls;
    let nullable = |name: &str| {
        format!(
            "column {name} may hold NULL, and such rows would not be read: make it NOT NULL, or set validate.non.null=false"
        )
    };
    let id = match config.id_column() {
        None => None,
        Some(name) => {
            const KEY: &str = "incrementing.column.name";
            let column = find(KEY, name)?;
            let id = IdColumn::of(column).map_err(wrong(KEY))?;
            if strict && column.nullable {
                return Err(wrong(KEY)(nullable(&column.name)));
            }
            Some(id)
        }
    };
    let names = config.time_columns();
    let time = if names.is_empty() {
        None
    } else {
        const KEY: &str = "timestamp.column.name";
        let columns: Vec<&Column> = names
            .into_iter()
            .map(|name| find(KEY, name))
            .collect::<Result<_>>()?;
        let time = TimeColumns::of(&columns, &config.timezone).map_err(wrong(KEY))?;
        if strict && columns.iter().all(|column| column.nullable) {
            return Err(wrong(KEY)(nullable(&columns[0].name)));
        }
        Some(time)
    };
    Ok(Cursor { id, time })
}
