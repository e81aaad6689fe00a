//! A source of numbers: lane by lane `count` records, `batch` at a time. With `misbehave` it does everything that a source must not.

wit_bindgen::generate!({ path: "../../../guest/wit", world: "source" });

#[path = "../../misbehave.rs"]
mod misbehave;

use exports::longshore::connector::{
    planner::Guest as Planner,
    plugin::{Capabilities, Guest as Plugin, Info, Problem},
    source_task::{Guest as Task, Polled, Position},
};
use longshore::connector::types::{
    Batch, Column, Columns, Error, ErrorKind, Format, Guarantee, Level,
};
use misbehave::{act, deed, number, text};
use std::cell::RefCell;

struct Source;
export!(Source);

#[derive(Default)]
struct State {
    config: String,
    next: Vec<u64>,
    failed: bool,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn config() -> String {
    STATE.with_borrow(|state| state.config.clone())
}

pub fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error {
        kind,
        message: message.into(),
        retry_after_ms: None,
        context: Vec::new(),
    }
}

/// Reports what a misdeed saw.
fn told(seen: Option<String>) -> Result<(), Error> {
    seen.map_or(Ok(()), |seen| Err(error(ErrorKind::Fatal, seen)))
}

const SCHEMA: &str = r#"{
  "type": "object",
  "required": ["topic"],
  "properties": {
    "topic": { "type": "string", "description": "Where records go." },
    "count": { "type": "integer", "minimum": 0, "default": 100 },
    "batch": { "type": "integer", "minimum": 1, "maximum": 100000, "default": 10 },
    "lanes": { "type": "integer", "minimum": 1, "maximum": 100, "default": 1 },
    "idle": { "type": "integer", "default": 0, "description": "Milliseconds." },
    "secret": { "type": "string", "x-secret": true },
    "misbehave": { "type": "string", "default": "" }
  }
}"#;

impl Plugin for Source {
    fn describe() -> Info {
        Info {
            name: "probe-source".to_owned(),
            version: "1.0.0".to_owned(),
            vendor: "Longshore".to_owned(),
            description: "Numbers for tests.".to_owned(),
            capabilities: Capabilities::ENDS,
            needs: Columns::empty(),
            key_format: Format::Bytes,
            value_format: Format::Bytes,
        }
    }
    fn config_schema() -> String {
        SCHEMA.to_owned()
    }
    fn check(config: String) -> Result<Vec<Problem>, Error> {
        told(act(&config, "check"))?;
        let problem = |message: String| Problem {
            key: "topic".to_owned(),
            message,
            suggestion: "use another".to_owned(),
        };
        Ok(match text(&config, "topic") {
            "forbidden" => vec![problem("this topic is forbidden".to_owned())],
            "show-config" => vec![problem(config.clone())],
            _ => Vec::new(),
        })
    }
}

impl Planner for Source {
    fn plan(config: String, tasks_max: u32) -> Result<Vec<Vec<(String, String)>>, Error> {
        told(act(&config, "plan"))?;
        let share = |number: u32| vec![("share".to_owned(), number.to_string())];
        Ok(match deed(&config, "plan") {
            "too-many" => (0..=tasks_max).map(share).collect(),
            "reserved" => vec![vec![("longshore.wasm.net".to_owned(), "*".to_owned())]],
            "secret" => vec![vec![("topic".to_owned(), "hunter22".to_owned())]],
            _ => vec![share(0)],
        })
    }
    fn promise(config: String) -> Guarantee {
        act(&config, "promise");
        if deed(&config, "promise") == "wait" {
            longshore::connector::context::sleep_ms(50);
        }
        Guarantee {
            level: Level::ExactlyOnce,
            method: "numbers stay the same".to_owned(),
        }
    }
}

impl Task for Source {
    fn start(config: String, positions: Vec<Position>) -> Result<(), Error> {
        told(act(&config, "start"))?;
        // The plan gives share 0 alone.
        if !["", "0"].contains(&text(&config, "share")) {
            return Err(error(
                ErrorKind::Config,
                format!("share {}", text(&config, "share")),
            ));
        }
        let lanes = number(&config, "lanes") as usize;
        let mut next = vec![0; lanes];
        for Position { lane, position } in positions {
            if let Some(next) = next.get_mut(number(&lane, "lane") as usize) {
                *next = number(&position, "next");
            }
        }
        STATE.set(State {
            config,
            next,
            failed: false,
        });
        Ok(())
    }
    fn poll(max_rows: u32, _: u32, _: u32) -> Result<Polled, Error> {
        let config = config();
        told(act(&config, "poll"))?;
        if deed(&config, "poll") == "transient" && !STATE.with_borrow(|state| state.failed) {
            STATE.with_borrow_mut(|state| state.failed = true);
            return Err(error(ErrorKind::Transient, "once"));
        }
        let mut polled = STATE.with_borrow_mut(|state| batch(state, max_rows));
        spoil(&mut polled, deed(&config, "poll"));
        Ok(polled)
    }
    fn committed(positions: Vec<Position>) -> Result<(), Error> {
        told(act(&config(), "committed"))?;
        let bad = positions
            .iter()
            .any(|position| !position.position.contains("next"));
        if bad {
            Err(error(ErrorKind::Fatal, "a position that is none"))
        } else {
            Ok(())
        }
    }
    fn close() {
        act(&config(), "close");
    }
}

