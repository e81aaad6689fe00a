//! Replays a case of a transform or a predicate.

use crate::{
    corpus::Case,
    now,
    tree::{datum, same},
};
use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use longshore_sdk::{
    Datum, Header, Record, Value, Verdict,
    json::{Style, print},
};
use serde_json::Value as Json;

/// What schemaless data is given as.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Decoded,
    Text,
}

/// Ok: as recorded.
pub(crate) fn transform(case: &Case) -> Result<()> {
    replay(case, Form::Decoded)?;
    Ok(())
}

/// The same with schemaless data as JSON text, which transforms do not decode. `None`: JSON cannot tell it apart, or nothing would change.
pub(crate) fn undecoded(case: &Case) -> Option<Result<()>> {
    match replay(case, Form::Text) {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(difference) => Some(Err(difference)),
    }
}

/// Records may be made over to hold JSON text; `false`: that does not apply.
fn replay(case: &Case, form: Form) -> Result<bool> {
    let config = case.config()?;
    let input = match &case.line["input"] {
        Json::Null => None,
        json => match (form, record(json)?) {
            (Form::Decoded, record) => Some(record),
            (Form::Text, record) => match as_json(record) {
                None => return Ok(false),
                record => record,
            },
        },
    };
    let output = &case.line["output"];
    if let Some(plugin) = longshore_transforms::predicates()
        .into_iter()
        .find(|plugin| plugin.plugin.name == case.class)
    {
        let predicate = (plugin.build)(&config);
        return match (predicate, input) {
            (Err(_), _) if case.fails() => Ok(true),
            (Err(error), _) => bail!("{error}"),
            (Ok(predicate), Some(record)) => {
                let got = predicate.test(&record);
                let want = output["result"].as_bool();
                ensure!(want == Some(got), "got {got}, want {output}");
                Ok(true)
            }
            (Ok(_), None) => bail!("the settings are taken, want {output}"),
        };
    }
    let plugin = longshore_transforms::all()
        .into_iter()
        .find(|plugin| plugin.plugin.name == case.class)
        .with_context(|| format!("there is no transform {}", case.class))?;
    let mut transform = match (plugin.build)(&config) {
        // The reference may find out only when a record comes.
        Err(_) if case.fails() => return Ok(true),
        Err(error) => bail!("{error}"),
        Ok(_) if case.fails_at_start() => bail!("the settings are taken, want {output}"),
        Ok(transform) => transform,
    };
    let verdict = now(transform.apply(vec![input.context("no input")?]))?.remove(0);
    match verdict {
        Verdict::Drop if output.is_null() => Ok(true),
        Verdict::Refuse(_) if case.fails() => Ok(true),
        Verdict::Keep(got) if output.get("topic").is_some() => {
            let want = record(output)?;
            // What was put into JSON text has JSON's types.
            let (got, want) = match form {
                Form::Text => (widened(got), widened(want)),
                Form::Decoded => (got, want),
            };
            ensure!(
                records_match(&got, &want),
                "\n  got  {got:?}\n  want {want:?}"
            );
            Ok(true)
        }
        verdict => bail!("got {verdict:?}\n  want {output}"),
    }
}

fn record(json: &Json) -> Result<Record> {
    let headers = json["headers"].as_array().context("no headers")?;
    let headers = headers.iter().map(|header| {
        Ok(Header {
            key: header["key"].as_str().context("no name")?.into(),
            value: datum(&header["schema"], &header["value"])?,
        })
    });
    Ok(Record {
        topic: json["topic"].as_str().context("no topic")?.into(),
        partition: json["partition"].as_i64().map(|partition| partition as i32),
        timestamp: json["timestamp"].as_i64(),
        offset: json["kafkaOffset"].as_i64(),
        key: datum(&json["keySchema"], &json["key"])?,
        value: datum(&json["valueSchema"], &json["value"])?,
        headers: headers.collect::<Result<_>>()?,
    })
}

fn records_match(left: &Record, right: &Record) -> bool {
    let place = |record: &Record| {
        let topic = record.topic.clone();
        (topic, record.partition, record.timestamp, record.offset)
    };
    let mut headers = left.headers.iter().zip(&right.headers);
    place(left) == place(right)
        && same(&left.key, &right.key)
        && same(&left.value, &right.value)
        && left.headers.len() == right.headers.len()
        && headers.all(|(left, right)| left.key == right.key && same(&left.value, &right.value))
}

fn as_json(mut record: Record) -> Option<Record> {
    let mut any = false;
    for datum in [&mut record.key, &mut record.value] {
        let Datum::Value(value, None) = datum else {
            continue;
        };
        if !plain(value) {
            return None;
        }
        let mut text = BytesMut::new();
        print(value, None, Style::default(), &mut text).ok()?;
        *datum = Datum::Json(text.freeze());
        any = true;
    }
    any.then_some(record)
}

/// The same record with its schemaless data as JSON text gives it back; data without a form in JSON stays.
fn widened(mut record: Record) -> Record {
    for datum in [&mut record.key, &mut record.value] {
        let mut text = BytesMut::new();
        if let Datum::Value(value, None) = datum
            && print(value, None, Style::default(), &mut text).is_ok()
        {
            *datum = Datum::Json(text.freeze());
        }
    }
    record
}

/// Whether JSON text reads as the same types.
fn plain(value: &Value) -> bool {
    match value {
        Value::Map(entries) => entries.iter().all(|(_, value)| plain(value)),
        Value::Array(items) => items.iter().all(plain),
        Value::Float64(number) => number.is_finite(),
        Value::Null | Value::Bool(_) | Value::Int64(_) | Value::String(_) => true,
        _ => false,
    }
}
