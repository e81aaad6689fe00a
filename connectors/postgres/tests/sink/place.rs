//! A database, and tasks of the sink on it.

use longshore_kit::servers::Postgres;
use longshore_postgres::PostgresSink;
use longshore_sdk::{
    Datum, Error, ErrorKind, Record, Refused, Result, SinkContext, SinkRecord, TopicOffset,
    TopicOffsets, TopicPartition,
    config::Flat,
    erased::{self, DynSink},
};

pub(crate) struct Place {
    pub(crate) server: &'static Postgres,
    pub(crate) database: String,
}

impl Place {
    /// An empty database in which `sql` was run.
    pub(crate) fn new(sql: &str) -> Self {
        let server = Postgres::shared().expect("a server");
        let database = server.create_database().expect("a database");
        let place = Self { server, database };
        place.sql(sql);
        place
    }
    /// The last statement's rows, columns between `|`.
    pub(crate) fn sql(&self, sql: &str) -> Vec<String> {
        self.server.query(&self.database, sql).expect(sql)
    }
    pub(crate) fn config(&self, more: &[(&str, &str)]) -> Flat {
        let mut config =
            Flat::from([("connection.url".to_owned(), self.server.url(&self.database))]);
        config.extend(
            more.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        config
    }
    /// A task with partition 0 of topic `t` claimed.
    pub(crate) async fn task(&self, more: &[(&str, &str)]) -> Task {
        Task::open(&self.config(more)).await.expect("open")
    }
}

pub(crate) struct Task {
    pub(crate) sink: Box<dyn DynSink>,
    next: i64,
}

impl Task {
    pub(crate) async fn open(config: &Flat) -> Result<Self> {
        let mut task = Self::unclaimed(config, 0, true).await?;
        let start = task.claim().await?;
        task.next = start.unwrap_or(0);
        Ok(task)
    }
    pub(crate) async fn unclaimed(config: &Flat, number: u32, exactly_once: bool) -> Result<Self> {
        let cx = SinkContext {
            connector: "c".into(),
            task: number,
            group: "connect-c".into(),
            exactly_once,
            stop: longshore_sdk::Stop::never(),
        };
        let sink = erased::sink::<PostgresSink>()
            .open(config, Default::default(), cx)
            .await?;
        Ok(Self { sink, next: 0 })
    }
    /// Claims partition 0 of `t`.
    pub(crate) async fn claim(&mut self) -> Result<Option<i64>> {
        let at = TopicPartition::new("t", 0);
        let start = self.sink.assigned(std::slice::from_ref(&at)).await?;
        Ok(start.and_then(|start| start.get(&at).copied()))
    }
    /// Puts records with the next offsets; says which were refused, and why.
    pub(crate) async fn put(&mut self, records: Vec<Record>) -> Result<Vec<Refused>> {
        let batch = self.places(records);
        self.sink.put(&batch).await
    }
    fn places(&mut self, records: Vec<Record>) -> Vec<SinkRecord> {
        let placed = records.into_iter().map(|record| {
            self.next += 1;
            read(record, 0, self.next - 1)
        });
        placed.collect()
    }
    pub(crate) async fn flush(&mut self) -> Result<TopicOffsets> {
        self.sink.flush(&at(0, self.next)).await
    }
    /// Puts and flushes records of which none is refused.
    pub(crate) async fn take(&mut self, records: Vec<Record>) {
        let refused = self.put(records).await.expect("put");
        assert!(refused.is_empty(), "{refused:?}");
        self.flush().await.expect("flush");
    }
    /// Puts records and flushes; the refused ones' places in the batch, and their errors.
    pub(crate) async fn refused(&mut self, records: Vec<Record>) -> Vec<(usize, String)> {
        let refused = self.put(records).await.expect("put");
        self.flush().await.expect("flush");
        refused
            .into_iter()
            .map(|refused| {
                assert_eq!(refused.error.kind(), ErrorKind::Data, "{}", refused.error);
                (refused.index, shown(&refused.error))
            })
            .collect()
    }
}

/// All that is ever shown of an error.
pub(crate) fn shown(error: &Error) -> String {
    error.trace()
}

pub(crate) fn at(partition: i32, next: i64) -> TopicOffsets {
    TopicOffsets::from([(TopicPartition::new("t", partition), next)])
}

pub(crate) fn read(record: Record, partition: i32, offset: i64) -> SinkRecord {
    let at = TopicOffset {
        topic: "t".into(),
        partition,
        offset,
    };
    SinkRecord { record, at }
}

/// A record of topic `t` with a key and a value of JSON; an empty text is a null.
pub(crate) fn json(key: &str, value: &str) -> Record {
    let datum = |text: &str| match text {
        "" => Datum::Null,
        text => Datum::Json(text.to_owned().into()),
    };
    let mut record = Record::new("t".into());
    record.key = datum(key);
    record.value = datum(value);
    record
}

/// The same without a key.
pub(crate) fn row(value: &str) -> Record {
    json("", value)
}
