use super::*;
use crate::views::recorded::{entries as recorded, entry};
use serde_json::json;

const RECORDED: &str = include_str!("../../../tests/data/offsets.jsonl");

fn folded(records: &[(&str, Option<&str>)]) -> StoredOffsets {
    let mut stored = StoredOffsets::default();
    for (offset, (key, value)) in (0..).zip(records) {
        stored.apply(&entry(offset, key, *value));
    }
    stored
}

#[test]
fn every_recorded_key_is_written_byte_for_byte() {
    let mut compared = 0;
    for entry in recorded(RECORDED) {
        let Some((connector, lane)) = parse_key(&entry.key) else {
            // The reference writes this tombstone for a request that names no partition.
            assert_eq!(entry.key, r#"["so",null]"#);
            continue;
        };
        assert_eq!(key(&connector, &lane), entry.key);
        if let Some(value) = entry.value {
            let offsets = Offsets::from([(lane, Offset::from_json(value.clone()))]);
            assert_eq!(entries(&connector, &offsets), [(entry.key, Some(value))]);
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn the_recorded_topic_folds_to_the_last_offsets() {
    let mut stored = StoredOffsets::default();
    recorded(RECORDED)
        .iter()
        .for_each(|entry| stored.apply(entry));
    let lane = |json: &str| Partition::from_json(Bytes::copy_from_slice(json.as_bytes()));
    let of = stored.of("so");
    assert_eq!(
        of[&lane(r#"{"filename":"/data/golden/data/so.txt"}"#)].json(),
        r#"{"position":14}"#
    );
    assert_eq!(of.len(), 1, "the others were reset");
    assert!(stored.of("s").is_empty());
}

#[test]
fn lanes_in_several_spellings_are_altered_and_reset_together() {
    let (a, b) = (r#"["c",{"x":1,"y":2}]"#, r#"["c",{"y":2,"x":1}]"#);
    let stored = folded(&[
        (a, Some(r#"{"n":1}"#)),
        (b, Some(r#"{"n":2}"#)),
        (r#"["d",{"x":1,"y":2}]"#, Some(r#"{"n":3}"#)),
    ]);
    assert_eq!(stored.of("c").len(), 2);
    let keys = |pairs: Vec<Pair>| -> Vec<(Bytes, Option<Bytes>)> { pairs };
    let altered = keys(stored.alter("c", &json!({"y": 2, "x": 1}), Some(&json!({"n": 9}))));
    assert_eq!(
        altered,
        [
            (Bytes::from(a), Some(Bytes::from(r#"{"n":9}"#))),
            (Bytes::from(b), Some(Bytes::from(r#"{"n":9}"#)))
        ]
    );
    assert_eq!(
        stored.alter("c", &json!({"x": 1, "y": 2}), None),
        [(Bytes::from(a), None), (Bytes::from(b), None)]
    );
    // A lane that is not there is written as it is given; to reset it there is nothing to do.
    assert_eq!(
        stored.alter("c", &json!({"z": "😀"}), Some(&json!({"n": 1})))[0].0,
        r#"["c",{"z":"\uD83D\uDE00"}]"#
    );
    assert!(stored.alter("c", &json!({"z": 1}), None).is_empty());
    assert_eq!(
        stored.reset("c"),
        [(Bytes::from(a), None), (Bytes::from(b), None)]
    );
}

#[test]
fn tombstones_and_odd_keys() {
    let key = r#"["c",{"x":1}]"#;
    assert!(folded(&[(key, Some("{}")), (key, None)]).of("c").is_empty());
    assert!(
        folded(&[(key, Some("{}")), (key, Some("null"))])
            .of("c")
            .is_empty()
    );
    let odd = folded(&[
        ("junk", Some("{}")),
        (r#"["c"]"#, Some("{}")),
        (r#"["c",null]"#, Some("{}")),
        (r#"["c",[1]]"#, Some("{}")),
    ]);
    assert!(odd.of("c").is_empty());
    // Blanks in a stored key: the lane is the text between, the key stays as it is.
    let spaced = r#"[ "a\"b" , {"x": 1} ]"#;
    let stored = folded(&[(spaced, Some("{}"))]);
    assert_eq!(
        stored.of("a\"b").keys().next().expect("a lane").json(),
        r#"{"x": 1}"#
    );
    assert_eq!(stored.reset("a\"b"), [(Bytes::from(spaced), None)]);
}

#[test]
fn what_is_stored_does_not_keep_what_was_read_with_it() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    /// A fetch of which one record is kept.
    struct Fetch(Vec<u8>, Arc<AtomicBool>);
    impl AsRef<[u8]> for Fetch {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Fetch {
        fn drop(&mut self) {
            self.1.store(true, Ordering::Relaxed);
        }
    }
    let freed = Arc::new(AtomicBool::new(false));
    let text = br#"["c",{"f":1}]{"n":1} and much more"#.to_vec();
    let fetch = Bytes::from_owner(Fetch(text, Arc::clone(&freed)));
    let mut stored = StoredOffsets::default();
    let mut read = entry(0, "", None);
    (read.key, read.value) = (fetch.slice(..13), Some(fetch.slice(13..20)));
    stored.apply(&read);
    drop((read, fetch));
    assert_eq!(stored.of("c").len(), 1);
    assert!(freed.load(Ordering::Relaxed), "I6: the whole fetch is kept");
}

#[test]
fn known_entries_stand_or_do_not() {
    let (a, b, gone) = (r#"["c",{"x":1}]"#, r#"["c",{"x":2}]"#, r#"["c",{"x":3}]"#);
    let stored = folded(&[
        (a, Some(r#"{"n":1}"#)),
        (b, Some(r#"{"n":2}"#)),
        (r#"["d",{"x":1}]"#, Some(r#"{"n":3}"#)),
    ]);
    let known = |entries: &[(&'static str, Option<&'static str>)]| -> Known {
        let entry = |(key, value): &(&'static str, Option<&'static str>)| {
            (Bytes::from(*key), value.map(Bytes::from))
        };
        entries.iter().map(entry).collect()
    };
    let (one, two) = ((a, Some(r#"{"n":1}"#)), (b, Some(r#"{"n":2}"#)));
    let all = known(&[one, two, (gone, None)]);
    assert!(stored.stand("c", &all, true) && stored.stand("c", &all, false));
    let mine = known(&[one]);
    assert!(
        stored.stand("c", &mine, false),
        "the other is another task's"
    );
    assert!(
        !stored.stand("c", &mine, true),
        "nobody else should have written it"
    );
    for wrong in [
        (a, Some(r#"{"n":9}"#)),
        (a, None),
        (gone, Some(r#"{"n":1}"#)),
    ] {
        assert!(!stored.stand("c", &known(&[wrong]), false), "{wrong:?}");
    }
    assert!(
        stored.stand("e", &Known::new(), true),
        "nothing was stored ever"
    );
    assert!(!stored.stand("e", &mine, false), "it was reset");
}
