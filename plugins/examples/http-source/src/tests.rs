//! Against a server that is a list of records in memory.

use super::*;
use longshore_guest::http::{Request, Response};
use longshore_guest::{ErrorKind, testing};
use std::{cell::RefCell, rc::Rc};

fn settings(text: &str) -> Settings {
    let base = r#"{"url":"http://api/items","topic":"t","key.pointer":"/id","page.size":3,"#;
    serde_json::from_str(&format!("{base}{}", text.trim_start_matches('{'))).expect("settings")
}

fn start(settings: &Settings, stored: Option<Position>) -> HttpSource {
    let stored = stored.map(|position| (Lane::of("url", &settings.url), position));
    HttpSource::start(
        settings.clone(),
        stored.into_iter().collect::<Vec<_>>().into(),
    )
    .expect("a source")
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    let (_, query) = request.url.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
}

fn answer(body: String, etag: &str) -> Result<Response> {
    Ok(Response {
        status: 200,
        headers: vec![("etag".to_owned(), etag.to_owned())],
        body: body.into_bytes(),
    })
}

fn objects(ids: &[u32]) -> String {
    let all: Vec<String> = ids.iter().map(|id| format!("{{\"id\":{id}}}")).collect();
    format!("[{}]", all.join(","))
}

/// Serves pages of three; counts the answers that were not needed.
fn serve_pages(ids: &Rc<RefCell<Vec<u32>>>) -> Rc<RefCell<u32>> {
    let unchanged = Rc::new(RefCell::new(0));
    let (ids, counted) = (Rc::clone(ids), Rc::clone(&unchanged));
    testing::answer_http(move |request| {
        let page: usize = parameter(request, "page")
            .expect("a page")
            .parse()
            .expect("a number");
        let ids = ids.borrow();
        let some: Vec<u32> = ids.iter().copied().skip((page - 1) * 3).take(3).collect();
        let etag = format!("\"{page}-{}\"", some.len());
        let known = request
            .headers
            .iter()
            .find(|(name, _)| name == "If-None-Match");
        if known.is_some_and(|(_, known)| *known == etag) {
            *counted.borrow_mut() += 1;
            return Ok(Response {
                status: 304,
                ..Response::default()
            });
        }
        answer(objects(&some), &etag)
    });
    unchanged
}

/// Polls until the source idles; the keys that came, and the position after each.
fn read(source: &mut HttpSource, rows: usize) -> Vec<(String, Position)> {
    let mut all = Vec::new();
    for _ in 0..100 {
        let (some, next) = poll(source, rows).expect("a batch");
        all.extend(some);
        if next != Next::More {
            return all;
        }
    }
    panic!("never idle");
}

fn poll(source: &mut HttpSource, rows: usize) -> Result<(Vec<(String, Position)>, Next)> {
    let polled = {
        // One row at a time shows the position after each.
        let mut batch = Batch::new(&HttpSource::INFO, rows, 1 << 20);
        let next = source.poll(Duration::ZERO, &mut batch)?;
        (testing::batch(batch), next)
    };
    Ok((polled.0, polled.1))
}

fn keys(all: &[(String, Position)]) -> Vec<u32> {
    all.iter()
        .map(|(key, _)| key.parse().expect("a number"))
        .collect()
}

