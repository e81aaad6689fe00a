//! `longshore up`, `plan`, `apply` and the commands that talk to a worker.

mod support;

use serde_json::{Value, json};
use std::{fs, path::Path};
use support::{EMBEDDED, Process, Worker, command, eventually, lines, text};

const GEN: &str = "  gen: {connector.class: datagen, topic: orders, rate: 500}\n";
const OUT: &str = "  out: {connector.class: file-sink, topics: [orders], file: out.ndjson}\n";

fn with(connectors: &[&str]) -> String {
    format!("{EMBEDDED}connectors:\n{}", connectors.concat())
}

/// Replaces the file as editors do.
fn edit(folder: &Path, yaml: &str) {
    fs::write(folder.join("up.new"), yaml).expect("written");
    fs::rename(folder.join("up.new"), folder.join("up.yaml")).expect("renamed");
}

/// How many records a task has moved since it was started.
async fn moved(worker: &Worker, name: &str) -> u64 {
    worker.status(name).await["tasks"][0]["x"]["progress"]["records"]
        .as_u64()
        .unwrap_or(0)
}

/// How often the worker has started a task of a connector.
fn starts(worker: &Worker, name: &str) -> usize {
    let log = worker.process.log();
    log.lines()
        .filter(|line| line.contains("starting") && line.contains(&format!("task={name}-0")))
        .count()
}

#[tokio::test]
async fn an_edit_changes_what_it_is_about_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::up(folder.path(), &with(&[GEN, OUT])).await;
    worker.task("gen", "RUNNING").await;
    lines(&folder.path().join("out.ndjson"), 10).await;
    assert_eq!((starts(&worker, "gen"), starts(&worker, "out")), (1, 1));

    // One connector's config: only that one starts again.
    edit(
        folder.path(),
        &with(&[GEN, &OUT.replace("out.ndjson", "other.ndjson")]),
    );
    lines(&folder.path().join("other.ndjson"), 10).await;
    assert_eq!((starts(&worker, "gen"), starts(&worker, "out")), (1, 2));
    assert_eq!(
        worker.get("/connectors/out/config").await.json()["file"],
        "other.ndjson"
    );

    // An edit that cannot be used: one clear message, everything runs as before.
    let before = moved(&worker, "gen").await;
    edit(folder.path(), &with(&[GEN, &OUT.replace("file:", "fiel:")]));
    eventually("the message", || async {
        worker
            .process
            .log()
            .contains("fiel: unknown key (did you mean file?)")
            .then_some(())
    })
    .await;
    eventually("the edit is refused as a whole", || async {
        worker
            .process
            .log()
            .contains("everything runs as before")
            .then_some(())
    })
    .await;
    eventually("it goes on", || async {
        (moved(&worker, "gen").await > before + 50).then_some(())
    })
    .await;
    assert_eq!((starts(&worker, "gen"), starts(&worker, "out")), (1, 2));
    fs::remove_file(folder.path().join("up.yaml")).expect("removed");
    eventually("a lost file is named", || async {
        worker.process.log().contains("up.yaml").then_some(())
    })
    .await;
    assert_eq!(
        worker.get("/connectors").await.json(),
        json!(["gen", "out"])
    );

    // A connector that somebody else made is not ours to delete; one that vanishes from the file is.
    worker
        .create(
            "foreign",
            json!({ "connector.class": "datagen", "topic": "f", "rate": 1 }),
        )
        .await;
    edit(folder.path(), &with(&[GEN]));
    eventually("deleted", || async {
        (worker.get("/connectors").await.json() == json!(["foreign", "gen"])).then_some(())
    })
    .await;
    assert_eq!(starts(&worker, "gen"), 1);
    // Once may be a stall of the machine; the short session of an embedded broker must not run out again and again.
    let lost = worker.process.log().matches("session ran out").count();
    assert!(lost <= 1, "{}", worker.process.log());
}

