use super::*;
use crate::{
    memory::MemoryLog,
    views::recorded::{entries, final_state},
};

const RECORDED: &str = include_str!("../../../tests/data/status.jsonl");

fn status(state: State, worker_id: &str, generation: i32) -> Status {
    Status {
        state,
        trace: None,
        worker_id: worker_id.to_owned(),
        generation,
        version: Some("1".to_owned()),
    }
}

#[test]
fn every_recorded_record_is_written_byte_for_byte() {
    let (mut statuses, mut topics) = (0, 0);
    for entry in entries(RECORDED) {
        let key = Key::parse(&entry.key).expect("a key");
        assert_eq!(key.bytes(), entry.key);
        let Some(value) = &entry.value else {
            continue;
        };
        if let Key::Topic { topic, connector } = key {
            let json: serde_json::Value = serde_json::from_slice(value).expect("JSON");
            let task =
                u32::try_from(json["topic"]["task"].as_u64().expect("a task")).expect("small");
            let discovered_ms = json["topic"]["discoverTimestamp"].as_i64().expect("a time");
            let used = TopicUse {
                topic,
                connector,
                task,
                discovered_ms,
            };
            assert_eq!(used.json(), value);
            topics += 1;
        } else {
            assert_eq!(Status::parse(value).expect("a status").json(), value);
            statuses += 1;
        }
    }
    assert!(statuses > 300 && topics > 50, "{statuses} {topics}");
}

#[test]
fn the_recorded_topic_folds_to_the_connectors_that_there_were() {
    let mut folded = Statuses::default();
    entries(RECORDED)
        .iter()
        .for_each(|entry| folded.apply(entry));
    for name in final_state().keys() {
        assert!(folded.connectors.contains_key(name), "{name}");
    }
    assert!(
        !folded.connectors.contains_key("fail-sink"),
        "deleted connectors are gone"
    );
}

