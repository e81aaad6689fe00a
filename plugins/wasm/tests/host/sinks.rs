//! Sinks that behave.

use crate::probes::{config, failure, json, open_sink, open_sink_until, read, sink};
use longshore_sdk::{
    Datum, ErrorKind, Header, Refused, TopicOffsets, TopicPartition, Value, erased::DynSink,
};
use std::time::Duration;

/// What the guest saw of each row that it refused.
fn seen(refused: &[Refused]) -> Vec<String> {
    refused
        .iter()
        .map(|refused| refused.error.message().to_owned())
        .collect()
}

fn numbers(count: usize) -> Vec<Datum> {
    (0..count).map(|number| json(&number.to_string())).collect()
}

#[tokio::test]
async fn a_guest_sees_all_columns_of_every_row() {
    let mut batch = read(vec![json("{\"a\":1}"), Datum::Null, json("[2]")]);
    batch[0].record.key = Datum::string("one");
    batch[0].record.timestamp = Some(17);
    batch[1].record.topic = "elsewhere".into();
    batch[2].record.headers = vec![
        Header {
            key: "h".into(),
            value: Datum::Bytes("x".into()),
        },
        Header {
            key: "h".into(),
            value: Datum::Null,
        },
    ];
    let mut task = open_sink(&[("show", "true")]).await.expect("it opens");
    let refused = task.put(&batch).await.expect("all are answered");
    assert_eq!(
        seen(&refused),
        [
            "input from input-3@0 at 17 key one value {\"a\":1} headers [] of 3",
            "elsewhere from input-3@1 at -1 key null value null headers [] of 3",
            "input from input-3@2 at -1 key null value [2] headers [h=x,h=null] of 3",
        ]
    );
    assert!(
        refused
            .iter()
            .all(|refused| refused.error.kind() == ErrorKind::Data)
    );
}

#[tokio::test]
async fn what_cannot_be_presented_is_refused_alone() {
    let batch = read(vec![
        json("1"),
        Datum::Bytes(b"no json".as_slice().into()),
        Datum::Text("text".into()),
        Datum::Value(Value::Array(vec![Value::Int8(4)]), None),
    ]);
    let mut task = open_sink(&[("show", "true")]).await.expect("it opens");
    let refused = task.put(&batch).await.expect("all are answered");
    let indices: Vec<usize> = refused.iter().map(|refused| refused.index).collect();
    assert_eq!(indices, [0, 1, 2, 3]);
    let seen = seen(&refused);
    assert!(seen[1].contains("not one JSON value"), "{seen:?}");
    assert!(seen[2].contains("value \"text\" headers"), "{seen:?}");
    assert!(seen[3].contains("value [4] headers [] of 3"), "{seen:?}");
}

/// A put that fails reports leading records alone; what lies behind a refused one is not given twice.
#[tokio::test]
async fn a_put_that_fails_in_the_middle_goes_on_where_it_stopped() {
    let mut values = numbers(6);
    values[1] = Datum::Bytes(b"no json".as_slice().into());
    let batch = read(values);
    let mut task = open_sink(&[("fail", "3"), ("show", "true")])
        .await
        .expect("it opens");
    let error = failure(task.put(&batch).await);
    assert_eq!(error.kind(), ErrorKind::Transient);
    // 0, 2 and 3 were taken; 1 has to be refused by a call that succeeds.
    assert_eq!(error.taken(), 1);
    let refused = task.put(&batch[1..]).await.expect("the rest");
    let indices: Vec<usize> = refused.iter().map(|refused| refused.index).collect();
    assert_eq!(indices, [0, 3, 4], "2 and 3 are not given again");
}

/// What the guest itself refused before it failed is reported by the call that succeeds, and not given to it again either.
#[tokio::test]
async fn a_refusal_before_a_failure_is_not_lost() {
    let batch = read(numbers(4));
    let mut task = open_sink(&[("fail", "2"), ("spurn", "true"), ("show", "true")])
        .await
        .expect("it opens");
    let error = failure(task.put(&batch).await);
    assert_eq!((error.kind(), error.taken()), (ErrorKind::Transient, 0));
    let refused = task.put(&batch).await.expect("all of it");
    let indices: Vec<usize> = refused.iter().map(|refused| refused.index).collect();
    assert_eq!(indices, [0, 2, 3], "0 and 1 are not given again");
    assert_eq!(seen(&refused)[0], "spurned");
    // What was reported is forgotten: the same place may come once more after a rewind.
    let refused = task.put(&batch).await.expect("all of it");
    assert_eq!(refused.len(), 4);
}

