//! What placeholders stand for reaches the plugins and nobody else (I8).

use super::{Bench, flat, settings};
use crate::{
    control::ControlErrorKind,
    memory::{MemoryLog, SharedMemoryBus},
    providers::{DirectoryProvider, FileProvider, Placeholders, Roots},
};
use longshore_sdk::config::Flat;
use std::{fs, sync::Arc};

const CLASS: (&str, &str) = ("connector.class", "fake-source");
const TOPIC: (&str, &str) = ("topic", "t");

/// A worker whose providers `file` and `directory` read one folder.
struct Vault {
    bench: Bench,
    folder: tempfile::TempDir,
}

impl Vault {
    async fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let roots = Roots::parse(folder.path().to_str().expect("text")).expect("a root");
        let mut told = settings();
        let mut placeholders = Placeholders::none();
        placeholders.add("file", Arc::new(FileProvider::new(roots.clone())));
        placeholders.add("directory", Arc::new(DirectoryProvider::new(roots)));
        told.placeholders = placeholders;
        let logs = [MemoryLog::new(), MemoryLog::new(), MemoryLog::new()];
        let [config, offset, status] = logs;
        let bus = SharedMemoryBus::default();
        let bench = Bench::told(told, config, offset, status, bus, Arc::default()).await;
        Self { bench, folder }
    }
    fn directory(&self, key: &str) -> String {
        format!("${{directory:{}:{key}}}", self.folder.path().display())
    }
    fn file(&self, file: &str, key: &str) -> String {
        format!("${{file:{}/{file}:{key}}}", self.folder.path().display())
    }
    /// The message of a refused create.
    async fn refused(&self, config: &[(&str, &str)]) -> String {
        let created = self
            .bench
            .control
            .create("refused", flat(config), Default::default());
        let error = created.await.expect_err("refused");
        assert_eq!(error.kind, ControlErrorKind::Invalid, "{error}");
        error.message
    }
    /// Everything that the worker wrote down.
    fn written(&self) -> String {
        let Bench {
            config,
            offset,
            status,
            ..
        } = &self.bench;
        format!(
            "{:?}{:?}{:?}",
            config.texts(),
            offset.texts(),
            status.texts()
        )
    }
}

#[tokio::test]
async fn i8_no_status_shows_what_a_placeholder_stands_for() {
    let vault = Vault::new(&[("key", "canary-5ecret")]).await;
    let secret = vault.directory("key");
    for (at, how, states) in [
        ("open", "quote", "RUNNING [FAILED]"),
        ("poll", "quote", "RUNNING [FAILED]"),
        ("poll", "panic-quote", "RUNNING [FAILED]"),
        ("plan", "quote", "FAILED []"),
        ("plan", "panic-quote", "FAILED []"),
    ] {
        let fail = format!("{at}:{how}");
        let at = &fail.replace(':', "-");
        let config = [CLASS, TOPIC, ("password", &secret), ("fail.at", &fail)];
        vault.bench.create(at, &config).await;
        vault.bench.shows(at, states).await;
        let status = vault.bench.control.status(at).expect("a status");
        let task = status.tasks.into_iter().find_map(|task| task.trace);
        let trace = task.or(status.connector.trace).expect("a trace");
        assert!(trace.contains("cannot read [hidden]"), "{trace}");
        let tasks = format!("{:?}", vault.bench.control.tasks(at));
        assert!(!tasks.contains("canary-5ecret"), "I8: {tasks}");
    }
    let written = vault.written();
    assert!(!written.contains("canary-5ecret"), "I8: {written}");
    assert!(written.contains("${directory:"), "the placeholder is kept");
    vault.bench.worker.shutdown().await;
}

/// A password that somebody wrote into the config itself is no text for statuses either.
#[tokio::test]
async fn i8_no_status_shows_a_password_of_the_config() {
    let vault = Vault::new(&[]).await;
    let config = [
        CLASS,
        TOPIC,
        ("password", "canary-1iteral"),
        ("fail.at", "poll:quote"),
    ];
    vault.bench.create("c", &config).await;
    vault.bench.shows("c", "RUNNING [FAILED]").await;
    let status = vault.bench.control.status("c").expect("a status");
    let trace = status.tasks[0].trace.clone().expect("a trace");
    assert!(trace.contains("cannot read [hidden]"), "I8: {trace}");
    assert!(
        !format!("{:?}", vault.bench.status.texts()).contains("canary-1iteral"),
        "I8"
    );
    vault.bench.worker.shutdown().await;
}

