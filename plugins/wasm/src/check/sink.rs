//! Cases of sinks.

use super::{Cases, allowed, in_time, looked, none_breaks, sample};
use longshore_sdk::{
    Datum, Header, Record, Result as Answer, SinkContext, SinkRecord, TopicOffset, TopicOffsets,
    TopicPartition,
    config::Flat,
    erased::{DynSink, DynSinkConnector},
};

pub(super) async fn check(sink: &dyn DynSinkConnector, good: &Flat, cases: &mut Cases) {
    cases.add(
        "promise",
        match sink.guarantee(good) {
            Ok(word) => Ok(format!("{}: {}", word.level.name(), word.method)),
            Err(error) => allowed(&error),
        },
    );
    cases.add("check", looked(&sink.check(good).await));
    let mut answers = Vec::new();
    for (what, config) in sample::bad(&sink.definition(), good) {
        answers.push((what, sink.guarantee(&config).err()));
        drop(sink.check(&config).await);
        answers.push((what, opened(sink, &config).await.err()));
    }
    cases.add("bad configs", none_breaks(&answers));
    match written(sink, good).await {
        Ok(note) => cases.add("put and flush", note),
        Err(error) => cases.add("put and flush", allowed(&error)),
    }
}

async fn opened(sink: &dyn DynSinkConnector, config: &Flat) -> Answer<Box<dyn DynSink>> {
    let share = in_time(sink.plan(config, 1)).await?;
    let share = share.into_iter().next().unwrap_or_default();
    let context = SinkContext {
        connector: "check".into(),
        task: 0,
        group: "connect-check".into(),
        exactly_once: true,
        stop: longshore_sdk::Stop::never(),
    };
    in_time(sink.open(config, share, context)).await
}

/// Nothing, then records that are not easy to take.
async fn written(sink: &dyn DynSinkConnector, config: &Flat) -> Answer<Result<String, String>> {
    let mut task = opened(sink, config).await?;
    let at = [TopicPartition::new("check", 0)];
    in_time(task.assigned(&at)).await?;
    let none = TopicOffsets::new();
    let committed = in_time(task.flush(&none)).await?;
    if !committed.is_empty() {
        return Ok(Err(format!(
            "flush of nothing lets {} offsets be committed",
            committed.len()
        )));
    }
    let batch = records();
    let refused = in_time(task.put(&batch)).await?;
    if let Some(beyond) = refused.iter().find(|refused| refused.index >= batch.len()) {
        return Ok(Err(format!(
            "put refuses record {} of {}",
            beyond.index,
            batch.len()
        )));
    }
    let upto = TopicOffsets::from([(at[0].clone(), batch.len() as i64)]);
    let committed = in_time(task.flush(&upto)).await?;
    let beyond = committed
        .iter()
        .find(|(at, offset)| upto.get(*at).is_none_or(|upto| *offset > upto));
    if let Some((at, offset)) = beyond {
        return Ok(Err(format!(
            "flush lets {at} be committed at {offset}, which it was not given"
        )));
    }
    in_time(task.revoked(&at)).await?;
    in_time(task.close()).await?;
    in_time(task.close()).await?;
    Ok(Ok(format!(
        "{} records, {} refused",
        batch.len(),
        refused.len()
    )))
}

/// A tombstone, text, JSON, bytes that are no text, headers, and something large.
pub(super) fn records() -> Vec<SinkRecord> {
    let values = [
        Datum::Null,
        Datum::string("text \u{1F4A5}"),
        Datum::Json("{\"a\":1,\"b\":[null,\"x\"]}".into()),
        Datum::Bytes(vec![0, 0xff, 0xfe, 0x80].into()),
        Datum::string("x".repeat(100_000)),
        Datum::Json("[]".into()),
    ];
    let records = values.into_iter().zip(0_i64..).map(|(value, offset)| {
        let mut record = Record::new("check".into());
        record.partition = Some(0);
        record.offset = Some(offset);
        record.timestamp = (offset != 1).then_some(1_700_000_000_000 + offset);
        record.key = if offset == 2 {
            Datum::Null
        } else {
            Datum::string(format!("key {offset}"))
        };
        for value in [Datum::Null, Datum::string("h")] {
            record.headers.push(Header {
                key: "name".into(),
                value,
            });
        }
        record.value = value;
        let at = TopicOffset {
            topic: "check".into(),
            partition: 0,
            offset,
        };
        SinkRecord { record, at }
    });
    records.collect()
}
