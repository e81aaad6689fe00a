//! Guests that do what no plugin may: each is contained, named with its misdeed, and harms nobody else.

use crate::{
    grants::granted,
    probes::{
        MEMORY, TIMEOUT, failure, json, numbers, open_sink, open_source, open_transform,
        provisions, read, record, source,
    },
};
use longshore_sdk::{
    Datum, Error, ErrorKind, Offset, Offsets, Partition, Record, Result, Share, SourceContext,
    TopicOffsets, TopicPartition, Verdict, erased::DynTransform,
};
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(100);

/// The error says whose fault it is, where it happened, and what.
fn blames(error: &Error, plugin: &str, op: &str, cause: &str) {
    assert_eq!(error.kind(), ErrorKind::Bug, "{error}");
    let message = error.message();
    for part in [plugin, op, cause] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

/// Another instance of the same plugin on the same engine works.
async fn others_work() {
    let mut task = open_source(&[], Offsets::new()).await.expect("it opens");
    assert_eq!(task.poll(WAIT).await.expect("records").len(), 10);
}

/// Opens a source that misbehaves in `poll`, and has it do so.
async fn poll(deed: &str) -> Error {
    let deed = format!("poll:{deed}");
    let mut task = open_source(&[("misbehave", &deed)], Offsets::new())
        .await
        .expect("it opens");
    let error = failure(task.poll(WAIT).await);
    let again = failure(task.poll(WAIT).await);
    assert!(
        again
            .message()
            .contains("was called after its instance was thrown away"),
        "{again}"
    );
    task.close().await.expect("there is nothing left to close");
    error
}

/// What a guest reports that was only looking around.
async fn sees(deed: &str) -> String {
    let deed = format!("poll:{deed}");
    let mut task = open_source(&[("misbehave", &deed)], Offsets::new())
        .await
        .expect("it opens");
    let error = failure(task.poll(WAIT).await);
    error.message().to_owned()
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_deadline_while_others_run() {
    let (error, ()) = tokio::join!(poll("loop"), others_work());
    blames(
        &error,
        "the plugin probe-source 1.0.0",
        "poll",
        "did not return within",
    );
}

#[tokio::test]
async fn a_guest_that_waits_for_ever_ends_at_the_deadline() {
    for deed in ["sleep", "thread-sleep"] {
        let error = poll(deed).await;
        blames(&error, "probe-source", "poll", "did not return within");
    }
    others_work().await;
}

#[tokio::test]
async fn memory_ends_at_the_limit() {
    let error = poll("memory").await;
    let cause = format!("ran out of memory, its limit is {MEMORY} bytes");
    blames(&error, "probe-source", "poll", &cause);
    others_work().await;
}

#[tokio::test]
async fn a_stack_that_overflows_is_the_guests_own() {
    for (deed, cause) in [
        ("frames", "overflowed its stack"),
        ("stack", "a stack overflow"),
    ] {
        blames(&poll(deed).await, "probe-source", "poll", cause);
    }
    others_work().await;
}

#[tokio::test]
async fn a_guest_that_exits_ends_itself_alone() {
    blames(&poll("exit").await, "probe-source", "poll", "exit");
    others_work().await;
}

#[tokio::test]
async fn huge_data_for_the_host_is_refused() {
    for deed in ["huge-value", "huge-log", "random"] {
        // Either the host's limit on what it takes, or the guest's own memory, says no.
        let error = poll(deed).await;
        blames(&error, "probe-source", "poll", "");
    }
    others_work().await;
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_does_no_harm() {
    // A busy machine takes its time for so many lines.
    let source = granted(&provisions(), &[("call.timeout.ms", "60000")]);
    let cx = SourceContext::detached("counting", 0, Offsets::new());
    let config = numbers(&[("misbehave", "poll:flood")]);
    let opened = source.open(&config, Share::new(), cx).await;
    let mut task = opened.expect("it opens");
    assert_eq!(task.poll(WAIT).await.expect("records").len(), 10);
}

#[tokio::test]
async fn there_are_no_files_and_no_environment() {
    let seen = sees("look").await;
    assert!(seen.contains("file Err"), "{seen}");
    assert!(seen.contains("folder Err"), "{seen}");
    assert!(seen.contains("made Err"), "{seen}");
    assert!(seen.contains("variables 0, arguments 0"), "{seen}");
    assert!(!std::path::Path::new("/tmp/escaped").exists());
}

#[tokio::test]
async fn ten_thousand_requests_reach_nothing_without_a_grant() {
    let seen = sees("requests").await;
    assert!(seen.contains("10000 of 10000 refused"), "{seen}");
    others_work().await;
}

#[tokio::test]
async fn a_panic_in_any_function_of_a_source_is_named() {
    let source = source();
    let plugin = "the plugin probe-source 1.0.0";
    let deed = |at: &str| numbers(&[("misbehave", &format!("{at}:panic"))]);
    let error = failure(source.guarantee(&deed("promise")));
    blames(&error, plugin, "promise", "panicked");
    let error = failure(source.plan(&deed("plan"), 2).await);
    blames(&error, plugin, "plan", "panicked");
    let found = source.check(&deed("check")).await;
    assert!(found[0].problem.contains("check panicked"), "{found:?}");
    let error = failure(open_source(&[("misbehave", "start:panic")], Offsets::new()).await);
    blames(&error, plugin, "start", "on purpose in start");
    blames(&poll("panic").await, plugin, "poll", "on purpose in poll");
    let offsets = Offsets::from([(
        Partition::from_json("{\"lane\":0}".into()),
        Offset::from_json("{\"next\":1}".into()),
    )]);
    let mut task = open_source(&[("misbehave", "committed:panic")], Offsets::new())
        .await
        .expect("it opens");
    let error = failure(task.commit(&offsets).await);
    blames(&error, plugin, "committed", "on purpose in committed");
    let mut task = open_source(&[("misbehave", "close:panic")], Offsets::new())
        .await
        .expect("it opens");
    blames(
        &failure(task.close().await),
        plugin,
        "close",
        "on purpose in close",
    );
    task.close().await.expect("it is gone");
    others_work().await;
}

#[tokio::test]
async fn a_promise_may_neither_compute_for_ever_nor_wait() {
    for (deed, cause) in [
        ("promise:loop", "did not return within"),
        ("promise:wait", "waits for the host"),
        ("promise:memory", "ran out of memory"),
    ] {
        let error = failure(source().guarantee(&numbers(&[("misbehave", deed)])));
        blames(&error, "probe-source", "promise", cause);
    }
    others_work().await;
}

#[tokio::test]
async fn a_close_that_never_returns_is_given_up() {
    for deed in ["close:loop", "close:thread-sleep"] {
        let mut task = open_source(&[("misbehave", deed)], Offsets::new())
            .await
            .expect("it opens");
        blames(
            &failure(task.close().await),
            "probe-source",
            "close",
            "did not return",
        );
    }
    // A wait in the host ends when the task stops; the loop around it does not.
    let mut task = open_sink(&[("misbehave", "close:sleep")])
        .await
        .expect("it opens");
    blames(
        &failure(task.close().await),
        "probe-sink",
        "close",
        "did not return",
    );
}

/// The engine drops calls of tasks that it gives up: nobody ever goes on with such an instance.
#[tokio::test]
async fn a_call_that_was_dropped_is_never_resumed() {
    let mut task = open_source(&[("misbehave", "poll:sleep")], Offsets::new())
        .await
        .expect("it opens");
    assert!(
        tokio::time::timeout(TIMEOUT / 10, task.poll(WAIT))
            .await
            .is_err()
    );
    let error = failure(task.poll(WAIT).await);
    blames(&error, "probe-source", "poll", "thrown away");
}

#[tokio::test]
async fn plans_are_checked() {
    for (deed, cause) in [
        ("plan:too-many", "3 shares for at most 2 tasks"),
        ("plan:secret", "holds a secret"),
        ("plan:reserved", "which is the worker's own"),
        ("plan:loop", "did not return within"),
    ] {
        let config = numbers(&[("misbehave", deed), ("secret", "hunter22")]);
        let error = failure(source().plan(&config, 2).await);
        blames(&error, "probe-source", "plan", cause);
        assert!(!error.to_string().contains("hunter22"));
    }
}

#[tokio::test]
async fn columns_of_a_source_are_checked() {
    for (deed, column, cause) in [
        ("falling-ends", "value", "its ends fall"),
        ("short-ends", "value", "9 ends for 10 rows"),
        ("ends-beyond", "value", "its ends stop at"),
        ("ends-within", "value", "its ends stop at"),
        ("null-marks", "key", "neither 0 nor 1"),
        ("few-null-marks", "key", "1 null marks for 10 rows"),
        ("count", "timestamp-ms", "10 numbers for 11 rows"),
        ("huge-count", "count", "5000 were asked for"),
        ("topic-number", "topic", "no topic 7 among 1"),
        ("no-topics", "topics", "empty"),
        ("topic-name", "topics", "no topic's"),
        ("partition", "partition", "below -1"),
        ("few-timestamps", "timestamp-ms", "9 numbers for 10 rows"),
        ("key-utf8", "key", "no UTF-8"),
        ("value-json", "value", "not one JSON value"),
        ("value-null", "value", "mark the row as null"),
        ("header-ends", "header-ends", "stop at 15"),
        ("header-falling", "header-ends", "its ends fall"),
        ("header-name", "header-name", "no name 9 among 1"),
        ("header-value", "header-value", "9 ends for 10 rows"),
        ("header-flood", "header-name", "1000 are allowed"),
        ("lane-number", "lane", "no lane 3 among 1"),
        ("no-lanes", "lanes", "empty"),
        ("lane-json", "lanes", "no JSON object"),
        ("position-json", "positions", "not one JSON value"),
        ("position-null", "positions", "row 0 is null"),
        ("position-huge", "positions", "65536 are allowed"),
    ] {
        let error = poll(deed).await;
        let column = format!("what poll returned cannot be used, {column}:");
        blames(&error, "the plugin probe-source 1.0.0", &column, cause);
    }
    others_work().await;
}

async fn put(deed: &str) -> Error {
    let mut task = open_sink(&[("misbehave", deed)]).await.expect("it opens");
    let batch = read(vec![json("1"), json("2")]);
    let answer = task.put(&batch).await;
    assert!(answer.is_err(), "{deed}: {answer:?}");
    let error = failure(answer);
    assert_eq!(error.taken(), 0);
    error
}

#[tokio::test]
async fn sinks_are_held_to_their_answers() {
    for (deed, cause) in [
        ("put:row-number", "there is no row 2 among 2"),
        ("put:taken", "3 of 2 rows"),
        ("put:many-errors", "100000 of 2 rows are refused"),
        ("put:behind", "row 0 is refused, but 0 were taken"),
        ("put:panic", "on purpose in put"),
        ("put:loop", "did not return within"),
        ("put:memory", "ran out of memory"),
    ] {
        blames(
            &put(deed).await,
            "the plugin probe-sink 1.2.3",
            "put",
            cause,
        );
    }
    let at = [TopicPartition::new("input", 3)];
    let upto = TopicOffsets::from([(at[0].clone(), 5)]);
    for (deed, cause) in [
        ("flush:beyond", "up to 6, but it was given 5 only"),
        ("flush:foreign", "not asked about"),
        ("flush:twice", "twice"),
        ("flush:panic", "on purpose in flush"),
    ] {
        let mut task = open_sink(&[("misbehave", deed)]).await.expect("it opens");
        blames(
            &failure(task.flush(&upto).await),
            "probe-sink",
            "flush",
            cause,
        );
    }
    for (deed, cause) in [
        ("assigned:foreign", "not asked about"),
        ("assigned:negative", "below 0"),
        ("assigned:panic", "on purpose"),
    ] {
        let mut task = open_sink(&[("misbehave", deed), ("keep", "true")])
            .await
            .expect("it opens");
        blames(
            &failure(task.assigned(&at).await),
            "probe-sink",
            "assigned",
            cause,
        );
    }
    let mut task = open_sink(&[("misbehave", "revoked:panic")])
        .await
        .expect("it opens");
    blames(
        &failure(task.revoked(&at).await),
        "probe-sink",
        "revoked",
        "on purpose",
    );
    others_work().await;
}

async fn apply(deed: &str) -> (Box<dyn DynTransform>, Vec<Verdict>) {
    let mut transform = open_transform(&[("misbehave", deed)]);
    let batch: Vec<Record> = (0..3)
        .map(|_| record("input", Datum::string("x")))
        .collect();
    let verdicts = transform.apply(batch).await;
    (transform, verdicts)
}

fn refusal(verdict: Verdict) -> Result<()> {
    match verdict {
        Verdict::Refuse(error) => Err(error),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn transforms_are_held_to_their_edits() {
    for (deed, op, cause) in [
        ("apply:keep-count", "apply", "keep: 4 entries for 3 rows"),
        ("apply:keep-mark", "apply", "neither 0 nor 1"),
        ("apply:value-count", "apply", "value: 1 ends for 3 rows"),
        ("apply:value-utf8", "apply", "no UTF-8"),
        ("apply:topic-number", "apply", "no topic 1 among 1"),
        ("apply:time", "apply", "below -1"),
        ("apply:header-row", "apply", "no row 3 among 3"),
        ("apply:header-json", "apply", "not one JSON value"),
        ("apply:header-flood", "apply", "101 edits of one row"),
        ("apply:failed-row", "apply", "no row 4294967295"),
        ("apply:failed-flood", "apply", "4 of 3 rows have failed"),
        ("apply:panic", "apply", "on purpose in apply"),
        ("apply:loop", "apply", "did not return within"),
        ("apply:frames", "apply", "overflowed its stack"),
        ("start:panic", "start", "on purpose in start"),
    ] {
        let (_, verdicts) = apply(deed).await;
        assert_eq!(verdicts.len(), 3);
        for verdict in verdicts {
            let error = failure(refusal(verdict));
            blames(&error, "the plugin probe-transform 1.0.0-rc.1", op, cause);
        }
    }
    others_work().await;
}
