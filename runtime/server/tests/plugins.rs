//! Plugins in files, with the real binary: installed, listed, run, upgraded while records flow, killed, missed.
//!
//! The plugins come from `cargo xtask guests`; LONGSHORE_GUESTS names their folder.
#![cfg(feature = "wasm")]

mod support;

#[path = "plugins/checks.rs"]
mod checks;
#[path = "plugins/upgrades.rs"]
mod upgrades;

use axum::{
    Json, Router,
    extract::Query,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use support::{BINARY, EMBEDDED, Process, Worker, command, eventually, lines, text};

/// The component of a guest crate.
fn guest(name: &str) -> PathBuf {
    let named = std::env::var_os("LONGSHORE_GUESTS").map(PathBuf::from);
    let beside = || {
        let target = Path::new(BINARY).parent().and_then(Path::parent);
        target.expect("a target folder").join("guests")
    };
    let file = named.unwrap_or_else(beside).join(format!("{name}.wasm"));
    assert!(
        file.is_file(),
        "{} is not there: run cargo xtask guests",
        file.display()
    );
    file
}

/// The same plugin under another version or name: it is replaced where it stands.
fn renamed(file: &Path, version: (&str, &str), to: &Path) {
    let mut bytes = fs::read(file).expect("a guest");
    let (from, into) = (version.0.as_bytes(), version.1.as_bytes());
    assert_eq!(from.len(), into.len());
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + into.len()].copy_from_slice(into);
            found += 1;
        }
    }
    assert!(found > 0, "{} does not say {}", file.display(), version.0);
    fs::write(to, bytes).expect("written");
}

/// `longshore plugin ..`: whether it went well, and what it printed.
async fn plugin(folder: &Path, args: &[&str]) -> (bool, String) {
    let output = command(folder, &[&["plugin"], args].concat()).await;
    let printed = text(&output.stdout) + &text(&output.stderr);
    (output.status.success(), printed)
}

/// Versions 1.0.0 and 1.1.0 of the source of numbers, installed: two files of two builds, whose positions differ.
async fn both_versions(folder: &Path) {
    for name in ["probe-source", "probe-source-next"] {
        let file = guest(name).display().to_string();
        let (fine, printed) = plugin(folder, &["install", &file]).await;
        assert!(fine && printed.contains("installed"), "{printed}");
    }
}

fn numbers(version: Option<&str>) -> Value {
    let mut config = json!({
        "connector.class": "probe-source", "topic": "numbers", "count": 1_000_000_000, "batch": 20, "idle": 20,
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    });
    if let Some(version) = version {
        config["connector.plugin.version"] = json!(version);
    }
    config
}

