use super::{
    records::{Key, Pair},
    *,
};
use crate::views::recorded::{entries, entry, final_state};
use serde_json::{Map, Value};

const RECORDED: &str = include_str!("../../../tests/data/configs.jsonl");

fn fold(entries: &[Entry]) -> Configs {
    let mut configs = Configs::default();
    entries.iter().for_each(|entry| configs.apply(entry));
    configs
}

fn folded(records: &[(&str, Option<&str>)]) -> Configs {
    let records = (0..).zip(records);
    let entries: Vec<Entry> = records
        .map(|(offset, (key, value))| entry(offset, key, *value))
        .collect();
    fold(&entries)
}

/// What the write side makes of a record's meaning.
fn written(key: &str, value: &[u8]) -> Option<Pair> {
    let json: Value = serde_json::from_slice(value).expect("JSON");
    let properties = |json: &Value| json["properties"].as_object().cloned().expect("properties");
    let pairs = |map: &Map<String, Value>| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        map.iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect()
    };
    fn borrowed(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
        pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
    let count = |name: &str| usize::try_from(json[name].as_u64().expect("a count")).expect("small");
    Some(match Key::parse(key) {
        Key::Connector(name) => records::connector(name, borrowed(&pairs(&properties(&json)))),
        Key::Task(name, task) => {
            records::task(name, task as usize, borrowed(&pairs(&properties(&json))))
        }
        Key::Commit(name) => records::commit(name, count("tasks")),
        Key::TargetState(name) => {
            let target = json["state.v2"].as_str().and_then(TargetState::parse);
            records::target_state(name, target.expect("a state"))
        }
        Key::Restart(name) => {
            let flag = |name: &str| json[name].as_bool().expect("a flag");
            records::restart(name, flag("include-tasks"), flag("only-failed"))
        }
        Key::Fencing(name) => records::fencing(name, count("task-count")),
        Key::Session | Key::Other => return None,
    })
}

#[test]
fn every_recorded_record_is_written_byte_for_byte() {
    let mut compared = 0;
    for entry in entries(RECORDED) {
        let key = std::str::from_utf8(&entry.key).expect("UTF-8");
        let Some(value) = &entry.value else {
            let name = key
                .strip_prefix("connector-")
                .or(key.strip_prefix("target-state-"));
            let tombstones = records::deletion(name.expect("only these are deleted"));
            assert!(tombstones.contains(&(entry.key.clone(), None)));
            continue;
        };
        if let Some((written_key, written_value)) = written(key, value) {
            assert_eq!(written_key, entry.key);
            assert_eq!(written_value.as_ref(), Some(value), "{key}");
            compared += 1;
        } else {
            assert!(key.starts_with("logger-cluster-"), "{key}");
        }
    }
    assert!(compared > 500, "{compared}");
}

#[test]
fn the_recorded_topic_folds_to_what_the_worker_answered() {
    let configs = fold(&entries(RECORDED));
    let expected = final_state();
    let mut names: Vec<&str> = expected.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(configs.names().collect::<Vec<_>>(), names);
    for (name, state) in &expected {
        let connector = configs.get(name).expect("it is there");
        let config: Flat = serde_json::from_value(state["config"].clone()).expect("a config");
        assert_eq!(*connector.config, config, "{name}");
        assert_eq!(Value::from(connector.tasks.len()), state["tasks"], "{name}");
        assert!(!connector.torn);
        let target = match connector.target {
            TargetState::Started => "RUNNING",
            TargetState::Paused => "PAUSED",
            TargetState::Stopped => "STOPPED",
        };
        assert_eq!(state["connector"], target, "{name}");
    }
}

