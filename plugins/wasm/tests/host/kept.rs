//! What guests keep beside their records: progress without one, states of partitions.

use crate::probes::{failure, json, open_sink, open_source, open_transform, read, record};
use longshore_sdk::{
    Datum, ErrorKind, Offset, Offsets, Partition, TopicOffsets, TopicPartition, TopicStates,
    Verdict, erased::DynSink,
};
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(100);

fn lane(text: &'static str, position: &'static str) -> Offsets {
    let lane = Partition::from_json(text.into());
    Offsets::from([(lane, Offset::from_json(position.into()))])
}

#[tokio::test]
async fn a_source_goes_on_without_a_record_and_from_there_the_next_time() {
    let config = [("count", "5"), ("quiet", "2")];
    let mut task = open_source(&config, Offsets::new())
        .await
        .expect("it opens");
    assert_eq!(task.poll(WAIT).await.expect("records").len(), 5);
    assert_eq!(task.advanced(), Offsets::new());
    assert_eq!(task.poll(WAIT).await.expect("none").len(), 0);
    let first = lane(r#"{"lane":0}"#, r#"{"next":5,"quiet":1}"#);
    assert_eq!(task.advanced(), first);
    assert_eq!(task.advanced(), Offsets::new(), "told once");
    task.commit(&first).await.expect("it comes back as it is");
    drop(task);
    let mut task = open_source(&config, first).await.expect("it opens");
    assert_eq!(task.poll(WAIT).await.expect("none").len(), 0);
    let second = lane(r#"{"lane":0}"#, r#"{"next":5,"quiet":2}"#);
    assert_eq!(task.advanced(), second);
    let error = failure(task.poll(WAIT).await);
    assert_eq!(error.kind(), ErrorKind::End);
    assert_eq!(task.advanced(), Offsets::new());
}

/// What a source is told that reports it as the error of its poll, and that none of it counts then.
async fn polling(deed: &str) -> String {
    let deed = format!("poll:{deed}");
    let mut task = open_source(&[("misbehave", &deed)], Offsets::new())
        .await
        .expect("it opens");
    let error = failure(task.poll(WAIT).await);
    assert_eq!(task.advanced(), Offsets::new(), "the poll has failed");
    error.message().to_owned()
}

#[tokio::test]
async fn progress_is_checked_and_limited() {
    assert!(polling("advance").await.ends_with("ok ()"));
    for (deed, told) in [
        ("advance-list", "state.advance: the lane is no JSON object"),
        (
            "advance-huge",
            "state.advance: the position has 1048584 bytes, 65536 are allowed",
        ),
        (
            "advance-many",
            "state.advance: one poll may go on in 1000 lanes",
        ),
        (
            "get-state",
            "state.get: only a sink's task has states, from assigned to revoked",
        ),
        (
            "set-state",
            "state.set: only a sink's task has states, from assigned to revoked",
        ),
    ] {
        let message = polling(deed).await;
        assert!(message.ends_with(told), "{message}");
    }
}

#[tokio::test]
async fn only_a_poll_makes_progress() {
    let told = "state.advance: only a source has positions, and says so within poll";
    let started = open_source(&[("misbehave", "start:advance")], Offsets::new());
    let error = failure(started.await);
    assert!(error.message().ends_with(told), "{error}");
    let mut sink = open_sink(&[("misbehave", "put:advance")])
        .await
        .expect("it opens");
    let error = failure(sink.put(&read(vec![json("1")])).await);
    assert!(error.message().ends_with(told), "{error}");
    for (deed, told) in [
        ("advance", told),
        (
            "get-state",
            "state.get: only a sink's task has states, from assigned to revoked",
        ),
    ] {
        let deed = format!("apply:{deed}");
        let mut transform = open_transform(&[("misbehave", &deed)]);
        let verdicts = transform.apply(vec![record("t", json("1"))]).await;
        let Some(Verdict::Refuse(error)) = verdicts.into_iter().next() else {
            panic!("a transform cannot do that");
        };
        assert!(error.message().ends_with(told), "{error}");
    }
}

const AT: &str = "input";

fn at() -> TopicPartition {
    TopicPartition::new(AT, 3)
}

fn states(entries: &[(i32, &str)]) -> TopicStates {
    let entry = |(partition, state): &(i32, &str)| {
        (TopicPartition::new(AT, *partition), (*state).to_owned())
    };
    entries.iter().map(entry).collect()
}

/// Takes so many records, flushes, and answers the states that are to be committed.
async fn flushed(task: &mut dyn DynSink, records: usize) -> TopicStates {
    let batch = read(vec![json("1"); records]);
    assert_eq!(task.put(&batch).await.expect("taken").len(), 0);
    let upto = TopicOffsets::from([(at(), 9)]);
    assert_eq!(task.flush(&upto).await.expect("flushed"), upto);
    task.states()
}

#[tokio::test]
async fn a_state_goes_with_its_partition() {
    let mut first = open_sink(&[("count", "true")]).await.expect("it opens");
    assert!(first.keeps_states());
    first.restored(&TopicStates::new());
    first.assigned(&[at()]).await.expect("assigned");
    assert_eq!(flushed(&mut *first, 4).await, states(&[(3, "4")]));
    assert_eq!(first.states(), TopicStates::new(), "told once");
    first.revoked(&[at()]).await.expect("revoked");
    let mut second = open_sink(&[("count", "true")]).await.expect("it opens");
    // One of a partition that does not come is nobody's.
    second.restored(&states(&[(3, "4"), (5, "6")]));
    second.assigned(&[at()]).await.expect("assigned");
    let refused = second.put(&read(vec![json("\"ask\"")])).await;
    let refused = refused.expect("refused");
    assert_eq!(refused[0].error.message(), "count 5");
    assert_eq!(flushed(&mut *second, 0).await, states(&[(3, "5")]));
}

/// What a sink is told that reports it as the error of a call.
async fn told(deed: &str, pairs: &[(&str, &str)]) -> String {
    let config = [&[("misbehave", deed)], pairs].concat();
    let mut task = open_sink(&config).await.expect("it opens");
    let claimed = task.assigned(&[at()]).await;
    let error = match claimed {
        Err(error) => error,
        Ok(_) => failure(task.put(&read(vec![json("1")])).await),
    };
    assert_eq!(task.states(), TopicStates::new());
    error.message().to_owned()
}

#[tokio::test]
async fn states_are_checked_and_limited() {
    for (deed, pairs, answer) in [
        ("assigned:get-state", &[][..], "ok None"),
        ("put:get-state", &[], "ok None"),
        (
            "put:set-foreign",
            &[],
            "state.set: input-9 is not assigned to this task",
        ),
        (
            "put:set-huge",
            &[],
            "state.set: the state of input-3 has 4000 bytes, 3072 are allowed: keep what is larger in the target",
        ),
        (
            "put:set-state",
            &[("keep", "true")],
            "state.set: the target keeps the offsets: it keeps the state, too",
        ),
    ] {
        let message = told(deed, pairs).await;
        assert!(message.ends_with(answer), "{deed}: {message}");
    }
    let mut task = open_sink(&[("misbehave", "put:set-state")])
        .await
        .expect("it opens");
    task.assigned(&[at()]).await.expect("assigned");
    failure(task.put(&read(vec![json("1")])).await);
    assert_eq!(task.states(), states(&[(3, "mine")]));
    task.revoked(&[at()]).await.expect("revoked");
    let error = failure(task.put(&read(vec![json("1")])).await);
    assert!(
        error
            .message()
            .ends_with("input-3 is not assigned to this task"),
        "{error}"
    );
}

/// I3: a state of records that may not be committed yet is not committed beside an offset that lies before them. The first one is set within
/// the flush, so that there is none before.
#[tokio::test]
async fn a_sink_that_is_ahead_of_its_offsets_waits_with_its_states() {
    for (restored, after) in [(states(&[(3, "7")]), "10"), (TopicStates::new(), "3")] {
        let mut values = vec![json("1"); 4];
        values[1] = Datum::Bytes("no json".into());
        let batch = read(values);
        let mut task = open_sink(&[("count", "true"), ("fail", "2")])
            .await
            .expect("it opens");
        task.restored(&restored);
        task.assigned(&[at()]).await.expect("assigned");
        // The guest has 0 and 2; 1 is refused, which a call that fails cannot tell.
        assert_eq!(failure(task.put(&batch).await).taken(), 1);
        let upto = TopicOffsets::from([(at(), 1)]);
        let durable = task.flush(&upto).await.expect("not flushed");
        assert_eq!(durable, TopicOffsets::new());
        assert_eq!(task.states(), TopicStates::new());
        assert_eq!(task.put(&batch[1..]).await.expect("the rest").len(), 1);
        let upto = TopicOffsets::from([(at(), 4)]);
        assert_eq!(task.flush(&upto).await.expect("flushed"), upto);
        assert_eq!(task.states(), states(&[(3, after)]));
    }
}
