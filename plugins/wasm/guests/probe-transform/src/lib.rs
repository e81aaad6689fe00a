//! A transform that makes the edit that its config names. With `misbehave` it does everything that a transform must not.

wit_bindgen::generate!({ path: "../../../guest/wit", world: "transform" });

#[path = "../../misbehave.rs"]
mod misbehave;

use exports::longshore::connector::{
    plugin::{Capabilities, Guest as Plugin, Info, Problem},
    record_transform::{Edit, Guest as Transform, HeaderEdit},
};
use longshore::connector::http;
use longshore::connector::types::{Batch, Column, Columns, Error, ErrorKind, Format, RowError};
use misbehave::{act, deed, request, text};
use std::cell::{Cell, RefCell};

struct Probe;
export!(Probe);

thread_local! {
    static CONFIG: RefCell<String> = RefCell::default();
    static GONE: Cell<bool> = const { Cell::new(false) };
}

fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error {
        kind,
        message: message.into(),
        retry_after_ms: None,
        context: Vec::new(),
    }
}

fn told(seen: Option<String>) -> Result<(), Error> {
    seen.map_or(Ok(()), |seen| Err(error(ErrorKind::Fatal, seen)))
}

impl Plugin for Probe {
    fn describe() -> Info {
        Info {
            name: "probe-transform".to_owned(),
            version: "1.0.0-rc.1".to_owned(),
            vendor: "Longshore".to_owned(),
            description: "Makes one kind of edit.".to_owned(),
            capabilities: Capabilities::empty(),
            needs: Columns::VALUE | Columns::HEADERS,
            key_format: Format::Bytes,
            value_format: Format::Text,
        }
    }
    fn config_schema() -> String {
        r#"{ "type": "object", "properties": {
            "edit": { "type": "string", "enum": ["none", "upper", "drop", "topic", "time", "headers", "null", "fail", "task"], "default": "none" },
            "url": { "type": "string", "default": "", "description": "What a misdeed asks for." },
            "misbehave": { "type": "string", "default": "" } } }"#
            .to_owned()
    }
    fn check(config: String) -> Result<Vec<Problem>, Error> {
        told(act(&config, "check"))?;
        let problem = |key: &str| Problem {
            key: key.to_owned(),
            message: "this edit is forbidden".to_owned(),
            suggestion: "use another".to_owned(),
        };
        Ok(match deed(&config, "check") {
            "forbidden" => vec![problem("edit")],
            "at-large" => vec![problem("")],
            _ => Vec::new(),
        })
    }
}

impl Transform for Probe {
    fn start(config: String) -> Result<(), Error> {
        told(act(&config, "start"))?;
        CONFIG.set(config);
        Ok(())
    }
    fn apply(records: Batch) -> Result<Edit, Error> {
        let config = CONFIG.with_borrow(Clone::clone);
        told(act(&config, "apply"))?;
        asked(&config)?;
        if deed(&config, "apply") == "bad"
            && String::from_utf8_lossy(&records.value.data).contains("bad")
        {
            return Err(error(ErrorKind::Data, "one of them is bad"));
        }
        let mut edit = edit(&records, text(&config, "edit"));
        spoil(&mut edit, &records, deed(&config, "apply"));
        Ok(edit)
    }
}

/// Asks the `url` before each batch, and says that it is somebody's fault when there is no answer; one that gives up never asks again.
fn asked(config: &str) -> Result<(), Error> {
    let deed = deed(config, "apply");
    let kind = match deed {
        "asks" | "gives-up" => ErrorKind::Transient,
        "blames-the-config" => ErrorKind::Config,
        _ => return Ok(()),
    };
    if !GONE.get() && http::send(&request(text(config, "url").to_owned())).is_ok() {
        return Ok(());
    }
    GONE.set(deed == "gives-up");
    Err(error(kind, "there was no answer"))
}