async fn runs_version(worker: &Worker, version: &str) {
    eventually(&format!("version {version}"), || async {
        let status = worker.status("numbers").await;
        let task = &status["tasks"][0];
        let is = |of: &Value| of["version"] == version && of["state"] == "RUNNING";
        (is(task) && is(&status["connector"])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn versions_are_listed_and_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    both_versions(folder.path()).await;
    let grants = "  longshore.wasm.grants.probe-source.net: api.example.com:443\n";
    let worker = Worker::with(folder.path(), &format!("{EMBEDDED}{grants}")).await;
    let listed = worker.get("/connector-plugins").await.json();
    let listed = listed.as_array().expect("a list");
    let of_file: Vec<&Value> = listed
        .iter()
        .filter(|one| one["class"] == "probe-source")
        .collect();
    assert_eq!(of_file.len(), 2, "{listed:?}");
    let (_, json) = plugin(
        folder.path(),
        &["list", "--json", "--worker", "worker.yaml"],
    )
    .await;
    let on_disk: Value = serde_json::from_str(&json).expect("JSON");
    for (one, version) in of_file.iter().zip(["1.0.0", "1.1.0"]) {
        assert_eq!(
            (&one["type"], &one["version"]),
            (&json!("source"), &json!(version))
        );
        let file = &one["x"]["origin"]["file"];
        assert_eq!(file["file"], format!("probe-source-{version}.wasm"));
        assert_eq!(file["grants"]["net"], "api.example.com:443");
        let known = on_disk["plugins"].as_array().expect("a list");
        let known = known.iter().find(|known| known["version"] == version);
        assert_eq!(known.expect("listed")["sha256"], file["sha256"]);
    }
    let bundled = listed.iter().find(|one| one["x"]["name"] == "datagen");
    assert_eq!(bundled.expect("listed")["x"]["origin"], "bundled");
    assert_eq!(
        worker.get("/").await.json()["x"]["broken_plugins"],
        Value::Null
    );

    let config = worker
        .get("/connector-plugins/probe-source/config?version=1.0.0")
        .await
        .json();
    let names: Vec<&str> = config
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|key| key["name"].as_str())
        .collect();
    assert!(names.contains(&"batch") && names.contains(&"connector.plugin.version"));
    let none = worker
        .get("/connector-plugins/probe-source/config?version=3.0")
        .await;
    assert_eq!(none.status, 400);
    assert!(
        none.message().contains("there is 1.1.0, 1.0.0"),
        "{}",
        none.text
    );
    let body = json!({ "name": "numbers", "config": numbers(Some("2.0.0")) });
    let refused = worker.post("/connectors", body).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused
            .message()
            .contains("there is no version \"2.0.0\", there is 1.1.0, 1.0.0"),
        "{}",
        refused.text
    );
    let mut bad = numbers(None);
    bad["batch"] = json!("0");
    let refused = worker
        .post("/connectors", json!({ "name": "numbers", "config": bad }))
        .await;
    assert!(refused.message().contains("batch"), "{}", refused.text);
}

#[tokio::test]
async fn a_worker_without_the_plugin_says_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    both_versions(folder.path()).await;
    let mut worker = Worker::embedded(folder.path()).await;
    worker.create("numbers", numbers(Some("1.0.0"))).await;
    worker.task("numbers", "RUNNING").await;
    worker.process.terminate().await;
    let (fine, printed) = plugin(folder.path(), &["remove", "probe-source"]).await;
    assert!(!fine && printed.contains("probe-source@1.1.0"), "{printed}");
    let (fine, printed) = plugin(folder.path(), &["remove", "probe-source@1.0.0"]).await;
    assert!(fine, "{printed}");
    let shelf = folder.path().join("longshore-data/plugins");
    fs::write(shelf.join("probe-source-1.1.0.wasm"), "changed").expect("written");
    fs::write(folder.path().join("text.wasm"), "text").expect("written");
    let taken = folder.path().join("taken.wasm");
    renamed(&guest("http-sink"), ("http-sink", "file-sink"), &taken);
    let path = "  plugin.path: text.wasm,taken.wasm\n";
    let worker = Worker::with(folder.path(), &format!("{EMBEDDED}{path}")).await;
    let broken = worker.get("/").await.json()["x"]["broken_plugins"].clone();
    let files: Vec<&str> = broken
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["file"].as_str())
        .collect();
    assert_eq!(
        files,
        ["probe-source-1.1.0.wasm", "taken.wasm", "text.wasm"],
        "{broken}"
    );
    let sinks = worker.get("/connector-plugins").await.json();
    let mut sinks = sinks.as_array().expect("a list").iter();
    let file_sink = sinks.find(|one| one["x"]["name"] == "file-sink");
    assert_eq!(file_sink.expect("bundled")["x"]["origin"], "bundled");
    let failed = worker.task("numbers", "FAILED").await;
    let trace = failed["trace"].as_str().expect("a trace");
    let id = worker.url.trim_start_matches("http://");
    assert!(
        trace.contains(&format!("worker {id}")) && trace.contains("\"probe-source\""),
        "{trace}"
    );
    let skipped = "the file probe-source-1.1.0.wasm was skipped: its hash";
    assert!(trace.contains(skipped), "{trace}");
    let body = json!({ "name": "again", "config": numbers(None) });
    let refused = worker.post("/connectors", body).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains(skipped), "{}", refused.text);
}