#[tokio::test]
async fn a_second_start_goes_on_where_the_first_one_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let yaml = with(&[GEN, OUT]);
    let mut worker = Worker::up(folder.path(), &yaml).await;
    lines(&folder.path().join("out.ndjson"), 100).await;
    assert!(
        worker.process.terminate().await.success(),
        "{}",
        worker.process.log()
    );
    let first = fs::read_to_string(folder.path().join("out.ndjson"))
        .expect("the file")
        .lines()
        .count();
    // While nothing runs, a connector leaves the file: the next start deletes it.
    edit(
        folder.path(),
        &with(&[
            GEN,
            OUT,
            "  extra: {connector.class: datagen, topic: e, rate: 1}\n",
        ]),
    );
    let mut worker = Worker::running(Process::start(folder.path(), &["up", "up.yaml"])).await;
    lines(&folder.path().join("out.ndjson"), first + 100).await;
    assert!(
        worker.process.terminate().await.success(),
        "{}",
        worker.process.log()
    );
    edit(folder.path(), &yaml);
    let mut worker = Worker::running(Process::start(folder.path(), &["up", "up.yaml"])).await;
    eventually("deleted", || async {
        (worker.get("/connectors").await.json() == json!(["gen", "out"])).then_some(())
    })
    .await;
    assert!(
        worker.process.terminate().await.success(),
        "{}",
        worker.process.log()
    );
    let all = fs::read_to_string(folder.path().join("out.ndjson")).expect("the file");
    for (index, line) in all.lines().enumerate() {
        let record: Value = serde_json::from_str(line).expect("whole lines");
        assert_eq!(record["id"], index + 1, "every id once, in order");
    }
}

#[tokio::test]
async fn plan_and_apply_bring_a_worker_in_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let url = worker.url.clone();
    let secret = "  mirror: {connector.class: datagen, topic: m, rate: 1}\n";
    fs::write(
        folder.path().join("c.yaml"),
        format!("connectors:\n{GEN}{secret}"),
    )
    .expect("written");
    worker
        .create(
            "mirror",
            json!({ "connector.class": "datagen", "topic": "m", "rate": 2 }),
        )
        .await;
    worker
        .create(
            "foreign",
            json!({ "connector.class": "datagen", "topic": "f", "rate": 1 }),
        )
        .await;

    let plan = command(folder.path(), &["plan", "c.yaml", "--url", &url]).await;
    assert_eq!(plan.status.code(), Some(2), "{}", text(&plan.stderr));
    let printed = text(&plan.stdout);
    assert!(
        printed.contains("+ gen\n") && printed.contains("~ mirror\n    ~ rate = 2 -> 1\n"),
        "{printed}"
    );
    let plan = command(folder.path(), &["plan", "c.yaml", "--url", &url, "--json"]).await;
    let mut changes: Value = serde_json::from_slice(&plan.stdout).expect("JSON");
    assert_eq!(changes[1]["guarantee"]["level"], "exactly-once");
    changes[1]
        .as_object_mut()
        .expect("an object")
        .remove("guarantee");
    assert_eq!(
        changes[1],
        json!({ "name": "mirror", "action": "update", "keys": [{ "key": "rate", "before": "2", "after": "1" }] })
    );
    assert_eq!(
        worker.get("/connectors").await.json(),
        json!(["foreign", "mirror"]),
        "a plan changes nothing"
    );

    let apply = command(folder.path(), &["apply", "c.yaml", "--url", &url]).await;
    assert_eq!(apply.status.code(), Some(0), "{}", text(&apply.stderr));
    assert_eq!(text(&apply.stdout), "created gen\nupdated mirror\n");
    assert_eq!(
        worker.get("/connectors").await.json(),
        json!(["foreign", "gen", "mirror"])
    );
    let plan = command(folder.path(), &["plan", "c.yaml", "--url", &url]).await;
    assert_eq!(
        (plan.status.code(), text(&plan.stdout).as_str()),
        (Some(0), "nothing to change\n")
    );

    fs::write(
        folder.path().join("bad.yaml"),
        "connectors:\n  bad: {connector.class: datagen}\n",
    )
    .expect("written");
    let apply = command(folder.path(), &["apply", "bad.yaml", "--url", &url]).await;
    assert_eq!(apply.status.code(), Some(1));
    assert!(
        text(&apply.stderr).contains("topic"),
        "{}",
        text(&apply.stderr)
    );
    let nobody = command(
        folder.path(),
        &["plan", "c.yaml", "--url", "http://127.0.0.1:1"],
    )
    .await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        text(&nobody.stderr).contains("no worker answers at http://127.0.0.1:1"),
        "{}",
        text(&nobody.stderr)
    );
}

