//! `longshore plugin check`, checked: it passes plugins that keep their promises, and each broken promise is found by the case about it.

use crate::{
    plugins::{alone_here, loaded},
    sources::config,
    web::{PAGE, TOKEN, Web},
};
use longshore_wasm::check::{Case, check};
use tokio::runtime::Runtime;

/// A server that lives beside the runtime that the check makes for itself.
struct Beside {
    web: Web,
    _runtime: Runtime,
}

impl Beside {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let web = runtime.block_on(Web::start());
        web.held().seeded = 30;
        Self {
            web,
            _runtime: runtime,
        }
    }
}

/// Checks a plugin; its `path` on the server of its own is its `url`, if it has one.
fn report(plugin: &str, path: Option<&str>, entries: &[(&str, &str)]) -> Vec<Case> {
    let beside = Beside::start();
    let mut config = config(entries);
    if let Some(path) = path {
        config.insert("url".to_owned(), beside.web.url(path));
    }
    check(loaded(plugin), Some(&config))
}

fn shown(report: &[Case]) -> String {
    let line = |case: &Case| format!("{} {}: {}\n", case.ok, case.case, case.note);
    report.iter().map(line).collect()
}

const SOURCE: [&str; 15] = [
    "describe",
    "schema",
    "config",
    "promise",
    "check",
    "bad configs",
    "plan",
    "poll",
    "close twice",
    "offsets of another version",
    "offsets of another lane",
    "commits",
    "an outage",
    "the end",
    "resume",
];
const ONCE: [&str; 1] = ["the same again"];
const SINK: [&str; 16] = [
    "describe",
    "schema",
    "config",
    "promise",
    "check",
    "bad configs",
    "plan",
    "put and flush",
    "empty calls",
    "close twice",
    "refused records",
    "many records",
    "partitions that go",
    "a task that dies",
    "an outage",
    "kept offsets",
];
const TRANSFORM: [&str; 8] = [
    "describe",
    "schema",
    "config",
    "bad configs",
    "apply",
    "one by one",
    "many records",
    "an outage",
];

/// Each case was gone through, and found in order, without an answer that ended it early.
fn passes(report: &[Case], cases: &[&str]) {
    let named: Vec<&str> = report.iter().map(|case| case.case).collect();
    assert_eq!(named, cases, "{}", shown(report));
    for case in report {
        let early = case.note.starts_with("it answers");
        let in_order = match case.case {
            // The probes' keys need no words.
            "schema" => true,
            // Every plugin may say that they are none of its own.
            "offsets of another version" => case.ok,
            _ => case.ok && !early,
        };
        assert!(in_order, "{}:\n{}", case.case, shown(report));
    }
}

#[test]
fn sources_that_behave_pass() {
    let _alone = alone_here();
    let size = PAGE.to_string();
    let all = [&SOURCE[..], &ONCE].concat();
    let pages = [
        ("topic", "records"),
        ("poll.interval.ms", "10"),
        ("auth.secret", TOKEN),
        ("page.size", &size),
    ];
    let report_of_pages = report("http-source", Some("pages"), &pages);
    passes(&report_of_pages, &all);
    let outage = report_of_pages.iter().find(|case| case.case == "an outage");
    let note = &outage.expect("a case").note;
    assert!(note.starts_with("3 of 3 polls failed"), "{note}");
    let numbers = [
        ("topic", "numbers"),
        ("count", "300"),
        ("lanes", "3"),
        ("batch", "7"),
    ];
    passes(&report("probe-source", None, &numbers), &all);
}

/// What may repeat itself is not held to more, wherever it goes on.
#[test]
fn sources_that_repeat_records_pass_when_they_promise_no_more() {
    let _alone = alone_here();
    let mut entries = vec![
        ("topic", "numbers"),
        ("count", "60"),
        ("batch", "7"),
        ("misbehave", "start:repeat"),
    ];
    finds(
        "probe-source",
        "start:repeat",
        &report("probe-source", None, &entries),
        "the end",
    );
    entries.push(("promise", "at-least-once"));
    passes(&report("probe-source", None, &entries), &SOURCE);
}