const CONFIG: Option<&str> = Some(r#"{"properties":{"a":"1"}}"#);
const OTHER: Option<&str> = Some(r#"{"properties":{"a":"2"}}"#);

#[test]
fn a_task_set_counts_once_it_is_committed() {
    let before = [
        ("connector-c", CONFIG),
        ("task-c-0", CONFIG),
        ("commit-c", Some(r#"{"tasks":1}"#)),
    ];
    let first = folded(&before).get("c").expect("there");
    assert_eq!((first.tasks.len(), first.generation), (1, 1));
    // A set without its commit changes nothing.
    let half = [&before[..], &[("task-c-0", OTHER), ("task-c-1", OTHER)]].concat();
    assert_eq!(folded(&half).get("c").expect("there").tasks, first.tasks);
    let whole = [&half[..], &[("commit-c", Some(r#"{"tasks":2}"#))]].concat();
    let second = folded(&whole).get("c").expect("there");
    assert_eq!((second.tasks.len(), second.generation), (2, 2));
    assert_eq!(second.tasks[0]["a"], "2");
    // Fewer tasks: the old record of the larger set does not count.
    let fewer = [
        &whole[..],
        &[("task-c-0", CONFIG), ("commit-c", Some(r#"{"tasks":1}"#))],
    ]
    .concat();
    assert_eq!(folded(&fewer).get("c").expect("there").tasks, first.tasks);
}

#[test]
fn a_torn_set_is_to_be_generated_again() {
    let torn = [
        ("connector-c", CONFIG),
        ("task-c-1", CONFIG),
        ("commit-c", Some(r#"{"tasks":2}"#)),
    ];
    let connector = folded(&torn).get("c").expect("there");
    assert!(connector.torn && connector.tasks.is_empty());
    let mended = [
        &torn[..],
        &[
            ("task-c-0", CONFIG),
            ("task-c-1", CONFIG),
            ("commit-c", Some(r#"{"tasks":2}"#)),
        ],
    ]
    .concat();
    let connector = folded(&mended).get("c").expect("there");
    assert!(!connector.torn && connector.tasks.len() == 2);
}

#[test]
fn compaction_may_put_tasks_before_their_connector() {
    let compacted = [
        ("task-c-0", CONFIG),
        ("commit-c", Some(r#"{"tasks":1}"#)),
        ("connector-c", OTHER),
    ];
    assert_eq!(folded(&compacted).get("c").expect("there").tasks.len(), 1);
}

#[test]
fn deletion_clears_and_orphans_are_ignored() {
    let made = [
        ("connector-c", CONFIG),
        ("task-c-0", CONFIG),
        ("commit-c", Some(r#"{"tasks":1}"#)),
        ("target-state-c", Some(r#"{"state":"PAUSED"}"#)),
    ];
    assert_eq!(
        folded(&made).get("c").expect("there").target,
        TargetState::Paused
    );
    let gone = [
        &made[..],
        &[
            ("connector-c", None),
            ("target-state-c", None),
            ("task-o-0", CONFIG),
            ("commit-o", Some(r#"{"tasks":1}"#)),
        ],
    ]
    .concat();
    let configs = folded(&gone);
    assert_eq!(configs.names().count(), 0);
    // Created again it is STARTED and has no tasks of its former life.
    let again = [&gone[..], &[("connector-c", CONFIG)]].concat();
    let connector = folded(&again).get("c").expect("there");
    assert_eq!(
        (
            connector.target,
            connector.tasks.len(),
            connector.generation
        ),
        (TargetState::Started, 0, 0)
    );
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let odd = [
        ("connector-c", CONFIG),
        ("connector-c", Some("not json")),
        (
            "connector-d",
            Some(r#"{"properties":{"a":1,"b":null,"c":true},"later":{}}"#),
        ),
        (
            "target-state-c",
            Some(r#"{"state":"PAUSED","state.v2":"DANCING"}"#),
        ),
        (
            "target-state-d",
            Some(r#"{"state":"PAUSED","state.v2":"STOPPED","later":1}"#),
        ),
        ("commit-c", Some(r#"{"tasks":-1}"#)),
        ("task-c", CONFIG),
        ("session-key", Some("{}")),
        ("", None),
        ("connector-", CONFIG),
    ];
    let configs = folded(&odd);
    assert_eq!(configs.names().collect::<Vec<_>>(), ["c", "d"]);
    let (c, d) = (configs.get("c").expect("c"), configs.get("d").expect("d"));
    assert_eq!(
        (c.config["a"].as_str(), c.target, c.torn),
        ("1", TargetState::Started, false)
    );
    assert_eq!(d.target, TargetState::Stopped);
    assert_eq!(
        *d.config,
        Flat::from([
            ("a".to_owned(), "1".to_owned()),
            ("c".to_owned(), "true".to_owned())
        ])
    );
}

#[test]
fn names_may_look_like_keys() {
    assert_eq!(Key::parse("task-a-b-0-12"), Key::Task("a-b-0", 12));
    assert_eq!(Key::parse("connector-task-x-0"), Key::Connector("task-x-0"));
    assert_eq!(Key::parse("task-x--1"), Key::Task("x-", 1));
    assert_eq!(Key::parse("tasks-fencing-x-1"), Key::Fencing("x-1"));
    assert_eq!(Key::parse("restart-connector-x"), Key::Restart("x"));
}

fn key_record(bytes: &[u8], algorithm: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let key = STANDARD.encode(bytes);
    format!(r#"{{"key":"{key}","algorithm":"{algorithm}","creation-timestamp":1000}}"#)
}

#[tokio::test(start_paused = true)]
async fn i8_a_session_key_is_taken_over_and_the_former_one_holds_for_a_minute() {
    let mut configs = Configs::default();
    let hour = Duration::from_secs(3600);
    assert_eq!(configs.session_key_lasts(1000, hour), None, "there is none");
    let of = |offset, bytes: &[u8]| {
        entry(
            offset,
            "session-key",
            Some(&key_record(bytes, "HmacSHA256")),
        )
    };
    configs.apply(&of(0, &[1; 32]));
    assert_eq!(configs.session_key().expect("one").expose(), [1; 32]);
    // What Kafka Connect wrote is written byte for byte.
    let (key, value) = configs.session_key().expect("one").record();
    assert_eq!(key, "session-key");
    assert_eq!(value.expect("a value"), key_record(&[1; 32], "HmacSHA256"));
    configs.apply(&of(1, &[2; 32]));
    assert_eq!(configs.session_keys().len(), 2);
    // Keys of another kind change nothing.
    configs.apply(&entry(
        2,
        "session-key",
        Some(&key_record(&[3; 32], "HmacMD5")),
    ));
    configs.apply(&of(3, &[3; 4]));
    configs.apply(&entry(4, "session-key", Some("{}")));
    assert_eq!(configs.session_key().expect("one").expose(), [2; 32]);
    assert_eq!(configs.session_key_lasts(1000, hour), Some(hour));
    assert_eq!(
        configs.session_key_lasts(3_601_000, hour),
        None,
        "by the wall clock"
    );
    // A clock that is an hour behind: by the time since.
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(configs.session_keys().len(), 1);
    let left = configs
        .session_key_lasts(-3_599_000, hour)
        .expect("it lasts");
    assert!(left <= hour - Duration::from_secs(61), "{left:?}");
    tokio::time::sleep(hour).await;
    assert_eq!(configs.session_key_lasts(-3_599_000, hour), None);
}

#[test]
fn what_a_request_wrote_is_found_and_bounded() {
    let of = |offset, key: &str, value, request: &str| {
        let mut entry = entry(offset, key, value);
        entry.request = Some(bytes::Bytes::copy_from_slice(request.as_bytes()));
        entry
    };
    let mut configs = Configs::default();
    configs.apply(&of(
        0,
        "target-state-a",
        Some(r#"{"state":"PAUSED"}"#),
        "r1",
    ));
    configs.apply(&of(1, "connector-a", CONFIG, "r1"));
    configs.apply(&of(2, "connector-a", OTHER, "r2"));
    configs.apply(&entry(3, "connector-a", CONFIG));
    configs.apply(&of(4, "connector-a", None, "r3"));
    let found = |configs: &Configs, request: &str| {
        let written = configs.written_for(request.as_bytes());
        written.map(|written| (written.version.offset, written.created))
    };
    assert_eq!(found(&configs, "r1"), Some((1, true)));
    assert_eq!(found(&configs, "r2"), Some((2, false)));
    assert_eq!(
        found(&configs, "r3"),
        Some((4, false)),
        "also of what is gone"
    );
    assert_eq!(found(&configs, "r4"), None);
    for number in 0..5000 {
        configs.apply(&of(
            5 + number,
            "connector-b",
            CONFIG,
            &format!("n{number}"),
        ));
    }
    assert_eq!(found(&configs, "r3"), None, "I6");
    assert_eq!(found(&configs, "n4999"), Some((5004, false)));
    configs.apply(&of(6000, "connector-b", CONFIG, &"x".repeat(1000)));
    assert_eq!(found(&configs, &"x".repeat(1000)), None, "I6");
}

#[test]
fn tasks_may_run_once_a_fencing_round_stands_behind_their_set() {
    let config = r#"{"properties":{"a":"1"}}"#;
    let (one, two) = (r#"{"task-count":1}"#, r#"{"tasks":1}"#);
    let log = [
        entry(0, "tasks-fencing-a", Some(r#"{"task-count":3}"#)),
        entry(1, "connector-a", Some(config)),
        entry(2, "task-a-0", Some(config)),
        entry(3, "commit-a", Some(two)),
        entry(4, "tasks-fencing-a", Some(one)),
        entry(5, "task-a-0", Some(config)),
        entry(6, "commit-a", Some(two)),
        entry(7, "connector-a", None),
    ];
    let seen = |upto: usize| {
        let now = fold(&log[..upto]).get("a").expect("it exists");
        (now.producers, now.fenced)
    };
    assert_eq!(seen(4), (Some(3), false), "that round was for an older set");
    assert_eq!(seen(5), (Some(1), true));
    assert_eq!(seen(7), (Some(1), false));
    // A deleted connector's producers may come back to life: the count stays for its successor.
    let mut again = log.to_vec();
    again.push(entry(8, "connector-a", Some(config)));
    let now = fold(&again).get("a").expect("it exists");
    assert_eq!((now.producers, now.fenced), (Some(1), false));
}
