//! A source of numbers: lane by lane `count` records, `batch` at a time. With `misbehave` it does everything that a source must not.
//!
//! The feature `next` makes version 1.1.0 of it, whose positions have another shape.

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
    quiet: u64,
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

const NEXT: bool = cfg!(feature = "next");

/// Where a lane goes on. Version 1.0 writes `{"next":7}` and reads nothing without `next`. Version 1.1 reads that, too; what it writes
/// `positions` says: by default more than before, which 1.0 still understands, or a `cursor`, which it does not.
fn position(config: &str, next: u64) -> String {
    match text(config, "positions") {
        _ if !NEXT => format!("{{\"next\":{next}}}"),
        "cursor" => format!("{{\"cursor\":{{\"page\":{},\"row\":{next}}}}}", next / 10),
        _ => format!("{{\"next\":{next},\"by\":\"1.1.0\"}}"),
    }
}

fn next(position: &str) -> Result<u64, Error> {
    let known: &[&str] = if NEXT { &["next", "row"] } else { &["next"] };
    let key = known
        .iter()
        .find(|key| position.contains(&format!("\"{key}\":")));
    let unknown = || error(ErrorKind::Config, "the position has no \"next\"");
    key.map(|key| number(position, key)).ok_or_else(unknown)
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
    "quiet": { "type": "integer", "default": 0, "description": "So many polls behind the last record go on without one." },
    "secret": { "type": "string", "x-secret": true },
    "positions": { "type": "string", "default": "" },
    "promise": { "type": "string", "default": "", "description": "at-least-once instead of exactly once." },
    "url": { "type": "string", "default": "", "description": "What a misdeed asks for." },
    "misbehave": { "type": "string", "default": "" }
  }
}"#;

impl Plugin for Source {
    fn describe() -> Info {
        Info {
            name: "probe-source".to_owned(),
            version: if NEXT { "1.1.0" } else { "1.0.0" }.to_owned(),
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
            "changes" => vec![vec![(
                "moment".to_owned(),
                longshore::connector::context::monotonic_ns().to_string(),
            )]],
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
            level: match text(&config, "promise") {
                "at-least-once" => Level::AtLeastOnce,
                _ => Level::ExactlyOnce,
            },
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
        let mut all = vec![0; lanes];
        let mut quiet = 0;
        // Broken promises that only a second start shows.
        let (skips, any_lane) = match deed(&config, "start") {
            "skip" => (1, false),
            // No broken one for a source that promises at least once.
            "repeat" => (-3, false),
            "any-lane" => (0, true),
            _ => (0, false),
        };
        for Position { lane, position } in positions {
            // What another version may have stored is none of its lanes.
            if !any_lane && !lane.starts_with("{\"lane\":") {
                continue;
            }
            if let Some(place) = all.get_mut(number(&lane, "lane") as usize) {
                *place = next(&position)?.saturating_add_signed(skips);
                quiet = number(&position, "quiet").max(quiet);
            }
        }
        STATE.set(State {
            config,
            next: all,
            quiet,
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
        STATE.with_borrow_mut(|state| go_on(state, &mut polled))?;
        spoil(&mut polled, deed(&config, "poll"));
        Ok(polled)
    }
    fn committed(positions: Vec<Position>) -> Result<(), Error> {
        told(act(&config(), "committed"))?;
        let bad = positions
            .iter()
            .any(|position| next(&position.position).is_err());
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

/// Behind the last record of lane 0 it goes on without one, as long as it is to; then it is finished.
fn go_on(state: &mut State, polled: &mut Polled) -> Result<(), Error> {
    let quiet = number(&state.config, "quiet");
    if polled.records.count > 0 || state.quiet >= quiet {
        polled.finished &= state.quiet >= quiet;
        return Ok(());
    }
    state.quiet += 1;
    let position = format!("{{\"next\":{},\"quiet\":{}}}", state.next[0], state.quiet);
    longshore::connector::state::advance("{\"lane\":0}", &position)?;
    polled.finished &= state.quiet >= quiet;
    Ok(())
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
            position(&state.config, number + 1).as_bytes(),
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
        // What is now, not what was.
        "now" => {
            records.value = empty(Format::Bytes);
            for row in 0..records.count {
                let now = longshore::connector::context::monotonic_ns();
                push(&mut records.value, format!("{now}-{row}").as_bytes());
            }
        }
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
        "large-values" => {
            records.value = empty(Format::Bytes);
            for _ in 0..records.count {
                push(&mut records.value, &vec![b'x'; 6 << 20]);
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
