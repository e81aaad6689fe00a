//! A sink that forgets what it takes. `show` refuses every row with a text that says what it saw. With `misbehave` it does everything that a
//! sink must not.

wit_bindgen::generate!({ path: "../../../guest/wit", world: "sink" });

#[path = "../../misbehave.rs"]
mod misbehave;

use exports::longshore::connector::{
    planner::Guest as Planner,
    plugin::{Capabilities, Guest as Plugin, Info, Problem},
    sink_task::{Guest as Task, PutError, TopicOffset, TopicPartition},
};
use longshore::connector::{
    state,
    types::{Batch, Column, Columns, Error, ErrorKind, Format, Guarantee, Level, RowError},
};
use misbehave::{act, deed, number, text};
use std::{cell::RefCell, collections::BTreeMap};

struct Sink;
export!(Sink);

#[derive(Default)]
struct State {
    config: String,
    puts: u64,
    rows: u64,
    /// By partition, where it counts.
    counts: BTreeMap<i32, u64>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn config() -> String {
    STATE.with_borrow(|state| state.config.clone())
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

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "show": { "type": "boolean", "default": false },
    "fail": { "type": "integer", "default": 0, "description": "The first put takes so many rows, then fails for a moment; 0 = never." },
    "spurn": { "type": "boolean", "default": false, "description": "The put that fails refuses its first row." },
    "kind": { "type": "string", "default": "", "description": "The kind of error that every put answers." },
    "count": { "type": "boolean", "default": false, "description": "Keeps with each partition how many records were taken, and refuses one that says `ask` with that number." },
    "keep": { "type": "boolean", "default": false, "description": "The target keeps the offsets: 7, always." },
    "misbehave": { "type": "string", "default": "" }
  }
}"#;

impl Plugin for Sink {
    fn describe() -> Info {
        Info {
            name: "probe-sink".to_owned(),
            version: "1.2.3".to_owned(),
            vendor: "Longshore".to_owned(),
            description: "Shows what it is given.".to_owned(),
            capabilities: Capabilities::REFUSES,
            needs: Columns::all(),
            key_format: Format::Text,
            value_format: Format::Json,
        }
    }
    fn config_schema() -> String {
        SCHEMA.to_owned()
    }
    fn check(config: String) -> Result<Vec<Problem>, Error> {
        told(act(&config, "check"))?;
        Ok(Vec::new())
    }
}

impl Planner for Sink {
    fn plan(config: String, tasks_max: u32) -> Result<Vec<Vec<(String, String)>>, Error> {
        told(act(&config, "plan"))?;
        Ok((0..tasks_max).map(|_| Vec::new()).collect())
    }
    fn promise(config: String) -> Guarantee {
        act(&config, "promise");
        Guarantee {
            level: Level::AtLeastOnce,
            method: "it forgets everything".to_owned(),
        }
    }
}

