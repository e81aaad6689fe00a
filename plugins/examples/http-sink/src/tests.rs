//! Against a server that keeps what it is sent, once for each idempotency key.

use super::*;
use longshore_guest::http::{Request, Response};
use longshore_guest::{ErrorKind, testing};
use std::{cell::RefCell, rc::Rc};

fn sink(text: &str) -> HttpSink {
    let mut settings: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).expect("an object");
    settings
        .entry("url")
        .or_insert("http://api/{topic}/{key}".into());
    let settings = serde_json::from_value(settings.into()).expect("settings");
    HttpSink::start(settings).expect("a sink")
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    method: String,
    url: String,
    key: Option<String>,
    body: String,
}

/// Answers by `status` of the body, and remembers what came.
fn serve(status: impl Fn(&str) -> u16 + 'static) -> Rc<RefCell<Vec<Sent>>> {
    let sent = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&sent);
    testing::answer_http(move |request: &Request| {
        let body = String::from_utf8(request.body.clone().unwrap_or_default()).expect("text");
        let status = status(&body);
        let key = request
            .headers
            .iter()
            .find(|(name, _)| name == "Idempotency-Key");
        seen.borrow_mut().push(Sent {
            method: request.method.clone(),
            url: request.url.clone(),
            key: key.map(|(_, key)| key.clone()),
            body,
        });
        Ok(Response {
            status,
            ..Response::default()
        })
    });
    sent
}

/// Records of topic `t`, partition 2, offsets from 10, with keys k0, k1, ..
fn put(sink: &mut HttpSink, values: &[Option<&str>]) -> (Vec<u32>, Result<(), PutError>) {
    let records = testing::incoming("t", 2, 10, values);
    let mut refused = Refused::default();
    let result = sink.put(&Records::new(&records), &mut refused);
    let rows = refused
        .into_rows()
        .into_iter()
        .map(|(row, _)| row)
        .collect();
    (rows, result)
}

#[test]
fn each_record_is_a_request_with_the_key_of_its_place() {
    let sent = serve(|_| 200);
    let (refused, result) = put(&mut sink("{}"), &[Some("{\"a\":1}"), Some("2")]);
    assert!(refused.is_empty() && result.is_ok());
    let sent = sent.borrow();
    assert_eq!(sent.len(), 2);
    assert_eq!(
        sent[0],
        Sent {
            method: "POST".to_owned(),
            url: "http://api/t/k0".to_owned(),
            key: Some("test/t-2-10".to_owned()),
            body: "{\"a\":1}".to_owned(),
        }
    );
    assert_eq!(sent[1].key.as_deref(), Some("test/t-2-11"));
}

#[test]
fn what_the_server_refuses_is_refused_alone() {
    serve(|body| if body == "2" { 422 } else { 200 });
    let (refused, result) = put(&mut sink("{}"), &[Some("1"), Some("2"), Some("3")]);
    assert_eq!(refused, [1]);
    assert!(result.is_ok());
}

#[test]
fn a_failure_tells_what_was_taken_and_of_which_kind_it_is() {
    let cases = [
        (500, ErrorKind::Transient),
        (429, ErrorKind::RateLimited),
        (401, ErrorKind::Auth),
        (404, ErrorKind::Config),
    ];
    for (status, kind) in cases {
        let sent = serve(move |body| if body == "2" { status } else { 200 });
        let (refused, result) = put(&mut sink("{}"), &[Some("1"), Some("2"), Some("3")]);
        let failed = result.expect_err("a failure");
        assert_eq!((failed.taken, failed.error.kind()), (1, kind), "{status}");
        assert!(refused.is_empty());
        assert_eq!(sent.borrow().len(), 2, "nothing is sent behind a failure");
    }
}

