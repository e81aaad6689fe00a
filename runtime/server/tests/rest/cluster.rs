//! Workers of one group as processes of the real binary: whichever is asked, the same is done.

use crate::{
    security::{ADMIN, AUTH, Authority, HTTPS, ask, basic, users, write},
    support::{Answer, Process, Worker, eventually},
};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use longshore_engine::ports::KeyedLog;
use longshore_kafka::{ClientSettings, KafkaBus, KafkaLog, LogSpec};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path};
use tempfile::TempDir;

/// A broker of its own, and workers of the group `g`.
struct Cluster {
    /// Killed last, with its folders.
    workers: Vec<Worker>,
    folders: Vec<TempDir>,
    bootstrap: String,
    broker: Process,
}

impl Cluster {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let args = ["broker", "--listen", "127.0.0.1:0", "--data", "b"];
        let mut broker = Process::start(folder.path(), &args);
        let bootstrap = broker.logged("bootstrap=\"").await;
        Self {
            workers: Vec::new(),
            folders: vec![folder],
            bootstrap,
            broker,
        }
    }
    /// One more worker; the first one leads.
    async fn join(&mut self, scheme: &str, more: &str, client: Client, into: impl FnOnce(&Path)) {
        let folder = tempfile::tempdir().expect("a folder");
        into(folder.path());
        let bootstrap = &self.bootstrap;
        let yaml = format!(
            "worker:\n  bootstrap.servers: {bootstrap}\n  group.id: g\n  session.timeout.ms: 1500\n  listeners: {scheme}://127.0.0.1:0\n{more}"
        );
        write(folder.path(), "worker.yaml", &yaml);
        let process = Process::start(folder.path(), &["worker", "worker.yaml"]);
        let mut worker = Worker::running_for(process, client).await;
        if self.workers.is_empty() {
            worker.process.logged("leading the").await;
        }
        self.workers.push(worker);
        self.folders.push(folder);
    }
    async fn of(count: usize) -> Self {
        let mut cluster = Self::new().await;
        for _ in 0..count {
            cluster.join("http", "", Client::new(), |_| {}).await;
        }
        cluster
    }
    /// The session key, as everybody who may read the config topic can.
    async fn session_key(&self) -> Vec<u8> {
        let bus = KafkaBus::new(ClientSettings::new(&self.bootstrap));
        let admin = bus.admin().await.expect("the broker answers");
        let spec = LogSpec {
            topic: "g-configs".to_owned(),
            client_id: "test".to_owned(),
            ..LogSpec::default()
        };
        let log = KafkaLog::open(admin, spec).await.expect("it is there");
        let mut reader = log.reader().await.expect("readable");
        loop {
            let entries = reader.next().await.expect("readable").entries;
            let key = entries.into_iter().find(|entry| entry.key == "session-key");
            if let Some(value) = key.and_then(|key| key.value) {
                let value: Value = serde_json::from_slice(&value).expect("JSON");
                let key = value["key"].as_str().expect("text");
                return STANDARD.decode(key).expect("base64");
            }
        }
    }
}

fn datagen(more: &[(&str, &str)]) -> Value {
    let mut config = json!({ "connector.class": "datagen", "topic": "t", "rate": "10" });
    for (key, value) in more {
        config[*key] = json!(value);
    }
    config
}

fn body(name: &str) -> Value {
    json!({ "name": name, "config": datagen(&[]) })
}

