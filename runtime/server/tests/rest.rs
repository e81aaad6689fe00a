//! The REST API of the real binary: status codes, headers and bodies that tools rely on.

mod support;

#[path = "rest/cluster.rs"]
mod cluster;
#[cfg(target_os = "linux")]
#[path = "rest/quiet.rs"]
mod quiet;
#[path = "rest/security.rs"]
mod security;
#[path = "rest/waiting.rs"]
mod waiting;

use reqwest::Method;
use serde_json::{Value, json};
use support::{EMBEDDED, Worker, eventually, exchange};

fn datagen(topic: &str) -> Value {
    json!({ "connector.class": "datagen", "topic": topic, "rate": 200 })
}

#[tokio::test]
async fn a_connector_lives_and_dies() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let root = worker.get("/").await.json();
    assert_eq!(root["version"], "4.1.0");
    assert!(!root["commit"].as_str().expect("a commit").is_empty());
    assert!(!root["kafka_cluster_id"].as_str().expect("an id").is_empty());
    assert_eq!(worker.get("/connectors").await.text, "[]");

    let answer = worker
        .post(
            "/connectors",
            json!({ "name": " gen ", "config": datagen("t") }),
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(
        answer.header("location"),
        format!("{}/connectors/gen", worker.url)
    );
    assert_eq!(answer.header("content-type"), "application/json");
    let config =
        json!({ "name": "gen", "connector.class": "datagen", "topic": "t", "rate": "200" });
    assert_eq!(
        answer.json(),
        json!({ "name": "gen", "config": config, "tasks": [], "type": "source" })
    );

    worker.task("gen", "RUNNING").await;
    let info = worker.get("/connectors/gen").await.json();
    assert_eq!(info["tasks"], json!([{ "connector": "gen", "task": 0 }]));
    assert_eq!(worker.get("/connectors/gen/config").await.json(), config);
    let status = worker.status("gen").await;
    assert_eq!(
        (&status["name"], &status["type"]),
        (&json!("gen"), &json!("source"))
    );
    assert_eq!(status["connector"]["state"], "RUNNING");
    let id = worker.url.trim_start_matches("http://");
    assert_eq!(
        (
            &status["connector"]["worker_id"],
            &status["tasks"][0]["worker_id"]
        ),
        (&json!(id), &json!(id))
    );
    let task = worker.get("/connectors/gen/tasks/0/status").await.json();
    assert_eq!(
        (&task["id"], &task["state"]),
        (&json!(0), &json!("RUNNING"))
    );
    let tasks = worker.get("/connectors/gen/tasks").await.json();
    assert_eq!(tasks[0]["id"], json!({ "connector": "gen", "task": 0 }));
    assert_eq!(tasks[0]["config"]["topic"], "t");
    let expanded = worker
        .get("/connectors?expand=info&expand=status")
        .await
        .json();
    assert_eq!(expanded["gen"]["info"]["config"], config);
    assert_eq!(expanded["gen"]["status"]["connector"]["state"], "RUNNING");
    assert_eq!(
        worker.get("/connectors?expand=bogus").await.text,
        r#"{"gen":{}}"#
    );
    eventually("the topic is noted", || async {
        let topics = worker.get("/connectors/gen/topics").await.json();
        (topics == json!({ "gen": { "topics": ["t"] } })).then_some(())
    })
    .await;
    let offsets = eventually("an offset is stored", || async {
        let offsets = worker.get("/connectors/gen/offsets").await.json();
        (!offsets["offsets"].as_array()?.is_empty()).then_some(offsets)
    })
    .await;
    assert!(
        offsets["offsets"][0]["partition"].is_object()
            && offsets["offsets"][0]["offset"].is_object(),
        "{offsets}"
    );

    let answer = worker.call(Method::DELETE, "/connectors/gen", None).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(
        worker.get("/connectors/gen").await.message(),
        "Connector gen not found"
    );
    eventually("its status goes", || async {
        (worker.get("/connectors/gen/status").await.status == 404).then_some(())
    })
    .await;
    assert_eq!(
        worker
            .call(Method::DELETE, "/connectors/gen", None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn configs_are_put_and_patched() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let path = "/connectors/a%20b/config";
    let mut config = datagen("t");
    config["name"] = json!("");
    let answer = worker.put(path, config.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(
        answer.header("location"),
        format!("{}/connectors/a%20b", worker.url)
    );
    assert_eq!(answer.json()["config"]["name"], "a b");
    config["rate"] = json!(100.0);
    assert_eq!(
        worker.put(path, config.clone()).await.status,
        400,
        "a rate is a whole number"
    );
    config["rate"] = json!(100);
    let answer = worker.put(path, config.clone()).await;
    assert_eq!((answer.status, answer.header("location")), (200, ""));
    assert_eq!(answer.json()["config"]["rate"], "100");
    config["name"] = json!("other");
    assert_eq!(
        worker.put(path, config).await.message(),
        "Connector name configuration (other) doesn't match connector name in the URL (a b)"
    );

    let patch = json!({ "rate": null, "count": 7, "generator": "users" });
    let answer = worker.call(Method::PATCH, path, Some(patch)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let stored = worker.get(path).await.json();
    let expected = json!({ "name": "a b", "connector.class": "datagen", "topic": "t", "count": "7", "generator": "users" });
    assert_eq!(stored, expected);
    assert_eq!(
        worker
            .call(Method::PATCH, "/connectors/no/config", Some(json!({})))
            .await
            .message(),
        "Connector no not found"
    );
    let merge = worker
        .raw(
            Method::PATCH,
            path,
            &[("content-type", "application/merge-patch+json")],
            b"{}".to_vec(),
        )
        .await;
    assert_eq!(
        (merge.status, merge.message().as_str()),
        (415, "HTTP 415 Unsupported Media Type")
    );

    // Existing and invalid: the validation's answer comes first.
    let bad = worker
        .post(
            "/connectors",
            json!({ "name": "a b", "config": { "connector.class": "datagen" } }),
        )
        .await;
    assert_eq!(bad.status, 400);
    let again = worker
        .post(
            "/connectors",
            json!({ "name": "a b", "config": datagen("t") }),
        )
        .await;
    assert_eq!(
        (again.status, again.message().as_str()),
        (409, "Connector a b already exists")
    );
}

#[tokio::test]
async fn connectors_are_steered() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let body = json!({ "name": "c", "config": datagen("t"), "initial_state": "stopped" });
    assert_eq!(worker.post("/connectors", body).await.status, 201);
    eventually("STOPPED", || async {
        let status = worker.status("c").await;
        (status["connector"]["state"] == "STOPPED" && status["tasks"] == json!([])).then_some(())
    })
    .await;
    for (action, status) in [
        ("resume", 202),
        ("pause", 202),
        ("resume", 202),
        ("stop", 204),
    ] {
        let answer = worker
            .call(Method::PUT, &format!("/connectors/c/{action}"), None)
            .await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (status, ""),
            "{action}"
        );
        match action {
            "resume" => drop(worker.task("c", "RUNNING").await),
            "pause" => drop(worker.task("c", "PAUSED").await),
            _ => {
                eventually("no tasks", || async {
                    (worker.status("c").await["tasks"] == json!([])).then_some(())
                })
                .await
            }
        }
        let answer = worker
            .call(Method::PUT, &format!("/connectors/no/{action}"), None)
            .await;
        assert_eq!(
            (answer.status, answer.message().as_str()),
            (404, "Unknown connector no")
        );
    }
    eventually("what the stopped task moved is stored", || async {
        let offsets = worker.get("/connectors/c/offsets").await.json();
        (!offsets["offsets"].as_array()?.is_empty()).then_some(())
    })
    .await;
    assert_eq!(
        worker
            .call(Method::PUT, "/connectors/c/resume", None)
            .await
            .status,
        202
    );
    worker.task("c", "RUNNING").await;
    let plain = worker
        .call(Method::POST, "/connectors/c/restart", None)
        .await;
    assert_eq!((plain.status, plain.text.as_str()), (204, ""));
    let all = worker
        .call(
            Method::POST,
            "/connectors/c/restart?includeTasks=TRUE&onlyFailed=yes",
            None,
        )
        .await;
    assert_eq!(all.status, 202);
    let state = all.json();
    assert_eq!(
        (&state["connector"]["state"], &state["tasks"][0]["state"]),
        (&json!("RESTARTING"), &json!("RESTARTING"))
    );
    worker.task("c", "RUNNING").await;
    let failed_only = worker
        .call(
            Method::POST,
            "/connectors/c/restart?includeTasks=true&onlyFailed=true",
            None,
        )
        .await;
    assert_eq!(
        (
            failed_only.status,
            &failed_only.json()["connector"]["state"]
        ),
        (202, &json!("RUNNING"))
    );
    assert_eq!(
        worker
            .call(Method::POST, "/connectors/c/tasks/0/restart", None)
            .await
            .status,
        204
    );
    worker.task("c", "RUNNING").await;
}

#[tokio::test]
async fn what_is_not_there_is_404_in_the_words_of_its_route() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    worker.create("c", datagen("t")).await;
    worker.task("c", "RUNNING").await;
    for (path, message) in [
        ("/connectors/no/restart", "Unknown connector: no"),
        ("/connectors/c/tasks/9/restart", "Unknown task: c-9"),
        ("/connectors/c/tasks/x/restart", "HTTP 404 Not Found"),
    ] {
        let answer = worker.call(Method::POST, path, None).await;
        assert_eq!(
            (answer.status, answer.message().as_str()),
            (404, message),
            "{path}"
        );
    }
    for (path, message) in [
        ("/connectors/no/status", "No status found for connector no"),
        ("/connectors/no/tasks", "Connector no not found"),
        ("/connectors/no/config", "Connector no not found"),
        ("/connectors/no/offsets", "Connector no not found"),
        (
            "/connectors/c/tasks/9/status",
            "No status found for task c-9",
        ),
        ("/connector-plugins/no/config", "Unknown plugin no."),
        ("/nowhere", "HTTP 404 Not Found"),
    ] {
        let answer = worker.get(path).await;
        assert_eq!(
            (answer.status, answer.message().as_str()),
            (404, message),
            "{path}"
        );
    }
    assert_eq!(
        worker.get("/connectors/no/topics").await.text,
        r#"{"no":{"topics":[]}}"#
    );
    assert_eq!(
        worker
            .call(Method::PUT, "/connectors/no/topics/reset", None)
            .await
            .status,
        202
    );
}

#[tokio::test]
async fn plugins_are_listed_and_validate() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let plugins = worker.get("/connector-plugins").await.json();
    let classes: Vec<&str> = plugins
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|plugin| plugin["class"].as_str())
        .collect();
    assert!(
        classes.contains(&"org.apache.kafka.connect.file.FileStreamSinkConnector"),
        "{classes:?}"
    );
    assert!(
        plugins
            .as_array()
            .expect("a list")
            .iter()
            .all(|plugin| plugin["type"] == "source" || plugin["type"] == "sink")
    );
    let all = worker
        .get("/connector-plugins?connectorsOnly=false")
        .await
        .json();
    assert!(
        all.as_array()
            .expect("a list")
            .iter()
            .any(|plugin| plugin["type"] == "transformation")
    );
    let keys = worker
        .get("/connector-plugins/FileStreamSink/config")
        .await
        .json();
    let first = keys[0].as_object().expect("a key");
    let names = [
        "name",
        "type",
        "required",
        "default_value",
        "importance",
        "documentation",
        "group",
        "width",
        "display_name",
        "dependents",
        "order",
    ];
    assert!(
        names.iter().all(|name| first.contains_key(*name)) && first.len() == names.len(),
        "{first:?}"
    );

    let path = "/connector-plugins/FileStreamSink/config/validate";
    let config = json!({ "connector.class": "FileStreamSink", "name": "s", "file": "o", "fil": "x", "tasks.max": "many" });
    let answer = worker.put(path, config).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let infos = answer.json();
    let errors = |key: &str| {
        let configs = infos["configs"].as_array().expect("configs");
        configs
            .iter()
            .find(|config| config["definition"]["name"] == key)
            .map(|config| config["value"]["errors"].to_string())
    };
    assert_eq!(infos["name"], "FileStreamSink");
    assert!(
        errors("tasks.max")
            .expect("it is there")
            .contains("Not a number of type INT"),
        "{infos}"
    );
    assert!(
        errors("topics")
            .expect("it is there")
            .contains("Must configure one of topics or topics.regex")
    );
    assert_eq!(errors("fil"), None);
    assert_eq!(
        infos["x"]["warnings"],
        json!([{ "key": "fil", "problem": "unknown key", "suggestion": "did you mean file?" }])
    );
    let mismatch = worker
        .put(path, json!({ "connector.class": "datagen" }))
        .await;
    assert_eq!(
        (mismatch.status, mismatch.message().as_str()),
        (
            400,
            "Included connector type datagen does not match request type FileStreamSink"
        )
    );
    assert_eq!(worker.put(path, json!({})).await.status, 400);
}

