//! Files that vanish, disks that are full, brokers that are away.

use crate::support::{EMBEDDED, Process, Worker, command, eventually, lines, text};
use serde_json::{Value, json};
use std::{
    fs,
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

fn source() -> Value {
    json!({
        "connector.class": "FileStreamSource", "file": "in.txt", "topic": "t",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    })
}

fn sink() -> Value {
    json!({
        "connector.class": "FileStreamSink", "file": "out.txt", "topics": "t",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    })
}

fn append(file: &std::path::Path, text: &str) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .expect("opened");
    file.write_all(text.as_bytes()).expect("written");
}

#[tokio::test]
async fn a_file_that_vanishes_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let (input, output) = (folder.path().join("in.txt"), folder.path().join("out.txt"));
    worker.create("in", source()).await;
    worker.create("out", sink()).await;
    worker.task("in", "RUNNING").await;
    append(&input, "a\nb\n");
    assert_eq!(lines(&output, 2).await, ["a", "b"]);
    fs::remove_file(&input).expect("removed");
    eventually("it says that it waits", || async {
        let log = worker.process.log();
        let told = |line: &str| {
            line.contains("has vanished")
                && line.contains("in.txt")
                && line.contains("connector=in")
        };
        log.lines().any(told).then_some(())
    })
    .await;
    assert_eq!(worker.status("in").await["tasks"][0]["state"], "RUNNING");
    append(&input, "c\n");
    assert_eq!(lines(&output, 3).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn what_is_no_file_fails_with_its_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    fs::create_dir(folder.path().join("in.txt")).expect("a folder");
    fs::create_dir(folder.path().join("out.txt")).expect("a folder");
    for (name, config, path) in [("in", source(), "in.txt"), ("out", sink(), "out.txt")] {
        let answer = worker
            .post("/connectors", json!({ "name": name, "config": config }))
            .await;
        if answer.status == 400 {
            assert!(answer.message().contains(path), "{}", answer.text);
            continue;
        }
        let trace = worker.task(name, "FAILED").await["trace"]
            .as_str()
            .expect("a trace")
            .to_owned();
        assert!(
            trace.contains(path) && trace.contains("regular file"),
            "{trace}"
        );
    }
}

/// A limit on the size of files stands in for a full disk: a write goes halfway and then fails.
#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut broker = Process::start(
        folder.path(),
        &["broker", "--listen", "127.0.0.1:0", "--data", "broker"],
    );
    let bootstrap = broker.logged("bootstrap=\"").await;
    let settings =
        format!("worker:\n  listeners: http://127.0.0.1:0\n  bootstrap.servers: {bootstrap}\n");
    fs::write(folder.path().join("worker.yaml"), settings).expect("written");
    let mut limited = Command::new("sh");
    // 512-byte blocks. The signal is ignored, so that the write fails as on a full disk.
    limited.args([
        "-c",
        "trap '' XFSZ; ulimit -S -f 8; exec \"$0\" worker worker.yaml",
        crate::support::BINARY,
    ]);
    let worker = Worker::running(Process::spawn(limited, folder.path())).await;
    let input: String = (0..2000).map(|line| format!("line {line}\n")).collect();
    fs::write(folder.path().join("in.txt"), &input).expect("written");
    worker.create("in", source()).await;
    worker.create("out", sink()).await;
    eventually("the trouble shows", || async {
        let status = worker.status("out").await;
        let log = worker.process.log();
        let told = |text: &str| text.contains("File too large") || text.contains("out.txt");
        let failed = status["tasks"][0]["trace"].as_str().is_some_and(told);
        (failed || log.lines().any(|line| line.contains("out-0") && told(line))).then_some(())
    })
    .await;
    assert_eq!(worker.status("in").await["tasks"][0]["state"], "RUNNING");
    // There is room again.
    let pid = worker.process.id().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited"])
        .status()
        .expect("prlimit runs");
    assert!(raised.success());
    eventually("it goes on", || async {
        if worker.status("out").await["tasks"][0]["state"] == "FAILED" {
            worker
                .post("/connectors/out/restart?includeTasks=true", json!({}))
                .await;
        }
        let text = fs::read_to_string(folder.path().join("out.txt")).unwrap_or_default();
        (text.lines().count() >= 2000).then_some(())
    })
    .await;
    assert_eq!(
        fs::read_to_string(folder.path().join("out.txt")).expect("the file"),
        input,
        "each line once, none cut"
    );
}