#[tokio::test]
async fn only_what_a_worker_would_take_is_installed() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    let good = guest("probe-source").display().to_string();
    let cut = home.join("cut.wasm");
    let bytes = fs::read(&good).expect("a guest");
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("written");
    fs::write(home.join("core.wasm"), b"\0asm\x01\0\0\0").expect("written");
    for (args, expected) in [
        (
            vec!["install", "nowhere.wasm"],
            "nowhere.wasm cannot be read",
        ),
        (vec!["install", "cut.wasm"], "cut.wasm cannot be installed"),
        (vec!["install", "core.wasm"], "core module"),
        (
            vec!["install", &good, "--sha256", "00"],
            "not the file that was meant",
        ),
        (vec!["remove", "probe-source"], "is not installed"),
        (vec!["check", "core.wasm"], "core module"),
    ] {
        let (fine, printed) = plugin(home, &args).await;
        assert!(!fine && printed.contains(expected), "{args:?}: {printed}");
    }
    let shelf = home.join("longshore-data/plugins");
    let left = fs::read_dir(&shelf).expect("a folder").count();
    assert_eq!(left, 0, "a draft was left behind");
    // A name that a bundled plugin has stays the bundled one's.
    renamed(
        &guest("http-sink"),
        ("http-sink", "file-sink"),
        &home.join("taken.wasm"),
    );
    let (fine, printed) = plugin(home, &["install", "taken.wasm"]).await;
    assert!(!fine && printed.contains("part of Longshore"), "{printed}");
    for expected in ["installed: ", "is installed already"] {
        let (fine, printed) = plugin(home, &["install", &good]).await;
        assert!(fine && printed.contains(expected), "{printed}");
    }
    // The same version with other bytes: a comment at its end.
    let mut other = bytes;
    other.extend([0, 2, 1, b'x']);
    fs::write(home.join("other.wasm"), other).expect("written");
    let (fine, printed) = plugin(home, &["install", "other.wasm"]).await;
    assert!(
        !fine && printed.contains("a change needs a new version"),
        "{printed}"
    );
    fs::write(
        home.join("good.json"),
        r#"{"topic":"t","count":50,"batch":7}"#,
    )
    .expect("written");
    let (fine, printed) = plugin(home, &["check", &good, "--config", "good.json"]).await;
    assert!(printed.contains("ok   the same again"), "{fine} {printed}");

    let up = "worker:\n  group.id: g\nconnectors:\n  numbers:\n    connector.class: probe-source\n    topic: t\n    batch: 0\n";
    fs::write(home.join("up.yaml"), up).expect("written");
    let output = command(home, &["lint", "up.yaml"]).await;
    let printed = text(&output.stderr);
    assert!(
        printed.contains("batch") && printed.contains("out of range"),
        "{printed}"
    );
}

/// An API that gives out numbered people, ten a page, to who has the token, and takes what is posted.
struct Api {
    address: std::net::SocketAddr,
    posted: Arc<Mutex<Vec<Value>>>,
}

const TOKEN: &str = "s3cret-t0ken";
const PEOPLE: usize = 95;

impl Api {
    async fn start() -> Self {
        let posted: Arc<Mutex<Vec<Value>>> = Arc::default();
        let people = async |query: Query<Vec<(String, usize)>>, headers: HeaderMap| {
            let authorized = headers.get("authorization");
            if authorized.is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
                return Err(StatusCode::UNAUTHORIZED);
            }
            let page = query.iter().find(|(name, _)| name == "page");
            let first = page.map_or(0, |(_, page)| (page - 1) * 10);
            let person =
                |id| json!({ "id": id, "mail": format!("p{id}@example.com"), "ssn": "123" });
            let page = (first..PEOPLE.min(first + 10)).map(person);
            Ok(Json(page.collect::<Vec<Value>>()))
        };
        let kept = Arc::clone(&posted);
        let take = async move |Json(body): Json<Value>| {
            kept.lock().expect("not poisoned").push(body);
        };
        let router = Router::new()
            .route("/people", get(people))
            .route("/take", post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, posted }
    }
    fn posted(&self) -> Vec<Value> {
        self.posted.lock().expect("not poisoned").clone()
    }
}