#[tokio::test]
async fn http_is_spoken_as_tools_expect() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    for path in [
        "/",
        "/connectors",
        "/connector-plugins",
        "/health",
        "/connectors/",
    ] {
        let head = worker.call(Method::HEAD, path, None).await;
        assert_eq!(
            (head.status, head.text.as_str(), head.header("content-type")),
            (200, "", "application/json"),
            "{path}"
        );
        let options = worker.call(Method::OPTIONS, path, None).await;
        assert_eq!(options.status, 200, "{path}");
        assert!(options.header("allow").contains("GET"), "{path}");
    }
    let post = worker.call(Method::POST, "/connector-plugins", None).await;
    assert_eq!(
        (post.status, post.message().as_str()),
        (405, "HTTP 405 Method Not Allowed")
    );
    let html = worker
        .raw(
            Method::GET,
            "/connectors",
            &[("accept", "text/html")],
            vec![],
        )
        .await;
    assert_eq!(
        (html.status, html.message().as_str()),
        (406, "HTTP 406 Not Acceptable")
    );
    let listed = worker
        .raw(
            Method::GET,
            "/connectors",
            &[("accept", "text/html, application/json;q=0.9")],
            vec![],
        )
        .await;
    assert_eq!(listed.status, 200);
    let untyped = worker
        .raw(Method::POST, "/connectors", &[], b"{}".to_vec())
        .await;
    assert_eq!(
        (untyped.status, untyped.message().as_str()),
        (415, "HTTP 415 Unsupported Media Type")
    );
    assert_eq!(worker.get("//connectors").await.status, 400);
    let metrics = worker.get("/metrics").await;
    assert!(metrics.status == 200 && metrics.header("content-type").starts_with("text/plain"));
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!(
        "{EMBEDDED}  access.control.allow.origin: https://ui.example\n  access.control.allow.methods: GET,PUT\n"
    );
    let worker = Worker::with(folder.path(), &settings).await;
    let preflight = [
        ("origin", "https://ui.example"),
        ("access-control-request-method", "PUT"),
    ];
    let answer = worker
        .raw(Method::OPTIONS, "/connectors", &preflight, vec![])
        .await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://ui.example"
    );
    assert_eq!(answer.header("access-control-allow-methods"), "GET,PUT");
    let answer = worker
        .raw(
            Method::GET,
            "/connectors",
            &[("origin", "https://ui.example")],
            vec![],
        )
        .await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, "https://ui.example")
    );
    let answer = worker
        .raw(
            Method::GET,
            "/connectors",
            &[("origin", "https://evil.example")],
            vec![],
        )
        .await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, "")
    );
}