fn header(row: u32, name: &str, value: Option<&str>) -> HeaderEdit {
    HeaderEdit {
        row,
        name: name.to_owned(),
        value: value.map(|text| text.as_bytes().to_vec()),
        format: Format::Text,
    }
}

fn edit(records: &Batch, what: &str) -> Edit {
    let rows = 0..records.count;
    let mut edit = Edit {
        keep: Vec::new(),
        key: None,
        value: None,
        topics: Vec::new(),
        topic: Vec::new(),
        timestamp_ms: Vec::new(),
        headers: Vec::new(),
        failed: Vec::new(),
    };
    match what {
        "upper" => {
            let mut value = records.value.clone();
            value.data.make_ascii_uppercase();
            edit.value = Some(value);
        }
        "drop" => edit.keep = rows.map(|row| u8::from(row % 2 == 0)).collect(),
        "topic" => {
            edit.topics = vec!["even".to_owned(), "odd".to_owned()];
            edit.topic = rows.map(|row| row % 2).collect();
        }
        "time" => edit.timestamp_ms = rows.map(|row| i64::from(row) - 1).collect(),
        "headers" => {
            for row in rows.rev() {
                edit.headers.push(header(row, "gone", None));
                edit.headers.push(header(row, "there", Some("new")));
                edit.headers.push(header(row, "added", Some("yes")));
            }
        }
        "null" => {
            edit.key = Some(Column {
                format: Format::Text,
                data: b"k".to_vec(),
                ends: vec![1; records.count as usize],
                nulls: vec![1; records.count as usize],
            });
            if let Some(key) = &mut edit.key {
                key.nulls[0] = 0;
            }
            edit.value = Some(Column {
                format: Format::Bytes,
                data: Vec::new(),
                ends: Vec::new(),
                nulls: Vec::new(),
            });
        }
        "fail" => {
            edit.failed = rows
                .filter(|row| row % 2 == 1)
                .map(|row| RowError {
                    row,
                    error: error(ErrorKind::Data, format!("row {row}")),
                })
                .collect()
        }
        "task" => {
            let task = longshore::connector::context::task();
            edit.headers = rows
                .map(|row| {
                    header(
                        row,
                        "task",
                        Some(&format!("{}-{}", task.connector, task.task)),
                    )
                })
                .collect();
        }
        _ => {}
    }
    edit
}

/// Breaks a promise of the ABI.
fn spoil(edit: &mut Edit, records: &Batch, deed: &str) {
    let count = records.count as usize;
    match deed {
        "keep-count" => edit.keep = vec![1; count + 1],
        "keep-mark" => edit.keep = vec![7; count],
        "value-count" => {
            edit.value = Some(Column {
                format: Format::Bytes,
                data: vec![0; 8],
                ends: vec![8],
                nulls: Vec::new(),
            })
        }
        "value-utf8" => {
            edit.value = Some(Column {
                format: Format::Text,
                data: vec![0xFF; count],
                ends: (1..=records.count).collect(),
                nulls: Vec::new(),
            })
        }
        "topic-number" => {
            edit.topics = vec!["only".to_owned()];
            edit.topic = vec![1; count];
        }
        "time" => edit.timestamp_ms = vec![-2; count],
        "header-row" => edit.headers = vec![header(records.count, "x", None)],
        "header-json" => {
            edit.headers = vec![HeaderEdit {
                format: Format::Json,
                ..header(0, "x", Some("{"))
            }];
        }
        "header-flood" => {
            let edit_of = |number: u32| header(0, &number.to_string(), Some("x"));
            edit.headers = (0..101).map(edit_of).collect();
        }
        "failed-flood" => {
            let refused = |_| RowError {
                row: 0,
                error: error(ErrorKind::Data, "x"),
            };
            edit.failed = (0..=count).map(refused).collect();
        }
        "failed-row" => {
            edit.failed = vec![RowError {
                row: u32::MAX,
                error: error(ErrorKind::Data, "x"),
            }]
        }
        _ => {}
    }
}