#[tokio::test]
async fn a_follower_takes_every_request() {
    let cluster = Cluster::of(2).await;
    let (leader, follower) = (&cluster.workers[0], &cluster.workers[1]);
    let created = follower.post("/connectors", body("c")).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let place = format!("{}/connectors/c", follower.url);
    assert_eq!(created.header("location"), place);
    assert_eq!(follower.get("/connectors").await.text, r#"["c"]"#);
    let again = follower.post("/connectors", body("c")).await;
    assert_eq!(again.status, 409);
    assert_eq!(again.message(), "Connector c already exists");
    let wrong = datagen(&[("tasks.max", "0")]);
    let wrong = follower.put("/connectors/c/config", wrong).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    assert_eq!(wrong.json()["x"]["path"], "tasks.max");
    let two = datagen(&[("tasks.max", "2")]);
    let stored = follower.put("/connectors/c/config", two).await;
    assert_eq!(stored.status, 200, "{}", stored.text);
    let patch = json!({ "rate": "20" });
    let patched = follower
        .call(Method::PATCH, "/connectors/c/config", Some(patch))
        .await;
    assert_eq!(patched.status, 200, "{}", patched.text);
    let config = follower.get("/connectors/c/config").await.json();
    assert_eq!(
        (&config["rate"], &config["tasks.max"]),
        (&json!("20"), &json!("2"))
    );
    let both = eventually("a task on each", || async {
        let status = follower.status("c").await;
        let tasks = status["tasks"].as_array()?.clone();
        let runs = tasks.len() == 2 && tasks.iter().all(|task| task["state"] == "RUNNING");
        runs.then_some(tasks)
    })
    .await;
    let at = |task: &Value| task["worker_id"].as_str().expect("a worker").to_owned();
    assert_ne!(at(&both[0]), at(&both[1]));
    for worker in [leader, follower] {
        for task in 0..2 {
            let path = format!("/connectors/c/tasks/{task}/restart");
            let restarted = worker.call(Method::POST, &path, None).await;
            assert_eq!(restarted.status, 204, "{path}: {}", restarted.text);
        }
    }
    for (method, path, status) in [
        (Method::POST, "/connectors/c/restart", 204),
        (Method::POST, "/connectors/c/restart?includeTasks=true", 202),
        (Method::PUT, "/connectors/c/pause", 202),
        (Method::PUT, "/connectors/c/resume", 202),
        (Method::PUT, "/connectors/c/stop", 204),
    ] {
        let answer = follower.call(method, path, None).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
    eventually("the offsets are reset", || async {
        let path = "/connectors/c/offsets";
        let answer = follower.call(Method::DELETE, path, None).await;
        // Until its tasks are gone it is a conflict.
        assert!([200, 409].contains(&answer.status), "{}", answer.text);
        (answer.status == 200).then_some(())
    })
    .await;
    let deleted = follower.call(Method::DELETE, "/connectors/c", None).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(follower.get("/connectors").await.text, "[]");
    let log = leader.process.log();
    for command in ["create", "put-config", "stop", "delete"] {
        assert!(log.contains(&format!("command=\"{command}\"")), "{log}");
    }
}

#[tokio::test]
async fn i8_a_call_without_a_good_signature_is_refused_and_so_is_one_that_came_before() {
    let cluster = Cluster::of(2).await;
    let leader = &cluster.workers[0];
    let key = hmac::Key::new(hmac::HMAC_SHA256, &cluster.session_key().await);
    let who = leader.get("/internal/worker").await.json();
    assert_eq!(
        leader.url,
        format!("http://{}", who["worker_id"].as_str().expect("text"))
    );
    let call = |number: u64, to: &Value, name: &str| {
        let config = json!({ "name": name, "connector.class": "datagen", "topic": "t" });
        let command = json!({ "create": { "name": name, "config": config, "initial": "STARTED" } });
        let call = json!({
            "from": "test:1", "incarnation": "a", "number": number, "to": to,
            "request": format!("r-{name}"), "user": "ann", "command": command,
        });
        call.to_string()
    };
    let sign = |key: &hmac::Key, body: &str| STANDARD.encode(hmac::sign(key, body.as_bytes()));
    let send = async |body: &str, signature: &str, algorithm: &str| -> Answer {
        let headers = [
            ("content-type", "application/json"),
            ("x-connect-authorization", signature),
            ("x-connect-request-signature-algorithm", algorithm),
        ];
        let body = body.as_bytes().to_vec();
        leader
            .raw(Method::POST, "/internal/command", &headers, body)
            .await
    };
    let first = call(1, &who["incarnation"], "one");
    let good = sign(&key, &first);
    let other = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
    for (body, signature, algorithm) in [
        (first.as_str(), sign(&other, &first), "HmacSHA256"),
        (&first.replace("ann", "eve"), good.clone(), "HmacSHA256"),
        (&first, good.clone(), "HmacSHA1"),
        (&first, String::new(), "HmacSHA256"),
        (&first, "%%".to_owned(), "HmacSHA256"),
        ("{}", sign(&key, "{}"), "HmacSHA256"),
    ] {
        let refused = send(body, &signature, algorithm).await;
        assert_eq!(
            (refused.status, refused.message().as_str()),
            (403, "HTTP 403 Forbidden")
        );
    }
    assert_eq!(leader.get("/connectors").await.text, "[]");
    let taken = send(&first, &good, "HmacSHA256").await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    assert_eq!(leader.get("/connectors").await.text, r#"["one"]"#);
    let deleted = leader.call(Method::DELETE, "/connectors/one", None).await;
    assert_eq!(deleted.status, 204);
    let replayed = send(&first, &good, "HmacSHA256").await;
    assert_eq!(replayed.status, 403);
    // One that was for a former start of this worker does nothing either.
    let former = call(2, &json!("another"), "two");
    let answer = send(&former, &sign(&key, &former), "HmacSHA256").await;
    assert!(answer.text.contains("Again"), "{}", answer.text);
    assert_eq!(leader.get("/connectors").await.text, "[]");
    let log = leader.process.log();
    assert!(
        log.contains("user=\"ann\" worker=\"test:1\" command=\"create\" connector=\"one\""),
        "{log}"
    );
    assert!(
        log.contains("it was taken before") && !log.contains(&good),
        "{log}"
    );
    // Not read to its end: the connection ends with it.
    let large = format!("{}{}", " ".repeat(3 << 20), first);
    let answer = send(&large, &sign(&key, &large), "HmacSHA256").await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn i8_workers_with_https_and_users_forward_in_the_users_name() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    users(folder.path()).await;
    let lines = std::fs::read_to_string(folder.path().join("users")).expect("made");
    let more = format!(
        "{AUTH}{}",
        HTTPS.replace(
            "location: store.pem}\n",
            "location: store.pem}\n  listeners.https.ssl.truststore: {type: PEM, location: ca.pem}\n  listeners.https.ssl.client.auth: requested\n"
        )
    );
    let mut cluster = Cluster::new().await;
    for _ in 0..2 {
        let files = |folder: &Path| {
            write(folder, "users", &lines);
            write(folder, "store.pem", &authority.store());
            write(folder, "ca.pem", &authority.pem());
        };
        cluster
            .join("https", &more, authority.client(None), files)
            .await;
    }
    let (leader, follower) = (&cluster.workers[0], &cluster.workers[1]);
    let ann = basic("ann", ADMIN);
    let create = body("c");
    let created = ask(follower, Method::POST, "/connectors", &ann, Some(&create)).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let none = follower.post("/connectors", body("d")).await;
    assert_eq!(none.status, 401);
    let log = leader.process.log();
    assert!(
        log.contains("audit: forwarded by another worker user=\"ann\""),
        "{log}"
    );
    // A user's credentials are no signature.
    let refused = ask(
        leader,
        Method::POST,
        "/internal/command",
        &ann,
        Some(&create),
    )
    .await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn up_keeps_its_files_in_step_beside_a_worker_that_leads() {
    let mut cluster = Cluster::of(1).await;
    let folder = tempfile::tempdir().expect("a folder");
    let bootstrap = &cluster.bootstrap;
    let file = |connectors: &str| {
        format!(
            "worker:\n  bootstrap.servers: {bootstrap}\n  group.id: g\n  session.timeout.ms: 1500\n  listeners: http://127.0.0.1:0\nconnectors:\n{connectors}"
        )
    };
    let own = "  own: {connector.class: datagen, topic: t, rate: 10}\n";
    let up = Worker::up(folder.path(), &file(own)).await;
    let leader = &cluster.workers[0];
    let shows = async |names: &str| {
        eventually(&format!("both show {names}"), || async {
            let (one, other) = (leader.get("/connectors").await, up.get("/connectors").await);
            (one.text == names && other.text == names).then_some(())
        })
        .await;
    };
    shows(r#"["own"]"#).await;
    let created = leader.post("/connectors", body("theirs")).await;
    assert_eq!(created.status, 201, "{}", created.text);
    write(
        folder.path(),
        "up.yaml",
        &file("  other: {connector.class: datagen, topic: t, rate: 10}\n"),
    );
    // What it created itself goes with its file; what others created stays.
    shows(r#"["other","theirs"]"#).await;
    // The leader goes; edits go on.
    cluster.workers[0].process.kill();
    write(folder.path(), "up.yaml", &file(own));
    eventually("the edit is carried out", || async {
        (up.get("/connectors").await.text == r#"["own","theirs"]"#).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_request_outlives_the_leader_that_it_was_sent_to() {
    let mut cluster = Cluster::of(3).await;
    let created = cluster.workers[1].post("/connectors", body("before")).await;
    assert_eq!(created.status, 201, "{}", created.text);
    cluster.workers[0].process.kill();
    let (one, two) = (&cluster.workers[1], &cluster.workers[2]);
    let (created, deleted) = tokio::join!(
        one.post("/connectors", body("after")),
        two.call(Method::DELETE, "/connectors/before", None)
    );
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    for worker in [one, two] {
        eventually("the same on both", || async {
            let all = worker.get("/connectors").await;
            (all.text == r#"["after"]"#).then_some(())
        })
        .await;
    }
    one.task("after", "RUNNING").await;
}

/// Whichever worker is asked, it shows how far all tasks are; and why nothing moves, where the broker has gone.
#[tokio::test]
async fn every_worker_shows_the_whole_status() {
    let mut cluster = Cluster::of(2).await;
    let config = datagen(&[("tasks.max", "2")]);
    cluster.workers[1].create("c", config).await;
    let tasks = |status: &Value| status["tasks"].as_array().cloned().unwrap_or_default();
    let at = |task: &Value| task["worker_id"].as_str().unwrap_or_default().to_owned();
    for worker in &cluster.workers {
        eventually("a task on each, both with their progress", || async {
            let tasks = tasks(&worker.status("c").await);
            let workers: BTreeSet<String> = tasks.iter().map(at).collect();
            let moves = |task: &Value| task["x"]["progress"]["records"].as_u64() > Some(0);
            (workers.len() == 2 && tasks.iter().all(moves)).then_some(())
        })
        .await;
        eventually("the list and each task show it, too", || async {
            let all = worker.get("/connectors?expand=status").await.json();
            let mut shown = tasks(&all["c"]["status"]);
            for task in shown.clone() {
                let path = format!("/connectors/c/tasks/{}/status", task["id"]);
                shown.push(worker.get(&path).await.json());
            }
            let known = |task: &Value| task["x"]["progress"]["records"].is_u64();
            (shown.len() == 4 && shown.iter().all(known)).then_some(())
        })
        .await;
    }
    let log = cluster.workers[0].process.log();
    let forwarded: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("audit: forwarded by another worker"))
        .collect();
    let create = |line: &&str| line.contains("create");
    assert!(
        !forwarded.is_empty() && forwarded.iter().all(create),
        "the create; a question is no line: {log}"
    );
    assert!(!log.contains("was not taken"), "{log}");

    cluster.broker.kill();
    let why = |x: &Value| {
        let reason = x["reason"].as_str().unwrap_or_default();
        reason.contains("no broker of bootstrap.servers answers")
    };
    let out = |entry: &Value| entry["state"] == "UNASSIGNED" && why(&entry["x"]);
    for worker in &cluster.workers {
        eventually("nothing is called running, and it says why", || async {
            let status = worker.status("c").await;
            (tasks(&status).iter().all(out) && out(&status["connector"])).then_some(())
        })
        .await;
    }
    // How the tasks of one are that does not answer, nobody knows.
    let gone = cluster.workers[1].url.replace("http://", "");
    cluster.workers[1].process.kill();
    for task in tasks(&cluster.workers[0].status("c").await) {
        let unknown = task["x"]["progress"]["unknown"].is_string();
        assert_eq!(unknown, at(&task) == gone, "{task}");
        assert_eq!(out(&task), at(&task) != gone, "{task}");
    }
}