#[tokio::test]
async fn a_broker_that_is_away_at_the_start_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = taken.local_addr().expect("an address").port();
    drop(taken);
    let settings = format!(
        "worker:\n  listeners: http://127.0.0.1:0\n  bootstrap.servers: 127.0.0.1:{free}\n"
    );
    fs::write(folder.path().join("worker.yaml"), settings).expect("written");
    let started = Instant::now();
    let output = command(folder.path(), &["worker", "worker.yaml"]).await;
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let last = errors.lines().last().expect("a message");
    assert!(
        last.starts_with("error: ")
            && last.contains("bootstrap.servers")
            && last.contains(&free.to_string()),
        "{errors}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "nobody waits this long for a message"
    );
}

#[tokio::test]
async fn a_broker_that_goes_away_later_costs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut broker = Process::start(
        folder.path(),
        &["broker", "--listen", "127.0.0.1:0", "--data", "broker"],
    );
    let bootstrap = broker.logged("bootstrap=\"").await;
    let settings = EMBEDDED.replace(
        "longshore.broker.listen: 127.0.0.1:0",
        &format!("bootstrap.servers: {bootstrap}"),
    );
    let worker = Worker::with(folder.path(), &settings).await;
    let (input, output) = (folder.path().join("in.txt"), folder.path().join("out.txt"));
    append(&input, "a\n");
    worker.create("in", source()).await;
    worker.create("out", sink()).await;
    lines(&output, 1).await;
    broker.kill();
    append(&input, "b\nc\n");
    // Reads answer while the broker is away.
    assert_eq!(worker.get("/connectors").await.json(), json!(["in", "out"]));
    assert_eq!(worker.get("/connectors/in/status").await.status, 200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _broker = Process::start(
        folder.path(),
        &["broker", "--listen", &bootstrap, "--data", "broker"],
    );
    append(&input, "d\n");
    assert_eq!(lines(&output, 4).await, ["a", "b", "c", "d"]);
    worker.task("in", "RUNNING").await;
    worker.task("out", "RUNNING").await;
    let stopped = worker
        .call(reqwest::Method::PUT, "/connectors/in/pause", None)
        .await;
    assert_eq!(stopped.status, 202, "{}", stopped.text);
}

/// Root may read everything: without two capabilities it is as everybody else.
#[tokio::test]
async fn a_file_that_may_not_be_read_fails_with_its_path() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("in.txt");
    fs::write(&input, "a\n").expect("written");
    fs::write(folder.path().join("worker.yaml"), EMBEDDED).expect("written");
    fs::set_permissions(&input, fs::Permissions::from_mode(0o000)).expect("changed");
    let root = fs::metadata(&input).expect("its data").uid() == 0;
    let command = if root {
        chown(&input, Some(65_534), None).expect("given away");
        let without = "-dac_override,-dac_read_search";
        let mut command = Command::new("setpriv");
        command.args([
            "--bounding-set",
            without,
            "--inh-caps",
            without,
            crate::support::BINARY,
            "worker",
            "worker.yaml",
        ]);
        command
    } else {
        let mut command = Command::new(crate::support::BINARY);
        command.args(["worker", "worker.yaml"]);
        command
    };
    let worker = Worker::running(Process::spawn(command, folder.path())).await;
    let answer = worker.put("/connectors/in/config", source()).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let message = answer.message();
    assert!(
        message.contains("in.txt") && message.contains("has no access"),
        "{message}"
    );
    fs::set_permissions(&input, fs::Permissions::from_mode(0o444)).expect("changed");
    worker.create("in", source()).await;
    worker.create("out", sink()).await;
    assert_eq!(lines(&folder.path().join("out.txt"), 1).await, ["a"]);
}
