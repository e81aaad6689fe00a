//! The recordings in `data`, or those that `COMPAT_DIR` names.

use longshore_compat_tests::{Allowed, Corpus, run};
use std::path::PathBuf;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// At most this part of the cases may be on the list of accepted differences.
const ALLOWED_PART: f64 = 0.01;

#[test]
fn what_was_recorded_comes_out_again() {
    let other = std::env::var_os("COMPAT_DIR").map(PathBuf::from);
    let folder = other
        .clone()
        .unwrap_or_else(|| PathBuf::from(HERE).join("data"));
    let corpus = Corpus::read(&folder).expect("a corpus");
    let list = std::fs::read_to_string(PathBuf::from(HERE).join("allowed.jsonl"));
    let allowed = Allowed::list(&list.expect("the allow-list")).expect("the allow-list");
    let report = run(&corpus, &allowed);
    println!("{report}");
    assert!(
        report.unlisted.is_empty(),
        "cases differ that are not listed:\n{report}"
    );
    assert!(report.stale.is_empty(), "listed cases are equal:\n{report}");
    let part = report.allowed().max(report.void()) as f64 / report.cases() as f64;
    assert!(
        part < ALLOWED_PART,
        "{} % of the cases are listed:\n{report}",
        part * 100.0
    );
    if other.is_none() {
        assert!(
            report.idle().is_empty(),
            "nothing is covered by: {:?}",
            report.idle()
        );
        assert!(report.cases() >= 5_790, "only {} cases", report.cases());
    }
}

/// A case whose recorded text is wrong on purpose, and one that is right.
const CASES: &str = concat!(
    r#"{"converter":"x.StringConverter","config":{},"dir":"toConnectData","input":{"b64":"YQ=="},"output":{"schema":{"type":"string","optional":true},"value":{"t":"string","v":"b"}}}"#,
    "\n",
    r#"{"converter":"x.StringConverter","config":{},"dir":"toConnectData","input":{"b64":"YQ=="},"output":{"schema":{"type":"string","optional":true},"value":{"t":"string","v":"a"}}}"#,
    "\n",
);

fn corpus_of(name: &str, text: &str) -> Corpus {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(folder.join("converters")).expect("a folder");
    std::fs::write(folder.join("converters/a.jsonl"), text).expect("a file");
    Corpus::read(&folder).expect("a corpus")
}

#[test]
fn a_difference_is_reported_unless_it_is_listed() {
    let corpus = corpus_of("unlisted", CASES);
    let report = run(&corpus, &[]);
    assert_eq!((report.cases(), report.unlisted.len()), (2, 1));
    assert!(report.unlisted[0].contains("a.jsonl:1"), "{report}");

    let list = r#"{"reason":"r","class":"StringConverter","output":"\"v\":\"b\""}"#;
    let list = Allowed::list(list).expect("a list");
    let report = run(&corpus, &list);
    assert_eq!(
        (report.allowed(), report.unlisted.len()),
        (1, 0),
        "{report}"
    );
    assert!(report.stale.is_empty() && report.idle().is_empty());
}

#[test]
fn a_listed_case_that_does_not_differ_is_reported() {
    let corpus = corpus_of("stale", CASES);
    let list = Allowed::list(r#"{"reason":"r","class":"StringConverter"}"#).expect("a list");
    let report = run(&corpus, &list);
    assert_eq!(report.stale.len(), 1, "{report}");
    assert!(report.stale[0].contains("a.jsonl:2"), "{report}");

    let list = Allowed::list(r#"{"reason":"r","class":"LongConverter"}"#).expect("a list");
    assert_eq!(run(&corpus, &list).idle(), ["r"]);
}

#[test]
fn a_list_without_reasons_and_an_empty_folder_are_refused() {
    assert!(Allowed::list(r#"{"reason":"","class":"LongConverter"}"#).is_err());
    assert!(Allowed::list(r#"{"class":"LongConverter"}"#).is_err());
    assert!(Corpus::read(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nowhere")).is_err());
}