#[test]
fn pages_are_read_to_the_end_and_what_is_appended_comes_once() {
    let ids = Rc::new(RefCell::new((1..=7).collect::<Vec<u32>>()));
    let unchanged = serve_pages(&ids);
    let mut source = start(&settings("{\"mode\":\"page\"}"), None);
    assert_eq!(keys(&read(&mut source, 100)), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(keys(&read(&mut source, 100)), [] as [u32; 0]);
    assert_eq!(*unchanged.borrow(), 1, "the ETag was sent back");
    ids.borrow_mut().extend([8, 9, 10]);
    assert_eq!(keys(&read(&mut source, 100)), [8, 9, 10]);
}

#[test]
fn a_restart_after_any_record_goes_on_with_the_next() {
    let ids = Rc::new(RefCell::new((1..=7).collect::<Vec<u32>>()));
    serve_pages(&ids);
    let settings = settings("{\"mode\":\"page\"}");
    let all = read(&mut start(&settings, None), 2);
    assert_eq!(keys(&all), [1, 2, 3, 4, 5, 6, 7]);
    ids.borrow_mut().extend([8, 9]);
    for (at, (_, position)) in all.iter().enumerate() {
        let rest = read(&mut start(&settings, Some(position.clone())), 2);
        let expected: Vec<u32> = (at as u32 + 2..=9).collect();
        assert_eq!(keys(&rest), expected, "after {position:?}");
    }
}

#[test]
fn cursors_are_followed_and_a_restart_goes_on_exactly() {
    let pages = [
        ("", vec![1, 2], Some("b")),
        ("b", vec![], Some("c")),
        ("c", vec![3, 4, 5], None),
    ];
    testing::answer_http(move |request| {
        let cursor = parameter(request, "after").unwrap_or_default();
        let (_, ids, next) = pages
            .iter()
            .find(|(name, _, _)| *name == cursor)
            .expect("a known cursor");
        let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
        answer(
            format!("{{\"data\":{},\"next\":{next}}}", objects(ids)),
            "\"x\"",
        )
    });
    let settings = settings(
        r#"{"mode":"cursor","cursor.param":"after","cursor.pointer":"/next","records.pointer":"/data"}"#,
    );
    let mut source = start(&settings, None);
    let mut all = read(&mut source, 1);
    all.extend(read(&mut source, 1));
    assert_eq!(
        keys(&all),
        [1, 2, 3, 4, 5],
        "an empty page is passed, after a wait"
    );
    assert_eq!(all[1].1, Position::cursor(Some("b".to_owned())));
    for (at, (_, position)) in all.iter().enumerate() {
        let mut source = start(&settings, Some(position.clone()));
        let mut rest = read(&mut source, 5);
        rest.extend(read(&mut source, 5));
        let expected: Vec<u32> = (at as u32 + 2..=5).collect();
        assert_eq!(keys(&rest), expected, "after {position:?}");
    }
}

/// What one poll without records stores.
fn moved(source: &mut HttpSource) -> Vec<Position> {
    let mut batch = Batch::new(&HttpSource::INFO, 10, 1 << 20);
    source
        .poll(Duration::ZERO, &mut batch)
        .expect("an answer without records");
    assert!(batch.is_empty());
    let advanced = testing::advanced(&batch).into_iter();
    advanced.map(|(_, position)| position).collect()
}

#[test]
fn the_etag_of_an_empty_page_is_stored_once() {
    let ids = Rc::new(RefCell::new((1..=3).collect::<Vec<u32>>()));
    let unchanged = serve_pages(&ids);
    let settings = settings("{\"mode\":\"page\"}");
    let mut source = start(&settings, None);
    let (_, stored) = read(&mut source, 10).remove(2);
    assert_eq!(stored, Position::page(2, 3), "the page is full");
    let empty = Position::page(2, 3).read(Some("\"2-0\""), settings.pointers());
    // The read has asked for the empty page; so does a source that starts there.
    let mut source = start(&settings, Some(stored));
    assert_eq!(moved(&mut source), std::slice::from_ref(&empty));
    assert_eq!(moved(&mut source), [], "nothing has changed");
    let mut source = start(&settings, Some(empty));
    let before = *unchanged.borrow();
    assert_eq!(moved(&mut source), []);
    assert_eq!(*unchanged.borrow(), before + 1, "the ETag was sent back");
    ids.borrow_mut().push(4);
    assert_eq!(keys(&read(&mut source, 10)), [4]);
}

#[test]
fn an_etag_counts_only_for_what_was_looked_into() {
    testing::answer_http(move |request| {
        let known = request
            .headers
            .iter()
            .any(|(name, _)| name == "If-None-Match");
        if known {
            return Ok(Response {
                status: 304,
                ..Response::default()
            });
        }
        answer(r#"{"errors":[],"items":[{"id":1}]}"#.to_owned(), "\"x\"")
    });
    let wrong = settings(r#"{"mode":"page","records.pointer":"/errors"}"#);
    let stored = moved(&mut start(&wrong, None)).remove(0);
    assert!(stored.etag.is_some());
    assert_eq!(moved(&mut start(&wrong, Some(stored.clone()))), []);
    let right = settings(r#"{"mode":"page","records.pointer":"/items"}"#);
    let mut source = start(&right, Some(stored));
    assert_eq!(keys(&read(&mut source, 1)), [1]);
}

#[test]
fn a_cursor_behind_an_empty_page_is_stored() {
    testing::answer_http(move |request| {
        let cursor = parameter(request, "after").unwrap_or_default();
        let next = if cursor.is_empty() { "\"b\"" } else { "null" };
        answer(format!("{{\"data\":[],\"next\":{next}}}"), "\"x\"")
    });
    let settings = settings(
        r#"{"mode":"cursor","cursor.param":"after","cursor.pointer":"/next","records.pointer":"/data"}"#,
    );
    let mut source = start(&settings, None);
    let behind = Position::cursor(Some("b".to_owned()));
    assert_eq!(moved(&mut source), [behind]);
}

#[test]
fn a_failure_repeats_the_same_records() {
    let failing = Rc::new(RefCell::new(true));
    let fails = Rc::clone(&failing);
    testing::answer_http(move |request| {
        let second = request.url.ends_with("page=2");
        if second && *fails.borrow() {
            return Ok(Response {
                status: 429,
                headers: vec![("Retry-After".to_owned(), "3".to_owned())],
                body: Vec::new(),
            });
        }
        answer(objects(if second { &[4] } else { &[1, 2, 3] }), "\"e\"")
    });
    let mut source = start(&settings("{\"mode\":\"page\"}"), None);
    assert_eq!(keys(&poll(&mut source, 10).expect("a batch").0), [1, 2, 3]);
    let error = poll(&mut source, 10).expect_err("too many requests");
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    *failing.borrow_mut() = false;
    assert_eq!(keys(&poll(&mut source, 10).expect("a batch").0), [4]);
}

#[test]
fn answers_that_are_not_as_configured_say_so() {
    let kind = |body: &'static str, more: &str| {
        testing::answer_http(move |_| answer(body.to_owned(), "e"));
        let error = poll(&mut start(&settings(more), None), 10).expect_err("no list");
        (error.kind(), error.message().to_owned())
    };
    let (config, message) = kind(r#"{"data":{"x":1}}"#, r#"{"records.pointer":"/data"}"#);
    assert_eq!(config, ErrorKind::Config);
    assert!(
        message.contains("records.pointer") && message.contains("an object"),
        "{message}"
    );
    assert_eq!(
        kind("<html>", "{\"mode\":\"page\"}").0,
        ErrorKind::Transient
    );
    let (config, message) = kind(
        r#"{"data":[],"next":[]}"#,
        r#"{"mode":"cursor","records.pointer":"/data","cursor.pointer":"/next"}"#,
    );
    assert_eq!(config, ErrorKind::Config);
    assert!(message.contains("cursor.pointer"), "{message}");
}

#[test]
fn settings_that_cannot_work_are_named() {
    let problems = settings(
        r#"{"headers":["x"],"records.pointer":"data.items","auth.secret":{"secret":"auth.secret"},"auth.scheme":"basic"}"#,
    )
    .problems();
    let keys: Vec<&str> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(keys, ["records.pointer", "headers", "auth.user"]);
    assert_eq!(problems[0].suggestion, "/data/items");
}

#[test]
fn the_position_of_another_mode_is_refused() {
    let settings = settings("{\"mode\":\"cursor\"}");
    let stored = vec![(Lane::of("url", &settings.url), Position::page(3, 100))];
    let refused = HttpSource::start(settings, stored.into());
    assert_eq!(
        refused.err().map(|error| error.kind()),
        Some(ErrorKind::Config)
    );
}

#[test]
fn the_position_of_pages_of_another_size_is_refused() {
    let ids = Rc::new(RefCell::new((1..=7).collect::<Vec<u32>>()));
    serve_pages(&ids);
    let same = settings("{\"mode\":\"page\"}");
    let (_, stored) = read(&mut start(&same, None), 2).remove(3);
    let text = serde_json::to_string(&stored).expect("JSON");
    assert_eq!(text, r#"{"page":2,"size":3,"index":1}"#);
    let other = Settings {
        page_size: 5,
        ..same.clone()
    };
    let lanes = vec![(Lane::of("url", &other.url), stored)];
    let refused = HttpSource::start(other.clone(), lanes.into());
    let error = refused.err().expect("another size");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("page.size"), "{error}");
    // Older versions did not say.
    let old: Position = serde_json::from_str(r#"{"page":2,"index":1}"#).expect("a position");
    let read = read(&mut start(&same, Some(old)), 9);
    assert_eq!(keys(&read), [5, 6, 7]);
    assert_eq!(read[0].1.size, Some(3));
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