#[tokio::test]
async fn what_is_not_http_is_400() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    for (sent, expected) in [
        ("GARBAGE\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /connectors HTTP/9.9\r\n\r\n", "HTTP/1.1 400 "),
        (
            "GET /connectors HTTP/1.1\r\nbad header\r\n\r\n",
            "HTTP/1.1 400 ",
        ),
        (
            "POST /connectors HTTP/1.1\r\nhost: localhost\r\ncontent-length: abc\r\n\r\n",
            "HTTP/1.1 400 ",
        ),
        (
            "GET /connectors HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 200 ",
        ),
        // A page's own name that leads to the loopback.
        (
            "GET /connectors HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 403 ",
        ),
        (
            "GET http://evil.example/connectors HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 403 ",
        ),
    ] {
        let answer = exchange(&worker.url, sent.as_bytes());
        assert!(answer.starts_with(expected), "{sent:?}: {answer:?}");
    }
    let long = format!(
        "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "x".repeat(1_000_000)
    );
    let answer = exchange(&worker.url, long.as_bytes());
    assert!(
        answer.starts_with("HTTP/1.1 4") || answer.is_empty(),
        "{answer:?}"
    );
    assert_eq!(worker.get("/health").await.status, 200);
}

#[tokio::test]
async fn an_override_needs_the_policys_leave() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!("{EMBEDDED}  connector.client.config.override.policy: Principal\n");
    let worker = Worker::with(folder.path(), &settings).await;
    let mut config = datagen("t");
    config["producer.override.linger.ms"] = json!(5);
    let answer = worker.put("/connectors/c/config", config.clone()).await;
    assert_eq!(answer.status, 400);
    let expected = "The 'Principal' policy does not allow 'linger.ms' to be overridden in the connector configuration.";
    assert!(answer.message().contains(expected), "{}", answer.text);
    assert_eq!(answer.json()["x"]["path"], "producer.override.linger.ms");
    config["name"] = json!("c");
    let validated = worker
        .put("/connector-plugins/datagen/config/validate", config)
        .await
        .json();
    assert_eq!(validated["error_count"], 1, "{validated}");
    let mut config = datagen("t");
    config["transaction.boundary"] = json!("connector");
    let answer = worker.put("/connectors/c/config", config).await;
    assert_eq!(
        (answer.status, &answer.json()["x"]["path"]),
        (400, &json!("transaction.boundary"))
    );
    assert!(
        answer.message().contains("not supported"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let url = worker.url.clone();
    let slow = ["", "GET / HTTP/1.1\r\nhost: localhost\r\n"].map(|sent| {
        let url = url.clone();
        tokio::task::spawn_blocking(move || exchange(&url, sent.as_bytes()))
    });
    // Beside them everybody else is served; exchange() itself fails if the connection outlives its patience.
    assert_eq!(worker.get("/health").await.status, 200);
    for answer in slow {
        assert!(!answer.await.expect("it ends").contains("200 OK"));
    }
}
