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
        Key::Other => {
            let name = key.strip_prefix("tasks-fencing-")?;
            records::fencing(name, count("task-count"))
        }
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
    assert_eq!(Key::parse("tasks-fencing-x-1"), Key::Other);
    assert_eq!(Key::parse("restart-connector-x"), Key::Restart("x"));
}
