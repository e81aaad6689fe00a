//! Topics of a real Debezium connector, recorded in `data/debezium`: applied by the sink they give the table that they came from.

use longshore_kit::servers::Postgres;
use longshore_postgres::PostgresSink;
use longshore_sdk::{
    Datum, ErrorKind, Record, Refused, SinkContext, SinkRecord, TopicOffset, TopicOffsets,
    TopicPartition,
    config::Flat,
    converter::Part,
    erased::{DynSink, sink},
};
use std::path::PathBuf;

/// Columns that JSON without schemas cannot carry at Debezium's defaults: decimals without their scale, and counts of microseconds.
const UNTOLD: [&str; 3] = ["price", "clock", "at"];
const ALL: &str = "SELECT * FROM item ORDER BY tenant, code";

fn data(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/debezium");
    std::fs::read(folder.join(name)).expect(name)
}

fn text(name: &str) -> String {
    String::from_utf8(data(name)).expect("UTF-8")
}

/// A recorded topic as a worker's converters give it to a sink.
async fn topic(name: &str, schemas: bool) -> Vec<SinkRecord> {
    let lines = zstd::decode_all(&*data(&format!("{name}.jsonl.zst"))).expect("zstd");
    let lines: Vec<serde_json::Value> = String::from_utf8(lines)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let datum = |json: &serde_json::Value| match json.as_str() {
        Some(text) => Datum::Bytes(text.to_owned().into()),
        None => Datum::Null,
    };
    let mut records: Vec<Record> = lines
        .iter()
        .map(|line| {
            let mut record = Record::new(line["topic"].as_str().expect("a topic").into());
            (record.key, record.value) = (datum(&line["key"]), datum(&line["value"]));
            record
        })
        .collect();
    for part in [Part::Key, Part::Value] {
        let failed = super::converter(schemas).decode(part, &mut records).await;
        assert!(failed.is_empty(), "{failed:?}");
    }
    records
        .into_iter()
        .zip(&lines)
        .map(|(record, line)| SinkRecord {
            at: TopicOffset {
                topic: record.topic.clone(),
                partition: 0,
                offset: line["offset"].as_i64().expect("an offset"),
            },
            record,
        })
        .collect()
}

struct Target {
    server: &'static Postgres,
    database: String,
}

impl Target {
    /// An empty table like the source's.
    fn new() -> Self {
        let server = Postgres::shared().expect("a server");
        let database = server.create_database().expect("a database");
        let target = Self { server, database };
        target.sql(&text("table.sql"));
        target
    }
    fn sql(&self, sql: &str) -> Vec<String> {
        self.server.query(&self.database, sql).expect("SQL")
    }
    /// The rows as `COPY` writes them.
    fn rows(&self) -> Vec<String> {
        self.sql(&format!("COPY ({ALL}) TO STDOUT"))
    }
    async fn task(&self, group: &str, more: &[(&str, &str)]) -> Box<dyn DynSink> {
        let url = self.server.url(&self.database);
        let config: Flat = [
            ("connection.url", url.as_str()),
            ("table.name.format", "item"),
            ("insert.mode", "upsert"),
            ("pk.mode", "record_key"),
            ("delete.enabled", "true"),
        ]
        .iter()
        .chain(more)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
        let cx = SinkContext {
            connector: "sink".into(),
            task: 0,
            group: group.into(),
            exactly_once: true,
            stop: longshore_sdk::Stop::never(),
        };
        sink::<PostgresSink>()
            .open(&config, Default::default(), cx)
            .await
            .expect("a task")
    }
    /// Applies the topic from its beginning, `size` records a batch; what was refused, and which record it was.
    async fn apply(
        &self,
        group: &str,
        more: &[(&str, &str)],
        records: &[SinkRecord],
        size: usize,
    ) -> Vec<Refused> {
        let mut task = self.task(group, more).await;
        let at = TopicPartition::new(records[0].at.topic.clone(), 0);
        let start = task.assigned(std::slice::from_ref(&at)).await;
        assert_eq!(start.expect("assigned"), Some(TopicOffsets::new()));
        let mut refused = Vec::new();
        for (turn, batch) in records.chunks(size).enumerate() {
            for mut one in task.put(batch).await.expect("put") {
                one.index += turn * size;
                refused.push(one);
            }
            let upto = batch.last().expect("a record").at.offset + 1;
            let upto = TopicOffsets::from([(at.clone(), upto)]);
            task.flush(&upto).await.expect("flush");
        }
        refused
    }
}

/// Row by row and all in one batch; a second group that reads everything again changes nothing.
async fn gives_the_sources_table(name: &str, schemas: bool, rows: &str) {
    let records = topic(name, schemas).await;
    let source: Vec<&str> = rows.lines().collect();
    for size in [1, 5, records.len()] {
        let target = Target::new();
        for group in ["first", "again"] {
            let refused = target.apply(group, &[], &records, size).await;
            assert!(refused.is_empty(), "{name}, {size}, {group}: {refused:?}");
            assert_eq!(target.rows(), source, "{name}, {size}, {group}");
        }
    }
}

#[tokio::test]
async fn a_topic_with_schemas_gives_the_sources_table() {
    Box::pin(gives_the_sources_table(
        "with-schemas",
        true,
        &text("rows.tsv"),
    ))
    .await;
}

#[tokio::test]
async fn a_topic_without_schemas_whose_values_are_text_gives_the_sources_table() {
    // The one thing that Debezium's text loses on the way: the end of a day is its start.
    let rows = text("rows.tsv").replace("\t24:00:00\t", "\t00:00:00\t");
    Box::pin(gives_the_sources_table("plain-text", false, &rows)).await;
}

/// What cannot be known is refused by name, never guessed; everything else is as in the source.
#[tokio::test]
async fn a_topic_without_schemas_at_the_defaults_lacks_only_what_nobody_can_tell() {
    let records = topic("plain", false).await;
    let target = Target::new();
    let refused = Box::pin(target.apply("strict", &[], &records, 5)).await;
    let untold: Vec<usize> = records
        .iter()
        .enumerate()
        .filter(|(_, record)| {
            let Datum::Json(json) = &record.record.value else {
                return false;
            };
            let json: serde_json::Value = serde_json::from_slice(json).expect("JSON");
            UNTOLD.iter().any(|name| !json["after"][*name].is_null())
        })
        .map(|(index, _)| index)
        .collect();
    assert_eq!(
        refused.iter().map(|one| one.index).collect::<Vec<_>>(),
        untold
    );
    for one in &refused {
        let error = one.error.trace();
        assert_eq!(one.error.kind(), ErrorKind::Data, "{error}");
        assert!(
            UNTOLD.iter().any(|name| error.contains(name)) && error.contains("schemas.enable=true"),
            "{error}"
        );
    }
    let target = Target::new();
    let columns = target.sql(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'item'::regclass AND attnum > 0 ORDER BY attnum",
    );
    let known = |row: &str| -> String {
        let cells = row.split('\t').zip(&columns);
        let cells = cells.filter(|(_, name)| !UNTOLD.contains(&name.as_str()));
        cells.map(|(cell, _)| cell).collect::<Vec<_>>().join("\t")
    };
    let source: Vec<String> = text("rows.tsv").lines().map(known).collect();
    let without = [("field.exclude.list", "price,clock,at")];
    for group in ["first", "again"] {
        let refused = Box::pin(target.apply(group, &without, &records, 5)).await;
        assert!(refused.is_empty(), "{group}: {refused:?}");
        let rows: Vec<String> = target.rows().iter().map(|row| known(row)).collect();
        assert_eq!(rows, source, "{group}");
    }
}