impl Task for Sink {
    fn start(config: String) -> Result<(), Error> {
        told(act(&config, "start"))?;
        STATE.set(State {
            config,
            puts: 0,
            rows: 0,
            counts: BTreeMap::new(),
        });
        Ok(())
    }
    fn assigned(at: Vec<TopicPartition>) -> Result<Option<Vec<TopicOffset>>, Error> {
        let config = config();
        told(act(&config, "assigned"))?;
        if config.contains("\"count\":true") {
            for at in &at {
                let stored = state::get(&at.topic, at.partition)?;
                let count = stored.map_or(Ok(0), |count| count.parse());
                let count = count.map_err(|_| error(ErrorKind::Fatal, "a state that is none"))?;
                STATE.with_borrow_mut(|state| state.counts.insert(at.partition, count));
            }
        }
        let offset = |at: TopicPartition| TopicOffset {
            topic: at.topic,
            partition: at.partition,
            offset: 7,
        };
        let mut offsets: Vec<TopicOffset> = at.into_iter().map(offset).collect();
        match deed(&config, "assigned") {
            "foreign" => offsets.push(TopicOffset {
                topic: "elsewhere".to_owned(),
                partition: 0,
                offset: 1,
            }),
            "negative" => offsets.iter_mut().for_each(|offset| offset.offset = -5),
            _ if !config.contains("\"keep\":true") => return Ok(None),
            _ => {}
        }
        Ok(Some(offsets))
    }
    fn put(records: Batch) -> Result<Vec<RowError>, PutError> {
        let config = config();
        told(act(&config, "put")).map_err(|error| PutError {
            error,
            taken: 0,
            refused: Vec::new(),
        })?;
        let puts = STATE.with_borrow_mut(|state| {
            state.puts += 1;
            state.rows += u64::from(records.count);
            state.puts
        });
        let refused = |row: u32| RowError {
            row,
            error: error(ErrorKind::Data, show(&records, row as usize)),
        };
        match deed(&config, "put") {
            "row-number" => return Ok(vec![refused_row(records.count)]),
            "behind" => {
                return Err(PutError {
                    error: error(ErrorKind::Transient, "early"),
                    taken: 0,
                    refused: vec![RowError {
                        row: 0,
                        error: error(ErrorKind::Data, "behind what was taken"),
                    }],
                });
            }
            "taken" => {
                return Err(PutError {
                    error: error(ErrorKind::Transient, "more than there was"),
                    taken: records.count + 1,
                    refused: Vec::new(),
                });
            }
            "many-errors" => {
                return Ok((0..records.count)
                    .cycle()
                    .take(100_000)
                    .map(refused_row)
                    .collect());
            }
            _ => {}
        }
        let fail = number(&config, "fail") as u32;
        let counts = config.contains("\"count\":true");
        if fail > 0 && puts == 1 {
            if counts {
                count(&records, fail);
            }
            return Err(PutError {
                error: error(ErrorKind::Transient, format!("after {fail}")),
                taken: fail,
                refused: match config.contains("\"spurn\":true") {
                    true => vec![RowError {
                        row: 0,
                        error: error(ErrorKind::Data, "spurned"),
                    }],
                    false => Vec::new(),
                },
            });
        }
        if counts {
            return Ok(count(&records, records.count));
        }
        let kind = match text(&config, "kind") {
            "config" => ErrorKind::Config,
            "auth" => ErrorKind::Auth,
            "data" => ErrorKind::Data,
            "transient" => ErrorKind::Transient,
            "rate-limited" => ErrorKind::RateLimited,
            "fenced" => ErrorKind::Fenced,
            "fatal" => ErrorKind::Fatal,
            _ if config.contains("\"show\":true") => {
                return Ok((0..records.count).map(refused).collect());
            }
            _ => return Ok(Vec::new()),
        };
        let error = Error {
            retry_after_ms: Some(1_500),
            context: vec![("place".to_owned(), "here".to_owned())],
            ..error(kind, "as asked")
        };
        Err(PutError {
            error,
            taken: 0,
            refused: Vec::new(),
        })
    }
    fn flush(upto: Vec<TopicOffset>) -> Result<Vec<TopicOffset>, Error> {
        let config = config();
        told(act(&config, "flush"))?;
        let mut upto = upto;
        match deed(&config, "flush") {
            "beyond" => upto.iter_mut().for_each(|offset| offset.offset += 1),
            "foreign" => upto.push(TopicOffset {
                topic: "elsewhere".to_owned(),
                partition: 0,
                offset: 1,
            }),
            "twice" => upto.extend(upto.clone()),
            "nothing" => upto.clear(),
            _ => {}
        }
        if config.contains("\"count\":true") {
            for at in &upto {
                let count = STATE.with_borrow(|state| state.counts.get(&at.partition).copied());
                let count = count.unwrap_or_default().to_string();
                state::set(&at.topic, at.partition, &count)?;
            }
        }
        Ok(upto)
    }
    fn revoked(_: Vec<TopicPartition>) -> Result<(), Error> {
        told(act(&config(), "revoked"))
    }
    fn close() {
        act(&config(), "close");
    }
}

/// Counts the first rows; those that ask are refused with the count.
fn count(records: &Batch, rows: u32) -> Vec<RowError> {
    let mut answers = Vec::new();
    for row in 0..rows {
        let partition = records.partition[row as usize];
        let count = STATE.with_borrow_mut(|state| {
            let count = state.counts.entry(partition).or_default();
            *count += 1;
            *count
        });
        if cell(&records.value, row as usize) == "\"ask\"" {
            answers.push(RowError {
                row,
                error: error(ErrorKind::Data, format!("count {count}")),
            });
        }
    }
    answers
}

fn refused_row(row: u32) -> RowError {
    RowError {
        row,
        error: error(ErrorKind::Data, "x"),
    }
}

fn cell(column: &Column, row: usize) -> String {
    let null = column.ends.is_empty() || column.nulls.get(row) == Some(&1);
    if null {
        return "null".to_owned();
    }
    let start = row
        .checked_sub(1)
        .map_or(0, |row| column.ends[row] as usize);
    String::from_utf8_lossy(&column.data[start..column.ends[row] as usize]).into_owned()
}

/// All that a row says.
fn show(records: &Batch, row: usize) -> String {
    let total = STATE.with_borrow(|state| state.rows);
    let topic = records.topic.get(row).map_or(0, |number| *number as usize);
    let origin = records
        .origin
        .get(row)
        .map_or(topic, |number| *number as usize);
    let start = row
        .checked_sub(1)
        .and_then(|row| records.header_ends.get(row))
        .map_or(0, |end| *end as usize);
    let end = records
        .header_ends
        .get(row)
        .map_or(start, |end| *end as usize);
    let headers: Vec<String> = (start..end)
        .map(|place| {
            format!(
                "{}={}",
                records.header_names[records.header_name[place] as usize],
                cell(&records.header_value, place)
            )
        })
        .collect();
    format!(
        "{} from {}-{}@{} at {} key {} value {} headers [{}] of {total}",
        records.topics[topic],
        records.topics[origin],
        records.partition[row],
        records.offset[row],
        records.timestamp_ms[row],
        cell(&records.key, row),
        cell(&records.value, row),
        headers.join(","),
    )
}
