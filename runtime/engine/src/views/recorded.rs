//! Records that a worker of the reference wrote, for tests.

use crate::ports::{Entry, Version};
use bytes::Bytes;
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    key: String,
    value: Option<String>,
}

/// The records of a recorded topic, in order.
pub(crate) fn entries(lines: &str) -> Vec<Entry> {
    let lines = lines.lines().enumerate();
    lines
        .map(|(offset, line)| {
            let line: Line = serde_json::from_str(line).expect("a recorded line");
            let offset = i64::try_from(offset).expect("small");
            Entry {
                key: Bytes::from(line.key),
                value: line.value.map(Bytes::from),
                version: Version {
                    partition: 0,
                    offset,
                },
                request: None,
            }
        })
        .collect()
}

/// One record.
pub(crate) fn entry(offset: i64, key: &str, value: Option<&str>) -> Entry {
    Entry {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
        version: Version {
            partition: 0,
            offset,
        },
        request: None,
    }
}

/// How the recorded worker ended: names, configs, states.
pub(crate) fn final_state() -> serde_json::Map<String, serde_json::Value> {
    let text = include_str!("../../tests/data/final-state.json");
    serde_json::from_str(text).expect("the recorded state")
}