/// What is told anew each time cannot be lost.
#[test]
fn a_source_of_what_is_now_need_not_repeat_it() {
    let _alone = alone_here();
    let entries = [
        ("topic", "numbers"),
        ("count", "60"),
        ("batch", "7"),
        ("promise", "at-least-once"),
        ("misbehave", "poll:now"),
    ];
    let report = report("probe-source", None, &entries);
    passes(&report, &SOURCE);
    let commits = report.iter().find(|case| case.case == "commits");
    let said = commits.map(|case| case.note.clone()).unwrap_or_default();
    assert!(said.contains("not compared"), "{said}");
}

#[test]
fn records_that_never_come_are_found_in_sources_that_promise_at_least_once() {
    let _alone = alone_here();
    for (deed, cases) in [
        ("start:skip", ["commits", "resume"].as_slice()),
        ("start:any-lane", &["offsets of another lane"]),
    ] {
        let entries = [
            ("topic", "numbers"),
            ("count", "60"),
            ("batch", "7"),
            ("promise", "at-least-once"),
            ("misbehave", deed),
        ];
        let report = report("probe-source", None, &entries);
        for case in cases {
            finds("probe-source", deed, &report, case);
        }
    }
}

/// Each poll counts for itself: what many of them give is no fault, and what one gives is no smaller for the others.
#[test]
fn polls_that_are_too_large_are_found() {
    let _alone = alone_here();
    for (batch, ok) in [("1", true), ("4", false)] {
        let entries = [
            ("topic", "numbers"),
            ("count", "8"),
            ("batch", batch),
            ("misbehave", "poll:large-values"),
        ];
        let report = report("probe-source", None, &entries);
        let poll = report.iter().find(|case| case.case == "poll");
        assert_eq!(poll.map(|case| case.ok), Some(ok), "{}", shown(&report));
    }
}

#[test]
fn sinks_that_behave_pass() {
    let _alone = alone_here();
    let secret = ("auth.secret", TOKEN);
    passes(&report("http-sink", Some("one"), &[secret]), &SINK);
    let array = [secret, ("batch.mode", "array")];
    passes(&report("http-sink", Some("many"), &array), &SINK);
    passes(&report("ledger-sink", Some(""), &[("token", TOKEN)]), &SINK);
}

#[test]
fn transforms_that_behave_pass() {
    let _alone = alone_here();
    passes(&report("mask-pii", None, &[]), &TRANSFORM);
    passes(&report("probe-transform", None, &[]), &TRANSFORM);
    let asks = [("misbehave", "apply:asks")];
    let asks = report("probe-transform", Some("pages"), &asks);
    passes(&asks, &TRANSFORM);
    let outage = asks.iter().find(|case| case.case == "an outage");
    let note = &outage.expect("a case").note;
    assert_eq!(note, "7 records were refused in it");
}

#[test]
fn every_broken_promise_is_found_by_the_case_that_is_about_it() {
    let _alone = alone_here();
    for (deed, case) in [
        ("plan:changes", "plan"),
        ("start:skip", "resume"),
        ("start:any-lane", "offsets of another lane"),
        ("close:panic", "close twice"),
        ("committed:panic", "commits"),
        ("promise:loop", "promise"),
        ("check:panic", "check"),
    ] {
        let entries = [
            ("topic", "numbers"),
            ("count", "60"),
            ("batch", "7"),
            ("misbehave", deed),
        ];
        finds(
            "probe-source",
            deed,
            &report("probe-source", None, &entries),
            case,
        );
    }
    for (bug, case) in [
        ("unfenced", "kept offsets"),
        ("forgets-offsets", "kept offsets"),
        ("keeps-none", "kept offsets"),
        ("refuses-the-neighbour", "refused records"),
        ("blames-the-config", "an outage"),
        ("needs-a-record", "close twice"),
    ] {
        let entries = [("token", TOKEN), ("bug", bug)];
        finds(
            "ledger-sink",
            bug,
            &report("ledger-sink", Some(""), &entries),
            case,
        );
    }
    let panics = [("misbehave", "apply:panic")];
    let found = report("probe-transform", None, &panics);
    finds("probe-transform", "apply:panic", &found, "apply");
    for deed in ["apply:blames-the-config", "apply:gives-up"] {
        let report = report("probe-transform", Some("pages"), &[("misbehave", deed)]);
        finds("probe-transform", deed, &report, "an outage");
    }
}

fn finds(plugin: &str, bug: &str, report: &[Case], case: &str) {
    let found = report.iter().any(|found| found.case == case && !found.ok);
    assert!(
        found,
        "{plugin} {bug} is not found by {case}:\n{}",
        shown(report)
    );
}
