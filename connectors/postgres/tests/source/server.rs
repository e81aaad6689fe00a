//! What the tests of the source share: a database each, a task, and what it reads.

use longshore_kit::servers::Postgres;
use longshore_postgres::PostgresSource;
use longshore_sdk::{
    Datum, Error, Field, Offset, Offsets, Partition, SourceContext, SourceRecord, Value,
    config::Flat,
    erased::{DynSource, DynSourceConnector, source},
};
use std::time::{Duration, Instant};

/// How long a test waits for rows that must come.
const COMING: Duration = Duration::from_secs(60);

/// A database of its own on the server that all tests share.
pub(super) struct Database {
    pub(super) server: &'static Postgres,
    pub(super) name: String,
}

impl Database {
    pub(super) fn new(sql: &str) -> Self {
        let server = Postgres::shared().expect("a server");
        let name = server.create_database().expect("a database");
        let database = Self { server, name };
        database.sql(sql);
        database
    }
    /// Runs SQL; the last statement's rows.
    pub(super) fn sql(&self, sql: &str) -> Vec<String> {
        if sql.is_empty() {
            return Vec::new();
        }
        self.server.query(&self.name, sql).expect("SQL")
    }
    pub(super) fn url(&self) -> String {
        self.server.url(&self.name)
    }
    /// A config with these keys, polling as fast as it goes.
    pub(super) fn config(&self, keys: &[(&str, &str)]) -> Flat {
        let mut config = Flat::from([
            ("connection.url".to_owned(), self.url()),
            ("topic.prefix".to_owned(), "p-".to_owned()),
            ("poll.interval.ms".to_owned(), "20".to_owned()),
        ]);
        for (key, value) in keys {
            config.insert((*key).to_owned(), (*value).to_owned());
        }
        config
    }
    /// A client of its own, for transactions that stay open.
    pub(super) async fn client(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), tokio_postgres::NoTls)
            .await
            .expect("a connection");
        tokio::spawn(connection);
        client
    }
}

pub(super) fn connector() -> Box<dyn DynSourceConnector> {
    source::<PostgresSource>()
}

/// The only task, going on from these offsets.
pub(super) async fn open(config: &Flat, offsets: Offsets) -> Result<Box<dyn DynSource>, Error> {
    let mut shares = connector().plan(config, 1).await?;
    assert_eq!(shares.len(), 1);
    let cx = SourceContext::detached("test", 0, offsets);
    connector().open(config, shares.remove(0), cx).await
}

/// At least `count` records.
pub(super) async fn read(task: &mut Box<dyn DynSource>, count: usize) -> Vec<SourceRecord> {
    let until = Instant::now() + COMING;
    let mut records = Vec::new();
    while records.len() < count {
        records.extend(poll(task).await.expect("a poll"));
        assert!(
            Instant::now() < until,
            "{} of {count} records came",
            records.len()
        );
    }
    records
}

pub(super) async fn poll(task: &mut Box<dyn DynSource>) -> Result<Vec<SourceRecord>, Error> {
    task.poll(Duration::from_millis(100)).await
}

/// The error that polling comes to.
pub(super) async fn failure(task: &mut Box<dyn DynSource>) -> Error {
    let until = Instant::now() + COMING;
    loop {
        if let Err(error) = poll(task).await {
            return error;
        }
        assert!(Instant::now() < until, "no error came");
    }
}

/// Nothing comes in some polls.
pub(super) async fn nothing(task: &mut Box<dyn DynSource>) {
    for _ in 0..5 {
        let records = poll(task).await.expect("a poll");
        assert!(records.is_empty(), "records came: {records:?}");
    }
}

/// The newest offset of each lane, as it comes back from the store.
pub(super) fn stored(records: &[SourceRecord]) -> Offsets {
    let newest = records.iter().map(|record| {
        (
            Partition::from_json(record.lane.json().clone()),
            Offset::from_json(record.offset.json()),
        )
    });
    newest.collect()
}

pub(super) fn offsets(lane: &str, offset: &str) -> Offsets {
    Offsets::from([(
        Partition::from_json(lane.to_owned().into()),
        Offset::from_json(offset.to_owned().into()),
    )])
}

/// A field of a record's value, with its schema.
pub(super) fn field(record: &SourceRecord, name: &str) -> (Value, Field) {
    let Datum::Value(Value::Struct(values), Some(schema)) = &record.record.value else {
        panic!("no struct: {:?}", record.record.value);
    };
    let (at, field) = schema.field(name).expect("the field");
    (values[at].clone(), field.clone())
}

pub(super) fn ids(records: &[SourceRecord]) -> Vec<i64> {
    let id = |record| match field(record, "id").0 {
        Value::Int64(id) => id,
        Value::Int32(id) => i64::from(id),
        other => panic!("no id: {other:?}"),
    };
    records.iter().map(id).collect()
}

pub(super) fn offset_of(record: &SourceRecord) -> String {
    String::from_utf8(record.offset.json().to_vec()).expect("JSON")
}