#[test]
fn a_conflict_is_what_the_config_says() {
    let put = |config: &str, retry_after: Option<&'static str>| {
        testing::answer_http(move |_| {
            let header = retry_after.map(|time| ("Retry-After".to_owned(), time.to_owned()));
            Ok(Response {
                status: 409,
                headers: header.into_iter().collect(),
                ..Response::default()
            })
        });
        let (refused, result) = put(&mut sink(config), &[Some("1")]);
        let failed = result.err().map(|failed| failed.error);
        let failed = failed.map(|error| (error.kind(), error.retry_after()));
        (refused.len(), failed)
    };
    let taken = r#"{"conflict":"taken"}"#;
    assert_eq!(put("{}", None), (1, None), "neither lost nor for ever");
    assert_eq!(put(taken, None), (0, None));
    assert_eq!(
        put(r#"{"conflict":"retry"}"#, None),
        (0, Some((ErrorKind::Transient, None)))
    );
    let told = Some(Duration::from_secs(3));
    let waits = (0, Some((ErrorKind::RateLimited, told)));
    assert_eq!(put("{}", Some("3")), waits);
    assert_eq!(put(taken, Some("3")), waits);
    let date = "Sun, 22 Nov 2026 18:00:00 GMT";
    let later = (0, Some((ErrorKind::Transient, None)));
    assert_eq!(put(taken, Some(date)), later);
    let keyless = r#"{"idempotency.header":"","conflict":"taken"}"#;
    assert_eq!(
        put(keyless, Some("3")),
        (1, None),
        "without a key, 409 is about the record"
    );
}

