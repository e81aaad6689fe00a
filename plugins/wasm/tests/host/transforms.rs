//! Transforms that behave, and batches that go in several calls.

use crate::{
    grants::granted_plugin,
    probes::{file, open_transform, provisions, record, settings, transform},
};
use longshore_sdk::{Datum, ErrorKind, Header, Record, Value, Verdict, erased::TransformPlugin};
use longshore_wasm::{Ceilings, Limits, Registered, load, services::Provisions};
use prometheus::core::Collector;
use std::sync::Arc;

fn text(text: &'static str) -> Datum {
    Datum::Text(text.into())
}

fn batch(values: &[&'static str]) -> Vec<Record> {
    values
        .iter()
        .map(|value| record("input", text(value)))
        .collect()
}

async fn apply(edit: &str, batch: Vec<Record>) -> Vec<Verdict> {
    open_transform(&[("edit", edit)]).apply(batch).await
}

fn kept(verdicts: Vec<Verdict>) -> Vec<Record> {
    verdicts
        .into_iter()
        .map(|verdict| match verdict {
            Verdict::Keep(record) => record,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn what_is_not_edited_stays() {
    let mut before = batch(&["a", "b"]);
    before[0].key = Datum::Value(Value::Int32(4), None);
    before[1].partition = Some(2);
    before[1].offset = Some(9);
    assert_eq!(kept(apply("none", before.clone()).await), before);
}

#[tokio::test]
async fn values_are_replaced() {
    let after = kept(apply("upper", batch(&["one", "two"])).await);
    assert_eq!(after[0].value, text("ONE"));
    assert_eq!(after[1].value, text("TWO"));
}

#[tokio::test]
async fn rows_are_dropped() {
    let verdicts = apply("drop", batch(&["a", "b", "c"])).await;
    assert!(matches!(
        verdicts[..],
        [Verdict::Keep(_), Verdict::Drop, Verdict::Keep(_)]
    ));
}

#[tokio::test]
async fn topics_and_times_change() {
    let after = kept(apply("topic", batch(&["a", "b"])).await);
    assert_eq!((&*after[0].topic, &*after[1].topic), ("even", "odd"));
    let mut before = batch(&["a", "b"]);
    before[0].timestamp = Some(99);
    let after = kept(apply("time", before).await);
    assert_eq!((after[0].timestamp, after[1].timestamp), (None, Some(0)));
}

#[tokio::test]
async fn headers_are_removed_replaced_and_added() {
    let header = |name: &str, value: &'static str| Header {
        key: name.into(),
        value: text(value),
    };
    let mut before = batch(&["a", "b"]);
    before[0].headers = vec![
        header("gone", "1"),
        header("there", "old"),
        header("stays", "2"),
        header("there", "older"),
    ];
    let after = kept(apply("headers", before).await);
    assert_eq!(
        after[0].headers,
        [
            header("there", "new"),
            header("stays", "2"),
            header("added", "yes")
        ]
    );
    assert_eq!(
        after[1].headers,
        [header("there", "new"), header("added", "yes")]
    );
}

#[tokio::test]
async fn a_column_that_is_empty_is_null_in_every_row() {
    let mut before = batch(&["a", "b"]);
    before[1].key = text("old");
    let after = kept(apply("null", before).await);
    assert_eq!((&after[0].key, &after[0].value), (&text("k"), &Datum::Null));
    assert_eq!(
        (&after[1].key, &after[1].value),
        (&Datum::Null, &Datum::Null)
    );
}

#[tokio::test]
async fn rows_that_fail_are_refused_alone() {
    let verdicts = apply("fail", batch(&["a", "b", "c"])).await;
    match &verdicts[..] {
        [Verdict::Keep(_), Verdict::Refuse(error), Verdict::Keep(_)] => {
            assert_eq!(error.kind(), ErrorKind::Data);
            assert_eq!(error.message(), "row 1");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_presented_is_refused_alone() {
    let mut before = batch(&["a", "b"]);
    before[0].value = Datum::Bytes(b"\xFF".as_slice().into());
    let verdicts = apply("upper", before).await;
    match &verdicts[..] {
        [Verdict::Refuse(error), Verdict::Keep(record)] => {
            assert_eq!(error.kind(), ErrorKind::Data);
            assert_eq!(record.value, text("B"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_batch_that_is_bad_as_a_whole_is_tried_record_by_record() {
    let mut transform = open_transform(&[("misbehave", "apply:bad"), ("edit", "upper")]);
    let verdicts = transform.apply(batch(&["a", "bad", "c"])).await;
    match &verdicts[..] {
        [Verdict::Keep(a), Verdict::Refuse(error), Verdict::Keep(c)] => {
            assert_eq!((&a.value, &c.value), (&text("A"), &text("C")));
            assert_eq!(error.kind(), ErrorKind::Data);
        }
        other => panic!("{other:?}"),
    }
}

/// More than one call takes: each record gets its own verdict, wherever calls begin and end.
#[tokio::test]
async fn a_large_batch_goes_in_several_calls() {
    const COUNT: usize = 3_000;
    const LARGE: usize = 1_500;
    let value = |at: usize| match at {
        LARGE => "x".repeat(300_000),
        _ => format!("{at} {}", "x".repeat(100)),
    };
    let before: Vec<Record> = (0..COUNT)
        .map(|at| {
            let datum = match at % 7 {
                0 => Datum::Bytes(b"\xFF".as_slice().into()),
                1 => Datum::Null,
                _ => Datum::Text(value(at).into()),
            };
            record("input", datum)
        })
        .collect();
    // One bad record makes hundreds be tried one by one, which a loaded machine takes long for.
    let grants = [("call.timeout.ms", "60000")];
    let patient = granted_plugin("probe-transform", &provisions(), &grants);
    let Registered::Transform(patient) = patient else {
        panic!("the probe is a transform");
    };
    let config = crate::probes::config(&[("misbehave", "apply:bad"), ("edit", "upper")]);
    for bad in [None, Some(4), Some(2_000), Some(COUNT - 1)] {
        let mut batch = before.clone();
        if let Some(bad) = bad {
            batch[bad].value = text("bad");
        }
        let mut transform =
            (patient.build)(&config).expect("a transform is built before its guest starts");
        let verdicts = transform.apply(batch).await;
        assert_eq!(verdicts.len(), COUNT);
        for (at, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Verdict::Refuse(error) => {
                    assert!(bad == Some(at) || at % 7 == 0, "{at}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Data);
                }
                Verdict::Keep(record) if at % 7 == 1 => assert_eq!(record.value, Datum::Null),
                Verdict::Keep(record) => {
                    let expected = Datum::Text(value(at).to_uppercase().into());
                    assert!(bad != Some(at) && record.value == expected, "{at}");
                }
                Verdict::Drop => panic!("{at} was dropped"),
            }
        }
    }
}

#[tokio::test]
async fn it_knows_whose_records_it_sees() {
    let mut transform = open_transform(&[("edit", "task")]);
    transform.placed("orders", 4);
    let after = kept(transform.apply(batch(&["a"])).await);
    assert_eq!(after[0].headers[0].value, text("orders-4"));
}

#[test]
fn a_config_that_the_schema_refuses_builds_nothing() {
    let config = crate::probes::config(&[("edit", "explode")]);
    let Err(error) = (transform().build)(&config) else {
        panic!("it must be refused");
    };
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("edit"), "{error}");
}

#[tokio::test]
async fn a_transform_is_asked_what_is_wrong_with_its_config() {
    assert_eq!(open_transform(&[]).check("masking").await, []);
    let mut forbidden = open_transform(&[("misbehave", "check:forbidden")]);
    let found = forbidden.check("masking").await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&*found[0].key, &*found[0].problem),
        ("edit", "this edit is forbidden")
    );
    for (deed, expected) in [
        (
            "check:panic",
            "the plugin probe-transform 1.0.0-rc.1: check panicked",
        ),
        ("check:loop", "did not return within"),
    ] {
        let found = open_transform(&[("misbehave", deed)])
            .check("masking")
            .await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].key, "");
        assert!(found[0].problem.contains(expected), "{found:?}");
    }
    let mut asking = open_transform(&[("longshore.wasm.net", "api.example.com")]);
    let found = asking.check("masking").await;
    assert_eq!(found[0].key, "longshore.wasm.net");
    assert!(found[0].problem.contains("not granted"), "{found:?}");
}

/// Transforms with limits of their own; the metrics of their calls are nobody else's.
fn limited(provisions: &Arc<Provisions>, hostcall_bytes: u64) -> TransformPlugin {
    let mut settings = settings();
    settings.limits.hostcall_bytes = hostcall_bytes;
    let files = [file("probe-transform")];
    let (mut loaded, broken) = load(&files, &settings, provisions, &Ceilings::default());
    assert!(broken.is_empty(), "{broken:?}");
    match loaded.pop().expect("a plugin").plugin {
        Registered::Transform(transform) => transform,
        _ => panic!("the probe is a transform"),
    }
}

/// How often a function of theirs was called.
fn calls(provisions: &Provisions, function: &str) -> f64 {
    let families = provisions.metrics().collect();
    let calls = families
        .iter()
        .find(|family| family.name() == "longshore_wasm_calls_total")
        .map_or(&[][..], |family| family.get_metric());
    calls
        .iter()
        .filter(|it| it.get_label().iter().any(|label| label.value() == function))
        .map(|it| it.get_counter().get_value())
        .sum()
}

/// As many records of 1 KiB: a call takes 64 of them.
fn large(count: usize) -> Vec<Record> {
    let value = "x".repeat(1 << 10);
    (0..count)
        .map(|_| record("input", Datum::Text(value.clone().into())))
        .collect()
}

/// The engine waits for all calls of a batch together: a guest that never returns must not be waited for once per call.
#[tokio::test]
async fn a_guest_that_never_returns_is_waited_for_once_per_batch() {
    for function in ["start", "apply"] {
        let provisions = provisions();
        let plugin = limited(&provisions, Limits::default().hostcall_bytes);
        let deed = format!("{function}:loop");
        let config = crate::probes::config(&[("misbehave", &deed)]);
        let mut transform = (plugin.build)(&config).expect("its guest starts later");
        let before = calls(&provisions, function);
        let mut batch = large(300);
        batch[0].value = Datum::Bytes(b"\xFF".as_slice().into());
        let mut verdicts = transform.apply(batch).await.into_iter();
        assert_eq!(verdicts.len(), 300);
        match verdicts.next() {
            Some(Verdict::Refuse(error)) => assert_eq!(error.kind(), ErrorKind::Data),
            other => panic!("it cannot be presented: {other:?}"),
        }
        for verdict in verdicts {
            let Verdict::Refuse(error) = verdict else {
                panic!("{verdict:?}");
            };
            assert_eq!(error.kind(), ErrorKind::Bug, "{error}");
            let expected =
                format!("the plugin probe-transform 1.0.0-rc.1: {function} did not return within");
            assert!(error.message().contains(&expected), "{error}");
        }
        let made = calls(&provisions, function) - before;
        assert!((made - 1.0).abs() < 0.5, "{made} calls of {function}");
    }
}

/// Answers of all calls of a batch are held until the last: together they may take what one may.
#[tokio::test]
async fn answers_to_one_batch_are_limited_together() {
    let provisions = provisions();
    let verdicts = async |max: u64, deed: &str, batch: Vec<Record>| {
        let plugin = limited(&provisions, max);
        let config = crate::probes::config(&[("misbehave", deed), ("edit", "upper")]);
        let mut transform = (plugin.build)(&config).expect("its guest starts later");
        // A batch alone counts, not what came before.
        for _ in 0..4 {
            kept(transform.apply(large(20)).await);
        }
        transform.apply(batch).await
    };
    let mut bad = large(50);
    bad[0].value = text("bad");
    for (max, deed, batch, first) in [
        (400_000, "", large(1_000), 0),
        // The same for records that are tried alone.
        (40_000, "apply:bad", bad, 1),
    ] {
        let count = batch.len();
        let verdicts = verdicts(max, deed, batch).await;
        assert_eq!(verdicts.len(), count);
        let keeps = |verdict: &&Verdict| matches!(verdict, Verdict::Keep(_));
        let held = verdicts[first..].iter().take_while(keeps).count();
        let allowed = usize::try_from(max).expect("a small limit") >> 10;
        assert!(
            (1..=allowed).contains(&held),
            "{held} records of 1 KiB for {max} bytes"
        );
        for verdict in &verdicts[first + held..] {
            let Verdict::Refuse(error) = verdict else {
                panic!("{verdict:?}");
            };
            assert_eq!(error.kind(), ErrorKind::Bug, "{error}");
            for part in [
                "the plugin probe-transform",
                "for one batch",
                &format!("{max} are allowed"),
            ] {
                assert!(error.message().contains(part), "{error}");
            }
        }
    }
}