#[tokio::test]
async fn commands_print_tables_and_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let url = worker.url.clone();
    let body = json!({ "name": "gen", "config": { "connector.class": "datagen", "topic": "t", "rate": 100 } });
    fs::write(folder.path().join("gen.json"), body.to_string()).expect("written");
    let run = async |args: &[&str]| {
        let output = command(folder.path(), &[args, &["--url", &url]].concat()).await;
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, _, errors) = run(&["connectors", "create", "gen.json"]).await;
    assert_eq!(code, Some(0), "{errors}");
    worker.task("gen", "RUNNING").await;
    let (code, printed, _) = run(&["connectors", "list"]).await;
    assert_eq!((code, printed.as_str()), (Some(0), "gen\n"));
    for (args, pointer, expected) in [
        (vec!["connectors", "list", "--json"], "/0", json!("gen")),
        (
            vec!["connectors", "get", "gen", "--json"],
            "/config/topic",
            json!("t"),
        ),
        (
            vec!["status", "--json"],
            "/gen/status/connector/state",
            json!("RUNNING"),
        ),
        (
            vec!["status", "gen", "--json"],
            "/connector/state",
            json!("RUNNING"),
        ),
        (
            vec!["plugins", "--connectors-only", "--json"],
            "/0/version",
            json!(env!("CARGO_PKG_VERSION")),
        ),
    ] {
        let (code, printed, errors) = run(&args).await;
        let found: Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(
            (code, found.pointer(pointer)),
            (Some(0), Some(&expected)),
            "{args:?}: {printed}{errors}"
        );
    }
    let (_, table, _) = run(&["status"]).await;
    assert!(
        table.starts_with("NAME") && table.contains("RUNNING") && !table.contains('\u{1b}'),
        "{table}"
    );
    for (action, state) in [("pause", "PAUSED"), ("resume", "RUNNING")] {
        let (code, _, errors) = run(&["connectors", action, "gen"]).await;
        assert_eq!(code, Some(0), "{errors}");
        worker.task("gen", state).await;
    }
    let (code, _, errors) = run(&["connectors", "restart", "gen", "--include-tasks"]).await;
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, errors) = run(&["connectors", "stop", "gen"]).await;
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, errors) = run(&["connectors", "delete", "gen"]).await;
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, errors) = run(&["connectors", "get", "gen"]).await;
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("404 Not Found: Connector gen not found"),
        "{errors}"
    );
}

/// Two workers that keep their connectors in different topics are no group: the second one says so and ends, before anything is placed on it.
#[tokio::test]
async fn a_second_worker_with_other_internal_topics_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut worker = Worker::embedded(folder.path()).await;
    let bootstrap = worker.bootstrap().await;
    let settings = format!(
        "worker: {{listeners: 'http://127.0.0.1:0', bootstrap.servers: '{bootstrap}', session.timeout.ms: 500, config.storage.topic: mine}}\n"
    );
    fs::write(folder.path().join("second.yaml"), settings).expect("written");
    let second = command(folder.path(), &["worker", "second.yaml"]).await;
    let errors = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("config.storage.topic is mine here and longshore-configs there"),
        "{errors}"
    );
    assert_eq!(worker.get("/health").await.status, 200);
}

/// Started at the same moment both may find a group that has agreed on nothing yet. One of them gives the group its topics; the other one ends or says
/// what differs, and neither it nor what it is asked for touches anything.
#[tokio::test]
async fn of_two_workers_with_other_internal_topics_that_start_together_one_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = ["broker", "--listen", "127.0.0.1:0", "--data", "b"];
    let mut broker = Process::start(folder.path(), &broker);
    let bootstrap = broker.logged("bootstrap=\"").await;
    let mut workers = Vec::new();
    for name in ["one", "two"] {
        let own = folder.path().join(name);
        fs::create_dir(&own).expect("a folder");
        let settings = format!(
            "worker: {{listeners: 'http://127.0.0.1:0', bootstrap.servers: '{bootstrap}', session.timeout.ms: 1500, config.storage.topic: {name}}}\n"
        );
        fs::write(own.join("worker.yaml"), settings).expect("written");
        workers.push(Process::start(&own, &["worker", "worker.yaml"]));
    }
    let differs = |process: &Process| {
        let log = process.log();
        let told = |one: &str, two: &str| {
            log.contains(&format!(
                "config.storage.topic is {one} here and {two} there"
            ))
        };
        told("one", "two") || told("two", "one")
    };
    eventually("one of them says what differs", || async {
        workers.iter().any(differs).then_some(())
    })
    .await;
    let refused = workers.iter().position(differs).expect("seen above");
    let mut other = workers.remove(1 - refused);
    let mut refused = workers.remove(0);
    let url = other.logged("worker started rest=").await;
    let health = async |url: &str| {
        let answer = reqwest::get(format!("{url}/health")).await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    };
    eventually("the other one is well", || async {
        health(&url).await.filter(|(status, _)| *status == 200)
    })
    .await;
    if refused.log().contains("worker started") {
        // It had joined already: it stays, ill.
        let url = refused.logged("worker started rest=").await;
        let (status, text) = eventually("it says so", || async {
            health(&url).await.filter(|(status, _)| *status == 500)
        })
        .await;
        assert!(text.contains("config.storage.topic is"), "{status} {text}");
    } else {
        assert_eq!(refused.ended().await.code(), Some(1), "{}", refused.log());
    }
    assert!(!differs(&other), "{}", other.log());
}