#[tokio::test]
async fn people_go_from_one_api_to_another_masked_once_their_addresses_are_granted() {
    let folder = tempfile::tempdir().expect("a folder");
    let api = Api::start().await;
    let shelf = folder.path().join("shelf/deeper");
    fs::create_dir_all(&shelf).expect("a folder");
    for name in ["http-source", "http-sink", "mask-pii"] {
        fs::copy(guest(name), shelf.join(format!("{name}.wasm"))).expect("copied");
    }
    let address = api.address;
    let connectors = format!(
        "connectors:
  people:
    connector.class: http-source
    url: http://{address}/people
    topic: people
    page.size: 10
    key.pointer: /id
    poll.interval.ms: 100
    auth.secret: {TOKEN}
    transforms: pii
    transforms.pii.type: mask-pii
    transforms.pii.plugin.version: \"[0.1,1.0)\"
    transforms.pii.fields: ssn
  take:
    connector.class: http-sink
    topics: people
    url: http://{address}/take
"
    );
    let worker = format!("{EMBEDDED}  plugin.path: shelf\n");
    let mut up = Worker::up(folder.path(), &format!("{worker}{connectors}")).await;
    let failed = up.task("people", "FAILED").await;
    let trace = failed["trace"].as_str().expect("a trace");
    assert!(
        trace.contains("longshore.wasm.grants.http-source.net") && !trace.contains(TOKEN),
        "{trace}"
    );
    let metrics = up.get("/metrics").await.text;
    let denied = "longshore_wasm_denied_total{grant=\"net\",plugin=\"http-source\"}";
    assert!(metrics.contains(denied), "{metrics}");
    up.process.terminate().await;

    let grants = format!(
        "  longshore.wasm.grants.http-source.net: {address}\n  longshore.wasm.grants.http-sink.net: http://{address}\n"
    );
    let mut up = Worker::up(folder.path(), &format!("{worker}{grants}{connectors}")).await;
    eventually("everybody", || async {
        (api.posted().len() >= PEOPLE).then_some(())
    })
    .await;
    up.task("people", "RUNNING").await;
    let log = up.process.log();
    up.process.terminate().await;
    assert!(!log.contains(TOKEN), "I8: {log}");
    let mut ids: Vec<u64> = Vec::new();
    for person in api.posted() {
        let id = person["id"].as_u64().expect("a number");
        assert_eq!(
            (&person["mail"], &person["ssn"]),
            (&json!("****"), &json!("****"))
        );
        ids.push(id);
    }
    // The sink promises at least once.
    ids.dedup();
    assert_eq!(ids, (0..PEOPLE as u64).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_check_sees_what_breaks_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    let source = guest("probe-source").display().to_string();
    let worker = "worker:\n  longshore.wasm.call.timeout.ms: 2000\n";
    fs::write(home.join("worker.yaml"), worker).expect("written");
    for (deed, case) in [
        ("check:panic", "FAIL check"),
        ("promise:panic", "FAIL promise"),
        ("plan:too-many", "FAIL plan"),
        ("start:loop", "FAIL poll"),
        ("poll:falling-ends", "FAIL poll"),
        ("committed:panic", "FAIL commits"),
        ("close:panic", "FAIL close twice"),
    ] {
        let config = json!({ "topic": "t", "misbehave": deed }).to_string();
        fs::write(home.join("config.json"), config).expect("written");
        let args = [
            "check",
            &source,
            "--config",
            "config.json",
            "--worker",
            "worker.yaml",
        ];
        let (fine, printed) = plugin(home, &args).await;
        assert!(!fine && printed.contains(case), "{deed}: {printed}");
    }
    for (name, expected) in [
        ("mute", "I do not talk about myself"),
        ("schemaless", "no JSON Schema"),
    ] {
        let file = guest(name).display().to_string();
        let (fine, printed) = plugin(home, &["check", &file]).await;
        assert!(!fine && printed.contains(expected), "{name}: {printed}");
    }
    let masks = guest("mask-pii").display().to_string();
    let (fine, printed) = plugin(home, &["check", &masks]).await;
    assert!(fine && !printed.contains("FAIL"), "{printed}");
}

/// Commits often, so that a test need not wait for it.
const OFTEN: &str = "worker:\n  listeners: http://127.0.0.1:0\n  longshore.broker.listen: 127.0.0.1:0\n  offset.flush.interval.ms: 200\n";

async fn installed(folder: &Path, name: &str) {
    let file = guest(name).display().to_string();
    let (fine, printed) = plugin(folder, &["install", &file]).await;
    assert!(fine, "{printed}");
}

/// The worker's next life, after a kill.
async fn killed(mut worker: Worker, folder: &Path) -> Worker {
    worker.process.kill();
    Worker::running(Process::start(folder, &["worker", "worker.yaml"])).await
}

/// Until this is the source's offset.
async fn stored(worker: &Worker, quiet: u32) {
    let wanted = json!({ "next": 5, "quiet": quiet });
    eventually(&format!("{wanted} is stored"), || async {
        let offsets = worker.get("/connectors/numbers/offsets").await.json();
        (offsets["offsets"][0]["offset"] == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn progress_without_records_survives_a_kill() {
    for exactly_once in ["", "  exactly.once.source.support: enabled\n"] {
        let folder = tempfile::tempdir().expect("a folder");
        installed(folder.path(), "probe-source").await;
        let worker = Worker::with(folder.path(), &format!("{OFTEN}{exactly_once}")).await;
        let config = json!({
            "connector.class": "probe-source", "topic": "numbers", "count": 5, "quiet": 3, "idle": 20,
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        });
        worker.create("numbers", config.clone()).await;
        stored(&worker, 3).await;
        let worker = killed(worker, folder.path()).await;
        worker.task("numbers", "RUNNING").await;
        stored(&worker, 3).await;
        // It goes on from there: two more, no record again.
        let mut config = config;
        config["quiet"] = json!(5);
        worker.put("/connectors/numbers/config", config).await;
        stored(&worker, 5).await;
        let out = folder.path().join("out.txt");
        let sink = json!({
            "connector.class": "file-sink", "topics": "numbers", "file": out,
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        });
        worker.create("out", sink).await;
        assert_eq!(lines(&out, 5).await.len(), 5);
    }
}

#[tokio::test]
async fn the_state_of_a_sinks_partition_survives_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    installed(folder.path(), "probe-sink").await;
    let worker = Worker::with(folder.path(), OFTEN).await;
    let text = "org.apache.kafka.connect.storage.StringConverter";
    let lines = folder.path().join("in.txt");
    fs::write(&lines, "1\n2\n3\n4\n").expect("written");
    let source = json!({
        "connector.class": "file-source", "topic": "lines", "file": lines, "value.converter": text,
    });
    worker.create("in", source).await;
    let sink = json!({
        "connector.class": "probe-sink", "topics": "lines", "count": true,
        "value.converter": text, "key.converter": text,
    });
    worker.create("count", sink).await;
    eventually("four are committed", || async {
        let offsets = worker.get("/connectors/count/offsets").await.json();
        (offsets["offsets"][0]["offset"]["kafka_offset"] == 4).then_some(())
    })
    .await;
    let worker = killed(worker, folder.path()).await;
    worker.task("count", "RUNNING").await;
    fs::write(&lines, "1\n2\n3\n4\nask\n").expect("written");
    // What was committed does not come again, so the first four are known by the state alone.
    let task = worker.task("count", "FAILED").await;
    let trace = task["trace"].as_str().expect("why");
    assert!(trace.contains("count 5"), "{trace}");
}
