//! Config providers of a worker section, and placeholders in it.

use super::{texts, yaml};
use crate::settings::{Section, WorkerSettings};
use longshore_sdk::config::Flat;
use std::fs;

fn section(keys: &[(&str, &str)]) -> Section {
    let lines = keys
        .iter()
        .map(|(key, value)| format!("  {key}: '{value}'\n"));
    let text = format!("worker:\n{}", lines.collect::<String>());
    yaml(&text).worker.expect("a worker section")
}

const LIST: (&str, &str) = ("config.providers", "secrets");
const CLASS: &str = "config.providers.secrets.class";
const PATHS: &str = "config.providers.secrets.param.allowed.paths";
const PATTERN: &str = "config.providers.secrets.param.allowlist.pattern";

#[test]
fn providers_go_by_short_and_long_names() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("f"), "k=from-file").expect("written");
    let root = folder.path().to_str().expect("text");
    for (class, param, allowed, placeholder, value) in [
        (
            "file",
            PATHS,
            root,
            format!("${{secrets:{root}/f:k}}"),
            "from-file",
        ),
        (
            "FileConfigProvider",
            PATHS,
            root,
            format!("${{secrets:{root}/f:k}}"),
            "from-file",
        ),
        (
            "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
            PATHS,
            root,
            format!("${{secrets:{root}:f}}"),
            "k=from-file",
        ),
        (
            "env",
            PATTERN,
            "CARGO_PKG_.*",
            "${secrets:CARGO_PKG_NAME}".to_owned(),
            "longshore",
        ),
    ] {
        let keys = [
            LIST,
            (CLASS, class),
            (param, allowed),
            ("group.id", placeholder.as_str()),
        ];
        let (worker, notes) = WorkerSettings::read_resolved(&section(&keys)).expect(class);
        assert!(notes.is_empty(), "{notes:?}");
        assert_eq!(worker.group_id, value, "{class}");
        let config = Flat::from([("k".to_owned(), placeholder)]);
        let resolved = worker.placeholders.resolve(&config).expect(class);
        assert_eq!(resolved.config["k"], value, "connectors have it, too");
    }
    // The name says the class.
    let keys = [
        ("config.providers", "env"),
        ("config.providers.env.param.allowlist.pattern", "CARGO_.*"),
        ("group.id", "${env:CARGO_PKG_NAME}"),
    ];
    let (worker, _) = WorkerSettings::read_resolved(&section(&keys)).expect("env");
    assert_eq!(worker.group_id, "longshore");
}

#[test]
fn providers_that_could_read_everything_are_refused() {
    let required =
        "required, but missing: a provider reads only what it is allowed to (set it, for example ";
    for (keys, said) in [
        (
            vec![LIST],
            "config.providers.secrets.class: required, but missing (use directory, env, file)",
        ),
        (
            vec![LIST, (CLASS, "FileConfigProvidr")],
            "there is no config provider FileConfigProvidr",
        ),
        (vec![LIST, (CLASS, "file")], required),
        (vec![LIST, (CLASS, "directory"), (PATHS, " ")], required),
        (vec![LIST, (CLASS, "env")], required),
        (
            vec![LIST, (CLASS, "env"), (PATTERN, "a)|(b")],
            "is not a regular expression",
        ),
        (
            vec![LIST, (CLASS, "file"), (PATHS, "/run/../etc")],
            "/run/../etc holds `..`",
        ),
    ] {
        let found = texts(WorkerSettings::read_resolved(&section(&keys)).expect_err(said));
        assert!(
            found.len() == 1 && found[0].contains(said),
            "expected {said}\nfound {found:?}"
        );
    }
}

#[test]
fn what_a_provider_does_not_use_is_noted() {
    let keys = [
        LIST,
        (CLASS, "file"),
        (PATHS, "/surely/not/here"),
        ("config.providers.secrets.param.allowed.path", "/x"),
        ("config.providers.secret.class", "file"),
    ];
    let (_, notes) = WorkerSettings::read_resolved(&section(&keys)).expect("good");
    let notes = texts(notes).join("\n");
    for said in [
        "secrets.param.allowed.path: has no effect: the provider has no such parameter (it has param.allowed.paths)",
        "secrets.param.allowed.paths: /surely/not/here does not exist",
        "config.providers.secret.class: has no effect: config.providers does not list it (did you mean config.providers.secrets.?)",
    ] {
        assert!(notes.contains(said), "expected {said}\nfound {notes}");
    }
}

#[test]
fn placeholders_of_the_worker_are_resolved_where_they_stand() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("f"), "ms=70\nwrong=canary-ms").expect("written");
    let root = folder.path().to_str().expect("text");
    let placeholder = |key: &str| format!("${{secrets:{root}/f:{key}}}");
    let told =
        |key: &str, value: &str| section(&[LIST, (CLASS, "file"), (PATHS, root), (key, value)]);
    let key = "longshore.stall.timeout.ms";
    let (worker, _) = WorkerSettings::read_resolved(&told(key, &placeholder("ms"))).expect("good");
    assert_eq!(worker.stall_timeout().as_millis(), 70);
    let wrong = WorkerSettings::read_resolved(&told(key, &placeholder("wrong")));
    let wrong = texts(wrong.expect_err("no number"));
    assert_eq!(wrong.len(), 1);
    assert!(
        wrong[0].starts_with("f.yaml:5:3: longshore.stall.timeout.ms: what its placeholder"),
        "{wrong:?}"
    );
    let lost = told("sasl.jaas.config", &placeholder("lost"));
    let found = texts(WorkerSettings::read_resolved(&lost).expect_err("lost"));
    assert!(
        found[0].contains("sasl.jaas.config: its placeholder stays as text")
            && found[0].contains("has no key lost"),
        "{found:?}"
    );
    let (_, notes) = WorkerSettings::read_offline(&lost).expect("it may be there elsewhere");
    assert!(texts(notes)[0].contains("has no key lost"));
    let undeclared = told("sasl.jaas.config", "${vault:x:y}");
    let found = texts(WorkerSettings::read_resolved(&undeclared).expect_err("no such provider"));
    assert!(
        found[0].contains(
            "there is no config provider vault (the worker's config.providers declares secrets)"
        ),
        "{found:?}"
    );
}