/// I4: what was taken of partitions that were lost is taken back, so that it must come to the guest again.
#[tokio::test]
async fn what_lies_ahead_of_lost_partitions_is_given_again() {
    let mut values = numbers(6);
    values[1] = Datum::Bytes(b"no json".as_slice().into());
    let batch = read(values);
    let mut task = open_sink(&[("fail", "3"), ("show", "true")])
        .await
        .expect("it opens");
    assert_eq!(failure(task.put(&batch).await).taken(), 1);
    let at = [TopicPartition::new("input", 3)];
    task.revoked(&at).await.expect("lost");
    task.assigned(&at).await.expect("back again");
    let refused = task.put(&batch).await.expect("all of it");
    let indices: Vec<usize> = refused.iter().map(|refused| refused.index).collect();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5], "2 and 3 are given again");
}

/// I3: what a target that keeps the offsets has beyond them is not written beside an offset that lies before.
#[tokio::test]
async fn a_target_that_keeps_the_offsets_is_not_flushed_amid_a_batch() {
    let batch = read(numbers(4));
    let mut task = open_sink(&[("fail", "2"), ("spurn", "true"), ("keep", "true")])
        .await
        .expect("it opens");
    let at = [TopicPartition::new("input", 3)];
    task.assigned(&at).await.expect("assigned");
    assert_eq!(failure(task.put(&batch).await).taken(), 0);
    assert_eq!(
        flush(&mut *task).await.expect("nothing"),
        TopicOffsets::new()
    );
    assert_eq!(task.put(&batch).await.expect("all of it").len(), 1);
    assert_eq!(flush(&mut *task).await.expect("flushed")[&at[0]], 6);
}

#[tokio::test]
async fn an_order_to_stop_ends_a_wait_within_a_call() {
    let stop = std::sync::Arc::new(tokio::sync::Notify::new());
    let told = stop.clone();
    let order = longshore_sdk::Stop::new(move || {
        let told = told.clone();
        Box::pin(async move { told.notified().await })
    });
    let mut task = open_sink_until(&[("misbehave", "put:wait")], order)
        .await
        .expect("it opens");
    let batch = read(numbers(1));
    // Without the order the call would miss its deadline, and the instance would be lost.
    let (put, ()) = tokio::join!(task.put(&batch), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.notify_one();
    });
    assert!(failure(put).message().ends_with("woken early"));
    task.close().await.expect("it lives");
}

#[tokio::test]
async fn batches_beyond_the_size_of_a_call_go_in_several() {
    let large = json(&format!("\"{}\"", "x".repeat(3 << 20)));
    let batch = read(vec![large; 7]);
    let mut task = open_sink(&[]).await.expect("it opens");
    assert_eq!(task.put(&batch).await.expect("taken").len(), 0);
}

#[tokio::test]
async fn kinds_of_errors_map_one_to_one() {
    for (kind, expected) in [
        ("config", ErrorKind::Config),
        ("auth", ErrorKind::Auth),
        ("data", ErrorKind::Data),
        ("transient", ErrorKind::Transient),
        (
            "rate-limited",
            ErrorKind::Throttled(Some(Duration::from_millis(1_500))),
        ),
        ("fenced", ErrorKind::Fenced),
        ("fatal", ErrorKind::Bug),
    ] {
        let mut task = open_sink(&[("kind", kind)]).await.expect("it opens");
        let error = failure(task.put(&read(numbers(2))).await);
        assert_eq!(error.kind(), expected);
        let named = match expected {
            ErrorKind::Bug => "the plugin probe-sink 1.2.3: ",
            _ => "",
        };
        assert_eq!(error.message(), format!("{named}as asked [place = here]"));
        assert_eq!(error.taken(), 0);
        // An error that is told is no reason to lose the instance.
        assert_eq!(failure(task.put(&read(numbers(2))).await).kind(), expected);
    }
}

async fn flush(task: &mut dyn DynSink) -> longshore_sdk::Result<TopicOffsets> {
    let upto = TopicOffsets::from([(TopicPartition::new("input", 3), 6)]);
    task.flush(&upto).await
}

#[tokio::test]
async fn a_flush_commits_what_the_guest_says() {
    let mut task = open_sink(&[]).await.expect("it opens");
    let at = [TopicPartition::new("input", 3)];
    assert_eq!(task.assigned(&at).await.expect("assigned"), None);
    assert_eq!(flush(&mut *task).await.expect("flushed")[&at[0]], 6);
    task.revoked(&at).await.expect("revoked");
    task.close().await.expect("closed");
    let mut task = open_sink(&[("misbehave", "flush:nothing")])
        .await
        .expect("it opens");
    assert_eq!(flush(&mut *task).await.expect("flushed").len(), 0);
}

#[tokio::test]
async fn a_target_that_keeps_the_offsets_says_where_to_start() {
    let mut task = open_sink(&[("keep", "true")]).await.expect("it opens");
    let at = [TopicPartition::new("input", 3)];
    let kept = task.assigned(&at).await.expect("assigned");
    assert_eq!(kept.expect("it keeps them")[&at[0]], 7);
}

#[tokio::test]
async fn a_sink_plans_as_many_shares_as_it_may() {
    let shares = sink().plan(&config(&[]), 4).await.expect("a plan");
    assert_eq!(shares.len(), 4);
}
