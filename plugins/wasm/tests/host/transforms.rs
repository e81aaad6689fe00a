//! Transforms that behave.

use crate::probes::{open_transform, record, transform};
use longshore_sdk::{Datum, ErrorKind, Header, Record, Value, Verdict};

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
