//! Unit tests off WASM: what the host would do, done by the test.

use crate::http::{Request, Response};
use crate::{Error, Result};
use std::cell::RefCell;

type Answer = dyn FnMut(&Request) -> Result<Response>;

thread_local! {
    static HTTP: RefCell<Option<Box<Answer>>> = const { RefCell::new(None) };
}

/// Answers every later request of this thread.
pub fn answer_http(answer: impl FnMut(&Request) -> Result<Response> + 'static) {
    HTTP.with(|http| *http.borrow_mut() = Some(Box::new(answer)));
}

pub(crate) fn answer(request: &Request) -> Result<Response> {
    HTTP.with(|http| match http.borrow_mut().as_mut() {
        Some(answer) => answer(request),
        None => Err(Error::config(
            "no test answers requests: call testing::answer_http first",
        )),
    })
}

/// What a batch holds: the key of each record as text, and the position after it.
pub fn batch<P: serde::Serialize + serde::de::DeserializeOwned>(
    batch: crate::Batch<P>,
) -> Vec<(String, P)> {
    let finished = batch.finish();
    let records = crate::Records::new(&finished.records);
    let with_position = records.iter().filter_map(|record| {
        let position = crate::column::row(&finished.positions, record.row())?;
        let position = serde_json::from_slice(position).ok()?;
        Some((record.key_text().unwrap_or_default().to_owned(), position))
    });
    with_position.collect()
}

/// Where a batch goes on without records ([`crate::Batch::advance`]): lanes as JSON text, and their positions.
pub fn advanced<P: serde::Serialize + serde::de::DeserializeOwned>(
    batch: &crate::Batch<P>,
) -> Vec<(String, P)> {
    let read = |(lane, text): &(String, String)| {
        let position = serde_json::from_str(text).ok()?;
        Some((lane.clone(), position))
    };
    batch.advanced().iter().filter_map(read).collect()
}

/// A batch as a sink gets it: one partition of one topic, offsets that count up from `offset`, keys `k0`, `k1`, ..
pub fn incoming(
    topic: &str,
    partition: i32,
    offset: i64,
    values: &[Option<&str>],
) -> crate::abi::longshore::connector::types::Batch {
    const INFO: crate::Info = crate::Info::new("testing", "0.0.0", "");
    let mut batch: crate::Batch<serde_json::Map<String, serde_json::Value>> =
        crate::Batch::new(&INFO, usize::MAX, usize::MAX);
    for (at, value) in values.iter().enumerate() {
        let row = batch
            .record(topic)
            .key(format!("k{at}"))
            .partition(partition);
        let row = match value {
            Some(value) => row.value(value),
            None => row,
        };
        // An empty object is an object.
        let _ = row.emit(&crate::Lane::only(), &serde_json::Map::new());
    }
    let mut batch = batch.finish().records;
    batch.offset = (offset..).take(values.len()).collect();
    batch
}

/// Runs a transform: the value of each row as text afterwards, and the rows that failed.
pub fn applied<T: crate::Transform>(
    transform: &mut T,
    batch: &crate::abi::longshore::connector::types::Batch,
) -> Result<(Vec<Option<String>>, Vec<u32>)> {
    let edited = crate::transform::applied(transform, batch)?;
    let value = edited.value.as_ref().unwrap_or(&batch.value);
    let text =
        |row| crate::column::row(value, row).map(|text| String::from_utf8_lossy(text).into_owned());
    let values = (0..batch.count as usize).map(text).collect();
    Ok((
        values,
        edited.failed.into_iter().map(|(row, _)| row).collect(),
    ))
}

/// The keys of a config, as its schema has them: a README should name each.
pub fn keys<C: schemars::JsonSchema>() -> Vec<String> {
    let schema = serde_json::Value::from(schemars::schema_for!(C));
    let properties = schema["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    properties.into_iter().map(|(key, _)| key).collect()
}