fn empty(format: Format) -> Column {
    Column {
        format,
        data: Vec::new(),
        ends: Vec::new(),
        nulls: Vec::new(),
    }
}

fn push(column: &mut Column, bytes: &[u8]) {
    column.data.extend_from_slice(bytes);
    column.ends.push(column.data.len() as u32);
}

fn batch(state: &mut State, max_rows: u32) -> Polled {
    let count = number(&state.config, "count");
    let rows = number(&state.config, "batch").min(u64::from(max_rows));
    let lanes = state.next.len();
    let mut records = Batch {
        count: 0,
        topics: vec![text(&state.config, "topic").to_owned()],
        topic: Vec::new(),
        partition: Vec::new(),
        offset: Vec::new(),
        origin: Vec::new(),
        timestamp_ms: Vec::new(),
        key: empty(Format::Text),
        value: empty(Format::Json),
        header_ends: Vec::new(),
        header_names: vec!["number".to_owned()],
        header_name: Vec::new(),
        header_value: empty(Format::Text),
    };
    let mut positions = empty(Format::Json);
    let mut lane_numbers = Vec::new();
    for _ in 0..rows {
        let Some(lane) = (0..lanes).min_by_key(|lane| state.next[*lane]) else {
            break;
        };
        let number = state.next[lane];
        if number >= count {
            break;
        }
        state.next[lane] += 1;
        records.count += 1;
        records.timestamp_ms.push(1_000 + number as i64);
        push(&mut records.key, format!("k{lane}").as_bytes());
        push(
            &mut records.value,
            format!("{{\"lane\":{lane},\"number\":{number}}}").as_bytes(),
        );
        records.header_name.push(0);
        records.header_ends.push(records.header_name.len() as u32);
        push(&mut records.header_value, number.to_string().as_bytes());
        push(
            &mut positions,
            format!("{{\"next\":{}}}", number + 1).as_bytes(),
        );
        lane_numbers.push(lane as u32);
    }
    let finished = state.next.iter().all(|next| *next >= count);
    Polled {
        lanes: (0..lanes)
            .map(|lane| format!("{{\"lane\":{lane}}}"))
            .collect(),
        lane: lane_numbers,
        positions,
        idle_ms: number(&state.config, "idle") as u32,
        finished: finished && number(&state.config, "idle") == 0,
        records,
    }
}

/// Breaks a promise of the ABI.
fn spoil(polled: &mut Polled, deed: &str) {
    let records = &mut polled.records;
    match deed {
        "falling-ends" => records.value.ends.swap(0, 1),
        "short-ends" => drop(records.value.ends.pop()),
        "ends-beyond" => *records.value.ends.last_mut().expect("rows") += 1_000_000,
        "ends-within" => *records.value.ends.last_mut().expect("rows") -= 1,
        "null-marks" => records.key.nulls = vec![2; records.count as usize],
        "few-null-marks" => records.key.nulls = vec![0],
        "count" => records.count += 1,
        "huge-count" => records.count = u32::MAX,
        "topic-number" => records.topic = vec![7; records.count as usize],
        "no-topics" => records.topics.clear(),
        "topic-name" => records.topics = vec!["no topic!".to_owned()],
        "partition" => records.partition = vec![-2; records.count as usize],
        "few-timestamps" => drop(records.timestamp_ms.pop()),
        "key-utf8" => records.key.data[1] = 0xFF,
        "value-json" => records.value.data[0] = b'x',
        "value-null" => {
            records.value = empty(Format::Json);
            for _ in 0..records.count {
                push(&mut records.value, b"null");
            }
        }
        "header-ends" => *records.header_ends.last_mut().expect("rows") += 5,
        "header-falling" => records.header_ends.swap(0, 1),
        "header-name" => records.header_name[0] = 9,
        "header-value" => drop(records.header_value.ends.pop()),
        "header-flood" => {
            records.header_name.resize(1_000_000, 0);
            records.header_value = empty(Format::Bytes);
            *records.header_ends.last_mut().expect("rows") = 1_000_000;
        }
        "lane-number" => polled.lane = vec![3; records.count as usize],
        "no-lanes" => polled.lanes.clear(),
        "lane-json" => polled.lanes = vec!["[1]".to_owned()],
        "position-json" => polled.positions.data[0] = b'[',
        "position-null" => polled.positions = empty(Format::Json),
        "position-huge" => {
            let rows = records.count;
            polled.positions = empty(Format::Json);
            for _ in 0..rows {
                push(
                    &mut polled.positions,
                    format!("{{\"x\":\"{}\"}}", "y".repeat((10 << 20) / rows as usize)).as_bytes(),
                );
            }
        }
        "huge-value" => {
            records.value = empty(Format::Bytes);
            records.value.data = vec![b'x'; 150 << 20];
            records.value.ends = vec![150 << 20; records.count as usize];
        }
        _ => {}
    }
}