#[test]
fn keys_tell_connectors_and_prefixes_apart() {
    let prefix = |config: &str, connector: &str| sink(config).settings.prefix(connector);
    assert_eq!(prefix("{}", "orders"), "orders/");
    assert_eq!(prefix("{}", "a b/ü"), "a%20b%2F%C3%BC/");
    let sent = serve(|_| 200);
    put(&mut sink(r#"{"idempotency.prefix":"2/"}"#), &[Some("1")])
        .1
        .expect("taken");
    assert_eq!(sent.borrow()[0].key.as_deref(), Some("2%2F/test/t-2-10"));
}

#[test]
fn text_is_sent_as_it_stands_and_keys_may_be_no_text() {
    let info = HttpSink::INFO;
    assert_eq!(
        (info.key_format, info.value_format),
        (Format::Bytes, Format::Text)
    );
    let sent = serve(|_| 200);
    let mut records = testing::incoming("t", 2, 10, &[Some("two words")]);
    records.key.data = b"k\xff".to_vec();
    let mut refused = Refused::default();
    let put = sink("{}").put(&Records::new(&records), &mut refused);
    assert!(put.is_ok() && refused.is_empty());
    assert_eq!(sent.borrow()[0].url, "http://api/t/");
    assert_eq!(sent.borrow()[0].body, "two words");
}

#[test]
fn arrays_take_json_alone() {
    let sent = serve(|_| 200);
    let mut sink = sink(r#"{"url":"http://api/x","batch.mode":"array"}"#);
    let values = ["{\"a\":\"\\ud83d\"}", "two words", "", "1, 2", " 3 "];
    let (refused, result) = put(&mut sink, &values.map(Some));
    assert!(result.is_ok());
    assert_eq!(refused, [1, 2, 3]);
    assert_eq!(sent.borrow()[0].body, "[{\"a\":\"\\ud83d\"}, 3 ]");
}

#[test]
fn a_refused_array_is_sent_record_by_record_only_while_there_is_time() {
    let sent = serve(|body| if body.contains("bad") { 400 } else { 200 });
    let mut sink = sink(r#"{"url":"http://api/x","batch.mode":"array"}"#);
    // Time is up as soon as something was sent.
    sink.until = Duration::MAX;
    let records = testing::incoming("t", 2, 10, &[Some("\"bad\""), Some("2"), Some("3")]);
    let array: Vec<Record<'_>> = Records::new(&records).iter().collect();
    let mut refused = Refused::default();
    let failed = sink.put_array(&array, &mut refused).expect_err("no time");
    assert_eq!(
        (failed.taken, failed.error.kind()),
        (1, ErrorKind::RateLimited)
    );
    assert_eq!((sent.borrow().len(), refused.len()), (2, 1));
}

#[test]
fn records_without_a_value_follow_the_config() {
    let sent = serve(|_| 200);
    assert_eq!(put(&mut sink("{}"), &[None]).0, [0]);
    assert!(
        put(&mut sink(r#"{"null.values":"skip"}"#), &[None])
            .0
            .is_empty()
    );
    assert!(sent.borrow().is_empty());
    assert!(
        put(&mut sink(r#"{"null.values":"delete"}"#), &[None])
            .0
            .is_empty()
    );
    assert_eq!(sent.borrow()[0].method, "DELETE");
}

#[test]
fn arrays_hold_many_and_only_their_bad_records_are_refused() {
    let sent = serve(|body| if body.contains("bad") { 400 } else { 200 });
    let mut sink = sink(r#"{"url":"http://api/x","batch.mode":"array","batch.max.records":2}"#);
    let (refused, result) = put(
        &mut sink,
        &[Some("1"), Some("2"), Some("\"bad\""), Some("4"), Some("5")],
    );
    assert!(result.is_ok());
    assert_eq!(refused, [2]);
    let bodies: Vec<String> = sent.borrow().iter().map(|sent| sent.body.clone()).collect();
    assert_eq!(bodies, ["[1,2]", "[\"bad\",4]", "[\"bad\"]", "[4]", "[5]"]);
    let key = |at: usize| sent.borrow()[at].key.clone().expect("a key");
    assert!(key(0).starts_with("test/t-2-10..t-2-11-"), "{}", key(0));
    assert_eq!(key(3), "test/t-2-13", "alone, it is known by its place");
}

/// A batch holds records of several partitions: a second array may begin and end as the first did, and hold more.
#[test]
fn arrays_of_other_records_have_other_keys() {
    let sent = serve(|_| 200);
    let mut sink = sink(r#"{"url":"http://api/x","batch.mode":"array"}"#);
    let mut keys = |places: &[(i32, i64)]| {
        let mut records = testing::incoming("t", 0, 0, &vec![Some("1"); places.len()]);
        records.partition = places.iter().map(|(partition, _)| *partition).collect();
        records.offset = places.iter().map(|(_, offset)| *offset).collect();
        let put = sink.put(&Records::new(&records), &mut Refused::default());
        assert!(put.is_ok());
        let sent = sent.borrow();
        sent.last().expect("a request").key.clone().expect("a key")
    };
    let first = keys(&[(0, 5), (1, 3), (2, 2)]);
    assert_eq!(first, keys(&[(0, 5), (1, 3), (2, 2)]));
    for more in [[(0, 5), (1, 4), (2, 2)], [(0, 5), (0, 6), (2, 2)]] {
        assert_ne!(first, keys(&more));
    }
    assert_ne!(first, keys(&[(0, 5), (1, 3), (1, 4), (2, 2)]));
}

#[test]
fn an_array_that_fails_comes_again_from_its_first_record() {
    serve(|body| if body.contains('3') { 503 } else { 200 });
    let mut sink = sink(r#"{"url":"http://api/x","batch.mode":"array","batch.max.records":2}"#);
    let (_, result) = put(&mut sink, &[Some("1"), Some("2"), Some("3"), Some("4")]);
    assert_eq!(result.expect_err("a failure").taken, 2);
}

#[test]
fn the_promise_follows_the_config() {
    let level = |text: &str| HttpSink::promise(&sink(text).settings).level;
    assert_eq!(level("{}"), Level::EffectivelyOnce);
    assert_eq!(level(r#"{"idempotency.header":""}"#), Level::AtLeastOnce);
    assert_eq!(
        level(r#"{"url":"http://x","batch.mode":"array"}"#),
        Level::AtLeastOnce
    );
}

#[test]
fn the_readme_names_every_key() {
    for key in testing::keys::<Settings>() {
        assert!(
            include_str!("../README.md").contains(&format!("| `{key}` |")),
            "{key}"
        );
    }
}
