use super::*;
use crate::{memory::MemoryLog, views::recorded::entry};

fn folded(entries: &[(&str, Option<&str>)]) -> Assignments {
    let mut folded = Assignments::default();
    for (offset, (key, value)) in entries.iter().enumerate() {
        let offset = i64::try_from(offset).expect("small");
        folded.apply(&entry(offset, key, *value));
    }
    folded
}

#[test]
fn placements_are_read_and_taken_off() {
    let first = r#"{"worker":"w1","incarnation":"a","generation":3}"#;
    let moved = r#"{"worker":"w2","incarnation":"b","generation":4,"former":{"worker":"w1","incarnation":"a","generation":3}}"#;
    let last = r#"{"worker":"w1","incarnation":"a","generation":9}"#;
    let now = folded(&[
        ("task-a-b-7", Some(first)),
        ("task-a-b-8", Some(first)),
        ("task-a-b-8", Some("nonsense")),
        ("task-a-b-7", Some(moved)),
        ("task-x", Some(first)),
        ("task-a-b-9", Some(last)),
        ("task-a-b-9", None),
    ]);
    let id = TaskId::new("a-b", 7);
    let placement = now.of(&id).expect("placed");
    assert_eq!(
        (placement.worker_id.as_str(), placement.generation),
        ("w2", 4)
    );
    let former = placement.former.as_ref();
    assert_eq!(former.map(|former| former.generation), Some(3));
    assert_eq!(
        now.all().len(),
        2,
        "what cannot be read leaves what was there"
    );
    assert_eq!(now.generation(), 9, "also of what is gone");
    // What is written is what is read.
    let (key, value) = record(&id, Some(placement));
    assert_eq!(key, "task-a-b-7");
    assert_eq!(value.expect("a value"), moved);
}

#[tokio::test]
async fn a_worker_with_other_internal_topics_is_refused_by_name() {
    let coordination = MemoryLog::new();
    let (ours, mut other) = (InternalTopics::of("g"), InternalTopics::of("g"));
    let before = agree(&other, &coordination).await;
    assert!(!before.expect("fits"), "nobody was there before");
    coordination.append(vec![topics_record(&ours)]);
    let used = agree(&ours, &coordination).await;
    assert!(used.expect("the same"), "the group has used them");
    other.config = "mine".to_owned();
    other.status = "own".to_owned();
    let refused = agree(&other, &coordination).await.expect_err("refused");
    assert_eq!(refused.kind(), longshore_sdk::ErrorKind::Config);
    let text = refused.to_string();
    for part in [
        "config.storage.topic is mine here and g-configs there",
        "status.storage.topic is own here and g-status there",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("offset.storage.topic"), "{text}");
}