#[test]
fn older_workers_write_less() {
    let old = br#"{"state":"RUNNING","worker_id":"w","later":1}"#;
    let read = Status::parse(old).expect("a status");
    assert_eq!((read.version, read.trace, read.generation), (None, None, 0));
    assert!(Status::parse(br#"{"state":"DANCING"}"#).is_none());
}

#[test]
fn who_may_speak_over_whom() {
    let running = status(State::Running, "a", 3);
    assert!(
        !running.replaces(&status(State::Running, "a", 2)),
        "the same again"
    );
    assert!(
        running.replaces(&status(State::Running, "b", 3)),
        "who runs it knows"
    );
    assert!(
        !running.replaces(&status(State::Running, "b", 9)),
        "it has moved since"
    );
    assert!(running.replaces(&status(State::Failed, "a", 3)));
    let leaving = status(State::Unassigned, "a", 3);
    assert!(leaving.replaces(&running));
    assert!(leaving.replaces(&status(State::Running, "b", 2)));
    assert!(
        !leaving.replaces(&status(State::Running, "b", 3)),
        "another took over"
    );
    assert!(
        !leaving.replaces(&status(State::Failed, "a", 3)),
        "a failure stays to be seen"
    );
}

/// The next leader may have seen fewer views than the one that left.
#[test]
fn of_a_connector_whoever_leads_may_speak() {
    let running = status(State::Running, "a", 3);
    assert!(running.follows(&status(State::Unassigned, "b", 9)));
    assert!(running.follows(&status(State::Running, "b", 9)));
    assert!(!running.follows(&status(State::Running, "a", 2)));
    let leaving = status(State::Unassigned, "a", 3);
    assert!(leaving.follows(&running));
    assert!(!leaving.follows(&status(State::Running, "b", 1)));
    assert!(!leaving.follows(&status(State::Failed, "a", 3)));
}

struct Bench {
    log: MemoryLog,
    view: Arc<StatusView>,
    _followers: tokio::task::JoinSet<()>,
}

async fn bench() -> Bench {
    let log = MemoryLog::new();
    let view = Arc::new(StatusView::new(Arc::new(log.clone())));
    let mut followers = tokio::task::JoinSet::new();
    let (reader, writer) = (Arc::clone(&view), Arc::clone(&view));
    followers.spawn(async move { reader.follow().await });
    followers.spawn(async move { writer.write().await });
    view.log().ready().await;
    Bench {
        log,
        view,
        _followers: followers,
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_newest_is_written_and_it_shows_at_once() {
    let Bench {
        log,
        view,
        _followers,
    } = bench().await;
    log.set_away(true);
    let id = TaskId::new("c", 0);
    view.set_connector("c", status(State::Running, "a", 1));
    tokio::time::sleep(Duration::from_millis(10)).await;
    for state in [State::Running, State::Paused, State::Running, State::Failed] {
        view.set_task(&id, status(state, "a", 1));
        assert_eq!(view.tasks("c")[&0].state, state);
    }
    view.topic_used(&id, "t", 7);
    view.topic_used(&id, "t", 8);
    assert_eq!(view.topics("c").len(), 1);
    log.set_away(false);
    view.settled().await;
    assert_eq!(
        log.keys(),
        [
            "status-connector-c",
            "status-task-c-0",
            "status-topic-t:connector-c"
        ]
    );
    assert_eq!(view.tasks("c")[&0].state, State::Failed);
    // Said again it is not written again.
    view.set_task(&id, status(State::Failed, "a", 1));
    view.topic_used(&id, "t", 9);
    view.settled().await;
    assert_eq!(log.keys().len(), 3);
    view.forget("c");
    view.forget_task("c", 0);
    assert!(
        view.connector("c").is_none() && view.tasks("c").is_empty() && view.topics("c").is_empty()
    );
    view.settled().await;
    let tombstones = log.texts().into_iter().skip(3);
    assert!(
        tombstones.clone().count() == 3 && tombstones.into_iter().all(|(_, value)| value.is_none())
    );
    assert!(view.names().is_empty());
}

fn told(worker_id: &str, generation: i32) -> (bytes::Bytes, Option<bytes::Bytes>) {
    let json = status(State::Running, worker_id, generation).json();
    ("status-task-c-0".into(), Some(json))
}

/// The topic's last record of a task is its owner's, whatever a worker says late that has lost it: who reads the topic anew, or compacted, sees the same.
#[tokio::test]
async fn a_former_owner_that_speaks_late_is_not_believed_and_is_spoken_over() {
    let Bench {
        log,
        view,
        _followers,
    } = bench().await;
    let id = TaskId::new("c", 0);
    view.own(&id, 7);
    view.set_task(&id, status(State::Running, "b", 1));
    view.settled().await;
    assert_eq!(view.tasks("c")[&0], status(State::Running, "b", 7));
    log.append(vec![told("a", 5)]);
    view.log().refresh().await.expect("read");
    assert_eq!(view.tasks("c")[&0].worker_id, "b", "I4");
    view.say_again();
    view.settled().await;
    let last = || {
        log.texts()
            .last()
            .expect("said")
            .1
            .clone()
            .expect("a status")
    };
    assert!(
        last().contains(r#""worker_id":"b","generation":7"#),
        "{}",
        last()
    );
    // It is said once.
    let written = log.keys().len();
    view.say_again();
    view.settled().await;
    assert_eq!(log.keys().len(), written);
    // A later owner is believed, and this worker is silent then.
    log.append(vec![told("a", 8)]);
    view.log().refresh().await.expect("read");
    view.say_again();
    let mut leaving = status(State::Unassigned, "b", 1);
    leaving.version = None;
    view.let_go(&id, leaving);
    view.settled().await;
    assert_eq!(view.tasks("c")[&0], status(State::Running, "a", 8));
    assert_eq!(log.keys().len(), written + 1);
    assert_eq!(view.log().read(|said| said.generation()), 8);
}

#[tokio::test]
async fn what_a_task_on_its_way_out_says_is_not_heard() {
    let bench = bench().await;
    let (view, id) = (&bench.view, TaskId::new("c", 0));
    view.own(&id, 7);
    assert!(view.is_unsaid(&id));
    view.set_task(&id, status(State::Running, "a", 1));
    assert!(!view.is_unsaid(&id));
    view.silence(&id);
    view.set_task(&id, status(State::Paused, "a", 1));
    assert_eq!(view.tasks("c")[&0].state, State::Running);
    // Moved away and back: what was said stands under the new assignment.
    view.own(&id, 9);
    view.say_again();
    view.settled().await;
    assert_eq!(view.tasks("c")[&0], status(State::Running, "a", 9));
    view.let_go(&id, status(State::Unassigned, "a", 1));
    view.settled().await;
    assert_eq!(view.tasks("c")[&0], status(State::Unassigned, "a", 9));
}

#[test]
fn a_long_trace_is_cut_between_characters() {
    let long = Status {
        trace: Some("é".repeat(40_000)),
        ..status(State::Failed, "a", 1)
    };
    let stored = Status::parse(&long.json())
        .expect("valid JSON")
        .trace
        .expect("a trace");
    assert!(stored.len() <= 32 << 10 && stored.chars().all(|char| char == 'é'));
}