#[tokio::test]
async fn a_restart_reads_what_was_rotated() {
    let vault = Vault::new(&[("topic", "before"), ("count", "1")]).await;
    let (topic, count) = (vault.directory("topic"), vault.directory("count"));
    let config = [CLASS, ("topic", &topic), ("count", &count)];
    vault.bench.create("c", &config).await;
    let arrived = |topic: &'static str| {
        let bus = vault.bench.bus.clone();
        super::eventually(topic, move || bus.0.records(topic).len() == 1, String::new)
    };
    arrived("before").await;
    for (name, text) in [("topic", "after"), ("count", "2")] {
        fs::write(vault.folder.path().join(name), text).expect("rotated");
    }
    vault
        .bench
        .control
        .restart_task("c", 0)
        .await
        .expect("restarted");
    arrived("after").await;
    vault.bench.worker.shutdown().await;
}

#[tokio::test]
async fn what_a_placeholder_stands_for_is_judged_and_not_shown() {
    let vault = Vault::new(&[(
        "f",
        "bad=abc\nlong=not-a-number-at-all\nzero=0\nwrong=wrong",
    )])
    .await;
    let number = "Invalid value [hidden] for configuration tasks.max: Not a number of type INT";
    let least = "Invalid value [hidden] for configuration tasks.max: Value must be at least 1";
    for (key, said) in [("bad", number), ("long", number), ("zero", least)] {
        let value = vault.file("f", key);
        let message = vault.refused(&[CLASS, TOPIC, ("tasks.max", &value)]).await;
        assert!(
            message.contains(said) && !message.contains("not-a-number"),
            "I8: {message}"
        );
        let config = flat(&[CLASS, TOPIC, ("name", "v"), ("tasks.max", &value)]);
        let answer = vault
            .bench
            .control
            .validate("FakeSource", config)
            .await
            .expect("an answer");
        assert_eq!(answer.infos.error_count, 1);
        let infos = answer.infos.configs.into_iter();
        let info = infos
            .map(|info| info.value)
            .find(|info| info.name == "tasks.max");
        let info = info.expect("the key is listed");
        assert_eq!(
            (info.value.as_deref(), info.errors),
            (Some(value.as_str()), vec![said.to_owned()])
        );
    }
    // The connector's own look at the system has the value.
    let wrong = vault.file("f", "wrong");
    let message = vault.refused(&[CLASS, TOPIC, ("password", &wrong)]).await;
    assert!(
        message.contains("password: refused by the system"),
        "{message}"
    );
    vault.bench.worker.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_what_is_not_there_stays() {
    let vault = Vault::new(&[("f", "a=b")]).await;
    let lost = vault.file("lost", "a");
    let message = vault.refused(&[CLASS, TOPIC, ("password", &lost)]).await;
    assert!(
        message.contains("password: config provider file: the file ")
            && message.contains("lost does not exist"),
        "{message}"
    );
    let message = vault
        .refused(&[CLASS, TOPIC, ("password", "${file:/etc/passwd:a}")])
        .await;
    assert!(
        message.contains("password: config provider file: /etc/passwd is not below allowed.paths"),
        "{message}"
    );
    // As in Kafka Connect the text stays, but not without a word.
    let missing = vault.file("f", "missing");
    let config = [
        CLASS,
        TOPIC,
        ("password", &missing),
        ("topic.x", "${vault:a:b}"),
        ("fail.at", "poll:quote"),
    ];
    let created = vault
        .bench
        .control
        .create("c", flat(&config), Default::default());
    let warnings = format!("{:?}", created.await.expect("created").x);
    assert!(warnings.contains("has no key missing"), "{warnings}");
    assert!(
        warnings.contains("there is no config provider vault"),
        "{warnings}"
    );
    vault.bench.shows("c", "RUNNING [FAILED]").await;
    let status = vault.bench.control.status("c").expect("a status");
    let trace = status.tasks[0].trace.clone().expect("a trace");
    assert!(
        trace.contains("unresolved = password: ") && trace.contains("has no key missing"),
        "{trace}"
    );
    vault.bench.worker.shutdown().await;
}

#[tokio::test]
async fn a_worker_without_providers_reads_nothing() {
    let bench = Bench::new().await;
    let config: Flat = flat(&[
        CLASS,
        TOPIC,
        ("password", "${env:PATH}"),
        ("fail.at", "poll:quote"),
    ]);
    let created = bench
        .control
        .create("c", config, Default::default())
        .await
        .expect("created");
    let warnings = format!("{:?}", created.x);
    assert!(
        warnings.contains("there is no config provider env"),
        "{warnings}"
    );
    bench.shows("c", "RUNNING [FAILED]").await;
    let trace = bench.control.status("c").expect("a status").tasks[0]
        .trace
        .clone();
    let path = std::env::var("PATH").expect("it is set");
    assert!(!trace.expect("a trace").contains(&path));
    bench.worker.shutdown().await;
}
